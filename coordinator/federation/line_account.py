"""What a line's run did, round by round: kept in the checkpoint, and given out with the results. Pure."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COORDINATOR = "coordinator"
# Results are at most 256 KiB: 999 rounds of 32 departments by name are more.
MAXIMUM_ROWS_BYTES = 180 * 1024


@dataclass(frozen=True)
class LineAccount:
    """The rounds so far. `closed`: the last number that is used up in this attempt; `last_done`: the last with an average.

    `done` counts averages over all attempts of the run; bytes and messages are those of this attempt. A row: round, attempt, the
    survivors, who was dropped and who was silent later with codes, seconds, bytes up (replies) and down (requests), L2
    norm of the average and whether it was clipped, or the code by which the round was aborted.
    """

    attempt: int
    closed: int = 0
    last_done: int = 0
    done: int = 0
    aborted_in_a_row: int = 0
    last_code: str = ""
    messages: int = 0
    seconds: float = 0.0
    bytes_sent: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "LineAccount":
        """Return the account that `as_dict` gave."""
        return cls(**{**values, "rows": tuple(values["rows"])})

    def as_dict(self) -> dict[str, Any]:
        """Return the account as JSON values."""
        return {**dataclasses.asdict(self), "rows": list(self.rows)}

    def of_attempt(self, attempt: int) -> "LineAccount":
        """Return the account with which another attempt goes on after the last average."""
        return LineAccount(
            attempt=attempt, closed=self.last_done, last_done=self.last_done, done=self.done, rows=self.rows
        )

    def with_traffic(self, sizes: tuple[Mapping[str, int], Mapping[str, int], int]) -> "LineAccount":
        """Return the account with requests and replies added: bytes by sender, before Flower's framing."""
        requests, replies, messages = sizes
        totals = dict(self.bytes_sent)
        totals[COORDINATOR] = totals.get(COORDINATOR, 0) + sum(requests.values())
        for name, size in replies.items():
            totals[name] = totals.get(name, 0) + size
        return dataclasses.replace(self, bytes_sent=totals, messages=self.messages + messages)

    def with_round(self, row: Mapping[str, Any], seconds: float, code: str = "") -> "LineAccount":
        """Return the account with one more round closed: done, or aborted with a code."""
        number = self.closed + 1
        changes: dict[str, Any] = {"closed": number, "seconds": self.seconds + seconds, "last_code": code}
        changes["rows"] = (*self.rows, {"round": number, "attempt": self.attempt, **row})
        if code:
            return dataclasses.replace(self, aborted_in_a_row=self.aborted_in_a_row + 1, **changes)
        return dataclasses.replace(self, aborted_in_a_row=0, done=self.done + 1, last_done=number, **changes)


def bounded_rows(rows: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
    """Return the rows; from the first on, numbers stand in the place of names until all fit into the results."""
    shown = [dict(row) for row in rows]
    size = len(json.dumps(shown))
    for row in shown:
        if size <= MAXIMUM_ROWS_BYTES:
            break
        before = len(json.dumps(row))
        row |= {kind: len(row[kind]) for kind in ("survivors", "dropped", "silent")}
        size -= before - len(json.dumps(row))
    return shown
