"""What counts as witnessed: a recent quorum of the terms' witnesses, on a tree that this node has accepted itself."""

import pytest
from hostile_log import HostileLog
from ledger_nodes import ME, START_S, Node, Witnesses

from crypto.checkpoint import Note, cosign, with_signatures
from crypto.signing import generate_signing_key
from department_nodes.ledger.alarms import acknowledge, raise_alarm
from department_nodes.ledger.quorum import verify_witnessed
from department_nodes.store.journal import Event, EventType
from department_nodes.store.session import transaction
from policies.contracts.ledger.evidence import WitnessEvidence


def published(log: HostileLog, node: Node) -> int:
    """Return the intent of an event that the log has published, and nobody cosigned."""
    number = node.act()
    node.send()
    node.look()
    log.main.notes = {size: Note(note.text, note.signatures[:1]) for size, note in log.main.notes.items()}
    return number


def shown(log: HostileLog, times: dict[str, int], keys: dict[str, bytes] | None = None) -> Note:
    """Return the newest checkpoint with cosignatures of these departments at these times."""
    note = log.main.notes[log.main.latest]
    private = log.keys | (keys or {})
    return with_signatures(note, [cosign(note, name, private[name], at) for name, at in times.items()])


NOW = START_S


@pytest.mark.parametrize(
    ("times", "foreign", "opens"),
    [
        ({"housing": NOW, "tax": NOW, "civil_affairs": NOW}, (), True),
        ({"housing": NOW, "tax": NOW}, (), False),
        ({}, (), False),
        # Of strangers, and of a known name under another key.
        ({"housing": NOW, "tax": NOW, "stranger": NOW}, ("stranger",), False),
        ({"housing": NOW, "tax": NOW, "civil_affairs": NOW}, ("civil_affairs",), False),
        # A quorum that cosigned long ago, or in a future that is not near; one that is slow among enough others.
        ({"housing": NOW - 301, "tax": NOW, "civil_affairs": NOW}, (), False),
        ({"housing": NOW + 301, "tax": NOW + 301, "civil_affairs": NOW + 301}, (), False),
        ({"housing": NOW - 300, "tax": NOW, "civil_affairs": NOW}, (), True),
        ({"housing": NOW - 9999, "tax": NOW, "civil_affairs": NOW, "health_disability": NOW}, (), True),
    ],
)
def test_only_a_recent_quorum_of_the_terms_witnesses_opens_a_gate(
    log: HostileLog, node: Node, times: dict[str, int], foreign: tuple[str, ...], opens: bool
) -> None:
    number = published(log, node)
    log.main.shown_witnessed = shown(log, times, {name: generate_signing_key() for name in foreign})
    node.look()
    node.send()
    assert node.passes(number) is opens


def test_a_cosignature_of_another_tree_or_a_changed_time_counts_for_nothing(log: HostileLog, node: Node) -> None:
    number = published(log, node)
    names = ("housing", "tax", "civil_affairs")
    right = shown(log, dict.fromkeys(names, NOW))
    other = log.note(log.main.latest, bytes(32))
    stolen = [cosign(other, name, log.keys[name], NOW) for name in names]
    late = [cosign(right, name, log.keys[name], NOW - 9999) for name in names]
    moved = [type(one)(one.name, one.key_hash, NOW.to_bytes(8, "big") + one.value[8:]) for one in late]
    for lines in (stolen, moved):
        log.main.shown_witnessed = Note(right.text, (right.signatures[0], *lines))
        node.look()
        node.send()
        assert not node.passes(number)
    log.main.shown_witnessed = right
    node.look()
    node.send()
    assert node.passes(number)


def test_a_quorum_of_a_tree_that_this_node_has_not_accepted_opens_nothing(log: HostileLog, node: Node) -> None:
    number = published(log, node)
    # All other witnesses are on the log's side: what this node accepted stands against them.
    fork = log.main.fork(0)
    log.grow(log.main.latest, fork, "other")
    note = fork.notes[fork.latest]
    names = [name for name in log.keys if name != ME]
    log.main.shown_witnessed = with_signatures(note, [cosign(note, name, log.keys[name], NOW) for name in names])
    assert verify_witnessed(log.main.shown_witnessed, log.terms)
    node.look()
    node.send()
    assert node.alarm_kinds() == ["fork"]
    assert not node.passes(number)


def test_what_was_found_before_an_alarm_opens_no_gate_after_it(world: Witnesses, log: HostileLog, node: Node) -> None:
    number = node.act()
    node.send()
    world.look()
    client, now_s = node.client, int(node.clock())

    class Slow:
        """Another history comes to light while the proofs are under way."""

        def __getattr__(self, name: str) -> object:
            return getattr(client, name)

        def post(self, path: str, document: object) -> object:
            with transaction(node.engine.db) as session:
                evidence = WitnessEvidence(kind="fork", witness=ME, at=now_s, terms_number=1)
                event = Event(EventType.WITNESS_REFUSED, now_s, code="witness.fork")
                raise_alarm(node.engine, session, evidence, event)
            return client.post(path, document)

    slow: object = Slow()
    node.exchange.own.advance(slow)  # type: ignore[arg-type]
    assert not node.passes(number)
    acknowledge(node.engine, 1)
    node.send()
    assert node.passes(number)


@pytest.mark.parametrize(("late_s", "recent"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
def test_a_checkpoint_is_recent_by_this_hosts_clock_in_both_directions(
    log: HostileLog, node: Node, late_s: int, recent: bool
) -> None:
    published(log, node)
    witnessed = verify_witnessed(shown(log, dict.fromkeys(("housing", "tax", "civil_affairs"), NOW)), log.terms)
    assert witnessed.is_recent(NOW + late_s, log.terms) is recent


def test_a_smaller_witnessed_tree_must_be_the_beginning_of_the_accepted_one(log: HostileLog, node: Node) -> None:
    log.grow(4)
    node.look()
    node.restart()
    log.grow(5)
    other = log.note(4, bytes(32))
    names = [name for name in log.keys if name != ME]
    log.main.shown_witnessed = with_signatures(other, [cosign(other, name, log.keys[name], NOW) for name in names])
    node.look()
    assert node.alarm_kinds() == ["bad_proof"]


def test_a_slow_clock_among_the_first_cosigners_holds_a_step_up_only_until_others_have_cosigned(
    log: HostileLog, node: Node
) -> None:
    number = published(log, node)
    log.main.shown_witnessed = shown(log, {"housing": NOW - 9999, "tax": NOW, "civil_affairs": NOW})
    node.look()
    assert node.send() < 1
    assert not node.passes(number)
    # The long poll says nothing new of the same size; the node asks by itself.
    log.main.shown_witnessed = shown(log, dict.fromkeys(("health_disability", "tax", "civil_affairs"), NOW))
    assert node.send() > 1
    assert node.passes(number)
