"""What is destroyed when a grant ends or a department leaves, and what stays."""

from typing import Any

import pytest
from region import LEAD, Stages
from sqlalchemy import func, select

from crypto.errors import DoudiError
from department_nodes.accounts_of_runs import result_arrays, sent, usage
from department_nodes.engine import NodeEngine
from department_nodes.offers import make_offer
from department_nodes.retention import end_grants, leave_project
from department_nodes.store.models import LinkageScalarRow, ProjectRow, RunKeyRow, SealedValueRow, StepRow
from department_nodes.store.session import transaction

PROJECT = "support-2026"
NODE = "tax"


def rows(engine: NodeEngine) -> dict[str, int]:
    with transaction(engine.db) as session:
        tables = (LinkageScalarRow, RunKeyRow, SealedValueRow, StepRow)
        return {table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


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
