"""The node as a witness: it cosigns growth only, after it is durable, and keeps evidence of anything else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_log import ORIGIN, HostileLog, is_error, public_hex
from ledger_nodes import Node, Witnesses

from crypto.checkpoint import parse_note, verify_checkpoint, verify_cosignature
from crypto.errors import DoudiError
from crypto.merkle_log import EMPTY_ROOT, verify_consistency
from crypto.signing import generate_signing_key
from department_nodes.ledger.alarms import Alarm, acknowledge, all_alarms, is_held, open_alarms
from department_nodes.ledger.quorum import verify_witnessed
from department_nodes.store.session import reading

ME = "tax"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Witnesses]:
    made = Witnesses(tmp_path)
    yield made
    made.close()


@pytest.fixture
def log(world: Witnesses) -> HostileLog:
    return world.log


@pytest.fixture
def node(world: Witnesses) -> Node:
    return world.nodes[ME]


def alarms(node: Node) -> list[Alarm]:
    with reading(node.engine.db) as session:
        return all_alarms(session)


def held(node: Node) -> bool:
    with reading(node.engine.db) as session:
        return is_held(session)


def cosigned(log: HostileLog, name: str = ME) -> list[int]:
    return [size for department, size, _ in log.cosigned if department == name]


def test_a_witness_follows_growth_and_cosigns_each_tree_with_its_time(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    for size in (1, 4, 5):
        log.grow(size - len(log.main.leaves))
        world.clock.now_s += 7
        world.look()
        assert node.kept().size == size
        note = log.main.notes[size]
        assert verify_cosignature(note, log.witness_keys()[world.names.index(ME)]) == int(world.clock())
        assert verify_witnessed(note, log.terms).at == int(world.clock())
    assert cosigned(log) == [1, 4, 5]
    # The node's own copy has the log's signature and its own cosignature, for auditors who come to it.
    own = parse_note(node.kept().note.encode())
    assert [one.name for one in own.signatures] == [ORIGIN, ME]
    assert alarms(node) == []


def test_what_is_durable_before_the_cosignature_decides_after_a_crash(log: HostileLog, node: Node) -> None:
    log.grow(3)
    node.look()
    log.grow(3)

    class Ends(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Ends

    follower = node.exchange.follower
    follower._cosign = crash  # type: ignore[method-assign] # the process ends between persisting and cosigning
    with pytest.raises(Ends):
        node.look()
    assert cosigned(log) == [3]
    kept = node.kept()
    assert kept.size == 6
    # Another process of the node is offered another tree of that size.
    node.restart()
    fork = log.main.fork(3)
    log.grow(3, fork, "other")
    log.views[ME] = fork
    assert not node.look()
    assert [alarm.kind for alarm in alarms(node)] == ["fork"]
    assert node.kept() == kept
    assert cosigned(log) == [3]


def test_a_cosignature_that_a_crash_lost_is_given_after_the_restart(log: HostileLog, node: Node) -> None:
    log.grow(3)
    log.collecting = False
    node.look()
    node.restart()
    log.collecting = True
    node.look()
    assert cosigned(log) == [3, 3]
    assert {root for _, _, root in log.cosigned} == {log.main.root(3)}
    # And it is not given again and again.
    node.look()
    node.restart()
    node.look()
    assert cosigned(log) == [3, 3]


def test_a_cosignature_that_did_not_arrive_is_delivered_when_the_log_is_back(log: HostileLog, node: Node) -> None:
    log.grow(2)
    client = node.client

    class Breaks:
        """Loses the cosignature."""

        def __getattr__(self, name: str) -> object:
            if name == "post":
                raise DoudiError("coordinator.unreachable", "away")
            return getattr(client, name)

    broken: object = Breaks()
    with pytest.raises(DoudiError):
        node.exchange.follower.follow(broken, 0)  # type: ignore[arg-type]
    assert cosigned(log) == []
    node.look()
    assert cosigned(log) == [2]


@pytest.mark.parametrize("volunteering", [True, False])
def test_the_proof_of_growth_is_asked_for_where_it_does_not_come_with_the_news(
    log: HostileLog, node: Node, volunteering: bool
) -> None:
    log.volunteering = volunteering
    log.grow(2)
    node.look()
    log.grow(3)
    node.look()
    assert cosigned(log) == [2, 5]
    assert (("GET", "/v1/ledger/consistency") in log.calls) is not volunteering


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
    (alarm,) = alarms(node)
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
    assert len(alarms(node)) == 1
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
    assert not [alarm for alarm in alarms(node) if alarm.acknowledged_at]


def test_a_checkpoint_that_the_log_did_not_sign_is_refused_and_the_next_right_one_cosigned(
    log: HostileLog, node: Node
) -> None:
    log.grow(2)
    node.look()
    log.main.shown_latest = log.note(3, bytes(32), generate_signing_key())
    assert not node.look()
    assert not node.look()
    (alarm,) = alarms(node)
    evidence = alarm.signed.verify(public_hex(node.engine.identity_private))
    assert evidence.kind == "bad_signature"
    assert evidence.offered == log.main.shown_latest.to_bytes().decode()
    assert is_error(
        lambda: verify_checkpoint(parse_note(evidence.offered.encode()), log.terms.log_note_key)
    ).startswith("checkpoint.")
    log.main.shown_latest = None
    log.grow(1)
    node.look()
    assert cosigned(log) == [2, 3]
    # Shown until somebody has looked, though nothing is held up.
    with reading(node.engine.db) as session:
        assert [each.number for each in open_alarms(session)] == [alarm.number]


def test_sizes_beyond_every_journal_make_evidence_and_no_error(log: HostileLog, node: Node) -> None:
    log.grow(2)
    node.look()
    log.main.shown_latest = log.note(2**63 - 1, EMPTY_ROOT)
    log.main.proof = ["00" * 32] * 64
    node.look()
    (alarm,) = alarms(node)
    assert alarm.kind == "bad_proof"


@pytest.mark.parametrize("volunteering", [True, False])
def test_a_malformed_answer_changes_nothing(log: HostileLog, node: Node, volunteering: bool) -> None:
    log.grow(2)
    node.look()
    log.grow(2)
    log.volunteering = volunteering
    before = node.kept()
    for proof in (["zz" * 32], ["00" * 31], ["00" * 32] * 129, "no list", [7]):
        log.main.proof = proof  # type: ignore[assignment]
        assert is_error(node.look) == "coordinator.bad_answer"
    assert node.kept() == before
    assert alarms(node) == []
    log.main.proof = None
    node.look()
    assert cosigned(log) == [2, 4]


def test_a_node_that_the_terms_do_not_name_follows_and_cosigns_nothing(tmp_path: Path) -> None:
    world = Witnesses(tmp_path)
    keep = tuple(item for item in world.log.terms.witnesses if item.department != ME)
    world.log.renew_terms(witnesses=[item.model_dump() for item in keep])
    world.log.grow(3)
    world.look()
    assert world.nodes[ME].kept().size == 3
    assert cosigned(world.log) == []
    assert cosigned(world.log, "housing") == [3]
    world.close()


# ---- equivocation ----


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
    assert [alarms(node)[0].kind for node in world.nodes.values()] == ["bad_proof"] * 4
    assert left.witnessed == right.witnessed == 5
