"""The public side of a refusal. Every feature's `problems.py` is a table of these; `problems.py` above them collects the tables.

Apart from the collection, so that a feature's table can be read before it. Imports nothing of the coordinator.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """The public side of a code: HTTP status, what it is, what happened, what to do next.

    `retry_after_s`: when the same request may be sent again, for what passes by itself: every 429 and 503 says it.
    """

    status: int
    title: str
    detail: str
    next_step: str = ""
    retry_after_s: int | None = None
