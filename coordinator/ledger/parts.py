"""The ledger's parts in the API's process, made once by `app.create_app`."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from coordinator.db.session import Clock, begin
from coordinator.grants.keys import CentreKeys
from coordinator.ledger.background import SequencerThread
from coordinator.ledger.former_events import take_over
from coordinator.ledger.founding import import_founding_terms, load_log_key
from coordinator.ledger.marks import Marker
from coordinator.ledger.notifier import MOST, Notifier
from coordinator.ledger.sequencer import Sequencer
from coordinator.ledger.settings import LedgerSettings


@dataclass(frozen=True)
class Ledger:
    """`sequencer`: the log's writer. `thread`: has it write what other processes recorded. `notifier`: who waits for the log."""

    sequencer: Sequencer
    thread: SequencerThread
    notifier: Notifier

    def notify(self) -> None:
        """Say that something was recorded; returns at once."""
        self.thread.notify()


def open_ledger(
    engine: Engine,
    clock: Clock,
    home: Path,
    settings: LedgerSettings,
    centre: CentreKeys,
    most_waiting: int = MOST,
) -> Ledger:
    """Return the ledger's parts over a database; its first start stores the terms that the installation signed.

    `most_waiting`: requests that may wait for the log at once.

    Raises `ledger.not_set_up` for an installation without a ledger, `ledger.bad_key`, `terms.bad_signature`.
    """
    sequencer = Sequencer(engine, load_log_key(home, settings), clock, settings.republish_after_s)
    with begin(engine, clock) as session:
        import_founding_terms(session, home, settings, centre)
    take_over(engine, clock)
    notifier = Notifier(most_waiting)
    sequencer.subscribe(notifier.notify)
    return Ledger(sequencer, SequencerThread(sequencer, Marker(engine)), notifier)
