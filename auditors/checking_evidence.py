"""Checks what a witness keeps of a log that misbehaved, and says which part of it is proven and which is the witness's word.

Proven is what stands under the log's own signatures: two roots for one size, or, where the auditor has a mirror, a signed root
that is not a beginning of the mirror's signed tree. In which order checkpoints came, what was handed over without a signature,
what was promised: that is the witness's word under its signature. Offline.
"""

from collections.abc import Callable

from auditors.checking import Checked
from auditors.home import Cards
from auditors.store import CHECKPOINT, Store
from auditors.terms_chain import TermsChain, approver_keys
from auditors.verification.checkpoints import SeenCheckpoint, verify_note
from auditors.verification.findings import Findings, Severity
from auditors.verification.tree import root_from_tiles
from crypto.checkpoint import Checkpoint, parse_note
from crypto.errors import DoudiError
from crypto.merkle_log import verify_consistency
from policies.contracts.ledger.evidence import SignedWitnessEvidence, WitnessEvidence
from policies.contracts.ledger.terms import SignedLedgerTerms

PLACE = "evidence"


def check_evidence(signed: SignedWitnessEvidence, chain: TermsChain, cards: Cards, store: Store) -> Checked:
    """Return what a witness's evidence shows. Sound evidence is a finding too: about the log.

    (1) The witness signed it: with its key in any terms of the log, or on its card. (2) What it claims is in it: both
    checkpoints under the log's signature, of the sizes and with the proof that the claim is about. (3) Whether the log's own
    signatures prove it.
    """
    findings = Findings()
    result = Checked(findings, chain=chain)
    evidence = signed.evidence
    if not _is_signed(signed, chain, cards):  # (1)
        findings.add("evidence.bad_signature", PLACE, witness=evidence.witness)
        return result
    seen, offered = _signed_by_log(evidence.seen, chain), _signed_by_log(evidence.offered, chain)
    result.checkpoint = offered or seen
    if not _CLAIMS[evidence.kind](evidence, seen, offered):  # (2)
        findings.add("evidence.unfounded", PLACE, witness=evidence.witness, kind=evidence.kind)
        return result
    if evidence.kind == "omission":
        _judge_omission(evidence, store, findings)
        return result
    if evidence.kind == "other_terms":
        proven = _centre_signed_two(evidence, cards, findings)
    else:
        proven = _is_proven(seen, offered, chain, store, findings)
    if not proven:  # (3)
        findings.add("evidence.claims", PLACE, Severity.WARNING, witness=evidence.witness, kind=evidence.kind)
    return result


def _is_signed(signed: SignedWitnessEvidence, chain: TermsChain, cards: Cards) -> bool:
    name = signed.evidence.witness
    keys = {witness.key for terms in chain.terms for witness in terms.witnesses if witness.department == name}
    card = cards.departments.get(name)
    for key in keys | ({card.identity_key} if card is not None else set()):
        try:
            signed.verify(key)
        except DoudiError:
            continue
        return True
    return False


def _signed_by_log(text: str, chain: TermsChain) -> SeenCheckpoint | None:
    try:
        return verify_note(parse_note(text.encode()), PLACE, chain, Findings())
    except (DoudiError, UnicodeEncodeError):
        return None


Seen = SeenCheckpoint | None


def _claims_fork(evidence: WitnessEvidence, seen: Seen, offered: Seen) -> bool:
    """Two checkpoints of the log's, with different roots for one size, or with a proof that does not join them."""
    if seen is None or offered is None:
        return False
    same = seen.size == offered.size
    return seen.checkpoint.root != offered.checkpoint.root if same else _proof_fails(evidence, seen, offered)


def _claims_rollback(evidence: WitnessEvidence, seen: Seen, offered: Seen) -> bool:
    return seen is not None and offered is not None and offered.size < seen.size


def _claims_bad_signature(evidence: WitnessEvidence, seen: Seen, offered: Seen) -> bool:
    return bool(evidence.offered) and offered is None


def _claims_bad_proof(evidence: WitnessEvidence, seen: Seen, offered: Seen) -> bool:
    return seen is not None and offered is not None and _proof_fails(evidence, seen, offered)


def _claims_omission(evidence: WitnessEvidence, seen: Seen, offered: Seen) -> bool:
    return bool(evidence.batch_id and evidence.first_sequence and evidence.entries)


def _claims_other_terms(evidence: WitnessEvidence, seen: Seen, offered: Seen) -> bool:
    return True


_CLAIMS: dict[str, Callable[[WitnessEvidence, Seen, Seen], bool]] = {
    "fork": _claims_fork,
    "rollback": _claims_rollback,
    "bad_signature": _claims_bad_signature,
    "bad_proof": _claims_bad_proof,
    "omission": _claims_omission,
    "other_terms": _claims_other_terms,
}


def _proof_fails(evidence: WitnessEvidence, seen: SeenCheckpoint, offered: SeenCheckpoint) -> bool:
    proof = [bytes.fromhex(one) for one in evidence.proof]
    old, new = seen.checkpoint, offered.checkpoint
    try:
        verify_consistency(old.root, old.size, new.root, new.size, proof)
    except DoudiError:
        return True
    return False


def _is_proven(seen: Seen, offered: Seen, chain: TermsChain, store: Store, findings: Findings) -> bool:
    """Return whether two signatures of the log alone prove two histories; report them."""
    if seen is not None and offered is not None and seen.size == offered.size:
        if seen.checkpoint.root != offered.checkpoint.root:
            findings.add("evidence.fork", PLACE, size=seen.size, other=offered.size)
            return True
        return False
    newest = _newest_of_mirror(store, chain)
    for one in (seen, offered):
        if one is not None and newest is not None and _leaves(one.checkpoint, newest, store):
            findings.add("evidence.fork", PLACE, size=one.size, other=newest.size)
            return True
    return False


def _centre_signed_two(evidence: WitnessEvidence, cards: Cards, findings: Findings) -> bool:
    """Return whether the centre signed two different terms under one number; report it. Its card says whose signatures count."""
    keys = sum(approver_keys(cards), ())
    try:
        seen, offered = (
            SignedLedgerTerms.parse(text.encode()).verify(keys) for text in (evidence.seen, evidence.offered)
        )
    except (DoudiError, UnicodeEncodeError):
        return False
    if seen.number != offered.number or seen == offered:
        return False
    findings.add("evidence.two_terms", PLACE, number=seen.number)
    return True


def _newest_of_mirror(store: Store, chain: TermsChain) -> Checkpoint | None:
    try:
        seen = verify_note(store.note(CHECKPOINT), CHECKPOINT, chain, Findings())
    except DoudiError:
        return None
    return None if seen is None else seen.checkpoint


def _leaves(checkpoint: Checkpoint, newest: Checkpoint, store: Store) -> bool:
    """Return whether a checkpoint is not on the way to the newest one of the mirror; `False` where the tiles cannot tell."""
    if checkpoint.size > newest.size:
        return False
    try:
        return root_from_tiles(store, checkpoint.size, newest.root, newest.size) != checkpoint.root
    except DoudiError:
        return False


def _judge_omission(evidence: WitnessEvidence, store: Store, findings: Findings) -> None:
    batch_id = bytes.fromhex(evidence.batch_id)
    try:
        there = any(batch.batch_id == batch_id for _, batch in store.batches())
        size = store.size
    except DoudiError:
        there, size = False, 0
    if there:
        findings.add("evidence.unfounded", PLACE, witness=evidence.witness, kind=evidence.kind)
    else:
        findings.add(
            "evidence.omission",
            PLACE,
            Severity.WARNING,
            witness=evidence.witness,
            batch=evidence.batch_id,
            size=size,
        )
