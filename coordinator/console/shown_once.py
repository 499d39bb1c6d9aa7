"""Secrets that a page shows once: kept between the form that made them and the page that the browser is led to.

An answer to a form leads on (303), so that loading it again repeats no act. What such an act gives out cannot stand in an
address, which browsers keep, so it waits here for the one page that takes it. Only in memory: a restart of the coordinator
loses it, and whoever needed it makes another one.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

KEPT_S = 300
_MOST = 200


@dataclass(frozen=True)
class _Kept:
    secret: str
    until: float


class ShownOnce:
    """Secrets by who may see them and what they are about. Thread-safe. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, str], _Kept] = {}

    def keep(self, account: int, about: str, secret: str) -> None:
        """Keep a secret for one person's next look. An earlier one about the same is gone."""
        now = self._clock()
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if kept.until > now}
            while len(self._kept) >= _MOST:
                # The oldest: dictionaries keep the order in which they were filled.
                del self._kept[next(iter(self._kept))]
            self._kept[account, about] = _Kept(secret, now + KEPT_S)

    def take(self, account: int, about: str) -> str | None:
        """Return the secret and forget it; `None` when it was taken before, or waited too long."""
        with self._lock:
            kept = self._kept.pop((account, about), None)
        return kept.secret if kept is not None and kept.until > self._clock() else None
