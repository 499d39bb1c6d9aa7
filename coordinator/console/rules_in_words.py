"""What a request asks beside what the rules allow, in words: the tables that approvers read. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from coordinator.console.grants_in_words import purpose_title
from coordinator.console.languages import N_, Language
from coordinator.console.titles import title_of
from coordinator.requests.rules import AssetComparison, RuleRow, Value
from crypto.errors import DoudiError
from policies.standards.loader import load_dataset_standard

_TITLES: Mapping[str, str] = {
    "registered": N_("In the catalogue"),
    "purpose": N_("Purpose"),
    "region": N_("Region"),
    "tier": N_("Tier"),
    "federates": N_("May federate"),
    "standard": N_("Data standard, version"),
    "columns": N_("Columns"),
    "operations": N_("Operations"),
    "people": N_("People"),
    "parties": N_("Parties"),
    "runs": N_("Number of runs"),
    "days": N_("Days"),
    "label_epsilon_milli": N_("ε of a label"),
    "evidence_bits": N_("Evidence bits per person and year"),
}
_AT_MOST = frozenset({"runs", "days", "label_epsilon_milli", "evidence_bits"})


@dataclass(frozen=True)
class RuleInWords:
    """One rule: what is asked, what its owner or tier allows, and whether it is within."""

    rule: str
    title: str
    asked: str
    allowed: str
    within: bool


@dataclass(frozen=True)
class AssetInWords:
    """One asset with its rules. `approvals`: people who must sign, of its owner and of the centre."""

    department: str
    role: str
    dataset: str
    tier: str
    tier_version: int
    owner_approvals: int
    centre_approvals: int
    within: bool
    rows: tuple[RuleInWords, ...]


def comparison_in_words(language: Language, comparison: Sequence[AssetComparison]) -> list[AssetInWords]:
    """Return one table per asset."""
    return [
        AssetInWords(
            department=one.department,
            role=one.role,
            dataset=dataset_title(language, one.dataset),
            tier=one.tier,
            tier_version=one.tier_version,
            owner_approvals=one.owner_approvals,
            centre_approvals=one.centre_approvals,
            within=one.within,
            rows=tuple(_row(language, row) for row in one.rows),
        )
        for one in comparison
    ]


def dataset_title(language: Language, dataset: str) -> str:
    """Return a data set's published title, or its name."""
    try:
        return language.either(load_dataset_standard(dataset).title)
    except DoudiError:
        return dataset


def _row(language: Language, row: RuleRow) -> RuleInWords:
    allowed = _value(language, row.rule, row.allowed)
    if row.rule in _AT_MOST:
        allowed = language.gettext("at most %(value)s") % {"value": allowed}
    elif row.rule == "parties":
        allowed = language.gettext("at least %(value)s") % {"value": allowed}
    return RuleInWords(
        rule=row.rule,
        title=language.gettext(_TITLES[row.rule]),
        asked=_value(language, row.rule, row.asked),
        allowed=allowed,
        within=row.within,
    )


def _value(language: Language, rule: str, value: Value) -> str:
    words: Mapping[str, Callable[[Value], str]] = {
        "registered": lambda one: dataset_title(language, str(one)) if one else language.gettext("not registered"),
        "purpose": lambda one: _listed(language, one, lambda name: purpose_title(language, name)),
        "tier": lambda one: _tier(language, str(one)),
        "federates": lambda one: language.gettext("yes") if one == "yes" else language.gettext("no"),
        "columns": lambda one: language.number(len(one)) if isinstance(one, tuple) else str(one),
        "operations": lambda one: _listed(language, one, lambda name: title_of(language, "operation", name)),
        "label_epsilon_milli": lambda one: language.number(int(one) / 1000, 2) if isinstance(one, int) else str(one),
    }
    if rule in words:
        return words[rule](value)
    return language.number(value) if isinstance(value, int) else str(value)


def _listed(language: Language, value: Value, title: Callable[[str], str]) -> str:
    names = value if isinstance(value, tuple) else (str(value),)
    return language.gettext(", ").join(title(name) for name in names) or language.gettext("none")


def _tier(language: Language, value: str) -> str:
    name, _, version = value.partition("/")
    return language.gettext("%(tier)s, version %(version)s") % {
        "tier": title_of(language, "tier", name),
        "version": version,
    }
