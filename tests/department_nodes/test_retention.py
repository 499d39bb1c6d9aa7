"""What is destroyed when a grant ends or a department leaves, and what stays."""

import json
from typing import Any

import pytest
from region import LEAD, Stages
from sqlalchemy import func, select

from crypto.errors import DoudiError
from department_nodes.accounts_of_runs import result_arrays, sent, usage
from department_nodes.engine import NodeEngine
from department_nodes.home import CENTRE
from department_nodes.offers import make_offer
from department_nodes.retention import end_grants, leave_project
from department_nodes.store.models import EventRow, LinkageScalarRow, ProjectRow, RunKeyRow, SealedValueRow, StepRow
from department_nodes.store.session import transaction
from policies.contracts.revocations import RevokedGrant
from policies.contracts.tier_rules import DAY_S
from policies.standards.tier_loader import load_tier

PROJECT = "support-2026"
NODE = "tax"


def rows(engine: NodeEngine) -> dict[str, int]:
    with transaction(engine.db) as session:
        tables = (LinkageScalarRow, RunKeyRow, SealedValueRow, StepRow)
        return {table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def endings(engine: NodeEngine) -> list[str]:
    """Return why grants ended, as the journal has it."""
    with transaction(engine.db) as session:
        return list(session.scalars(select(EventRow.code).where(EventRow.type == "grant.ended")))


class Clock:
    """The time of a test."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def test_a_grant_in_force_keeps_its_keys(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    assert end_grants(region.engines[NODE]) == 0
    assert all(rows(region.engines[NODE]).values())


def test_an_expired_grant_loses_scalar_keys_model_and_replies_and_the_lead_keeps_its_list(
    region_before: Any, stages: Stages
) -> None:
    after = stages.signed.grant.expires_at + 1.0
    region = region_before(None, lambda: after)
    assert end_grants(region.engines[NODE]) == 1
    assert not any(rows(region.engines[NODE]).values())
    assert end_grants(region.engines[LEAD]) == 1
    assert rows(region.engines[LEAD]) == {"linkage_scalars": 0, "run_keys": 0, "sealed_values": 2, "steps": 0}
    assert result_arrays(region.engines[LEAD], "run-1")
    assert end_grants(region.engines[NODE]) == 0


@pytest.mark.parametrize("party", [CENTRE, LEAD, NODE, "housing"])
def test_a_revoked_grant_ends_like_an_expired_one_at_every_node(region_before: Any, stages: Stages, party: str) -> None:
    region = region_before(None)
    entry = RevokedGrant(
        grant_hash=stages.signed.grant_hash,
        reason="purpose_ended",
        revoked_at=int(region.clock()),
        expires_at=stages.signed.grant.expires_at,
    )
    region.publish_revocations(entry, by=party)
    for name in region.departments:
        engine = region.engines[name]
        bits = usage(engine).evidence_bits_per_person
        assert end_grants(engine) == 1
        kept = 2 if name == LEAD else 0
        assert rows(engine) == {"linkage_scalars": 0, "run_keys": 0, "sealed_values": kept, "steps": 0}
        # Charges and the account of what was sent stay: what left cannot be called back.
        assert usage(engine).evidence_bits_per_person == bits
        assert sent(engine, "run-1")
        assert endings(engine) == ["grant.revoked"]
        assert end_grants(engine) == 0


def test_the_leads_results_go_when_the_retention_time_of_the_strictest_tier_is_over(
    region_before: Any, stages: Stages
) -> None:
    days = load_tier("general_2").retention_days
    clock = Clock(stages.signed.grant.expires_at + 1.0)
    region = region_before(None, clock)
    engine = region.engines[LEAD]
    end_grants(engine)
    clock.now_s += days * DAY_S - 1
    end_grants(engine)
    assert result_arrays(engine, "run-1")
    clock.now_s += 1
    end_grants(engine)
    assert rows(engine)["sealed_values"] == 0
    with pytest.raises(DoudiError, match=r"run\.no_results"):
        result_arrays(engine, "run-1")
    with transaction(engine.db) as session:
        (event,) = session.scalars(select(EventRow).where(EventRow.type == "results.destroyed")).all()
    assert (event.grant_hash, json.loads(event.counts)) == (stages.signed.grant_hash, {"values": 2})


def test_a_revocation_that_is_dated_back_destroys_no_results_early(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    entry = RevokedGrant(
        grant_hash=stages.signed.grant_hash, reason="other", revoked_at=0, expires_at=stages.signed.grant.expires_at
    )
    region.publish_revocations(entry, by="housing")
    end_grants(region.engines[LEAD])
    assert result_arrays(region.engines[LEAD], "run-1")


def test_what_another_process_computed_while_the_grant_ended_is_destroyed_at_the_next_look(
    region_before: Any, stages: Stages
) -> None:
    after = stages.signed.grant.expires_at + 1.0
    region = region_before(None, lambda: after)
    engine = region.engines[NODE]
    with transaction(engine.db) as session:
        late = session.scalars(select(RunKeyRow)).one()
        copied = {column.name: getattr(late, column.name) for column in RunKeyRow.__table__.columns}
    assert end_grants(engine) == 1
    with transaction(engine.db) as session:
        session.add(RunKeyRow(**{**copied, "attempt": 2}))
    assert end_grants(engine) == 0
    assert rows(engine)["run_keys"] == 0


def test_leaving_destroys_everything_but_the_account_of_what_was_sent(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    engine = region.engines[NODE]
    bits, account = usage(engine).evidence_bits_per_person, sent(engine, "run-1")
    leave_project(engine, PROJECT)
    assert not any(rows(engine).values())
    assert (usage(engine).evidence_bits_per_person, sent(engine, "run-1")) == (bits, account)
    assert bits > 0
    with pytest.raises(DoudiError, match=r"project\.left"):
        leave_project(engine, PROJECT)


def test_a_department_that_leaves_before_the_first_run_never_joins(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    leave_project(region.engines[NODE], "later")
    signed = region.sign(region.draft(project_id="later"))
    with pytest.raises(DoudiError, match=r"project\.left"):
        make_offer(region.engines[NODE], signed, "run-9", 1)


def test_what_was_destroyed_is_not_readable_in_the_databases_files(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    engine = region.engines[NODE]
    with transaction(engine.db) as session:
        sealed = session.get_one(ProjectRow, PROJECT).sealed_key
    folder = engine.home.path
    assert any(sealed in path.read_bytes() for path in folder.glob("node.db*"))
    leave_project(engine, PROJECT)
    assert not any(sealed in path.read_bytes() for path in folder.glob("node.db*"))
