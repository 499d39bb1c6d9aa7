"""Who sends a request: every endpoint but the health check needs a signature by a registered party.

The steps of `authenticate`, in the order in which they cost: (1) the named party is known; (2) its key signed exactly
this request, recently; (3) the nonce is new, which is durable before anything else happens; (4) the party counts as
seen. Unsigned traffic is refused in steps 1 and 2, which only read, so that it cannot keep the database's writer busy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from sqlalchemy import delete
from sqlalchemy.orm import Session

from coordinator.context import AppContext, Context
from coordinator.db.session import now_s
from coordinator.parties.models import PartyRow, RequestNonceRow
from coordinator.parties.services import CENTRE
from crypto.errors import DoudiError
from policies.contracts.base import Document
from policies.contracts.requests import CLOCK_TOLERANCE_S, HEADER_PARTY, verify_request

# A request is accepted from two minutes before its time until two minutes after, so a nonce is needed for twice as
# long.
NONCE_KEPT_S = 2 * CLOCK_TOLERANCE_S + 1

DocumentType = TypeVar("DocumentType", bound=Document)


@dataclass(frozen=True)
class Caller:
    """The party that signed the request. `name`: a department's name, or `centre`."""

    name: str

    @property
    def is_centre(self) -> bool:
        """Whether the data-management centre sent the request."""
        return self.name == CENTRE


def require_party(caller: Caller, *names: str) -> None:
    """Raise `request.not_allowed` unless the caller is one of the named parties."""
    if caller.name not in names:
        raise DoudiError("request.not_allowed", "this party may not do this")


async def raw_body(request: Request) -> bytes:
    """Return the body as it was sent, which is what the signature covers. The border has bounded its size."""
    return await request.body()


RawBody = Annotated[bytes, Depends(raw_body)]


def authenticate(request: Request, body: RawBody, context: Context) -> Caller:
    """Return who signed the request.

    Raises `request.unauthenticated`, `request.clock` or `request.replayed`.
    """
    # (1)
    claimed = request.headers.get(HEADER_PARTY, "")
    key = _identity_key(context, claimed)

    # (2)
    party, nonce = verify_request(
        key, dict(request.headers), request.method, _signed_path(request), body, int(context.clock())
    )

    # (3) The nonce is durable from here: if the act fails, the party signs again.
    with context.begin() as session:
        _spend_nonce(session, party, nonce)
        # (4)
        row = session.get(PartyRow, party)
        if row is not None:
            row.last_seen_at = now_s(session)
    caller = Caller(party)
    request.state.caller = caller
    return caller


Authenticated = Annotated[Caller, Depends(authenticate)]


def parsed(model: type[DocumentType]) -> Callable[[bytes, Caller], DocumentType]:
    """Return a dependency that parses the body as a document, and only after the caller is known."""

    def parse(body: RawBody, _caller: Authenticated) -> DocumentType:
        return model.parse(body)

    return parse


def _identity_key(context: AppContext, claimed: str) -> str:
    # The centre's key comes from the configuration alone: a write to the database must not make a centre.
    if claimed == CENTRE:
        return context.config.centre_api_key
    with context.read() as session:
        row = session.get(PartyRow, claimed)
        if row is None:
            # The same code as for a bad signature, so that a stranger cannot find out who is registered.
            raise DoudiError("request.unauthenticated", "the party is not registered")
        return row.identity_key


def _signed_path(request: Request) -> str:
    """Return path and query exactly as they were sent: decoding would let two addresses share one signature."""
    raw = request.scope.get("raw_path")
    path = raw.decode("latin-1") if isinstance(raw, bytes) else request.url.path
    query = request.scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def _spend_nonce(session: Session, party: str, nonce: str) -> None:
    now = now_s(session)
    session.execute(delete(RequestNonceRow).where(RequestNonceRow.seen_at < now - NONCE_KEPT_S))
    if session.get(RequestNonceRow, (party, nonce)) is not None:
        raise DoudiError("request.replayed", "a request with this nonce was already accepted")
    session.add(RequestNonceRow(party=party, nonce=nonce, seen_at=now))
