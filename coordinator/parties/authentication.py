"""Who sends a request: every endpoint but the health check needs a signature by a registered party, or a person's token.

A department's node and the centre's device sign. The steps, in the order in which they cost: (1) the named party is known;
(2) its key signed exactly this request, recently; (3) the nonce is new, which is durable before anything else happens; (4)
the party counts as seen. A program of a person shows an API token instead: (5) the token is in force and its person active;
(6) its scope allows changes, if this is one. Traffic of strangers is refused in steps 1, 2 and 5, which only read, so that it
cannot keep the database's writer busy.
"""

from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Request
from sqlalchemy import delete
from sqlalchemy.orm import Session

from coordinator.accounts.tokens import find_token
from coordinator.authorization.principals import Principal
from coordinator.context import AppContext, Context
from coordinator.db.session import now_s
from coordinator.parties.models import PartyRow, RequestNonceRow
from coordinator.parties.request_bound import RequestBound
from coordinator.parties.services import CENTRE
from crypto.errors import DoudiError
from policies.contracts.base import Document
from policies.contracts.requests import (
    CLOCK_TOLERANCE_S,
    HEADER_NONCE,
    HEADER_PARTY,
    HEADER_SIGNATURE,
    HEADER_TIME,
    verify_request,
)

# A request is accepted from two minutes before its time until two minutes after, so a nonce is needed for twice as
# long.
NONCE_KEPT_S = 2 * CLOCK_TOLERANCE_S + 1
BEARER = "bearer "
JSON_TYPE = "application/json"
BINARY_TYPE = "application/octet-stream"
SIGNED_HEADERS = (HEADER_PARTY, HEADER_TIME, HEADER_NONCE, HEADER_SIGNATURE)
READING_METHODS = frozenset({"GET", "HEAD"})

DocumentType = TypeVar("DocumentType", bound=Document)


async def raw_body(request: Request) -> bytes:
    """Return the body as it was sent, which is what the signature covers. The border has bounded its size."""
    return await request.body()


RawBody = Annotated[bytes, Depends(raw_body)]


def authenticate(request: Request, body: RawBody, context: Context) -> Principal:
    """Return who sent the request.

    Raises `request.unauthenticated`, `request.clock`, `request.too_many`, `request.replayed`, or `authorization.denied` for a
    token that may only read.
    """
    bound: RequestBound = request.app.state.request_bound
    shown = request.headers.get("Authorization")
    if shown is None:
        principal = _who_signed(request, body, context, bound)
    elif any(name in request.headers for name in SIGNED_HEADERS):
        # Two answers to "who is it" are none: whichever counted, somebody else could read the other.
        raise DoudiError("request.unauthenticated", "the request is signed and shows a token")
    else:
        principal = _whose_token(shown, context, bound)
    # From here a refusal is recorded as this principal's.
    request.state.principal = principal
    # (6)
    if request.method not in READING_METHODS and not principal.may_write:
        raise DoudiError("authorization.denied", "the token may only read")
    return principal


Authenticated = Annotated[Principal, Depends(authenticate)]


def _who_signed(request: Request, body: bytes, context: AppContext, bound: RequestBound) -> Principal:
    # (1)
    claimed = request.headers.get(HEADER_PARTY, "")
    key = _identity_key(context, claimed)

    # (2)
    party, nonce = verify_request(
        key, dict(request.headers), request.method, signed_path(request), body, int(context.clock())
    )

    principal = Principal.of_party(party)
    bound.count(principal.id, context.clock())
    # (3) The nonce is durable from here: if the act fails, the party signs again.
    with context.begin() as session:
        _spend_nonce(session, party, nonce)
        # (4)
        row = session.get(PartyRow, party)
        if row is not None:
            row.last_seen_at = now_s(session)
    return principal


def _whose_token(shown: str, context: AppContext, bound: RequestBound) -> Principal:
    # (5)
    token = shown[len(BEARER) :] if shown[: len(BEARER)].lower() == BEARER else ""
    with context.read() as session:
        principal = find_token(session, token)
        # `find_token` notes the use once a minute; what this block writes is thrown away.
        noting_due = bool(session.dirty)
    if principal is not None:
        bound.count(principal.id, context.clock())
    if principal is not None and noting_due:
        with context.begin() as session:
            # Asked again: the token may have been revoked in between.
            principal = find_token(session, token)
    if principal is None:
        raise DoudiError("request.unauthenticated", "the token is not in force")
    return principal


class Parsed(Generic[DocumentType]):
    """A dependency that parses the body as a document, and only after the principal is known.

    Raises `request.unsupported_media_type` or `document.malformed`.
    """

    def __init__(self, model: type[DocumentType]) -> None:
        self.model = model

    def __call__(self, request: Request, body: RawBody, _principal: Authenticated) -> DocumentType:
        """Return the body's document."""
        _require_media_type(request, JSON_TYPE)
        return self.model.parse(body)


def parsed(model: type[DocumentType]) -> Parsed[DocumentType]:
    """Return the dependency that parses the body as this document. The API's description finds the model there."""
    return Parsed(model)


class BinaryBody:
    """A dependency that gives the body's bytes, and only after the principal is known.

    `describes`: what the bytes are, for the API's description. Raises `request.unsupported_media_type`.
    """

    def __init__(self, describes: str, max_bytes: int) -> None:
        self.describes = describes
        self.max_bytes = max_bytes

    def __call__(self, request: Request, body: RawBody, _principal: Authenticated) -> bytes:
        """Return the body."""
        _require_media_type(request, BINARY_TYPE)
        return body


def _require_media_type(request: Request, expected: str) -> None:
    kind = request.headers.get("Content-Type", expected).partition(";")[0].strip().lower()
    if kind != expected:
        raise DoudiError("request.unsupported_media_type", f"the body is declared as something else than {expected}")


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


def signed_path(request: Request) -> str:
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
