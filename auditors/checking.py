"""Checks a proof file or a single checkpoint that somebody hands over: by a third person, with nothing but the centre's card.

Pure: documents in, findings out. The steps are numbered as the code is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from auditors.home import Cards
from auditors.terms_chain import TermsChain, approver_keys
from auditors.verification.checkpoints import SeenCheckpoint, require_witnesses, verify_note
from auditors.verification.findings import Findings, Severity
from crypto import merkle, merkle_log, signing
from crypto.checkpoint import Note, parse_note
from crypto.errors import DoudiError
from crypto.ledger_entries import Entry, EntryHeader, open_entry, parse_entry
from policies.contracts.ledger.batches import statement_of_root, verify_statement
from policies.contracts.ledger.entry_proof import EntryProof
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.records import Record, record_of
from policies.contracts.ledger.terms import SignedLedgerTerms

# Where findings about parts of a file point to.
ENTRY, BATCH, CHECKPOINT, TERMS = "entry", "batch", "checkpoint", "terms"


@dataclass
class Checked:
    """What a file shows as far as it is sound. `witnessed_at`: since when a quorum had cosigned, `None` if none has."""

    findings: Findings
    header: EntryHeader | None = None
    record: Record | None = None
    checkpoint: SeenCheckpoint | None = None
    witnessed_at: int | None = None
    chain: TermsChain | None = None


def check_proof(proof: EntryProof, cards: Cards) -> Checked:
    """Return what a proof proves; findings where it does not.

    (1) The terms are signed by the centre, whose card is at hand. (2) The entry has the form of one. (3) The producer's key in
    the terms signed the batch, and the entry is in it at its place. (4) The log's key in the terms signed the checkpoint, and a
    quorum of the newest terms' witnesses cosigned it. (5) The entry is at its index of the checkpoint's tree. (6) The key is
    the one to which the entry is committed, opens it, and the record is of its type; nothing is disclosed if there is no key.
    """
    findings = Findings()
    result = Checked(findings)
    chain = result.chain = terms_of_file(proof.terms, cards, findings)  # (1)
    data = bytes.fromhex(proof.entry)
    leaf = merkle.leaf_hash(data)
    entry = _entry(data, findings)  # (2)
    if entry is not None:
        result.header = entry.header
    if chain is None:
        return result
    if entry is not None:
        _check_batch(proof, entry, leaf, chain, findings)  # (3)
    _check_note(proof.checkpoint, chain, result)  # (4)
    if result.checkpoint is not None:  # (5)
        checkpoint = result.checkpoint.checkpoint
        try:
            path = [bytes.fromhex(one) for one in proof.path]
            merkle_log.verify_inclusion(checkpoint.root, leaf, proof.index, checkpoint.size, path)
        except DoudiError:
            findings.add("proof.not_in_log", ENTRY, index=proof.index, size=checkpoint.size)
    if entry is not None:
        _open(proof, entry, chain.origin, result)  # (6)
    return result


def check_note(data: bytes, chain: TermsChain) -> Checked:
    """Return what a single checkpoint proves. Raises `document.unreadable` for bytes that are none."""
    result = Checked(Findings(), chain=chain)
    try:
        note = parse_note(data)
    except DoudiError as error:
        raise DoudiError("document.unreadable", "the file is no checkpoint", "Check the file's name.") from error
    _judge_note(note, chain, result)
    return result


def terms_of_file(given: Sequence[SignedLedgerTerms], cards: Cards, findings: Findings) -> TermsChain | None:
    """Return terms that came with a file, if the centre signed them all, in ascending numbers, for one log.

    Without the centre's card they are used as they are, and the finding `terms.unpinned` names the key that somebody must vouch
    for.
    """
    present, former = approver_keys(cards)
    chain: list[SignedLedgerTerms] = []
    for signed in given:
        place = f"{TERMS}/{signed.terms.number}"
        keys = present if signed is given[-1] else present + former
        if cards.centre is None:
            keys = (signed.key,)
            findings.add("terms.unpinned", place, key_id=signing.key_id(bytes.fromhex(signed.key)))
        try:
            terms = signed.verify(keys)
        except DoudiError as error:
            findings.add(error.code, place)
            return None
        before = chain[-1].terms if chain else None
        if before is not None and (terms.origin != before.origin or terms.number <= before.number):
            findings.add("terms.other_log", place)
            return None
        chain.append(signed)
    try:
        return TermsChain(tuple(chain)) if chain else None
    except DoudiError:
        findings.add("terms.bad_key", TERMS)
        return None


def _entry(data: bytes, findings: Findings) -> Entry | None:
    try:
        return parse_entry(data)
    except DoudiError:
        findings.add("proof.malformed_entry", ENTRY)
        return None


def _check_batch(proof: EntryProof, entry: Entry, leaf: bytes, chain: TermsChain, findings: Findings) -> None:
    header, batch = entry.header, proof.batch
    root, signer = bytes.fromhex(batch.root), bytes.fromhex(batch.signer)
    if (header.producer, signer) not in chain.signer_numbers:
        findings.add("batch.unknown_signer", BATCH, producer=header.producer)
    first = header.sequence - header.position if header.sequence else 0
    try:
        if header.sequence and first < 1:
            raise DoudiError("proof.not_in_batch", "the entry's number is smaller than its place in the batch")
        path = [bytes.fromhex(one) for one in batch.path]
        merkle_log.verify_inclusion(root, leaf, header.position, batch.count, path)
        statement = statement_of_root(
            chain.origin, header.producer, header.batch_id, first, batch.count, root, entry.wraps_hash
        )
        verify_statement(statement, signer, bytes.fromhex(batch.signature))
    except DoudiError as error:
        code = "batch.bad_signature" if error.code == "batch.bad_signature" else "proof.not_in_batch"
        findings.add(code, BATCH, producer=header.producer)


def _check_note(text: str, chain: TermsChain, result: Checked) -> None:
    try:
        note = parse_note(text.encode())
    except (DoudiError, UnicodeEncodeError):
        result.findings.add("checkpoint.bad_signature", CHECKPOINT)
        return
    _judge_note(note, chain, result)


def _judge_note(note: Note, chain: TermsChain, result: Checked) -> None:
    seen = result.checkpoint = verify_note(note, CHECKPOINT, chain, result.findings)
    if seen is not None and require_witnesses([seen], CHECKPOINT, chain, result.findings) is not None:
        result.witnessed_at = seen.witnessed_at(chain.newest)


def _open(proof: EntryProof, entry: Entry, origin: str, result: Checked) -> None:
    if not proof.entry_key:
        result.findings.add("proof.without_key", ENTRY, Severity.NOTICE)
        return
    try:
        body = open_entry(origin, entry, bytes.fromhex(proof.entry_key))
        result.record = record_of(entry, body, RECORD_TYPES)
    except DoudiError as error:
        result.findings.add(error.code, ENTRY, producer=entry.header.producer, type=entry.header.type)
