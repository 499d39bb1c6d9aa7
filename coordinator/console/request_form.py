"""The form of a new request: what was typed into it, what is wrong with it, and the terms that it asks for. Pure.

Every mistake is told at its field and nothing that was typed is lost. Only what a form can get wrong is checked here; whether a
request stays within the rules is the services' to say.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from coordinator.console.forms import Form
from coordinator.console.languages import Language
from coordinator.console.titles import title_of
from coordinator.projects.models import ProjectRow
from coordinator.requests.choices import Candidate
from policies.contracts.drafting import GrantTerms
from policies.contracts.run_windows import MINUTES_OF_A_DAY, RunWindow
from policies.standards.loader import DatasetStandard

FEWEST_WINDOW_ROWS, MOST_WINDOW_ROWS = 2, 16
LEAST_FOR_SUMS, MOST_DEPARTMENTS = 3, 64
_HIGHEST_EPSILON_MILLI = 8000
_HIGHEST_RUNS, _HIGHEST_DAYS, _HIGHEST_BITS = 10_000, 3650, 1_000_000
_PERIOD = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_EPSILON = re.compile(r"([0-9]{1,2})(?:[.,]([0-9]{1,3}))?")
_TIME = re.compile(r"([0-9]{1,2})[:：]([0-9]{2})")
_LINES = ("target", "label_period", "epsilon", "mode", "runs", "days", "bits", "key_holders")
Modes = tuple[Literal["evidence", "sum_only"], ...]
MODES: Mapping[str, Modes] = {
    "evidence": ("evidence",),
    "sum_only": ("sum_only",),
    "both": ("evidence", "sum_only"),
}
# Whole hours, and the offsets in use that are none.
OFFSETS = tuple(sorted({*range(-12 * 60, 15 * 60, 60), -570, -210, -150, 210, 270, 330, 345, 390, 570, 630, 765}))
BEIJING = 8 * 60


@dataclass
class RequestFields:
    """What was typed (`given`), what is wrong (`errors`, by field), and the terms if nothing is."""

    given: dict[str, Any]
    errors: dict[str, str] = field(default_factory=dict)
    terms: GrantTerms | None = None

    @property
    def supporting(self) -> tuple[str, ...]:
        """The supporting departments that were ticked."""
        return tuple(self.given["supporting"])

    @property
    def window_rows(self) -> int:
        """How many rows for windows the form shows: those that are filled in and one more."""
        filled = [number for number in range(1, MOST_WINDOW_ROWS + 1) if _is_filled(self.given, number)]
        return min(MOST_WINDOW_ROWS, max(FEWEST_WINDOW_ROWS, max(filled, default=0) + 1))


def empty_fields(standard: DatasetStandard | None, year: int) -> RequestFields:
    """Return the form as it is first shown: careful values, and the only target if there is one."""
    targets = outcomes(standard)
    given: dict[str, Any] = {
        "target": targets[0] if len(targets) == 1 else "",
        "label_period": str(year),
        "epsilon": "1.0",
        "mode": "evidence",
        "runs": "5",
        "days": "180",
        "bits": "60",
        "key_holders": "3",
        "supporting": [],
        "lines": [],
    }
    return RequestFields(given)


def outcomes(standard: DatasetStandard | None) -> tuple[str, ...]:
    """Return the columns of the lead's data standard that can be predicted."""
    return tuple(column.name for column in standard.columns if column.role == "outcome") if standard else ()


def read_fields(
    form: Form,
    language: Language,
    project: ProjectRow,
    candidates: Sequence[Candidate],
    standard: DatasetStandard | None,
) -> RequestFields:
    """Return what was typed, with the terms or with every mistake at its field. Raises `console.bad_form`.

    `candidates`: the supporting departments' assets. `standard`: that of the lead's data.
    """
    fields = RequestFields(_given(form))
    reading = _Reading(fields, language)
    target = reading.choice("target", outcomes(standard), language.gettext("Choose what is to be predicted."))
    period = reading.pattern(
        "label_period",
        _PERIOD,
        language.gettext("Lower-case letters, digits and hyphens, for example 2026 or 2026-q1."),
    )
    epsilon = reading.epsilon()
    modes = MODES.get(reading.choice("mode", tuple(MODES), language.gettext("Choose what the lead gets.")), ())
    supporting = reading.supporting(candidates)
    terms = {
        "runs_allowed": reading.integer("runs", 1, _HIGHEST_RUNS),
        "days": reading.integer("days", 1, _HIGHEST_DAYS),
        "bits_per_person_and_year": reading.integer("bits", 1, _HIGHEST_BITS),
        "min_key_holders": reading.integer("key_holders", 2, reading.most_key_holders(supporting)),
    }
    windows = reading.windows()
    reading.modes(modes, candidates)
    if not fields.errors:
        fields.terms = GrantTerms(
            project_id=project.project_id,
            purpose=project.purpose,
            target=target,
            label_period=period,
            epsilon_milli=epsilon,
            modes=modes,
            lines=bool(fields.given["lines"]),
            windows=windows,
            **terms,
        )
    return fields


def _given(form: Form) -> dict[str, Any]:
    given: dict[str, Any] = {name: form.line(name) for name in _LINES}
    given |= {"supporting": list(form.choices("supporting")), "lines": list(form.choices("lines"))}
    for number in range(1, MOST_WINDOW_ROWS + 1):
        given[f"days_{number}"] = list(form.choices(f"days_{number}"))
        for name in ("from", "to", "offset"):
            given[f"{name}_{number}"] = form.line(f"{name}_{number}")
    return given


def _is_filled(given: Mapping[str, Any], number: int) -> bool:
    # The offset alone is the form's own preselection.
    return any(given.get(f"{name}_{number}") for name in ("days", "from", "to"))


@dataclass
class _Reading:
    """One reading of a form: each function returns a value and notes what is wrong with it."""

    fields: RequestFields
    language: Language

    def wrong(self, name: str, text: str) -> None:
        self.fields.errors.setdefault(name, text)

    def choice(self, name: str, values: Sequence[str], text: str) -> str:
        value = str(self.fields.given[name])
        if value not in values:
            self.wrong(name, text)
        return value

    def pattern(self, name: str, pattern: re.Pattern[str], text: str) -> str:
        value = str(self.fields.given[name])
        if not pattern.fullmatch(value):
            self.wrong(name, text)
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        value = str(self.fields.given[name])
        number = int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else 0
        if not low <= number <= high:
            text = self.language.gettext("A whole number from %(low)s to %(high)s.")
            self.wrong(name, text % {"low": self.language.number(low), "high": self.language.number(high)})
        return number

    def epsilon(self) -> int:
        match = _EPSILON.fullmatch(str(self.fields.given["epsilon"]))
        milli = int(match[1]) * 1000 + int((match[2] or "").ljust(3, "0")) if match else 0
        if not 1 <= milli <= _HIGHEST_EPSILON_MILLI:
            self.wrong("epsilon", self.language.gettext("A number above 0 and up to 8, with at most three decimals."))
        return milli

    def supporting(self, candidates: Sequence[Candidate]) -> tuple[str, ...]:
        offered = {one.department for one in candidates if one.obstacle is None}
        chosen = self.fields.supporting
        if not chosen:
            self.wrong("supporting", self.language.gettext("Choose at least one department."))
        elif not set(chosen) <= offered:
            self.wrong("supporting", self.language.gettext("Choose departments of this list only."))
        return chosen

    def most_key_holders(self, supporting: Sequence[str]) -> int:
        """Return the bound: all departments of the grant. While those are wrong, it is no bound."""
        return MOST_DEPARTMENTS if "supporting" in self.fields.errors else len(supporting) + 1

    def modes(self, modes: Modes, candidates: Sequence[Candidate]) -> None:
        """Refuse what a chosen asset's tier does not allow: a draft of it could not even be made."""
        if "sum_only" in modes and len(self.fields.supporting) < LEAST_FOR_SUMS:
            text = self.language.gettext("Sums need at least %(count)s supporting departments.")
            self.wrong("mode", text % {"count": LEAST_FOR_SUMS})
        for one in candidates:
            if one.tier is None or one.department not in self.fields.supporting:
                continue
            refused = [mode for mode in modes if mode not in one.tier.operations]
            if refused:
                text = self.language.gettext("%(department)s: %(tier)s does not allow “%(mode)s”.")
                self.wrong(
                    "mode",
                    text
                    % {
                        "department": title_of(self.language, "party", one.department),
                        "tier": self.language.either(one.tier.title),
                        "mode": title_of(self.language, "operation", refused[0]),
                    },
                )
            if self.fields.given["lines"] and "line" not in one.tier.operations:
                text = self.language.gettext("%(department)s: %(tier)s does not allow lines.")
                names = {
                    "department": title_of(self.language, "party", one.department),
                    "tier": self.language.either(one.tier.title),
                }
                self.wrong("lines", text % names)

    def windows(self) -> tuple[RunWindow, ...]:
        found = [
            self._window(number) for number in range(1, MOST_WINDOW_ROWS + 1) if _is_filled(self.fields.given, number)
        ]
        return tuple(window for window in found if window is not None)

    def _window(self, number: int) -> RunWindow | None:
        given, name = self.fields.given, f"window_{number}"
        days = tuple(sorted({int(day) for day in given[f"days_{number}"] if day in "1234567" and len(day) == 1}))
        start, end = _minutes(given[f"from_{number}"]), _minutes(given[f"to_{number}"])
        # Midnight as an end is the end of the day.
        end = MINUTES_OF_A_DAY if end == 0 else end
        offset = str(given[f"offset_{number}"])
        if not days:
            self.wrong(name, self.language.gettext("Tick at least one day."))
        elif start is None or end is None or start == MINUTES_OF_A_DAY:
            self.wrong(name, self.language.gettext("Write times such as 22:00; 24:00 is the end of the day."))
        elif end <= start:
            self.wrong(name, self.language.gettext("It ends before it begins. Write one over midnight as two."))
        elif offset not in map(str, OFFSETS):
            self.wrong(name, self.language.gettext("Choose the offset from UTC."))
        else:
            return RunWindow(weekdays=days, start_minute=start, end_minute=end, utc_offset_minutes=int(offset))
        return None


def _minutes(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if match is None or int(match[2]) > 59:
        return None
    minutes = 60 * int(match[1]) + int(match[2])
    return minutes if minutes <= MINUTES_OF_A_DAY else None
