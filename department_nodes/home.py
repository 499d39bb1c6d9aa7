"""The node's home folder: where its keys, its list of trusted parties, its database and its extract are.

| file | what | who may read it |
| --- | --- | --- |
| keys/identity.key | Ed25519: signs messages to other nodes and requests to the coordinator | the node |
| keys/approval.key | Ed25519: the owner's signature under grants; may lie on the officer's own device | the officer |
| keys/scheduling.key | Ed25519: signs run manifests; may lie on the officer's own device | the officer |
| keys/revocation.key | Ed25519: signs revocation lists; here the node renews its list by itself | the node, or the officer |
| public.json | the public halves of the signing keys, also of further approvers | everybody |
| officers/approver-2/approval.key … | Ed25519: a further approver's; to be carried to that person's device | that person |
| keys/storage.key | AES-256: seals what the database keeps | the node |
| keys/flower.key | ECDSA P-384: the node's key towards Flower | the node |
| trust.json | the cards of the parties this department trusts, pinned by its officer | the node |
| site-policy.cedar | the department's own rules: what it refuses, whatever a grant allows | the node |
| revocations/ | the newest revocation list of each party, verified when it came | the node |
| asset.json, report.json | the newest registration of the asset and the newest report, as they were signed | the node |
| keys/release.key | the lead's release key: the randomness behind every label bit, for ever | the node |
| periods/ | the lead's frozen labels, sealed with storage.key | the node |
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from command_line.documents import write_atomically
from crypto.errors import DoudiError
from department_nodes.config import NodeConfig, load_config, narrowed_by_tier
from policies.contracts.base import Document, KeyHex
from policies.contracts.cards import CentreCard, CoApprovalKeys, DepartmentCard

IDENTITY_KEY = "identity.key"
APPROVAL_KEY = "approval.key"
SCHEDULING_KEY = "scheduling.key"
REVOCATION_KEY = "revocation.key"
STORAGE_KEY = "storage.key"
RELEASE_KEY = "release.key"
FLOWER_KEY = "flower.key"
OFFICER_KEYS_VARIABLE = "DOUDI_OFFICER_KEYS"
FLOWER_PUBLIC_KEY = "flower.pub"
SITE_POLICY_FILE = "site-policy.cedar"
ASSET_FILE = "asset.json"
REPORT_FILE = "report.json"
REVOCATIONS_FOLDER = "revocations"
OFFICERS_FOLDER = "officers"
# The centre's name as a party, which no department may bear.
CENTRE = "centre"


class Trust(Document):
    """The cards this department has pinned. Officers compare the fingerprints by another channel first."""

    centre: CentreCard | None = None
    departments: tuple[DepartmentCard, ...] = ()

    def department(self, name: str) -> DepartmentCard:
        """Return a pinned card. Raises `trust.unknown_party`."""
        for card in self.departments:
            if card.department == name:
                return card
        raise DoudiError(
            "trust.unknown_party",
            f"{name} is not in this node's list of trusted parties",
            "Run `doudi node trust CARD`.",
        )


class PublicKeys(Document):
    """The public halves of a node's signing keys."""

    identity_key: KeyHex
    approval_key: KeyHex
    co_approval_keys: CoApprovalKeys = ()
    scheduling_key: KeyHex
    revocation_key: KeyHex


@dataclass(frozen=True)
class NodeHome:
    """A node's folder and what it holds."""

    path: Path

    @cached_property
    def config(self) -> NodeConfig:
        """The configuration, read once per process; its policy is narrowed by the rules of the asset's tier."""
        return narrowed_by_tier(load_config(self.path))

    @property
    def database_url(self) -> str:
        """The SQLAlchemy address of the node's database."""
        return f"sqlite:///{self.path / 'node.db'}"

    @property
    def ca_file(self) -> Path:
        """The certificate authority of the coordinator and SuperLink."""
        return self.path / self.config.ca_file

    @property
    def extract_uri(self) -> str:
        """The address of the department's extract; a relative file path is taken from the home folder."""
        extract = self.config.extract
        return extract if "://" in extract or Path(extract).is_absolute() else str(self.path / extract)

    def key(self, name: str) -> bytes:
        """Return a private key of 32 bytes. Raises `key.missing` or `key.permissions`."""
        return read_secret(self.path / "keys" / name)

    @property
    def trust(self) -> Trust:
        """The trusted parties, read afresh each time so that a withdrawn trust counts at once."""
        path = self.path / "trust.json"
        return Trust.parse(path.read_bytes()) if path.is_file() else Trust()

    @property
    def public_keys(self) -> "PublicKeys":
        """The public halves of this node's keys: what the node itself needs of its officers' keys."""
        path = self.path / "public.json"
        if not path.is_file():
            raise DoudiError("key.missing", "public.json is not in the node's folder", "Run `doudi node init` first.")
        return PublicKeys.parse(path.read_bytes())

    def officer_key(self, name: str) -> bytes:
        """Return an officer's private key: from the folder that DOUDI_OFFICER_KEYS names, else from the node's keys.

        Approval and scheduling keys may live on the officer's own device; the running node needs neither.
        """
        elsewhere = os.environ.get(OFFICER_KEYS_VARIABLE)
        return read_secret((Path(elsewhere) if elsewhere else self.path / "keys") / name)

    def write_trust(self, trust: Trust) -> None:
        """Replace the list of trusted parties in one step."""
        write_atomically(self.path / "trust.json", trust.to_bytes(), 0o644)


def read_secret(path: Path) -> bytes:
    """Return the bytes of a secret file. Raises `key.missing`, or `key.permissions` when others may read it."""
    if not path.is_file():
        raise DoudiError("key.missing", f"{path.name} is not in the node's keys", "Run `doudi node init` first.")
    if path.stat().st_mode & 0o077:
        raise DoudiError("key.permissions", f"{path.name} can be read by others", f"Run `chmod 600` on {path.name}.")
    return path.read_bytes()
