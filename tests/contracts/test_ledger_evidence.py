"""A witness's evidence: signed, and checkable by a third person."""

import pytest

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.evidence import SignedWitnessEvidence, WitnessEvidence, sign_evidence

PRIVATE = generate_signing_key()
PUBLIC = signing_public_key(PRIVATE).hex()
EVIDENCE = WitnessEvidence(
    kind="fork", witness="tax", at=1_800_000_000, terms_number=3, seen="one\n", offered="two\n", proof=("ab" * 32,)
)


def test_evidence_is_read_back_and_verifies():
    signed = sign_evidence(EVIDENCE, PRIVATE)
    assert SignedWitnessEvidence.parse(signed.to_bytes()).verify(PUBLIC) == EVIDENCE


def test_evidence_that_was_changed_or_signed_by_another_is_refused():
    signed = sign_evidence(EVIDENCE, PRIVATE)
    other = signing_public_key(generate_signing_key()).hex()
    changed = signed.model_copy(update={"evidence": EVIDENCE.model_copy(update={"offered": "three\n"})})
    for act in (lambda: signed.verify(other), lambda: changed.verify(PUBLIC)):
        with pytest.raises(DoudiError) as refused:
            act()
        assert refused.value.code == "evidence.bad_signature"


@pytest.mark.parametrize(
    "changes",
    [{"kind": "feeling"}, {"proof": ("x",)}, {"batch_id": "ab"}, {"entries": 501}, {"witness": "Tax"}, {"at": -1}],
)
def test_evidence_has_fixed_fields(changes):
    with pytest.raises(ValueError):
        WitnessEvidence.model_validate({**EVIDENCE.model_dump(), **changes})
