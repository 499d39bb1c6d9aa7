"""All tables: importing this module makes `Base.metadata` complete, for migrations and for tests."""

from coordinator.accounts.models import (
    AccountRow,
    ApiTokenRow,
    EnrolmentRow,
    RecoveryCodeRow,
    SessionRow,
    SignInAttemptRow,
)
from coordinator.db.base import Base
from coordinator.events import EventRow
from coordinator.grants.models import GrantPartyRow, GrantRow
from coordinator.idempotency import IdempotencyKeyRow
from coordinator.parties.models import PartyRow, RequestNonceRow
from coordinator.projects.models import ProjectRow
from coordinator.runs.models import KeyOfferRow, RunResultRow, RunRow, RunStepRow

metadata = Base.metadata

__all__ = [
    "AccountRow",
    "ApiTokenRow",
    "EnrolmentRow",
    "EventRow",
    "GrantPartyRow",
    "GrantRow",
    "IdempotencyKeyRow",
    "KeyOfferRow",
    "PartyRow",
    "ProjectRow",
    "RecoveryCodeRow",
    "RequestNonceRow",
    "RunResultRow",
    "RunRow",
    "RunStepRow",
    "SessionRow",
    "SignInAttemptRow",
    "metadata",
]
