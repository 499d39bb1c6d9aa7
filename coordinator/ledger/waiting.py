"""Waiting until a record is witnessed: before anything that it announces leaves this host."""

import time
from collections.abc import Callable, Collection

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator.db.session import Clock, now_s, read
from coordinator.ledger.cosigning import quorum_time
from coordinator.ledger.log_reader import place_of, published_size
from coordinator.ledger.terms_store import newest_terms
from crypto.errors import DoudiError

POLL_S = 0.05


def is_witnessed(session: Session, batch: int) -> bool:
    """Return whether a batch (its row's number) is in a checkpoint that a quorum cosigned and that is young enough.

    The newest witnessed checkpoint is asked: it holds everything that an older one holds. Its time is the quorum's by the
    witnesses' own clocks. Without witnesses nothing is ever witnessed. Raises `ledger.not_set_up`.
    """
    place = place_of(session, batch)
    size = published_size(session, witnessed=True)
    if place is None or sum(place) > size:
        return False
    terms = newest_terms(session)
    reached = quorum_time(session, size, terms)
    return reached is not None and now_s(session) - reached <= terms.checkpoint_max_age_s


def wait_for_witnesses(
    engine: Engine,
    batches: Collection[int],
    timeout_s: float,
    clock: Clock = time.time,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Return when all these batches (their rows' numbers, `recorded_batches`) are witnessed; at once for none.

    Raises `ledger.not_witnessed` after `timeout_s`.
    """
    deadline = monotonic() + timeout_s
    left = set(batches)
    while left:
        with read(engine, clock) as session:
            left = {batch for batch in left if not is_witnessed(session, batch)}
        if left and monotonic() >= deadline:
            raise DoudiError(
                "ledger.not_witnessed",
                "the record of what is to be done was not cosigned by enough witnesses in time, so it is not done",
                "Look at `doudi centre ledger status`: which departments' nodes are away?",
            )
        if left:
            sleep(POLL_S)
