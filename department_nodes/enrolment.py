"""Making a node: its folder, its keys from the operating system's randomness, its configuration and its database."""

import os
from pathlib import Path

from crypto.errors import DoudiError
from crypto.sealing import generate_storage_key
from crypto.signing import generate_signing_key
from department_nodes.config import CONFIG_FILE, NodeConfig, write_config
from department_nodes.federation.node_keys import generate_flower_key
from department_nodes.home import (
    APPROVAL_KEY,
    FLOWER_KEY,
    IDENTITY_KEY,
    RELEASE_KEY,
    SCHEDULING_KEY,
    STORAGE_KEY,
    NodeHome,
    Trust,
    write_atomically,
)
from department_nodes.store.session import migrate, open_engine
from policies.contracts.cards import CentreCard, DepartmentCard

FLOWER_PUBLIC_KEY = "flower.pub"


def create_node(path: Path, config: NodeConfig) -> NodeHome:
    """Make a node's folder with fresh keys and an empty database. Raises `node.exists` rather than replace anything."""
    if (path / CONFIG_FILE).exists():
        raise DoudiError("node.exists", "this folder already holds a node", "Choose another folder, or use this node.")
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(path, 0o700)
    keys = path / "keys"
    for name in (IDENTITY_KEY, APPROVAL_KEY, SCHEDULING_KEY):
        write_atomically(keys / name, generate_signing_key())
    for name in (STORAGE_KEY, RELEASE_KEY):
        write_atomically(keys / name, generate_storage_key())
    private, public = generate_flower_key()
    write_atomically(keys / FLOWER_KEY, private)
    write_atomically(keys / FLOWER_PUBLIC_KEY, public.encode(), 0o644)
    home = NodeHome(path)
    home.write_trust(Trust())
    engine = open_engine(home.database_url)
    migrate(engine)
    engine.dispose()
    # The configuration is written last: a folder without it is no node, and `init` may be called again.
    write_config(path, config)
    return home


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
