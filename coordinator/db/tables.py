"""All tables: importing this module makes `Base.metadata` complete, for migrations and for tests."""

from coordinator.db.base import Base
from coordinator.events import EventRow
from coordinator.grants.models import GrantPartyRow, GrantRow
from coordinator.parties.models import PartyRow, RequestNonceRow
from coordinator.projects.models import ProjectRow
from coordinator.runs.models import KeyOfferRow, RunResultRow, RunRow, RunStepRow

metadata = Base.metadata

__all__ = [
    "EventRow",
    "GrantPartyRow",
    "GrantRow",
    "KeyOfferRow",
    "PartyRow",
    "ProjectRow",
    "RequestNonceRow",
    "RunResultRow",
    "RunRow",
    "RunStepRow",
    "metadata",
]
