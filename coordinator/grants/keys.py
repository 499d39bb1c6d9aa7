"""Whether a grant has the right keys and only sound signatures. Pure: for the API and for the officer who signs."""

from collections.abc import Mapping
from dataclasses import dataclass

from crypto.errors import DoudiError
from policies.contracts.cards import DepartmentCard
from policies.contracts.grant import GrantSignature, SignedGrant, required_signatures, verify_grant_signature
from policies.contracts.grant_terms import GrantBase


@dataclass(frozen=True)
class CentreKeys:
    """The centre's public keys that a grant names: of its approvers, and for revocations."""

    approval_keys: tuple[str, ...]
    revocation_key: str


def compare_keys(grant: GrantBase, cards: Mapping[str, DepartmentCard], centre: CentreKeys) -> None:
    """Raise `party.unknown` or `grant.key_mismatch` unless every key of the grant is the one on its party's card."""
    if grant.centre_keys != centre.approval_keys:
        raise _mismatch("an approval key of the centre")
    if grant.centre_revocation_key != centre.revocation_key:
        raise _mismatch("the centre's revocation key")
    for share in grant.shares:
        card = _card(cards, share.department)
        for name in ("identity_key", "approval_key", "co_approval_keys", "revocation_key"):
            if getattr(share, name) != getattr(card, name):
                raise _mismatch(f"the {name.replace('_', ' ')} of {share.department}")
    if grant.scheduler.key != _card(cards, grant.scheduler.department).scheduling_key:
        raise _mismatch(f"the scheduling key of {grant.scheduler.department}")


def verify_each_signature(signed: SignedGrant) -> None:
    """Raise unless there is a signature and each one is needed and verifies; some that are needed may be missing.

    Raises `grant.unsigned` or `grant.bad_signature`.
    """
    if not signed.signatures:
        raise DoudiError("grant.unsigned", "the grant carries no signature", "Sign it first.")
    for signature in signed.signatures:
        if not any(
            (signature.party, signature.role) == (needed.party, needed.role) and signature.key in needed.keys
            for needed in required_signatures(signed.grant)
        ):
            raise DoudiError("grant.bad_signature", "a signature is not one that the grant needs")
        verify_grant_signature(signed.grant, signature)


def merge_signatures(stored: SignedGrant, added: SignedGrant) -> SignedGrant:
    """Return the grant with the signatures of both, in the order in which the grant needs them.

    Both must have been verified and be the same grant. Where both hold one person's signature, the stored one stays.
    """
    by_person: dict[tuple[str, str, str], GrantSignature] = {}
    for signature in (*stored.signatures, *added.signatures):
        by_person.setdefault((signature.party, signature.role, signature.key), signature)
    people = [(needed.party, needed.role, key) for needed in required_signatures(stored.grant) for key in needed.keys]
    return SignedGrant(grant=stored.grant, signatures=tuple(by_person[name] for name in people if name in by_person))


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
