"""The gate before every act: a step computes only when its intent is in a checkpoint that a quorum of witnesses cosigned.

The gate asks nobody: it reads from the node's own database what the exchange with the coordinator has verified and stored there.
May import the store.
"""

import time
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Engine, select

from crypto.errors import DoudiError
from department_nodes.ledger.sealing import pinned_terms
from department_nodes.store.models import LedgerBatchRow
from department_nodes.store.session import reading

POLL_S = 0.05


class Gate(Protocol):
    """What a step waits for between its intent and its computation."""

    def wait(self, number: int) -> None:
        """Return when the event with this number of the journal is witnessed. Raises `ledger.not_witnessed`."""


class WitnessedGate:
    """Opens when the event's batch is in a checkpoint that a quorum cosigned, no longer ago than the ledger's terms allow.

    `notify`: wakes whoever seals and sends. `clock`: seconds since 1970; `monotonic`, `pause`: seconds of a clock that never
    goes back, and waiting by it.
    """

    def __init__(
        self,
        db: Engine,
        notify: Callable[[], None],
        timeout_s: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._db, self._notify, self._timeout_s = db, notify, timeout_s
        self._clock, self._monotonic, self._pause = clock, monotonic, pause

    def wait(self, number: int) -> None:
        """Return when the event with this number of the journal is witnessed. Raises `ledger.not_witnessed`."""
        until = self._monotonic() + self._timeout_s
        self._notify()
        while not self._is_witnessed(number):
            if self._monotonic() >= until:
                raise DoudiError(
                    "ledger.not_witnessed",
                    f"no quorum of witnesses has cosigned the intent within {self._timeout_s:g} s",
                    "See `doudi node ledger status`; the step may be asked again.",
                )
            self._pause(POLL_S)

    def _is_witnessed(self, number: int) -> bool:
        with reading(self._db) as session:
            batch = session.scalars(
                select(LedgerBatchRow)
                .where(LedgerBatchRow.first_number <= number)
                .order_by(LedgerBatchRow.first_number.desc())
                .limit(1)
            ).first()
            if batch is None or number >= batch.first_number + batch.count or batch.witnessed_at is None:
                return False
            terms = pinned_terms(session)
            # A time too far in the future says as little about how recent the checkpoint is as one too far in the past.
            return terms is not None and abs(self._clock() - batch.witnessed_at) <= terms.checkpoint_max_age_s
