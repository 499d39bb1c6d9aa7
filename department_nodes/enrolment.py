"""Making a node: its folder, its keys from the operating system's randomness, its configuration and its database."""

import os
from pathlib import Path

from command_line.documents import write_atomically
from crypto.errors import DoudiError
from crypto.sealing import generate_storage_key
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.config import CONFIG_FILE, NodeConfig, write_config
from department_nodes.federation.node_keys import generate_flower_key
from department_nodes.home import (
    APPROVAL_KEY,
    FLOWER_KEY,
    FLOWER_PUBLIC_KEY,
    IDENTITY_KEY,
    OFFICERS_FOLDER,
    RELEASE_KEY,
    REVOCATION_KEY,
    SCHEDULING_KEY,
    SITE_POLICY_FILE,
    STORAGE_KEY,
    NodeHome,
    PublicKeys,
    Trust,
)
from department_nodes.store.session import migrate, open_engine
from department_nodes.trust import RESERVED_NAMES
from policies.authorization.site import default_site_policy
from policies.standards.loader import load_dataset_standard
from policies.standards.purpose_loader import load_purpose
from policies.standards.tier_loader import load_tier

# A tier asks for at most four people of an owner.
MAXIMUM_FURTHER_APPROVERS = 3


def create_node(path: Path, config: NodeConfig, further_approvers: int = 0) -> NodeHome:
    """Make a node's folder with fresh keys and an empty database. Raises `node.exists` rather than replace anything.

    `further_approvers`: people beyond the first who may approve for this department, where a tier asks for two; the folder
    `officers/approver-<n>` of each is to be carried to that person's own device. Raises `node.too_many_approvers`.
    """
    if not 0 <= further_approvers <= MAXIMUM_FURTHER_APPROVERS:
        raise DoudiError(
            "node.too_many_approvers", f"a department has at most {MAXIMUM_FURTHER_APPROVERS} more approvers"
        )
    if config.department in RESERVED_NAMES:
        raise DoudiError("trust.reserved_name", "a department cannot bear this name", "Choose another name.")
    # Also without its configuration a folder with keys is a node: new keys would make its database and labels unreadable.
    if any(
        (path / name).exists() for name in (CONFIG_FILE, "keys", "node.db", "periods", "trust.json", OFFICERS_FOLDER)
    ):
        raise DoudiError("node.exists", "this folder already holds a node", "Choose another folder, or use this node.")
    load_dataset_standard(config.dataset, config.standard_version)
    load_tier(config.tier, config.tier_version)
    for purpose in config.allowed_purposes:
        load_purpose(purpose)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(path, 0o700)
    keys = path / "keys"
    public = {
        name.replace(".key", "_key"): _new_signing_key(keys / name)
        for name in (IDENTITY_KEY, APPROVAL_KEY, SCHEDULING_KEY, REVOCATION_KEY)
    }
    further = tuple(
        # The first approver's key is the node's; each further one is another person's.
        _new_signing_key(path / OFFICERS_FOLDER / f"approver-{number}" / APPROVAL_KEY)
        for number in range(2, 2 + further_approvers)
    )
    write_atomically(path / "public.json", PublicKeys(**public, co_approval_keys=further).to_bytes(), 0o644)
    for name in (STORAGE_KEY, RELEASE_KEY):
        write_atomically(keys / name, generate_storage_key())
    flower_private, flower_public = generate_flower_key()
    write_atomically(keys / FLOWER_KEY, flower_private)
    write_atomically(keys / FLOWER_PUBLIC_KEY, flower_public.encode(), 0o644)
    home = NodeHome(path)
    home.write_trust(Trust())
    write_atomically(path / SITE_POLICY_FILE, default_site_policy().encode(), 0o644)
    engine = open_engine(home.database_url)
    migrate(engine)
    engine.dispose()
    # The configuration is written last: until then no command takes the folder for a node.
    write_config(path, config)
    return home


def _new_signing_key(path: Path) -> str:
    """Write a new private key, for its owner's eyes only, and return its public half."""
    private = generate_signing_key()
    write_atomically(path, private)
    return signing_public_key(private).hex()
