"""A coordinator that goes back behind its own past, or shows two of them: nobody builds on it, and its signatures convict it."""

import json

import pytest
from coordinator_world import DEPARTMENTS
from typer.testing import CliRunner
from whole_ledger import WholeLedger

from auditors.cli import app
from auditors.verification.verifier import verify_store
from coordinator.events import Event, EventType, record
from coordinator.ledger.recording import recorded_batches
from coordinator.ledger.waiting import wait_for_witnesses
from crypto.checkpoint import parse_checkpoint, parse_note
from crypto.errors import DoudiError
from department_nodes.ledger.alarms import evidence_files
from department_nodes.ledger.gate import WitnessedGate


@pytest.fixture
def whole(tmp_path, migrated):
    made = WholeLedger(tmp_path, migrated)
    yield made
    made.close()


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def act_at_the_coordinator(whole, run_id):
    with whole.world.begin() as session:
        record(session, Event(EventType.RUN_STARTED, "coordinator", run_id=run_id))
    return recorded_batches(session)


def require_shut(whole, name, intent):
    """Assert that a node's step does not pass its gate."""
    gate = WitnessedGate(whole.nodes[name].engine.db, lambda: None, 0.0, whole.nodes[name].clock)
    with pytest.raises(DoudiError, match=r"ledger\.not_witnessed"):
        gate.wait(intent)


def require_not_started(whole, rows):
    """Assert that a run's announcement is not witnessed, so that no request leaves."""
    with pytest.raises(DoudiError, match=r"ledger\.not_witnessed"):
        wait_for_witnesses(whole.world.engine, rows, 0.0, lambda: whole.world.now)


def grown(whole):
    """Let things happen everywhere until the quorum cosigned them; return the size."""
    for name in DEPARTMENTS:
        whole.nodes[name].act()
    act_at_the_coordinator(whole, "run-1")
    size = whole.settle()
    assert whole.witnessed_size() == size
    return size


def test_the_parts_fit_together(whole, tmp_path):
    """What is refused below is accepted here."""
    size = grown(whole)
    intent = whole.nodes["tax"].act()
    rows = act_at_the_coordinator(whole, "run-2")
    assert whole.settle() > size
    WitnessedGate(whole.nodes["tax"].engine.db, lambda: None, 0.0, whole.nodes["tax"].clock).wait(intent)
    wait_for_witnesses(whole.world.engine, rows, 0.0, lambda: whole.world.now)
    home = whole.auditor_home("court")
    assert whole.visit(home) == set()
    assert not any(node.alarms() for node in whole.nodes.values())


@pytest.mark.parametrize("regrown", [False, True], ids=["smaller", "as large with another end"])
def test_a_database_that_was_put_back_gets_no_cosignature_opens_no_gate_and_is_a_finding(whole, tmp_path, regrown):
    before = grown(whole)
    whole.keep_copy(tmp_path / "copy.db")
    for _ in range(3):
        act_at_the_coordinator(whole, "run-that-is-to-be-forgotten")
    known = grown(whole)
    home = whole.auditor_home("court")
    assert whole.visit(home) == set()

    whole.put_back(tmp_path / "copy.db")
    rows = act_at_the_coordinator(whole, "run-9")
    if regrown:
        size = known
        act_until(whole, size)
    else:
        size = whole.hands.advance()
        assert before < size < known
    intent = whole.nodes["tax"].act()
    for name in DEPARTMENTS:
        whole.nodes[name].look()

    # Nobody cosigns, so nothing is done.
    kinds = {alarm.kind for name in DEPARTMENTS for alarm in whole.nodes[name].alarms()}
    assert kinds == ({"fork"} if regrown else {"rollback"})
    assert all(len(whole.nodes[name].alarms()) == 1 for name in DEPARTMENTS)
    assert [line.name for line in whole.hands.note().signatures] == [whole.hands.terms.origin]
    require_not_started(whole, rows)
    require_shut(whole, "tax", intent)
    # Also when the log goes on and grows above what was seen.
    act_until(whole, known + 20)
    for name in DEPARTMENTS:
        whole.nodes[name].look()
    assert whole.witnessed_size() <= before
    require_not_started(whole, rows)
    require_shut(whole, "tax", intent)
    # The auditor's next visit.
    assert whole.visit(home) & {"history.fork", "history.rollback"}
    assert verify_store(home, full=True).exit_code in (10, 12, 13)


def act_until(whole, size):
    """Record at the coordinator until its newest checkpoint has exactly this size."""
    while whole.hands.advance() < size:
        with whole.world.begin() as session:
            record(session, Event(EventType.RUN_STARTED, "coordinator", run_id="run-of-the-other-history"))
    assert whole.hands.advance() == size


def test_the_two_checkpoints_of_a_log_that_was_put_back_prove_it_to_a_third_person(whole, tmp_path):
    """What the departments' nodes keep is all that is needed: `doudi audit check` ends with 13 and says why."""
    grown(whole)
    whole.keep_copy(tmp_path / "copy.db")
    act_at_the_coordinator(whole, "run-that-is-to-be-forgotten")
    known = grown(whole)
    honest = whole.auditor_home("court")
    assert whole.visit(honest) == set()
    whole.put_back(tmp_path / "copy.db")
    act_until(whole, known)
    whole.nodes["housing"].look()
    ((name, evidence),) = evidence_files(whole.nodes["housing"].engine)
    file = tmp_path / name
    file.write_bytes(evidence)
    answer = run("check", file, "--home", honest.path, "--json")
    assert answer.exit_code == 13, answer.output
    shown = json.loads(answer.stdout)
    assert (shown["kind"], [one["code"] for one in shown["findings"]]) == ("fork", ["evidence.fork"])
    # Without any mirror: the terms and the centre's card are enough.
    terms = sorted((honest.store.folder / "terms").iterdir())
    options = [word for path in terms for word in ("--terms", path)]
    card = honest.cards_folder / "centre-card.json"
    alone = run("check", file, *options, "--card", card, "--home", tmp_path / "nowhere")
    assert alone.exit_code == 13, alone.output
    # Both notes are the log's own, of one size.
    document = json.loads(evidence)["evidence"]
    one, other = (parse_checkpoint(parse_note(document[part].encode()).text) for part in ("seen", "offered"))
    assert (one.size, one.root != other.root) == (known, True)


@pytest.fixture
def faces(whole, tmp_path):
    """A log with a common past, and its twin, which is shown to two departments of four."""
    grown(whole)
    twin = whole.twin(tmp_path / "twin", shown_to=("housing", "tax"))
    yield whole, twin
    twin.close()


def test_two_halves_that_are_shown_two_trees_give_neither_a_quorum(faces):
    whole, twin = faces
    common = whole.witnessed_size()
    one = act_at_the_coordinator(whole, "run-for-the-left")
    other = act_at_the_coordinator(twin, "run-for-the-right")
    sizes = {face.hands.advance() for face in (whole, twin)}
    assert len(sizes) == 1
    for name in DEPARTMENTS:
        whole.nodes[name].look()
    assert whole.witnessed_size() == twin.witnessed_size() == common
    require_not_started(whole, one)
    require_not_started(twin, other)


def test_two_auditors_who_are_shown_two_trees_find_it_when_they_compare_with_any_department(faces, tmp_path):
    whole, twin = faces
    act_at_the_coordinator(whole, "run-for-the-left")
    act_at_the_coordinator(twin, "run-for-the-right")
    for face in faces:
        face.hands.advance()
    for name in DEPARTMENTS:
        whole.nodes[name].look()
    kept = {}
    for name in DEPARTMENTS:
        kept[name] = tmp_path / f"checkpoint-of-{name}"
        kept[name].write_bytes(whole.nodes[name].exchange.follower.seen().note.encode())
    left, right = whole.auditor_home("court"), twin.auditor_home("court")
    for face, home, own, others in ((whole, left, "health", "tax"), (twin, right, "tax", "health")):
        face.fetch(home)
        assert "history.fork" not in codes(home, kept[own])
        assert "history.fork" in codes(home, kept[others])


def codes(home, *files):
    return {one.code for one in verify_store(home, full=True, department_files=files).findings}
