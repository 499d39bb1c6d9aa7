"""A grant as an officer names it: by the number of its request, by its hash, or as a file."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from command_line.documents import read_document_bytes
from crypto.errors import DoudiError
from department_nodes.client import CoordinatorClient
from department_nodes.engine import NodeEngine
from department_nodes.governance.requests import fetch_request, find_by_grant
from department_nodes.store.models import GrantRow
from department_nodes.store.session import transaction
from policies.contracts.grant import SignedGrant

_NUMBER = re.compile(r"[1-9][0-9]{0,15}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class NamedGrant:
    """A grant's hash, with its document where it was found. Nothing of the document is verified but that it has this hash."""

    grant_hash: str
    signed: SignedGrant | None


def find_named_grant(engine: NodeEngine, connect: Callable[[], CoordinatorClient], given: str) -> NamedGrant:
    """Return the grant that an officer names. A hash that neither this node nor the coordinator knows comes without document.

    Raises `document.unreadable`, `document.malformed`, `grant.wrong_hash`, or the coordinator's code for a number.
    """
    if _NUMBER.fullmatch(given):
        signed = fetch_request(connect(), int(given)).signed
        return NamedGrant(signed.grant_hash, signed)
    if not _HASH.fullmatch(given):
        signed = SignedGrant.parse(read_document_bytes(Path(given)))
        return NamedGrant(signed.grant_hash, signed)
    with transaction(engine.db) as session:
        row = session.get(GrantRow, given)
    if row is not None:
        return NamedGrant(given, SignedGrant.parse(row.document))
    try:
        client = connect()
        number = find_by_grant(client, given)
        fetched = fetch_request(client, number).signed if number is not None else None
    except DoudiError:
        # A revocation must not wait for the coordinator.
        return NamedGrant(given, None)
    return NamedGrant(given, fetched if fetched is not None and fetched.grant_hash == given else None)
