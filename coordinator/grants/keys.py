"""Whether a grant has the right keys and only sound signatures. Pure: for the API and for the officer who signs."""

from collections.abc import Mapping

from crypto.errors import DoudiError
from policies.contracts.cards import DepartmentCard
from policies.contracts.grant import GrantSignature, SignedGrant, required_signatures, verify_grant_signature
from policies.contracts.grant_terms import GrantBase


def compare_keys(grant: GrantBase, cards: Mapping[str, DepartmentCard], centre_approval_key: str) -> None:
    """Raise `party.unknown` or `grant.key_mismatch` unless every key of the grant is the one on its party's card."""
    if grant.centre_key != centre_approval_key:
        raise _mismatch("the centre's approval key")
    for share in grant.shares:
        card = _card(cards, share.department)
        if share.identity_key != card.identity_key:
            raise _mismatch(f"the identity key of {share.department}")
        if share.approval_key != card.approval_key:
            raise _mismatch(f"the approval key of {share.department}")
    if grant.scheduler.key != _card(cards, grant.scheduler.department).scheduling_key:
        raise _mismatch(f"the scheduling key of {grant.scheduler.department}")


def verify_each_signature(signed: SignedGrant) -> None:
    """Raise unless there is a signature and each one is needed and verifies; some that are needed may be missing.

    Raises `grant.unsigned` or `grant.bad_signature`.
    """
    if not signed.signatures:
        raise DoudiError("grant.unsigned", "the grant carries no signature", "Sign it first.")
    for signature in signed.signatures:
        if (signature.party, signature.role, signature.key) not in required_signatures(signed.grant):
            raise DoudiError("grant.bad_signature", "a signature is not one that the grant needs")
        verify_grant_signature(signed.grant, signature)


def merge_signatures(stored: SignedGrant, added: SignedGrant) -> SignedGrant:
    """Return the grant with the signatures of both, in the order in which the grant needs them.

    Both must have been verified and be the same grant. Where both hold one party's signature, the stored one stays.
    """
    by_party: dict[tuple[str, str], GrantSignature] = {}
    for signature in (*stored.signatures, *added.signatures):
        by_party.setdefault((signature.party, signature.role), signature)
    order = [(party, role) for party, role, _ in required_signatures(stored.grant)]
    return SignedGrant(grant=stored.grant, signatures=tuple(by_party[name] for name in order if name in by_party))


def _card(cards: Mapping[str, DepartmentCard], department: str) -> DepartmentCard:
    if department not in cards:
        raise DoudiError("party.unknown", f"{department} is not registered", "Have the centre register its card.")
    return cards[department]


def _mismatch(what: str) -> DoudiError:
    return DoudiError(
        "grant.key_mismatch",
        f"{what} is not the one on the registered card",
        "Do not sign. Ask by telephone which key is in force.",
    )
