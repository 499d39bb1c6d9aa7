"""What real nodes record of a real run, read by the auditors: nothing breaks its type, and the lineage is whole.

The coordinator's part is told here in a few records; its own log is held against this tool elsewhere.
"""

import pytest
from ledger_world import LedgerWorld
from opened_logs import found_in, opened_of
from region import DEPARTMENTS, LEAD
from sqlalchemy import select

from auditors.acts import Acts
from auditors.checkpoints_here import CheckpointsHere
from auditors.lineage import lineage_document
from auditors.opening_home import verified_terms
from auditors.record_findings import conduct_findings, newest_time
from auditors.runs import runs_of
from department_nodes.program import program_hash
from department_nodes.store.journal import plain_of
from department_nodes.store.models import EventRow
from department_nodes.store.session import transaction
from policies.contracts.ledger.records import Record
from policies.contracts.ledger.terms import COORDINATOR


@pytest.fixture(scope="module")
def audited(stages, tmp_path_factory):
    """The opened records of one run: (home, opened, the run's name)."""
    region = stages.before(None)
    folder = tmp_path_factory.mktemp("nodes-records")
    world = LedgerWorld(folder / "log", DEPARTMENTS)
    run, grant = stages.manifest.manifest.run_id, stages.signed
    of_run = {"run": run, "project": grant.grant.project_id, "grant_hash": grant.grant_hash}
    assets = tuple(f"{share.department}/{share.dataset}" for share in grant.grant.shares)
    about = {"project": of_run["project"], "purpose": grant.grant.purpose, "assets": assets, "counts": {"request": 1}}
    request = {**about, "grant_hash": of_run["grant_hash"]}
    attempt = {**of_run, "counts": {"attempt": 1}}
    world.add(
        COORDINATOR,
        [
            Record("request.submitted", world.now, actor=LEAD, account=1, **request),
            Record("request.approved", world.now, actor="centre", account=2, **request),
            Record(
                "grant.fully_signed",
                world.now,
                actor="centre",
                project=request["project"],
                grant_hash=request["grant_hash"],
            ),
            Record("run.created", world.now, actor=LEAD, **attempt),
            Record("run.started", world.now, **attempt),
        ],
    )
    for name in DEPARTMENTS:
        world.add(
            name, [Record("node.grant.signed", world.now, project=of_run["project"], grant_hash=of_run["grant_hash"])]
        )
        with transaction(region.engines[name].db) as session:
            rows = session.scalars(select(EventRow).order_by(EventRow.number)).all()
            world.add(name, [plain_of(row) for row in rows])
    world.add(COORDINATOR, [Record("run.finished", world.now, **attempt)])
    home, opened = opened_of(world, folder / "audit")
    yield home, opened, run
    opened.close()


def test_every_record_of_a_node_opens_and_is_of_its_type(audited):
    home, opened, _ = audited
    assert found_in(home, opened) == {}
    assert opened.connection.execute("SELECT count(*) FROM records WHERE NOT opened").fetchone()[0] == 0


def test_every_intent_of_a_whole_run_has_its_outcome(audited):
    _, opened, run = audited
    (account,) = runs_of(Acts(opened), newest_time(opened), run)
    assert account.unknown == []
    assert account.state == "finished"
    for counts in account.steps.values():
        assert counts["started"] == counts["answered"] > 0
    assert list(conduct_findings(opened, [account])) == []


def test_the_lineage_of_a_whole_run_lacks_nothing(audited):
    home, opened, run = audited
    document = lineage_document(opened, CheckpointsHere(home.store, verified_terms(home)), run)
    assert document["missing"] == []
    assert document["programs"] == [program_hash()]
    assert len(document["manifests"]) == 1
    released = {act["type"]: act for act in document["parts"]["labels"]}["node.labels.released"]
    assert (released["who"], released["counts"]["epsilon_milli"] > 0) == (LEAD, True)
    assert len(released["hashes"]["commitment"]) == 64
    evidence = [act["who"] for act in document["parts"]["evidence"] if act["type"] == "node.evidence.released"]
    assert sorted(set(evidence)) == sorted(set(DEPARTMENTS) - {LEAD})
    assert all(act["checkpoint"] is not None for acts in document["parts"].values() for act in acts)


def test_what_nodes_record_is_traced_to_purpose_and_asset(audited):
    _, opened, run = audited
    steps = list(Acts(opened).where("type LIKE 'node.step.%' AND run = :run", {"run": run}))
    assert steps
    for act in steps:
        assert act.purpose
        assert [asset.partition("/")[0] for asset in act.assets] == [act.producer]
