"""The node as a witness: it cosigns growth only, after it is durable, and keeps evidence of anything else."""

from pathlib import Path

import pytest
from hostile_log import ORIGIN, HostileLog, is_error, public_hex
from ledger_nodes import ME, Node, Witnesses

from crypto.checkpoint import parse_note, verify_checkpoint, verify_cosignature
from crypto.errors import DoudiError
from crypto.merkle_log import EMPTY_ROOT
from crypto.signing import generate_signing_key
from department_nodes.ledger.alarms import is_held, open_alarms, raise_alarm
from department_nodes.ledger.quorum import verify_witnessed
from department_nodes.store.journal import Event, EventType
from department_nodes.store.models import WitnessStateRow
from department_nodes.store.session import reading, transaction
from policies.contracts.ledger.evidence import WitnessEvidence


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
    assert node.alarms() == []


def test_a_node_asks_for_what_is_newer_and_for_a_quorum_only_while_its_own_events_need_one(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    log.grow(2)
    node.look()
    # The acceptance of the terms is an event of its own, which has no place yet.
    node.look()
    assert log.polls[-1] == (2, 0, 1)
    node.send()
    world.look()
    node.send()
    assert all(row.included_size for row in node.batches())
    size = log.main.latest
    node.look()
    assert log.polls[-1] == (size, 2**53, 1)
    node.act()
    node.look()
    assert log.polls[-1] == (size, log.main.witnessed, 1)


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
    assert [alarm.kind for alarm in node.alarms()] == ["fork"]
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


def test_a_checkpoint_that_the_log_did_not_sign_is_refused_and_the_next_right_one_cosigned(
    log: HostileLog, node: Node
) -> None:
    log.grow(2)
    node.look()
    log.main.shown_latest = log.note(3, bytes(32), generate_signing_key())
    assert not node.look()
    assert not node.look()
    (alarm,) = node.alarms()
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
    (alarm,) = node.alarms()
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
    assert node.alarms() == []
    log.main.proof = None
    node.look()
    assert cosigned(log) == [2, 4]


@pytest.mark.parametrize("change", ["an alarm", "another history"])
def test_what_changed_while_a_checkpoint_was_judged_is_not_overruled(log: HostileLog, node: Node, change: str) -> None:
    log.volunteering = False
    log.grow(2)
    node.look()
    log.grow(3)
    client, now_s = node.client, int(node.clock())

    def interfere() -> None:
        with transaction(node.engine.db) as session:
            if change == "an alarm":
                evidence = WitnessEvidence(kind="fork", witness=ME, at=now_s, terms_number=1)
                event = Event(EventType.WITNESS_REFUSED, now_s, code="witness.fork")
                raise_alarm(node.engine, session, evidence, event)
            else:
                row = session.get_one(WitnessStateRow, ORIGIN)
                other = log.note(9, bytes(32))
                row.size, row.root, row.note = 9, bytes(32).hex(), other.to_bytes()

    class Slow:
        """Something happens in this node while the proof of growth is under way."""

        def __getattr__(self, name: str) -> object:
            return getattr(client, name)

        def get(self, path: str) -> object:
            if path.startswith("/v1/ledger/consistency"):
                interfere()
            return client.get(path)

    slow: object = Slow()
    assert not node.exchange.follower.follow(slow, 0)  # type: ignore[arg-type]
    assert cosigned(log) == [2]
    assert node.kept().size == (2 if change == "an alarm" else 9)


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
