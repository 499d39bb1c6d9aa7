"""When runs of a grant may happen: weekly windows in the parties' own local time. May import crypto."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

from pydantic import Field, model_validator

from policies.contracts.base import Document

MINUTES_OF_A_DAY = 24 * 60


class RunWindow(Document):
    """A stretch of the same hours on some days of the week. The offset is fixed: a grant does not follow summer time.

    `weekdays`: 1 is Monday. `start_minute` is within the window, `end_minute` is not; both from local midnight.
    """

    weekdays: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1, max_length=7)]
    start_minute: Annotated[int, Field(ge=0, lt=MINUTES_OF_A_DAY)]
    end_minute: Annotated[int, Field(ge=1, le=MINUTES_OF_A_DAY)]
    utc_offset_minutes: Annotated[int, Field(ge=-14 * 60, le=14 * 60)]

    @model_validator(mode="after")
    def _consistent(self) -> "RunWindow":
        if self.end_minute <= self.start_minute:
            raise ValueError("the window ends before it starts; one over midnight is two windows")
        if len(set(self.weekdays)) != len(self.weekdays):
            raise ValueError("a weekday is named twice")
        return self

    def contains(self, at_s: int) -> bool:
        """Return whether a time, in seconds since 1970 UTC, lies in the window."""
        local = _local(at_s, self.utc_offset_minutes)
        minute = 60 * local.hour + local.minute
        return local.isoweekday() in self.weekdays and self.start_minute <= minute < self.end_minute


def is_open(windows: Sequence[RunWindow], at_s: int) -> bool:
    """Return whether runs may happen at a time; without windows they may at any."""
    return not windows or any(window.contains(at_s) for window in windows)


def _local(at_s: int, offset_minutes: int) -> datetime:
    zone = timezone(timedelta(minutes=offset_minutes))
    # Signed times may lie anywhere; one beyond the calendar is in no window rather than an error.
    bounded = min(max(at_s, 86_400), 253_402_214_400)
    return datetime.fromtimestamp(bounded, UTC).astimezone(zone)
