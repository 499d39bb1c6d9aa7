"""The running node's exchange with the audit ledger: one thread hands in its own events, another is the witness.

Both end when the node ends, and lose nothing: what they do next is decided by what is durable. A coordinator that is away is
asked again and again; a long poll is answered as soon as there is something to know, so that a step waits for signatures only.
"""

import logging
import threading
import time
from collections.abc import Callable

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.ledger.following import LogFollower, Progress
from department_nodes.ledger.log_calls import LedgerClient
from department_nodes.ledger.own_batches import OwnBatches
from department_nodes.ledger.terms import TermsKeeper

log = logging.getLogger("doudi.node")

LONG_POLL_S = 20
RETRY_S = 1.0
# A poll that is answered at once and says nothing new is not repeated at once.
QUICK_S = 0.05
ENDING_S = 10.0
JOIN_S = 0.05


class LedgerExchange:
    """Runs the two threads between `start` and `stop`; `notify` has new events handed in now.

    `make_client`: called once for each thread, so that a long poll holds up nothing else.
    """

    def __init__(self, engine: NodeEngine, make_client: Callable[[], LedgerClient]) -> None:
        self._engine, self._make_client = engine, make_client
        terms = TermsKeeper(engine)
        self.follower = LogFollower(engine, terms)
        self.own = OwnBatches(engine, terms, self.follower)
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._clients: list[LedgerClient] = []

    def notify(self) -> None:
        """Have the submitting thread look now: something was recorded."""
        self._wake.set()

    def start(self) -> None:
        """Begin to hand in and to witness."""
        for name, loop in (("ledger-submitter", self._submit), ("ledger-witness", self._witness)):
            client = self._make_client()
            self._clients.append(client)
            thread = threading.Thread(target=loop, args=(client,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End both threads, also one that waits for an answer, and close their connections."""
        self._stopping.set()
        self._wake.set()
        until = time.monotonic() + ENDING_S
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < until:
            # Again and again: a call may begin between a look at the flag and this one.
            for client in self._clients:
                client.interrupt()
            for thread in self._threads:
                thread.join(JOIN_S)
        for client in self._clients:
            client.close()

    def _submit(self, client: LedgerClient) -> None:
        failing = ""
        while not self._stopping.is_set():
            self._wake.clear()
            pause_s = RETRY_S
            try:
                pause_s = self.own.advance(client)
                failing = ""
            except DoudiError as error:
                failing = self._tell("handing in events", error.code, failing)
            except Exception as error:  # noqa: BLE001 - the thread's border: what fails once is tried again
                failing = self._tell("handing in events", type(error).__name__, failing)
            if failing:
                # Being woken does not bring an absent coordinator back.
                self._stopping.wait(pause_s)
            else:
                self._wake.wait(pause_s)

    def _witness(self, client: LedgerClient) -> None:
        failing = ""
        while not self._stopping.is_set():
            began = time.monotonic()
            progress = Progress.NONE
            try:
                progress = self.follower.follow(client, LONG_POLL_S)
                failing = ""
            except DoudiError as error:
                failing = self._tell("witnessing the log", error.code, failing)
            except Exception as error:  # noqa: BLE001 - the thread's border: what fails once is tried again
                failing = self._tell("witnessing the log", type(error).__name__, failing)
            if progress is Progress.WITNESSED:
                self._wake.set()
            if failing or (progress is Progress.NONE and time.monotonic() - began < QUICK_S):
                self._stopping.wait(RETRY_S)

    def _tell(self, what: str, code: str, before: str) -> str:
        # Once for a failure that lasts: the node asks every second.
        if code != before and not self._stopping.is_set():
            log.warning("%s: %s", what, code)
        return code
