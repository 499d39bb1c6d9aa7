"""The ledger's parts in the API's process, made once by `app.create_app`."""

from dataclasses import dataclass

from coordinator.ledger.background import SequencerThread
from coordinator.ledger.sequencer import Sequencer


@dataclass(frozen=True)
class Ledger:
    """`sequencer`: the log's writer. `thread`: has it write what other processes recorded."""

    sequencer: Sequencer
    thread: SequencerThread

    def notify(self) -> None:
        """Say that something was recorded; returns at once."""
        self.thread.notify()
