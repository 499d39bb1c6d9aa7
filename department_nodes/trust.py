"""Whom this department trusts: pinning the cards that its officer compared by telephone. Light: no database, no Flower."""

from crypto.errors import DoudiError
from department_nodes.home import FLOWER_PUBLIC_KEY, NodeHome, Trust
from policies.contracts.cards import CentreCard, DepartmentCard


def flower_public_key(home: NodeHome) -> str:
    """Return the node's public key towards Flower, in OpenSSH form."""
    return (home.path / "keys" / FLOWER_PUBLIC_KEY).read_text(encoding="ascii").strip()


def pin(home: NodeHome, card: DepartmentCard | CentreCard, replace: bool = False) -> None:
    """Add a card to the trusted parties. Raises `trust.changed_key` when another card is pinned and `replace` is not set."""
    trust = home.trust
    if isinstance(card, CentreCard):
        if trust.centre not in (None, card) and not replace:
            raise _changed("the centre")
        home.write_trust(Trust(centre=card, departments=trust.departments))
        return
    pinned = {item.department: item for item in trust.departments}
    known = pinned.get(card.department)
    if known is not None and known.fingerprint() != card.fingerprint() and not replace:
        raise _changed(card.department)
    pinned[card.department] = card
    home.write_trust(Trust(centre=trust.centre, departments=tuple(pinned[name] for name in sorted(pinned))))


def _changed(party: str) -> DoudiError:
    return DoudiError(
        "trust.changed_key",
        f"another card of {party} is pinned",
        "Compare the fingerprint with that party by telephone; then use --replace.",
    )
