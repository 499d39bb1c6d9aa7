"""Two histories of one log: refused, kept as evidence, and followed only by an officer's decision."""

import pytest
from hostile_log import HostileLog, is_error, public_hex
from ledger_nodes import ME, Node, Witnesses

from crypto.checkpoint import Note, Signature, parse_note, verify_checkpoint
from crypto.merkle_log import verify_consistency
from crypto.signing import generate_signing_key
from department_nodes.ledger.alarms import acknowledge, is_held, open_alarms
from department_nodes.ledger.quorum import verify_witnessed
from department_nodes.store.session import reading


def held(node: Node) -> bool:
    with reading(node.engine.db) as session:
        return is_held(session)


def cosigned(log: HostileLog, name: str = ME) -> list[int]:
    return [size for department, size, _ in log.cosigned if department == name]


FORK_CASES = ["fork", "rollback", "bad_proof"]


def misbehave(log: HostileLog, kind: str) -> None:
    """Have the log, which has 6 leaves, show the witness something that it must refuse."""
    if kind == "rollback":
        view = log.main.fork(4)
        log.publish(view)
    else:
        view = log.main.fork(4)
        log.grow(2 if kind == "fork" else 9, view, "other")
    log.views[ME] = view
    if kind == "rollback":
        view.shown_latest = view.notes[4]


@pytest.mark.parametrize("kind", FORK_CASES)
def test_a_second_history_is_refused_with_evidence_that_others_can_check(
    log: HostileLog, node: Node, kind: str
) -> None:
    log.grow(4)
    log.grow(2)
    node.look()
    misbehave(log, kind)
    assert not node.look()
    (alarm,) = node.alarms()
    evidence = alarm.signed.verify(public_hex(node.engine.identity_private))
    assert (evidence.kind, evidence.witness, evidence.terms_number) == (kind, ME, 1)
    # Both checkpoints are signed by the log: that is what convicts it, not the witness's word.
    seen = verify_checkpoint(parse_note(evidence.seen.encode()), log.terms.log_note_key)
    offered = verify_checkpoint(parse_note(evidence.offered.encode()), log.terms.log_note_key)
    assert seen.size == 6
    assert offered.size == {"fork": 6, "rollback": 4, "bad_proof": 13}[kind]
    if kind == "bad_proof":
        proof = [bytes.fromhex(item) for item in evidence.proof]
        code = is_error(lambda: verify_consistency(seen.root, 6, offered.root, 13, proof))
        assert code == "merkle.bad_proof"
    (event,) = node.events("witness.refused")
    assert (event.code, alarm.signed.digest() in event.hashes) == (f"witness.{kind}", True)


@pytest.mark.parametrize("lines", [20, 900])
def test_a_second_history_cannot_be_drowned_in_lines_of_others(log: HostileLog, node: Node, lines: int) -> None:
    log.grow(6)
    node.look()
    misbehave(log, "fork")
    note = log.views[ME].notes[6]
    strays = tuple(Signature(f"stray-{number:04}", b"\x00\x01\x02\x03", bytes(72)) for number in range(lines))
    log.views[ME].shown_latest = Note(note.text, (*note.signatures, *strays))
    assert not node.look()
    (alarm,) = node.alarms()
    assert alarm.kind == "fork"
    offered = parse_note(alarm.signed.evidence.offered.encode())
    assert verify_checkpoint(offered, log.terms.log_note_key).size == 6


@pytest.mark.parametrize("kind", FORK_CASES)
def test_after_a_second_history_no_cosignature_leaves_until_an_officer_has_looked(
    log: HostileLog, node: Node, kind: str
) -> None:
    log.grow(4)
    log.grow(2)
    node.look()
    before = cosigned(log)
    misbehave(log, kind)
    node.look()
    assert held(node)
    # Neither the other history nor the true one, not after a restart either.
    for _ in range(2):
        log.grow(1, log.views.get(ME), "other")
        node.look()
        log.views.clear()
        log.grow(1)
        node.look()
        node.restart()
    assert cosigned(log) == before
    assert node.exchange.follower.witnessed is None
    assert len(node.alarms()) == 1
    acknowledge(node.engine, 1)
    assert not held(node)
    node.look()
    assert cosigned(log) == [*before, len(log.main.leaves)]
    (event,) = node.events("alarm.acknowledged")
    assert event.code == f"alarm.{kind}"
    for number, code in ((1, "alarm.acknowledged"), (9, "alarm.unknown")):
        assert is_error(lambda number=number: acknowledge(node.engine, number)) == code


def test_an_officer_may_have_the_node_follow_the_history_that_was_offered(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    node.act()
    node.send()
    world.look()
    node.send()
    assert all(row.included_size for row in node.batches())
    # The log's host was put back to an earlier state, and goes on from there.
    restored = log.main.fork(0)
    log.grow(5, restored, "after")
    log.views = dict.fromkeys(world.names, restored)
    log.batches.clear()
    node.look()
    assert held(node)
    acknowledge(node.engine, 1, follow=True)
    assert node.kept().root == restored.root(5)
    assert [row.included_size for row in node.batches()] == [None] * len(node.batches())
    (event,) = node.events("alarm.acknowledged")
    assert event.code == "alarm.followed"
    # The log asks for the own events again, and this time they are there.
    assert node.look()
    assert is_error(node.send) == "batch.gap"
    node.send()
    for name in world.names:
        if name != ME:
            acknowledge_all(world.nodes[name])
    world.look()
    node.send()
    assert all(row.included_size for row in node.batches())
    assert all(root in {restored.root(size) for size in restored.notes} for _, _, root in log.cosigned[-4:])


def acknowledge_all(node: Node) -> None:
    node.look()
    with reading(node.engine.db) as session:
        found = open_alarms(session)
    for alarm in found:
        acknowledge(node.engine, alarm.number, follow=True)


def test_there_is_nothing_to_follow_in_an_alarm_about_a_signature(log: HostileLog, node: Node) -> None:
    log.grow(1)
    log.main.shown_latest = log.note(2, bytes(32), generate_signing_key())
    node.look()
    assert is_error(lambda: acknowledge(node.engine, 1, follow=True)) == "alarm.nothing_to_follow"
    assert not [alarm for alarm in node.alarms() if alarm.acknowledged_at]


def test_two_views_get_no_quorum_and_the_kept_checkpoints_prove_the_equivocation(
    world: Witnesses, log: HostileLog
) -> None:
    log.grow(5)
    world.look()
    assert log.main.witnessed == 5
    left, right = log.main.fork(5), log.main.fork(5)
    log.views = {name: left if name in world.names[:2] else right for name in world.names}
    log.grow(2, left, "left")
    log.grow(2, right, "right")
    world.look()
    # Each half has followed what it was shown, in good faith: with f = 1 of 4, two are not enough.
    assert log.terms.quorum == 3
    assert sorted(size for _, size, _ in log.cosigned) == [5] * 4 + [7] * 4
    for view in (left, right):
        assert is_error(lambda view=view: verify_witnessed(view.notes[7], log.terms)) == "ledger.not_witnessed"
    # What the departments hand to an auditor convicts the log: two roots of one size under its signature.
    kept = [parse_note(world.nodes[name].kept().note.encode()) for name in (world.names[0], world.names[-1])]
    one, other = (verify_checkpoint(note, log.terms.log_note_key) for note in kept)
    assert one.size == other.size == 7
    assert one.root != other.root
    # Neither half is ever brought to the other one's view.
    log.views = {name: right if name in world.names[:2] else left for name in world.names}
    log.grow(1, left, "left")
    log.grow(1, right, "right")
    world.look()
    assert [node.alarms()[0].kind for node in world.nodes.values()] == ["bad_proof"] * 4
    assert left.witnessed == right.witnessed == 5
