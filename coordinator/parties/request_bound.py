"""How many requests of one principal are taken in one minute. Pure: counts in memory, the time is an argument.

Each signed request costs a durable write (its nonce), so one department whose node runs wild, or one stolen token, could
otherwise keep the database from everybody else. Strangers are refused before this and write nothing.
"""

import threading

from crypto.errors import DoudiError

WINDOW_S = 60


class RequestBound:
    """Counts each principal's requests per minute of the clock. `most`: as many are taken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._window = 0
        self._counts: dict[str, int] = {}

    def count(self, principal: str, now_s: float) -> None:
        """Count a request. Raises `request.too_many` when the principal has had its number."""
        window = int(now_s) // WINDOW_S
        with self._lock:
            if window != self._window:
                # A clock that is set back begins a new minute too: nobody is refused for longer than one.
                self._window, self._counts = window, {}
            self._counts[principal] = self._counts.get(principal, 0) + 1
            if self._counts[principal] > self._most:
                raise DoudiError("request.too_many", "the principal sends too many requests", "Wait a minute.")
