"""The thread that places and publishes what others recorded: the run's children and the host's commands hold no log key.

When nothing waits it makes the marks that lists are narrowed by.
"""

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from coordinator.ledger.marks import Marker
from coordinator.ledger.sequencer import Sequencer
from crypto.errors import DoudiError

PAUSE_S = 0.1
_LONG_PAUSE_S = 2.0
_STOP_TIMEOUT_S = 30.0
log = logging.getLogger("doudi.ledger")


class SequencerThread:
    """Looks every 100 ms, and at once after `notify`. It outlives every error of the database and tries again."""

    def __init__(self, sequencer: Sequencer, marker: Marker | None = None, pause_s: float = PAUSE_S) -> None:
        self._sequencer, self._marker, self._pause_s = sequencer, marker, pause_s
        self._wake, self._ending = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; returns at once. Starting twice changes nothing."""
        if self._thread is None:
            self._ending.clear()
            self._thread = threading.Thread(target=self._run, name="ledger-sequencer", daemon=True)
            self._thread.start()

    def notify(self) -> None:
        """Have the thread look now. May be called from anywhere, also when it does not run."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread and wait for it. What is recorded later waits in the outbox."""
        self._ending.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)
            self._thread = None

    def _run(self) -> None:
        pause_s = self._pause_s
        while not self._ending.is_set():
            self._wake.wait(pause_s)
            self._wake.clear()
            try:
                if self._sequencer.is_behind():
                    self._sequencer.advance()
                # One portion at a time: what was recorded meanwhile comes first.
                more = self._marker is not None and self._marker.mark()
                pause_s = 0 if more else self._pause_s
            except (SQLAlchemyError, DoudiError) as error:
                # The thread's outermost border. Everything recorded is durable in the outbox; nothing is witnessed meanwhile, so
                # no run goes on. Values stay out of the log.
                log.error(
                    "the ledger cannot advance: %s",
                    error.code if isinstance(error, DoudiError) else type(error).__name__,
                )
                pause_s = _LONG_PAUSE_S
