"""The published tiers: how sensitive a data asset is, after GB/T 43697-2024, and what follows from it.

One JSON file per name and version in `tiers/`; a published file never changes (see README.md): grants name it by its hash, and
every node derives required approvers and limits from its own copy. May import pydantic and crypto.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from crypto.errors import DoudiError
from policies.standards.loader import BilingualText
from policies.standards.published import Publication, PublishedStandard

__all__ = [
    "DERIVED_KINDS",
    "TIER_NAMES",
    "TierStandard",
    "available_tiers",
    "derived_tier",
    "is_laxer",
    "load_tier",
    "parse_tier",
]

# From the strictest to the least strict.
TIER_NAMES = ("core", "important", "general_4", "general_3", "general_2", "general_1")
DERIVED_KINDS = ("model", "evidence", "scores", "metrics")
Count = Annotated[int, Field(ge=0, le=1_000_000)]
DerivedRule = Literal["same", "core", "important", "general_4", "general_3", "general_2", "general_1"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Approvals(_Part):
    """How many people must sign, and in which role: each with a key of their own."""

    role: Literal["department_approver", "centre_approver"]
    count: Annotated[int, Field(ge=1, le=4)]


class ApprovalRules(_Part):
    """Who approves a grant over an asset of this tier: people of its owner, and people of the centre."""

    owner: Approvals
    centre: Approvals


class DerivedRules(_Part):
    """The tier of what is derived from an asset: `same` is the asset's own."""

    model: DerivedRule
    evidence: DerivedRule
    scores: DerivedRule
    metrics: DerivedRule


class TierStandard(PublishedStandard):
    """One tier. ε in thousandths per household (labels) or person (lines); days are 24 hours.

    `retention_days`: how long what was derived may be kept after the grant's end. Without `federates` nothing is allowed at all.
    """

    format_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    version: Annotated[int, Field(ge=1)]
    title: BilingualText
    description: BilingualText
    source: str
    federates: bool
    approvals: ApprovalRules
    operations: tuple[Literal["link", "release", "train", "evidence", "sum_only", "combine", "line"], ...]
    minimum_parties: Annotated[int, Field(ge=2, le=64)]
    maximum_label_epsilon_milli: Count
    maximum_label_epsilon_milli_per_year: Count
    maximum_line_epsilon_milli: Count
    maximum_evidence_bits_per_person_and_year: Count
    maximum_runs: Count
    maximum_grant_days: Count
    retention_days: Count
    derived: DerivedRules

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name not in TIER_NAMES:
            raise ValueError("a tier has another name than those of the standard")
        if self.name == "core" and self.federates:
            raise ValueError("core data never federates")
        if self.federates != bool(self.operations):
            raise ValueError("a tier that federates allows operations, and only such a one")
        roles = (self.approvals.owner.role, self.approvals.centre.role)
        if roles != ("department_approver", "centre_approver"):
            raise ValueError("owners approve as department_approver, the centre as centre_approver")
        return self

    @property
    def sum_only(self) -> bool:
        """Whether only sums over several departments may leave, never one department's evidence."""
        return self.federates and "evidence" not in self.operations

    def published_as(self) -> tuple[str, int]:
        """Return the name and the version that the file must bear."""
        return self.name, self.version


_PUBLICATION = Publication(
    Path(__file__).parent / "tiers", TierStandard, "tier", "standard.unknown_tier", "standard.invalid_tier"
)


def parse_tier(raw: bytes) -> TierStandard:
    """Return the tier in the bytes of its file. Raises `DoudiError` "standard.invalid_tier"."""
    return _PUBLICATION.parse(raw)


def available_tiers() -> list[tuple[str, int]]:
    """Return name and version of every published tier, the strictest first, the newest version of each last."""
    return sorted(_PUBLICATION.available(), key=lambda found: (TIER_NAMES.index(found[0]), found[1]))


def load_tier(name: str, version: int = 1) -> TierStandard:
    """Return a published tier. Raises `DoudiError` "standard.unknown_tier" for one that is not published."""
    return _PUBLICATION.load(name, version)


def is_laxer(name: str, other: str) -> bool:
    """Return whether a tier is less strict than another. A name that is no tier's is laxer than every tier."""
    ranks = {tier: rank for rank, tier in enumerate(TIER_NAMES)}
    return ranks.get(name, len(TIER_NAMES)) > ranks.get(other, len(TIER_NAMES))


def derived_tier(inputs: Iterable[TierStandard], kind: Literal["model", "evidence", "scores", "metrics"]) -> str:
    """Return the tier of what is derived from these assets: the strictest that any of them asks for.

    Raises `DoudiError` "standard.no_inputs" without inputs: what comes of nothing has no tier.
    """
    asked = [
        tier.name if getattr(tier.derived, kind) == "same" else str(getattr(tier.derived, kind)) for tier in inputs
    ]
    if not asked:
        raise DoudiError("standard.no_inputs", "a derived asset needs the tiers of its inputs")
    return min(asked, key=TIER_NAMES.index)
