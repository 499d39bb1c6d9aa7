"""A coordinator in an attacker's hands: it has everything that passes through it, and no key of anybody.

It can alter, repeat, re-order, withhold and make up whatever it relays. Nodes are real; what it sends them goes through the same
calls as the true coordinator's (`NodeEngine.answer`, and the client that the node's service asks).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from nodes import code_of
from region import LEAD, Region
from sqlalchemy import select

from crypto.canonical import parse_canonical
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.engine import NodeEngine
from department_nodes.store.models import Base
from department_nodes.store.session import transaction
from policies.contracts.grant import Grant, GrantSignature, SignedGrant, sign_grant
from policies.contracts.manifest import Manifest, SignedManifest, sign_manifest
from policies.contracts.revocations import SignedRevocationList
from policies.contracts.steps import Step, pack_request

# What a refusal may leave behind: its line in the journal.
NOT_COMPARED = {"events"}


def contents(engine: NodeEngine) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of a node's database but its journal: computed, charged, sent, counted."""
    with transaction(engine.db) as session:
        return {
            table.name: sorted((tuple(row) for row in session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
            if table.name not in NOT_COMPARED
        }


class CompromisedCoordinator:
    """What the attacker holds of one run, and what it makes of it."""

    def __init__(self, region: Region, signed: SignedGrant, manifest: SignedManifest) -> None:
        self.region, self.signed, self.manifest = region, signed, manifest
        # Keys of its own: it can sign anything with them.
        self.keys = [generate_signing_key() for _ in range(4)]

    def ask(
        self,
        name: str,
        signed: SignedGrant | None = None,
        manifest: SignedManifest | None = None,
        step: Step = Step.BLIND,
        request: bytes | None = None,
    ) -> str:
        """Return what a node answers to a step: `ok`, or its code."""
        data = request or pack_request(step, signed or self.signed, manifest or self.manifest)
        return code_of(self.region.engines[name].answer(data))

    def altered(self, change: Callable[[Grant], Grant]) -> SignedGrant:
        """Return an altered grant under the signatures that were made for the true one."""
        return SignedGrant(grant=change(self.signed.region_grant), signatures=self.signed.signatures)

    def forged(self, grant: Grant) -> SignedGrant:
        """Return a grant with a signature of each party under its true key's name, each made with a key of the attacker's."""
        signatures = tuple(
            sign_grant(grant, each.party, each.role, self.keys[0]).model_copy(update={"key": each.key})
            for each in self.signed.signatures
        )
        return SignedGrant(grant=grant, signatures=signatures)

    def with_own_keys(self, grant: Grant, *parties: str) -> SignedGrant:
        """Return a grant that names the attacker's approval key for some parties, signed by these with it.

        The true signatures of the others are kept, though they belong to the true grant.
        """
        public = signing_public_key(self.keys[1]).hex()
        shares = tuple(
            each.model_copy(update={"approval_key": public}) if each.department in parties else each
            for each in grant.participants
        )
        changes: dict[str, Any] = {"participants": shares}
        if "centre" in parties:
            changes["centre_key"] = public
        grant = grant.model_copy(update=changes)
        own = tuple(sign_grant(grant, party, self._role(grant, party), self.keys[1]) for party in parties)
        return SignedGrant(grant=grant, signatures=own)

    def scheduled_by_itself(self, change: Callable[[Manifest], Manifest]) -> SignedManifest:
        """Return an altered manifest that the attacker signed."""
        return sign_manifest(change(self.manifest.manifest), self.keys[2])

    def altered_manifest(self, change: Callable[[Manifest], Manifest]) -> SignedManifest:
        """Return an altered manifest under the scheduler's signature for the true one."""
        return self.manifest.model_copy(update={"manifest": change(self.manifest.manifest)})

    def _role(self, grant: Grant, party: str) -> Any:
        if party == "centre":
            return "centre"
        return "lead" if party == LEAD else "owner"


class LyingLists:
    """The coordinator's revocation lists, as a node's service asks for them: it gives what the attacker chose."""

    def __init__(self) -> None:
        self.given: list[Any] = []
        self.put: list[tuple[str, SignedRevocationList]] = []

    def get(self, path: str) -> Any:
        assert path.startswith("/v1/revocations")
        return {"items": self.given, "next_cursor": None}

    def put_bytes(self, path: str, body: bytes) -> Any:
        self.put.append((path, SignedRevocationList.parse(body)))
        return {"number": self.put[-1][1].content.number}

    def give(self, *lists: SignedRevocationList) -> None:
        """Give these lists, and no others, from now on."""
        self.given = [json.loads(each.to_bytes()) for each in lists]


class LyingRequests:
    """The coordinator's requests, as an officer's command asks for them."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.sent: list[tuple[str, str, Any]] = []

    def get(self, path: str) -> Any:
        return self.answers[path.partition("?")[0]]

    def get_bytes(self, path: str) -> bytes:
        data = self.answers[path]
        assert isinstance(data, bytes)
        return data

    def post(self, path: str, document: Any, key: str | None = None) -> Any:
        self.sent.append(("POST", path, document))
        return self.answers.get(f"POST {path}", {})

    def put_bytes(self, path: str, body: bytes) -> Any:
        self.sent.append(("PUT", path, parse_canonical(body)))
        return self.answers.get(f"PUT {path}", {})


def signature_of(signed: SignedGrant, party: str) -> GrantSignature:
    """Return a party's first signature."""
    return next(each for each in signed.signatures if each.party == party)
