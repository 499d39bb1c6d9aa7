"""The time that a report is about, and the clock by which hours are called unusual."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crypto.errors import DoudiError

DEFAULT_ZONE = "Asia/Shanghai"
# Acts of people outside of these hours, and on Saturdays and Sundays, are shown as unusual.
FIRST_USUAL_HOUR, FIRST_LATE_HOUR = 7, 20
_FIRST_WEEKEND_DAY = 5
_END_OF_TIME = 2**53


@dataclass(frozen=True)
class Period:
    """`start` included, `end` not: seconds since 1970 UTC, of the header's time. `zone`: of hours and days."""

    zone: ZoneInfo
    start: int = 0
    end: int = _END_OF_TIME

    def holds(self, at: int) -> bool:
        """Return whether a time is in the period."""
        return self.start <= at < self.end

    @property
    def bounds(self) -> Mapping[str, int]:
        """The values of the condition `WITHIN`."""
        return {"start": self.start, "end": self.end}

    def shown(self) -> dict[str, Any]:
        """Return the period for JSON; no bound where none was asked for."""
        return {
            "zone": self.zone.key,
            "start": self.start or None,
            "end": self.end if self.end != _END_OF_TIME else None,
        }

    def local(self, at: int) -> datetime | None:
        """Return the local time; `None` for what no calendar has: times in records are their producers' word."""
        try:
            return datetime.fromtimestamp(at, self.zone)
        except (OverflowError, ValueError, OSError):
            return None

    def is_unusual(self, at: int) -> bool:
        """Return whether a time is outside 07:00 to 20:00 local, or on a weekend. Public holidays are not known here."""
        local = self.local(at)
        if local is None:
            return True
        return local.weekday() >= _FIRST_WEEKEND_DAY or not FIRST_USUAL_HOUR <= local.hour < FIRST_LATE_HOUR


WITHIN = "at >= :start AND at < :end"


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. Raises `report.unknown_zone`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DoudiError(
            "report.unknown_zone", "there is no such time zone on this computer", "Use a name such as Asia/Shanghai."
        ) from None
