"""Server-sent events (HTML Living Standard, section 9.2) of pages that follow something: bounded in number and in time.

A browser opens a stream again by itself when it ends. So none lives longer than two minutes: whoever signed out, lost a role or a
session sees nothing new after that. A stream is not a request of the person, and keeps no session alive.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import anyio
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from crypto.errors import DoudiError

MEDIA_TYPE: Final = "text/event-stream"
LOOK_EVERY_S = 1.0
HEARTBEAT_S = 15.0
LIFETIME_S = 120.0
# Below what the server takes at all (`limits.max_connections`), so that following never keeps anybody from working; and below the
# six connections that a browser opens to one host, so that a person's further pages still load.
MOST = 64
MOST_OF_ONE_ACCOUNT = 4
TOO_MANY = "console.too_many_streams"
_RETRY_MS = 2000

Value = TypeVar("Value")


@dataclass(frozen=True)
class Look:
    """What a page shows now, by its keys. `ended`: nothing will change any more."""

    values: Mapping[str, str]
    ended: bool


class LiveStreams:
    """Counts the open streams. Used from the event loop and from threads."""

    def __init__(self, most: int = MOST, most_of_one_account: int = MOST_OF_ONE_ACCOUNT) -> None:
        self._most, self._most_of_one = most, most_of_one_account
        self._lock = threading.Lock()
        self._open: Counter[int] = Counter()

    def response(self, account: int, changes: AsyncIterator[bytes]) -> StreamingResponse:
        """Return the answer that streams these changes to a person. Raises `console.too_many_streams`."""
        with self._lock:
            if self._open.total() >= self._most or self._open[account] >= self._most_of_one:
                raise DoudiError(TOO_MANY, "too many pages are followed", "Load the page again from time to time.")
            self._open[account] += 1
        return _Counted(changes, lambda: self._close(account))

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        with self._lock:
            return self._open.total()

    def _close(self, account: int) -> None:
        with self._lock:
            self._open[account] -= 1
            self._open += Counter()  # drops those that are at zero


class _Counted(StreamingResponse):
    """A stream that says when it is over, however it ended: finished, cancelled, or never begun because nobody was there."""

    def __init__(self, changes: AsyncIterator[bytes], closed: Callable[[], None]) -> None:
        # A proxy that collected the answer before it passes it on would make live out of date.
        super().__init__(changes, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._closed()


async def changes_of(
    look: Callable[[], Awaitable[Look]],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    lifetime_s: float = LIFETIME_S,
) -> AsyncIterator[bytes]:
    """Yield what changes, as messages for `live.js`: first everything, then only what is different; at the end, `end`."""
    yield b"retry: %d\n\n" % _RETRY_MS
    started = told = clock()
    shown: dict[str, str] = {}
    while True:
        seen = await look()
        changed = {key: value for key, value in seen.values.items() if shown.get(key) != value}
        now = clock()
        if changed:
            shown |= changed
            yield _message(changed)
            told = now
        if seen.ended:
            yield b"event: end\ndata: {}\n\n"
            return
        if now - started >= lifetime_s:
            return
        if now - told >= HEARTBEAT_S:
            # A comment: it keeps proxies from closing what is quiet, and shows us a browser that has gone.
            yield b": still here\n\n"
            told = now
        await sleep(LOOK_EVERY_S)


def _message(values: Mapping[str, str]) -> bytes:
    # JSON has no line ends outside of its strings, and writes those inside as \n: a value cannot begin another message.
    return f"data: {json.dumps(values, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


class SharedLooks(Generic[Value]):
    """Keeps what was looked up for a second, so that ten people who follow one run cost as much as one. Thread-safe."""

    def __init__(self, kept_s: float = LOOK_EVERY_S * 0.9, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept_s, self._clock = kept_s, clock
        self._lock = threading.Lock()
        self._looks: dict[str, tuple[float, Value]] = {}

    def get(self, name: str, load: Callable[[], Value]) -> Value:
        """Return what was loaded under a name less than a second ago, else load it."""
        with self._lock:
            found = self._looks.get(name)
        if found is not None and self._clock() - found[0] < self._kept_s:
            return found[1]
        loaded = load()
        now = self._clock()
        with self._lock:
            self._looks = {key: kept for key, kept in self._looks.items() if now - kept[0] < self._kept_s}
            self._looks[name] = (now, loaded)
        return loaded
