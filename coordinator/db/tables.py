"""All tables: importing this module makes `Base.metadata` complete, for migrations and for tests."""

from coordinator.accounts.models import (
    AccountRow,
    ApiTokenRow,
    EnrolmentRow,
    RecoveryCodeRow,
    SessionRow,
    SignInAttemptRow,
)
from coordinator.authorization.models import DecisionRow, PolicyApprovalRow, PolicyVersionRow
from coordinator.catalogue.models import AssetPurposeRow, AssetRevisionRow, AssetRow
from coordinator.db.base import Base
from coordinator.grants.models import GrantPartyRow, GrantRow
from coordinator.idempotency import IdempotencyKeyRow
from coordinator.ledger.former_events import FormerEventRow
from coordinator.ledger.models import (
    LedgerBatchRow,
    LedgerCheckpointRow,
    LedgerCosignatureRow,
    LedgerHeadRow,
    LedgerMarkRow,
    LedgerOutboxRow,
    LedgerPlaceRow,
    LedgerTermsRow,
    LedgerTileRow,
    LedgerTimestampRow,
)
from coordinator.parties.models import PartyRow, RequestNonceRow
from coordinator.projects.models import ProjectRow
from coordinator.reports.models import NodeReportRow
from coordinator.requests.models import AccessRequestRow, RequestDecisionRow, RequestPartyRow, RequestTransitionRow
from coordinator.revocations.models import RevocationListRow, RevocationWishRow, RevokedGrantRow
from coordinator.runs.models import KeyOfferRow, RunResultRow, RunRow, RunStepRow

metadata = Base.metadata

__all__ = [
    "AccessRequestRow",
    "AccountRow",
    "ApiTokenRow",
    "AssetPurposeRow",
    "AssetRevisionRow",
    "AssetRow",
    "DecisionRow",
    "EnrolmentRow",
    "FormerEventRow",
    "GrantPartyRow",
    "GrantRow",
    "IdempotencyKeyRow",
    "KeyOfferRow",
    "LedgerBatchRow",
    "LedgerCheckpointRow",
    "LedgerCosignatureRow",
    "LedgerHeadRow",
    "LedgerMarkRow",
    "LedgerOutboxRow",
    "LedgerPlaceRow",
    "LedgerTermsRow",
    "LedgerTileRow",
    "LedgerTimestampRow",
    "NodeReportRow",
    "PartyRow",
    "PolicyApprovalRow",
    "PolicyVersionRow",
    "ProjectRow",
    "RecoveryCodeRow",
    "RequestDecisionRow",
    "RequestNonceRow",
    "RequestPartyRow",
    "RequestTransitionRow",
    "RevocationListRow",
    "RevocationWishRow",
    "RevokedGrantRow",
    "RunResultRow",
    "RunRow",
    "RunStepRow",
    "SessionRow",
    "SignInAttemptRow",
    "metadata",
]
