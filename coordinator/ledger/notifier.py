"""Wakes requests that wait for the log: asked from any thread, and no thread is held while they wait.

A waiting request costs a connection and a few kilobytes, so one principal has few of them and all together leave room for those
who do not wait. Told is only *that* something changed; whoever is woken reads what, because another process may have done it.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from crypto.errors import DoudiError

# A node waits with one request; after a broken connection the one before may still be there.
MOST_OF_ONE = 8
MOST = 128


class Watch:
    """One waiting request. Made by `Notifier.watch`, used in its event loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changed = asyncio.Event()

    async def changed(self, timeout_s: float) -> None:
        """Return when something changed since the last return, or after so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        # Cleared before the caller reads: what changes while it reads wakes it once more.
        self._changed.clear()

    def wake(self) -> None:
        """Have `changed` return. From any thread."""
        # A loop that has ended has nobody waiting.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._changed.set)


class Notifier:
    """The requests that wait. Thread-safe. `most`: as many may wait at once."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._lock = threading.Lock()
        self._watches: dict[Watch, str] = {}
        self._closed = False

    def notify(self) -> None:
        """Wake everybody who waits. Returns at once."""
        with self._lock:
            watches = list(self._watches)
        for watch in watches:
            watch.wake()

    def close(self) -> None:
        """Wake everybody, and let nobody wait any more: the server is to end, and ends when nobody waits."""
        with self._lock:
            self._closed = True
        self.notify()

    @property
    def closed(self) -> bool:
        """Whether waiting makes no sense any more."""
        return self._closed

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        with self._lock:
            return len(self._watches)

    @contextmanager
    def watch(self, principal: str) -> Iterator[Watch]:
        """Count a request of a principal as waiting, from before its first look: nothing is missed. In an event loop.

        Raises `ledger.too_many_waiting`.
        """
        watch = Watch(asyncio.get_running_loop())
        with self._lock:
            own = Counter(self._watches.values())[principal]
            if len(self._watches) >= self._most or own >= self._most_of_one:
                raise DoudiError("ledger.too_many_waiting", "too many requests wait for the log")
            self._watches[watch] = principal
        try:
            yield watch
        finally:
            with self._lock:
                del self._watches[watch]
