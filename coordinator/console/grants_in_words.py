"""What a grant says, as its pages show it: published titles in the place of names, windows and messages in words. Pure.

Everything comes from the document that people sign. A name that is not published here, because the grant is of another version,
stands for itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.console.languages import N_, Language
from coordinator.console.titles import title_of
from crypto.errors import DoudiError
from policies.contracts.grant import Grant, LineGrant
from policies.contracts.grant_terms import Operation, Share
from policies.contracts.line_grant import LineShare
from policies.contracts.run_windows import RunWindow
from policies.standards.loader import DatasetStandard, load_dataset_standard
from policies.standards.purpose_loader import PurposeStandard, load_purpose

_EVERY = N_("Every department")
_OTHERS = N_("Each other department")
_LEAD = N_("Lead")
_SUPPORTING = N_("Supporting departments")
_COORDINATOR = N_("Coordinator")
_NOBODY = N_("Nobody; it says nothing by itself")


@dataclass(frozen=True)
class ShareInWords:
    """One department's part of a grant. `standard_address`: of the page of its data standard, if that is published here."""

    department: str
    role: str
    region: str
    dataset: str
    standard_address: str | None
    tier: str
    tier_version: int
    operations: str
    columns: tuple[str, ...]
    people: int


@dataclass(frozen=True)
class Leaving:
    """One kind of message of a run. Texts are sources of translations, for the template."""

    what: str
    sender: str
    receiver: str
    opener: str


def shares_in_words(language: Language, grant: Grant | LineGrant) -> list[ShareInWords]:
    """Return each department's part, in the grant's order."""
    return [_share(language, grant, share) for share in grant.shares]


def purpose_of(grant: Grant | LineGrant) -> PurposeStandard | None:
    """Return the published purpose, with the words that officers hold the request against."""
    return published_purpose(grant.purpose)


def published_purpose(name: str) -> PurposeStandard | None:
    """Return a purpose that is published here."""
    try:
        return load_purpose(name)
    except DoudiError:
        return None


def purpose_title(language: Language, name: str) -> str:
    """Return a purpose's published title, or its name."""
    purpose = published_purpose(name)
    return name if purpose is None else language.either(purpose.title)


def target_title(language: Language, grant: Grant | LineGrant) -> str:
    """Return what is predicted: the title of the outcome in the lead's data standard."""
    target = grant.target if isinstance(grant, LineGrant) else grant.label.target
    lead = next(share for share in grant.shares if share.role == "lead")
    return _column_title(language, _standard(lead), target)


def true_share(epsilon_milli: int) -> float:
    """Return the probability with which a released bit is the household's true label (Warner 1965): e^ε / (1 + e^ε)."""
    return 1 / (1 + math.exp(-epsilon_milli / 1000))


def windows_in_words(language: Language, windows: Sequence[RunWindow]) -> list[str]:
    """Return one line per window; none when runs may happen at any time."""
    return [_window(language, window) for window in windows]


def clock(minutes: int) -> str:
    """Return minutes from midnight as "22:00"."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def offset(minutes: int) -> str:
    """Return an offset from UTC as "+08:00"."""
    return f"{'-' if minutes < 0 else '+'}{clock(abs(minutes))}"


def weekday(language: Language, number: int) -> str:
    """Return a day's name; 1 is Monday."""
    return str(language.locale.days["format"]["wide"][number - 1])


def what_leaves(grant: Grant | LineGrant) -> list[Leaving]:
    """Return every kind of message that departments send in a run, with who can open it: the README's table.

    Sizes depend on each department's list; its own node shows them.
    """
    return _line_leaves(grant) if isinstance(grant, LineGrant) else _region_leaves(grant)


def _region_leaves(grant: Grant) -> list[Leaving]:
    rows = [
        Leaving(
            N_("Blinded list: one point per person, in shuffled order"),
            _EVERY,
            _OTHERS,
            N_("The receiver; the points say nothing"),
        ),
        Leaving(N_("Each other department's list, multiplied"), _EVERY, N_("Owner of the list"), N_("The receiver")),
        Leaving(N_("Pseudonyms of the own list"), _EVERY, _COORDINATOR, _COORDINATOR),
        Leaving(
            N_("Randomised bit and held-out flag of each household"),
            _LEAD,
            _SUPPORTING,
            N_("The receiver, for its own people only"),
        ),
        Leaving(N_("Commitment to labels and bits"), _LEAD, _COORDINATOR, _NOBODY),
    ]
    if "evidence" in grant.modes:
        rows.append(
            Leaving(
                N_("Evidence level of each person"), _SUPPORTING, _LEAD, N_("Lead, for people in its register only")
            )
        )
    if "sum_only" in grant.modes:
        rows.append(
            Leaving(N_("Masked number of each person"), _SUPPORTING, _LEAD, N_("Lead, and only the sum of all"))
        )
    rows.append(
        Leaving(
            N_("Quality figures over held-out households, no cell below 10"),
            _LEAD,
            N_("Coordinator, departments of this grant"),
            N_("The receivers"),
        )
    )
    return [*rows, _replies()]


def _line_leaves(grant: LineGrant) -> list[Leaving]:
    if grant.aggregation.method != "secure":
        update = N_("Update of the model with local noise, without masks, in each round")
        return [Leaving(update, _EVERY, _COORDINATOR, _COORDINATOR), _replies()]
    return [
        Leaving(
            N_("Fresh public keys of each round"), _EVERY, N_("Coordinator, departments of this grant"), N_("Public")
        ),
        Leaving(
            N_("Shares of the round's two secrets"),
            _EVERY,
            _OTHERS,
            N_("The receiver; too few shares say nothing"),
        ),
        Leaving(
            N_("Update of the model under masks"),
            _EVERY,
            _COORDINATOR,
            N_("Nobody; the coordinator gets the sum over the survivors"),
        ),
        Leaving(N_("Consent to the list of survivors"), _EVERY, _COORDINATOR, N_("Public")),
        Leaving(N_("One share for each member of the round"), _EVERY, _COORDINATOR, _COORDINATOR),
        _replies(),
    ]


def _replies() -> Leaving:
    return Leaving(N_("With each reply: step, result code, counts, seconds"), _EVERY, _COORDINATOR, _COORDINATOR)


def _share(language: Language, grant: Grant | LineGrant, share: Share) -> ShareInWords:
    standard = _standard(share)
    separator = language.gettext(", ")
    return ShareInWords(
        department=share.department,
        role=share.role,
        region=share.region if isinstance(share, LineShare) else grant.region,
        dataset=language.either(standard.title) if standard is not None else share.dataset,
        standard_address=(
            None if standard is None else f"/console/standards/datasets/{share.dataset}/{share.standard_version}"
        ),
        tier=share.tier,
        tier_version=share.tier_version,
        operations=separator.join(title_of(language, "operation", Operation(one).value) for one in share.operations),
        columns=tuple(_column_title(language, standard, name) for name in share.columns),
        people=share.declared_people,
    )


def _standard(share: Share) -> DatasetStandard | None:
    try:
        standard = load_dataset_standard(share.dataset, share.standard_version)
    except DoudiError:
        return None
    return standard if standard.standard_hash() == share.standard_hash else None


def _column_title(language: Language, standard: DatasetStandard | None, name: str) -> str:
    if standard is None or name not in standard.column_names:
        return name
    return language.either(standard.column(name).title)


def _window(language: Language, window: RunWindow) -> str:
    text = language.gettext("%(days)s, %(start)s to %(end)s (UTC%(offset)s)")
    return text % {
        "days": language.gettext(", ").join(_runs_of_days(language, window.weekdays)),
        "start": clock(window.start_minute),
        "end": clock(window.end_minute),
        "offset": offset(window.utc_offset_minutes),
    }


def _runs_of_days(language: Language, weekdays: Sequence[int]) -> list[str]:
    parts: list[tuple[int, int]] = []
    for day in sorted(weekdays):
        if parts and parts[-1][1] == day - 1:
            parts[-1] = (parts[-1][0], day)
        else:
            parts.append((day, day))
    text = language.gettext("%(first)s to %(last)s")
    return [
        weekday(language, first)
        if first == last
        else text % {"first": weekday(language, first), "last": weekday(language, last)}
        for first, last in parts
    ]
