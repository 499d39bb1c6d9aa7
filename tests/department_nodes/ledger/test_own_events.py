"""The node's own events: sealed, handed in, found in a checkpoint that a quorum cosigned; or an alarm."""

from hostile_log import HostileLog, is_error, public_hex
from ledger_nodes import ME, Node, Witnesses

from crypto.checkpoint import parse_note
from department_nodes.ledger.alarms import acknowledge
from department_nodes.ledger.quorum import verify_witnessed
from department_nodes.store.models import LedgerBatchRow
from department_nodes.store.session import transaction

MAX_AGE_S = 300


def bring(world: Witnesses, node: Node) -> None:
    """Have the node's events handed in, cosigned by everybody, and looked for."""
    node.send()
    world.look()
    node.send()


def test_an_event_opens_its_gate_when_a_quorum_has_cosigned_the_tree_that_holds_it(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    number = node.act()
    assert not node.passes(number)
    node.send()
    (batch,) = node.batches()
    # Handed in and published, but cosigned by nobody.
    assert (batch.first_index, log.main.latest) == (0, batch.count)
    assert not node.passes(number)
    world.look("housing", "health_disability")
    node.look()
    # Three of four have cosigned now; the node has not looked for its entries yet.
    assert not node.passes(number)
    node.look()
    node.send()
    (batch,) = [row for row in node.batches() if row.first_number <= number < row.first_number + row.count]
    assert (batch.included_size, batch.witnessed_at) == (log.main.latest, int(world.clock()))
    assert node.passes(number)
    # No longer than the terms let it be: a step that waited for longer asks anew.
    world.clock.now_s += MAX_AGE_S
    assert node.passes(number)
    world.clock.now_s += 1
    assert not node.passes(number)


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
    assert node.alarm_kinds() == ["omission"]


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
    assert node.alarm_kinds() == ["omission"]
    later = node.act()
    bring(world, node)
    assert node.passes(later)


def test_a_receipt_that_is_never_honoured_is_alarmed_when_the_terms_age_has_passed(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    log.publishing = False
    node.act()
    bring(world, node)
    world.clock.now_s += MAX_AGE_S
    bring(world, node)
    assert node.alarm_kinds() == []
    world.clock.now_s += 1
    # While the log is not heard of, it is away, and nothing can be said about it.
    node.send()
    assert node.alarm_kinds() == []
    node.look()
    node.send()
    assert node.alarm_kinds() == ["omission"]


def test_a_log_that_forgets_its_receipts_gains_no_time_by_asking_again(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    log.publishing = False
    node.act()
    node.send()
    world.clock.now_s += MAX_AGE_S - 100
    log.batches.clear()
    log.main.leaves.clear()
    node.act()
    assert is_error(node.send) == "batch.gap"
    node.send()
    assert len(log.batches) == 2
    world.clock.now_s += 101
    node.look()
    node.send()
    # The first batch is overdue since its first receipt; the second one is not.
    assert [row.alarm for row in node.batches()][:2] == [1, None]


def test_a_log_that_only_lacks_cosignatures_leaves_nothing_out(world: Witnesses, log: HostileLog, node: Node) -> None:
    number = node.act()
    node.send()
    node.look()
    world.clock.now_s += 10 * MAX_AGE_S
    node.look()
    node.send()
    assert node.alarm_kinds() == []
    assert not node.passes(number)


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
    assert node.passes(number)


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
    assert node.passes(number)


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
    assert [node.passes(number) for number in numbers] == [True] * 4
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
