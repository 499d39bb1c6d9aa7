"""The long poll: a witness asks what the log has that it has not seen, and is answered when there is something.

No thread is held while it waits; each look takes one for a moment. Woken by this process's sequencer, it looks every few seconds
by itself, because another process may have published.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from coordinator.ledger import log_reader
from coordinator.ledger.notifier import Notifier
from coordinator.ledger.terms_store import newest_terms

LONGEST_WAIT_S = 25
_LOOK_EVERY_S = 5.0


@dataclass(frozen=True)
class Seen:
    """What a witness has seen. `terms`: 0 to be told of those that come while it waits."""

    latest: int = 0
    witnessed: int = 0
    terms: int = 0


@dataclass(frozen=True)
class News:
    """The newest checkpoints as notes, with their sizes, and the number of the terms in force."""

    latest: str | None
    witnessed: str | None
    terms: int
    sizes: tuple[int, int]

    def is_new_for(self, seen: Seen) -> bool:
        """Return whether there is something that was not seen."""
        return self.sizes[0] > seen.latest or self.sizes[1] > seen.witnessed or self.terms > seen.terms


def look(session: Session) -> News:
    """Return what the log has now. Raises `ledger.not_set_up`."""
    sizes = (log_reader.published_size(session), log_reader.published_size(session, witnessed=True))
    latest, witnessed = (_note(session, size) for size in sizes)
    return News(latest, witnessed, newest_terms(session).number, sizes)


def _note(session: Session, size: int) -> str | None:
    return log_reader.checkpoint_of_size(session, size).to_bytes().decode() if size else None


async def wait_for_news(
    notifier: Notifier, principal: str, seen: Seen, wait_s: float, look_now: Callable[[], News]
) -> News:
    """Return what there is as soon as something was not seen, at the latest after so many seconds.

    Raises `ledger.too_many_waiting`, and what `look_now` raises.
    """
    found = await asyncio.to_thread(look_now)
    expected = seen if seen.terms else Seen(seen.latest, seen.witnessed, found.terms)
    if wait_s <= 0 or found.is_new_for(expected):
        return found
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    with notifier.watch(principal) as watch:
        while True:
            # Looked at once more after the watch began: what came in between wakes nobody.
            found = await asyncio.to_thread(look_now)
            left = deadline - loop.time()
            if found.is_new_for(expected) or left <= 0 or notifier.closed:
                return found
            await watch.changed(min(left, _LOOK_EVERY_S))
