"""What every grant has, whatever it allows: who takes part with what, for which purpose, until when, who may start runs.

May import crypto.
"""

from abc import abstractmethod
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crypto.errors import DoudiError
from policies.contracts.base import Document, Hash, KeyHex, Slug
from policies.contracts.cards import CoApprovalKeys
from policies.contracts.run_windows import RunWindow


class Operation(StrEnum):
    """What a grant may allow. Anything that is not named in it is refused."""

    LINK = "link"
    RELEASE = "release"
    TRAIN = "train"
    EVIDENCE = "evidence"
    SUM_ONLY = "sum_only"
    COMBINE = "combine"
    # In a region's grant: the released bits may train the line of this department, and its model may be the start of training.
    LINE = "line"


class Share(Document):
    """What one department gives in a grant: its asset with its tier, columns, operations, and the keys it signs with."""

    department: Slug
    role: Literal["lead", "supporting"]
    dataset: Slug
    standard_version: Annotated[int, Field(ge=1)]
    standard_hash: Hash
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=512)]
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)]
    declared_people: Annotated[int, Field(ge=1, le=100_000_000)]
    tier: Slug
    tier_version: Annotated[int, Field(ge=1)]
    tier_hash: Hash
    identity_key: KeyHex
    approval_key: KeyHex
    co_approval_keys: CoApprovalKeys = ()
    revocation_key: KeyHex

    @property
    def approval_keys(self) -> tuple[str, ...]:
        """The keys of all people who may approve for this department."""
        return (self.approval_key, *self.co_approval_keys)


class Scheduler(Document):
    """Who holds the scheduling right: may start runs by signing their manifests."""

    department: Slug
    key: KeyHex


class GrantBase(Document):
    """The clauses common to all kinds of grants. `not_before` and `expires_at` are seconds since 1970 UTC.

    `windows`: when runs may happen; none means at any time.
    """

    format_version: Literal[1] = 1
    grant_id: Slug
    project_id: Slug
    purpose: Slug
    region: Slug
    not_before: int
    expires_at: int
    program_hash: Hash
    runs_allowed: Annotated[int, Field(ge=1, le=10_000)]
    attempts_allowed: Annotated[int, Field(ge=1, le=10)] = 3
    scheduler: Scheduler
    windows: Annotated[tuple[RunWindow, ...], Field(max_length=16)] = ()
    centre_key: KeyHex
    centre_co_keys: CoApprovalKeys = ()
    centre_revocation_key: KeyHex

    @property
    @abstractmethod
    def shares(self) -> tuple[Share, ...]:
        """What each department gives, in the grant's order."""

    @model_validator(mode="after")
    def _parties_and_times(self) -> "GrantBase":
        names = [share.department for share in self.shares]
        if len(set(names)) != len(names):
            raise ValueError("a department is named twice")
        if sum(share.role == "lead" for share in self.shares) != 1:
            raise ValueError("exactly one lead is needed")
        if self.scheduler.department not in names:
            raise ValueError("the scheduler is not a participant")
        if self.expires_at <= self.not_before:
            raise ValueError("expires_at is not after not_before")
        return self

    @property
    def centre_keys(self) -> tuple[str, ...]:
        """The keys of all people who may approve for the centre."""
        return (self.centre_key, *self.centre_co_keys)

    @property
    def departments(self) -> tuple[str, ...]:
        """The departments' names, in the grant's order."""
        return tuple(share.department for share in self.shares)

    @property
    def lead_department(self) -> str:
        """The name of the lead."""
        return next(share.department for share in self.shares if share.role == "lead")

    def share(self, department: str) -> Share:
        """Return what a department gives. Raises `grant.not_a_participant`."""
        for share in self.shares:
            if share.department == department:
                return share
        raise DoudiError("grant.not_a_participant", "the department is not named in the grant")
