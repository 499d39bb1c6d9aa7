"""Whom this department trusts: pinning the cards that its officer compared by telephone. Light: no database, no Flower."""

from collections.abc import Sequence

from crypto.errors import DoudiError
from department_nodes.home import CENTRE, FLOWER_PUBLIC_KEY, REVOCATIONS_FOLDER, NodeHome, Trust
from policies.contracts.cards import CentreCard, DepartmentCard

# They stand for somebody else in signatures, lists and messages.
RESERVED_NAMES = frozenset({CENTRE, "coordinator"})


def flower_public_key(home: NodeHome) -> str:
    """Return the node's public key towards Flower, in OpenSSH form."""
    return (home.path / "keys" / FLOWER_PUBLIC_KEY).read_text(encoding="ascii").strip()


def pin(home: NodeHome, card: DepartmentCard | CentreCard, replace: bool = False) -> None:
    """Add a card to the trusted parties.

    Raises `trust.changed_key` when another card is pinned and `replace` is not set, `trust.shared_key` when a key of the card
    stands for two purposes or is another party's, and `trust.reserved_name`.
    """
    trust = home.trust
    party = CENTRE if isinstance(card, CentreCard) else card.department
    pinned: dict[str, DepartmentCard | CentreCard] = {item.department: item for item in trust.departments}
    if trust.centre is not None:
        pinned[CENTRE] = trust.centre
    if isinstance(card, DepartmentCard) and party in RESERVED_NAMES:
        raise DoudiError(
            "trust.reserved_name", "a department cannot bear this name", "Ask that party for its true card."
        )
    known = pinned.get(party)
    if known is not None and not replace and _is_another(known, card):
        raise _changed(party)
    _require_own_keys(party, card, [item for name, item in pinned.items() if name != party])
    if known is not None and known.revocation_key != card.revocation_key:
        # What the old key signed proves nothing any more, and its number would make the new key's first list look old.
        (home.path / REVOCATIONS_FOLDER / f"{party}.json").unlink(missing_ok=True)
    pinned[party] = card
    centre = pinned.pop(CENTRE, None)
    departments = tuple(item for _, item in sorted(pinned.items()) if isinstance(item, DepartmentCard))
    home.write_trust(Trust(centre=centre if isinstance(centre, CentreCard) else None, departments=departments))


def _is_another(known: DepartmentCard | CentreCard, card: DepartmentCard | CentreCard) -> bool:
    # The centre's addresses decide where this node sends; a department's people and columns may change with its extract.
    if isinstance(known, CentreCard) or isinstance(card, CentreCard):
        return known != card
    return known.fingerprint() != card.fingerprint()


def _require_own_keys(
    party: str, card: DepartmentCard | CentreCard, others: Sequence[DepartmentCard | CentreCard]
) -> None:
    """One key is one person and one purpose: shared, one person's signature could be shown as two people's."""
    own = card.signing_keys()
    if len(set(own)) != len(own) or set(own) & {key for other in others for key in other.signing_keys()}:
        raise DoudiError(
            "trust.shared_key",
            f"the card of {party} names a key twice, or one that another party has",
            "Ask that party for a card with keys of its own.",
        )


def _changed(party: str) -> DoudiError:
    return DoudiError(
        "trust.changed_key",
        f"another card of {party} is pinned",
        "Compare the fingerprint with that party by telephone; then use --replace.",
    )
