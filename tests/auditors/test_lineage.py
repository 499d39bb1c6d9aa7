"""The lineage of a run: what it gathers, what it proves, and what it says is missing."""

import pytest
from ledger_story import CRASHED, DEPARTMENTS, FAILED, FINISHED, HIDDEN, LEAD, Story, digest, grant_of

from auditors.checkpoints_here import CheckpointsHere
from auditors.lineage import PARTS, lineage_document
from auditors.opened import OpenedRecords
from auditors.opening_home import verified_terms
from crypto.errors import DoudiError
from policies.contracts.ledger.record_types import RECORD_TYPES


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lineage")
    story = Story(folder / "log")
    return story, story.opened(folder)


def lineage(told, run):
    _, home = told
    with OpenedRecords.read(home.opened_file) as opened:
        return lineage_document(opened, CheckpointsHere(home.store, verified_terms(home)), run)


def test_a_run_leads_back_to_program_grant_purpose_and_assets(told):
    document = lineage(told, FINISHED)
    assert document["programs"] == [digest("program")]
    assert document["grant"] == grant_of("winter-aid")
    assert document["purpose"] == "social_assistance"
    assert document["assets"] == sorted(f"{name}/{name}" for name in DEPARTMENTS)
    assert document["manifests"] == [digest(FINISHED)]
    assert (document["state"], document["missing"]) == ("finished", [])


def test_approvals_say_who_signed_and_when(told):
    signed = [act for act in lineage(told, FINISHED)["parts"]["approvals"] if act["type"] == "node.grant.signed"]
    assert [act["who"] for act in signed] == list(DEPARTMENTS)
    assert all(act["at"] > 0 for act in signed)
    (approved,) = (act for act in lineage(told, FINISHED)["parts"]["approvals"] if act["type"] == "request.approved")
    assert (approved["who"], approved["account"]) == ("centre", 4)


def test_labels_have_their_epsilon_and_the_commitment(told):
    charged, released = lineage(told, FINISHED)["parts"]["labels"]
    assert (charged["who"], charged["counts"]["epsilon_milli"]) == (LEAD, 1000)
    assert released["hashes"]["commitment"] == digest("labels")


def test_every_supporting_department_has_its_evidence(told):
    found = lineage(told, FINISHED)["parts"]["evidence"]
    released = {act["who"] for act in found if act["type"] == "node.evidence.released"}
    assert released == set(DEPARTMENTS) - {LEAD}


def test_every_act_has_its_place_its_checkpoint_and_the_command_that_proves_it(told):
    story, _ = told
    for acts in lineage(told, FINISHED)["parts"].values():
        for act in acts:
            assert act["checkpoint"]["size"] == story.world.size > act["index"]
            assert act["prove"] == f"doudi audit prove {act['index']}"


def test_the_first_witnessed_checkpoint_that_holds_an_act_is_named(told, tmp_path):
    world = Story(tmp_path / "log").world
    sizes = [world.size]
    for cosigners in (None, ["tax"], None):
        world.fill(10)
        world.publish(cosigners)
        sizes.append(world.size)
    home = world.home(tmp_path / "audit")
    here = CheckpointsHere(home.store, verified_terms(home))
    first, second, unwitnessed, last = sizes
    assert here.first_holding(0).size == first
    assert here.first_holding(first - 1).size == first
    assert here.first_holding(first).size == second
    # A checkpoint without a quorum does not count: the next one with one holds it.
    assert here.first_holding(second).size == here.first_holding(unwitnessed - 1).size == last
    assert here.first_holding(last) is None


def test_other_runs_of_the_grant_are_not_mixed_in(told):
    for run in (FINISHED, CRASHED):
        document = lineage(told, run)
        kinds = [act["type"] for act in document["parts"]["start"]]
        assert kinds.count("run.created") == 1
        assert len([act for act in document["parts"]["results"] if act["type"] == "run.finished"]) == 1


def test_unknown_outcomes_are_said(told):
    (step,) = lineage(told, CRASHED)["unknown_steps"]
    assert (step["department"], step["stated"]) == ("tax", True)


def test_a_failed_run_has_no_result_and_says_so(told):
    document = lineage(told, FAILED)
    assert (document["state"], document["code"]) == ("failed", "step.lost")
    assert "run.finished" in document["missing"]


def test_a_run_that_the_coordinator_left_out_shows_what_the_departments_say(told):
    document = lineage(told, HIDDEN)
    assert document["state"] == "unrecorded"
    assert {"run.created", "run.started", "program"} <= set(document["missing"])
    assert [act["type"] for act in document["parts"]["steps"]] == ["node.step.started", "node.step.answered"]
    # The grant that the department named leads to its approvals all the same.
    assert document["parts"]["approvals"]


def test_a_run_of_a_line_is_held_against_what_a_line_has(tmp_path):
    story = Story(tmp_path / "log")
    of_run = {"run": "run-0500", "attempt": 1, "project": "tax-line"}
    story.act("step.started", "tax", **of_run, step="line_update", round=1, hashes={"program": digest("program")})
    story.act("step.answered", "tax", **of_run, step="line_update", round=1)
    story.act("budget.charged", "tax", **of_run, counts={"round": 1, "steps": 8})
    story.world.publish()
    document = lineage((story, story.opened(tmp_path)), "run-0500")
    assert "node.line.model_adopted" in document["missing"]
    assert not {"node.labels.released", "node.evidence.released", "node.budget.charged"} & set(document["missing"])


def test_an_unknown_run_says_how_to_find_one(told):
    with pytest.raises(DoudiError, match=r"lineage\.unknown_run.*--kind run\.created"):
        lineage(told, "run-9999")


def test_every_type_in_a_lineage_exists():
    assert {kind for kinds in PARTS.values() for kind in kinds} <= RECORD_TYPES.keys()
