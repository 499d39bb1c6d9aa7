"""The decision of a witness alone: growth is accepted, and whatever is not growth is refused for what it is."""

import pytest
from hostile_log import HostileLog

from crypto import merkle
from crypto.checkpoint import Note, verify_checkpoint
from crypto.merkle_log import consistency_proof, leaves_reader, root_of
from department_nodes.ledger.witness import Accepted, Refused, Seen, consider, consider_older


def leaves(count: int, label: str = "leaf") -> list[bytes]:
    return [merkle.leaf_hash(f"{label}-{number}".encode()) for number in range(count)]


def seen_of(hashes: list[bytes]) -> Seen:
    return Seen(len(hashes), root_of(hashes), "kept")


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (0, 7), (1, 1), (1, 2), (5, 8), (8, 8), (8, 13), (300, 999)])
def test_growth_is_accepted(old: int, new: int) -> None:
    log, hashes = HostileLog({}), leaves(new)
    asked: list[tuple[int, int]] = []

    def prove(first: int, second: int) -> list[bytes]:
        asked.append((first, second))
        return consistency_proof(leaves_reader(hashes), first, second)

    found = consider(seen_of(hashes[:old]), log.note(new, root_of(hashes)), log.terms, prove)
    assert isinstance(found, Accepted)
    assert (found.checkpoint.size, found.checkpoint.root) == (new, root_of(hashes))
    # Where there is nothing to prove, nothing is asked for.
    assert asked == ([(old, new)] if 0 < old < new else [])


def test_a_smaller_tree_is_a_rollback_even_if_it_is_the_beginning_of_the_known_one() -> None:
    log, hashes = HostileLog({}), leaves(9)
    found = consider(seen_of(hashes), log.note(5, root_of(hashes[:5])), log.terms, lambda *_: [])
    assert isinstance(found, Refused)
    assert (found.kind, found.code) == ("rollback", "witness.rollback")


@pytest.mark.parametrize("size", [0, 1, 6])
def test_the_same_size_with_another_root_is_a_fork(size: int) -> None:
    log = HostileLog({})
    found = consider(seen_of(leaves(size)), log.note(size, root_of(leaves(3, "other"))), log.terms, lambda *_: [])
    assert isinstance(found, Refused)
    assert (found.kind, found.code) == ("fork", "witness.fork")


def test_a_larger_tree_with_another_past_has_no_proof() -> None:
    log, hashes, others = HostileLog({}), leaves(6), leaves(11, "other")
    true = consistency_proof(leaves_reader(others), 6, 11)
    for proof in (true, [], true[:-1], [*true, bytes(32)], [bytes(32)] * len(true)):
        found = consider(seen_of(hashes), log.note(11, root_of(others)), log.terms, lambda *_, proof=proof: proof)
        assert isinstance(found, Refused)
        assert (found.kind, found.proof) == ("bad_proof", tuple(proof))


def test_only_the_logs_own_key_and_name_make_a_checkpoint() -> None:
    log = HostileLog({})
    elsewhere = HostileLog({})
    right = log.note(1, bytes(32))
    unsigned = Note(right.text, tuple(one for one in elsewhere.note(1, bytes(32)).signatures))
    damaged = Note(right.text.replace("\n1\n", "\n2\n"), right.signatures)
    for note, code in ((unsigned, "checkpoint.no_signature"), (damaged, "checkpoint.bad_signature")):
        found = consider(Seen(), note, log.terms, lambda *_: [])
        assert isinstance(found, Refused)
        assert (found.kind, found.code) == ("bad_signature", code)


def test_an_older_checkpoint_must_be_the_beginning_of_the_accepted_one() -> None:
    log, hashes = HostileLog({}), leaves(10)
    older = verify_checkpoint(log.note(4, root_of(hashes[:4])), log.terms.log_note_key)
    proof = consistency_proof(leaves_reader(hashes), 4, 10)
    assert consider_older(seen_of(hashes), older, lambda *_: proof) is None
    other = verify_checkpoint(log.note(4, root_of(leaves(4, "other"))), log.terms.log_note_key)
    refused = consider_older(seen_of(hashes), other, lambda *_: proof)
    assert refused is not None
    assert refused.kind == "bad_proof"
