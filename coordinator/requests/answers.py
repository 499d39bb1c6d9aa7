"""What the API answers about requests, and the bodies that it takes."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from coordinator.requests import reading
from coordinator.requests.drafts import registered_assets
from coordinator.requests.models import AccessRequestRow, RequestPartyRow
from coordinator.requests.rules import asked_against_rules
from coordinator.requests.services import MAXIMUM_REASON_CHARACTERS
from coordinator.requests.states import RequestState
from policies.contracts.base import Document
from policies.contracts.grant import Grant, LineGrant

# People's words: lines are allowed, other control characters are not (a NUL would be an error of the database).
Reason = Annotated[
    str, StringConstraints(max_length=MAXIMUM_REASON_CHARACTERS, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")
]


class RequestDraft(Document):
    """A request for access: the grant that is asked for, unsigned."""

    grant: Annotated[Grant | LineGrant, Field(discriminator="kind")]


class Withdrawal(Document):
    """Why a request is taken back; may be empty."""

    reason: Reason


class DecisionRequest(Document):
    """A person's decision. A refusal needs a reason."""

    decision: Literal["approve", "refuse"]
    reason: Reason


class PartyStanding(BaseModel):
    """How many people of a party must sign, and how many have."""

    model_config = ConfigDict(from_attributes=True)

    party: str
    role: Literal["lead", "supporting", "centre"]
    needed: int
    gathered: int


class RequestSummary(BaseModel):
    """A request in a list. `drafter`, `submitter`: an account's number, `node:<department>` or `device:centre`.

    Times are seconds since 1970 UTC. `runs_used`: runs of the grant so far.
    """

    number: int
    state: RequestState
    kind: Literal["region", "line"]
    grant_hash: str
    grant_id: str
    project_id: str
    purpose: str
    lead: str
    drafter: str
    submitter: str | None
    drafted_at: int
    submitted_at: int | None
    changed_at: int
    not_before: int
    expires_at: int
    runs_allowed: int
    runs_used: int
    parties: list[PartyStanding]


class DecisionView(BaseModel):
    """What one person decided. `person`: an account's number, `node:<department>`, or `key:` and the key of a signature."""

    model_config = ConfigDict(from_attributes=True)

    person: str
    party: str
    decision: Literal["approve", "refuse"]
    way: Literal["console", "node", "signature"]
    reason: str
    at: int


class TransitionView(BaseModel):
    """One change of state. `actor`: as `drafter`, or `coordinator` for what time did."""

    model_config = ConfigDict(from_attributes=True)

    from_state: RequestState | None
    to_state: RequestState
    actor: str
    party: str
    code: str
    reason: str
    at: int


class RuleView(BaseModel):
    """One rule of an asset: what is asked, what is allowed, and whether it is within."""

    model_config = ConfigDict(from_attributes=True)

    rule: str
    asked: int | str | list[str]
    allowed: int | str | list[str]
    within: bool


class RequestedAsset(BaseModel):
    """One asset of a request against its tier and its registration."""

    model_config = ConfigDict(from_attributes=True)

    department: str
    role: Literal["lead", "supporting"]
    dataset: str
    tier: str
    tier_version: int
    owner_approvals: int
    centre_approvals: int
    within: bool
    rows: list[RuleView]


class RequestView(RequestSummary):
    """A request with everything that was decided about it. Decide from the grant itself: `GET /v1/requests/{number}/grant`."""

    decisions: list[DecisionView]
    transitions: list[TransitionView]
    rules: list[RequestedAsset]


def summaries(session: Session, rows: Sequence[AccessRequestRow]) -> list[RequestSummary]:
    """Return the items of a page: two queries, however many there are."""
    parties, used = reading.parties_of(session, rows), reading.runs_used(session, rows)
    return [_summary(row, parties[row.number], used) for row in rows]


def request_view(session: Session, row: AccessRequestRow) -> RequestView:
    """Return a request with its decisions, its changes of state and its comparison with the rules."""
    grant = reading.grant_of(row)
    (summary,) = summaries(session, [row])
    return RequestView(
        **summary.model_dump(),
        decisions=[DecisionView.model_validate(one) for one in reading.decisions_of(session, row.number)],
        transitions=[TransitionView.model_validate(one) for one in reading.transitions_of(session, row.number)],
        rules=[
            RequestedAsset.model_validate(one) for one in asked_against_rules(grant, registered_assets(session, grant))
        ],
    )


def _summary(row: AccessRequestRow, parties: Sequence[RequestPartyRow], used: Mapping[str, int]) -> RequestSummary:
    return RequestSummary(
        number=row.number,
        state=RequestState(row.state),
        kind="line" if row.kind == "line" else "region",
        grant_hash=row.grant_hash,
        grant_id=row.grant_id,
        project_id=row.project_id,
        purpose=row.purpose,
        lead=row.lead,
        drafter=row.drafter,
        submitter=row.submitter,
        drafted_at=row.drafted_at,
        submitted_at=row.submitted_at,
        changed_at=row.changed_at,
        not_before=row.not_before,
        expires_at=row.expires_at,
        runs_allowed=row.runs_allowed,
        runs_used=used.get(row.grant_hash, 0),
        parties=[PartyStanding.model_validate(party) for party in parties],
    )
