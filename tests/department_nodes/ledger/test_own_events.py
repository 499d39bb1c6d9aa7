"""The node's own events: sealed, handed in, found in a checkpoint that a quorum cosigned; or an alarm. And what opens a gate."""

import pytest
from hostile_log import HostileLog, is_error, public_hex
from ledger_nodes import ME, START_S, Node, Witnesses

from crypto.checkpoint import Note, cosign, parse_note, with_signatures
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key
from department_nodes.ledger.alarms import acknowledge, raise_alarm
from department_nodes.ledger.gate import WitnessedGate
from department_nodes.ledger.quorum import verify_witnessed
from department_nodes.store.journal import Event, EventType
from department_nodes.store.models import LedgerBatchRow
from department_nodes.store.session import transaction
from policies.contracts.ledger.evidence import WitnessEvidence

MAX_AGE_S = 300


def gate_opens(node: Node, number: int) -> bool:
    """Return whether the gate would let a step with this intent through now."""
    gate = WitnessedGate(node.engine.db, lambda: None, 0, node.clock)
    try:
        gate.wait(number)
    except DoudiError as error:
        # Any other refusal is an error of the test.
        return {"ledger.not_witnessed": False}[error.code]
    return True


def kinds(node: Node) -> list[str]:
    return [alarm.kind for alarm in node.alarms()]


def bring(world: Witnesses, node: Node) -> None:
    """Have the node's events handed in, cosigned by everybody, and looked for."""
    node.send()
    world.look()
    node.send()


# ---- the way into the log ----


def test_an_event_opens_its_gate_when_a_quorum_has_cosigned_the_tree_that_holds_it(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    number = node.act()
    assert not gate_opens(node, number)
    node.send()
    (batch,) = node.batches()
    # Handed in and published, but cosigned by nobody.
    assert (batch.first_index, log.main.latest) == (0, batch.count)
    assert not gate_opens(node, number)
    world.look("housing", "health_disability")
    node.look()
    # Three of four have cosigned now; the node has not looked for its entries yet.
    assert not gate_opens(node, number)
    node.look()
    node.send()
    (batch,) = [row for row in node.batches() if row.first_number <= number < row.first_number + row.count]
    assert (batch.included_size, batch.witnessed_at) == (log.main.latest, int(world.clock()))
    assert gate_opens(node, number)
    # No longer than the terms let it be: a step that waited for longer asks anew.
    world.clock.now_s += MAX_AGE_S
    assert gate_opens(node, number)
    world.clock.now_s += 1
    assert not gate_opens(node, number)


def test_every_entry_of_a_batch_is_looked_for(world: Witnesses, log: HostileLog, node: Node) -> None:
    for _ in range(7):
        node.act()
    node.send()
    (batch,) = node.batches()
    assert batch.count > 7
    # The log keeps all but the last entry.
    log.main.leaves[-1] = bytes(32)
    log.main.notes.clear()
    log.publish()
    world.look()
    node.send()
    assert node.batches()[0].included_size is None
    assert kinds(node) == ["omission"]


def test_an_event_that_was_acknowledged_and_left_out_is_alarmed_with_signed_evidence(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    node.act()
    log.omitting = True
    bring(world, node)
    (batch,) = node.batches()[:1]
    assert batch.included_size is None
    (alarm,) = node.alarms()
    evidence = alarm.signed.verify(public_hex(node.engine.identity_private))
    assert (evidence.kind, evidence.batch_id) == ("omission", batch.batch_id)
    assert (evidence.first_sequence, evidence.entries) == (batch.first_sequence, batch.count)
    # The checkpoint that does not honour the receipt is signed by the log, and a quorum cosigned it.
    offered = verify_witnessed(parse_note(evidence.offered.encode()), log.terms)
    assert offered.checkpoint.size >= evidence.entries
    (event,) = node.events("witness.omission")
    assert event.code == "witness.omission"
    # Said once, and the log's other duties go on.
    log.omitting = False
    bring(world, node)
    assert kinds(node) == ["omission"]
    later = node.act()
    bring(world, node)
    assert gate_opens(node, later)


def test_a_receipt_that_is_never_honoured_is_alarmed_when_the_terms_age_has_passed(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    log.publishing = False
    node.act()
    bring(world, node)
    world.clock.now_s += MAX_AGE_S
    bring(world, node)
    assert kinds(node) == []
    world.clock.now_s += 1
    # While the log is not heard of, it is away, and nothing can be said about it.
    node.send()
    assert kinds(node) == []
    node.look()
    node.send()
    assert kinds(node) == ["omission"]


def test_a_log_that_only_lacks_cosignatures_leaves_nothing_out(world: Witnesses, log: HostileLog, node: Node) -> None:
    number = node.act()
    node.send()
    node.look()
    world.clock.now_s += 10 * MAX_AGE_S
    node.look()
    node.send()
    assert kinds(node) == []
    assert not gate_opens(node, number)


def test_after_an_omission_was_seen_the_same_bytes_are_handed_in_again(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    number = node.act()
    log.omitting = True
    bring(world, node)
    first = node.batches()[0].document
    log.omitting = False
    # The log's host has mended it: it has forgotten the receipt.
    log.batches.clear()
    acknowledge(node.engine, 1)
    bring(world, node)
    assert node.batches()[0].document == first
    assert node.batches()[0].included_size == log.main.witnessed
    assert gate_opens(node, number)


def test_a_log_that_lost_what_it_gave_receipts_for_gets_it_again_in_order(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    for _ in range(3):
        node.act()
        node.send()
    documents = [row.document for row in node.batches()]
    assert len(documents) == 3
    first = next(iter(log.batches))
    log.batches = {first: log.batches[first]}
    del log.main.leaves[len(log.batches[first][1].entries) :]
    log.main.notes.clear()
    log.main.latest = log.main.witnessed = 0
    node.act()
    assert is_error(node.send) == "batch.gap"
    bring(world, node)
    assert [row.document for row in node.batches()][:3] == documents
    assert [batch.to_bytes() for _, batch in log.batches.values()][:3] == documents
    bring(world, node)
    assert all(row.included_size for row in node.batches())


def test_batches_sealed_to_auditors_of_long_ago_are_sealed_again_under_their_numbers(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    log.grow(1)
    node.look()
    number = node.act()
    log.away = True
    assert is_error(node.send) == "coordinator.unreachable"
    before = node.batches()[0]
    log.away = False
    log.wrong_auditors = {before.document}
    assert is_error(node.send) == "batch.wrong_auditors"
    bring(world, node)
    after = node.batches()[0]
    assert (after.first_sequence, after.count >= before.count) == (before.first_sequence, True)
    assert after.document != before.document
    assert gate_opens(node, number)


def test_a_coordinator_that_was_away_gets_everything_once_it_is_back(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    numbers = [node.act()]
    bring(world, node)
    log.away = True
    for _ in range(3):
        numbers.append(node.act())
        assert is_error(node.send) == "coordinator.unreachable"
        assert is_error(node.look) == "coordinator.unreachable"
        node.restart()
    log.away = False
    bring(world, node)
    assert all(row.included_size for row in node.batches())
    assert [gate_opens(node, number) for number in numbers] == [True] * 4
    # Each is in the log once: the numbers of the journal follow each other.
    sequences = [batch.first_sequence for _, batch in log.batches.values() if batch.producer == ME]
    assert sequences == sorted(set(sequences))


def test_a_receipt_that_a_crash_lost_is_asked_for_again(world: Witnesses, log: HostileLog, node: Node) -> None:
    node.act()
    node.send()
    size = len(log.main.leaves)
    with transaction(node.engine.db) as session:
        for row in session.query(LedgerBatchRow):
            row.first_index = row.acknowledged_at = None
    node.restart()
    bring(world, node)
    assert len(log.main.leaves) == size
    assert node.batches()[0].included_size == size


# ---- what counts as witnessed ----


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
    assert gate_opens(node, number) is opens


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
        assert not gate_opens(node, number)
    log.main.shown_witnessed = right
    node.look()
    node.send()
    assert gate_opens(node, number)


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
    assert kinds(node) == ["fork"]
    assert not gate_opens(node, number)


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
    assert not gate_opens(node, number)
    acknowledge(node.engine, 1)
    node.send()
    assert gate_opens(node, number)


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
    assert kinds(node) == ["bad_proof"]


def test_a_slow_clock_among_the_first_cosigners_holds_a_step_up_only_until_others_have_cosigned(
    log: HostileLog, node: Node
) -> None:
    number = published(log, node)
    log.main.shown_witnessed = shown(log, {"housing": NOW - 9999, "tax": NOW, "civil_affairs": NOW})
    node.look()
    assert node.send() < 1
    assert not gate_opens(node, number)
    # The long poll says nothing new of the same size; the node asks by itself.
    log.main.shown_witnessed = shown(log, dict.fromkeys(("health_disability", "tax", "civil_affairs"), NOW))
    assert node.send() > 1
    assert gate_opens(node, number)
