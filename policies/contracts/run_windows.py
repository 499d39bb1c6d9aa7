"""When runs of a grant may happen: weekly windows in the parties' own local time, and how people write them.

A window in words is `mon-fri 22:00-24:00+08:00`: weekdays, hours, and the offset of local time from UTC. May import crypto.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

from pydantic import Field, model_validator

from crypto.errors import DoudiError
from policies.contracts.base import Document

MINUTES_OF_A_DAY = 24 * 60
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = r"([0-9]{2}):([0-9]{2})"
_WINDOW = re.compile(rf"(\S+) {_TIME}-{_TIME}([+-]){_TIME}")


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


def next_opening(windows: Sequence[RunWindow], at_s: int) -> int:
    """Return the first second from `at_s` on, in seconds since 1970 UTC, at which runs may happen."""
    if is_open(windows, at_s):
        return at_s
    openings = []
    for window in windows:
        midnight = _local(at_s, window.utc_offset_minutes).replace(hour=0, minute=0, second=0, microsecond=0)
        for day in range(8):
            opening = midnight + timedelta(days=day, minutes=window.start_minute)
            if opening.isoweekday() in window.weekdays and opening.timestamp() >= at_s:
                openings.append(int(opening.timestamp()))
                break
    return min(openings, default=at_s)


def parse_window(text: str) -> RunWindow:
    """Return the window in words such as `mon-fri 22:00-24:00+08:00` or `sat,sun 00:00-24:00+08:00`.

    Raises `window.malformed`.
    """
    match = _WINDOW.fullmatch(text.strip().lower())
    if match is None:
        raise _malformed(text)
    days, *times, sign, offset_hours, offset_minutes = match.groups()
    start_hour, start_minute, end_hour, end_minute = map(int, times)
    offset = 60 * int(offset_hours) + int(offset_minutes)
    try:
        if max(start_minute, end_minute, int(offset_minutes)) > 59:
            raise ValueError("more than 59 minutes")
        return RunWindow(
            weekdays=_parse_days(days),
            start_minute=60 * start_hour + start_minute,
            end_minute=60 * end_hour + end_minute,
            utc_offset_minutes=-offset if sign == "-" else offset,
        )
    except ValueError:
        raise _malformed(text) from None


def window_in_words(window: RunWindow) -> str:
    """Return the words from which `parse_window` makes this window."""
    offset = abs(window.utc_offset_minutes)
    sign = "-" if window.utc_offset_minutes < 0 else "+"
    hours = f"{_clock(window.start_minute)}-{_clock(window.end_minute)}"
    return f"{','.join(_runs_of_days(window.weekdays))} {hours}{sign}{_clock(offset)}"


def _parse_days(text: str) -> tuple[int, ...]:
    days: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        days += range(start + 1, end + 2)
        if end < start:
            raise ValueError("the week begins on Monday")
    return tuple(days)


def _runs_of_days(weekdays: Sequence[int]) -> list[str]:
    """Return days that follow each other as one part: mon-fri."""
    parts: list[tuple[int, int]] = []
    for day in sorted(weekdays):
        if parts and parts[-1][1] == day - 1:
            parts[-1] = (parts[-1][0], day)
        else:
            parts.append((day, day))
    names = [(WEEKDAYS[first - 1], WEEKDAYS[last - 1]) for first, last in parts]
    return [first if first == last else f"{first}-{last}" for first, last in names]


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _malformed(text: str) -> DoudiError:
    return DoudiError(
        "window.malformed",
        f"{text[:60]!r} is no window of the week",
        "Write it such as `mon-fri 22:00-24:00+08:00`: days, hours, offset from UTC; one over midnight is two windows.",
    )
