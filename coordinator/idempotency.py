"""Writes that may be sent again: the header `Idempotency-Key` lets a repeated request find its first answer.

Within 24 hours, one key of one principal acts at most once. The answer is written in the transaction of the act
(`Once.answer`), so neither exists without the other. A crash before the commit leaves neither, and the repetition acts; a
crash after it leaves both, and the repetition is answered. A refusal did nothing and keeps nothing: its key may be tried again.

(1) The principal is authenticated, and keys are each principal's own: nobody finds another's answer. (2) While a key is at
work, the same key is told to wait. This process knows it in memory, because the API is one process; were there two, the
second act would find the first one's answer at its end and be taken back. (3) A known key with the same method, address and
body gets the stored bytes, with another request a refusal. (4) An unknown key acts.

The key is no part of what a party signs. Whoever can change headers inside TLS can take it away, so that a repetition acts
again within what the party signed; they cannot make anybody act.
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import JSON, Index, Integer, LargeBinary, String, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from coordinator.context import Context
from coordinator.db.base import Base, UnixSeconds
from coordinator.db.session import now_s
from coordinator.parties.authentication import JSON_TYPE, Authenticated, RawBody, signed_path
from crypto.canonical import canonical_json
from crypto.errors import DoudiError

HEADER_KEY = "Idempotency-Key"
HEADER_REPLAYED = "Idempotency-Replayed"
KEPT_S = 24 * 3600


class IdempotencyKeyRow(Base):
    """The answer to a write that was carried out under a key. Kept for 24 hours."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_at", "at"),)

    # The primary key is what lets one act win, also between processes.
    principal: Mapped[str] = mapped_column(String(80), primary_key=True, comment="Principal.id: who sent the request")
    key: Mapped[str] = mapped_column(String(64), primary_key=True, comment="the header's value")
    request_digest: Mapped[str] = mapped_column(String(64), comment="SHA-256 of method, address and body")
    status: Mapped[int] = mapped_column(Integer, comment="HTTP status of the answer")
    headers: Mapped[dict[str, str]] = mapped_column(JSON, comment="headers of the answer that the act gave it")
    answer: Mapped[bytes | None] = mapped_column(LargeBinary, comment="body as it was sent; null if it held a secret")
    at: Mapped[int] = mapped_column(UnixSeconds, comment="when it was carried out, seconds since 1970 UTC")


class ReplayedError(Exception):
    """Not a failure: the request was answered before, and `response` is that answer. Ends the request early."""

    def __init__(self, response: Response) -> None:
        super().__init__("the request was answered before")
        self.response = response


class KeysAtWork:
    """The keys whose requests this process is working on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[tuple[str, str]] = set()

    @contextmanager
    def hold(self, principal: str, key: str) -> Iterator[None]:
        """Hold a key during a block. Raises `request.in_progress` when it is held."""
        name = (principal, key)
        with self._lock:
            if name in self._held:
                raise _in_progress()
            self._held.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(name)


class Once:
    """What a writing endpoint answers with. Without a key it makes the answer and keeps nothing."""

    def __init__(self, principal: str, key: str | None, request_digest: str) -> None:
        self._principal = principal
        self._key = key
        self._digest = request_digest

    def answer(
        self,
        session: Session,
        content: BaseModel | bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        secret: bool = False,
    ) -> Response:
        """Return the answer, kept in the transaction of the act that it reports: the last thing an endpoint does in it.

        `secret`: the answer shows something that is stored nowhere, so it is given once and not kept. Raises
        `request.in_progress` when another process carried out the same request meanwhile; the act is then taken back.
        """
        body = content if isinstance(content, bytes) else content.model_dump_json().encode()
        extra = dict(headers or {})
        if self._key is not None:
            now = now_s(session)
            session.execute(delete(IdempotencyKeyRow).where(IdempotencyKeyRow.at <= now - KEPT_S))
            if session.get(IdempotencyKeyRow, (self._principal, self._key)) is not None:
                raise _in_progress()
            row = IdempotencyKeyRow(
                principal=self._principal,
                key=self._key,
                request_digest=self._digest,
                status=status,
                headers=extra,
                answer=None if secret else body,
                at=now,
            )
            # What the act wrote goes first, so that a conflict below can only be the key's.
            session.flush()
            session.add(row)
            try:
                session.flush()
            except IntegrityError:
                raise _in_progress() from None
        return Response(body, status, extra, JSON_TYPE)

    def replay(self, session: Session) -> Response | None:
        """Return the answer that is kept for the key, or `None`.

        Raises `request.idempotency_mismatch`, or `request.answered_once` when the answer was a secret.
        """
        row = session.get(IdempotencyKeyRow, (self._principal, self._key)) if self._key is not None else None
        if row is None or row.at <= now_s(session) - KEPT_S:
            return None
        if row.request_digest != self._digest:
            raise DoudiError("request.idempotency_mismatch", "the key was used for another request")
        if row.answer is None:
            raise DoudiError("request.answered_once", "the request was carried out and its answer shown once")
        return Response(row.answer, row.status, {**row.headers, HEADER_REPLAYED: "true"}, JSON_TYPE)


def only_once(
    request: Request,
    principal: Authenticated,
    body: RawBody,
    context: Context,
    key: Annotated[
        str | None,
        Header(
            alias=HEADER_KEY,
            pattern=r"^[A-Za-z0-9_-]{16,64}$",
            description="the sender's own name for this act: the same request under it acts once within 24 hours",
        ),
    ] = None,
) -> Iterator[Once]:
    """Hold the request's key while the endpoint works, or end the request with the answer that is kept for it."""
    # (1) `principal` is authenticated before this body runs.
    once = Once(principal.id, key, _digest(request, body))
    if key is None:
        yield once
        return
    at_work: KeysAtWork = request.app.state.keys_at_work
    # (2)
    with at_work.hold(principal.id, key):
        # (3)
        with context.read() as session:
            kept = once.replay(session)
        if kept is not None:
            raise ReplayedError(kept)
        # (4)
        yield once


# Released when the endpoint has ended and before the answer leaves: who repeats at once is answered and not told to wait.
OnlyOnce = Annotated[Once, Depends(only_once, scope="function")]


def _digest(request: Request, body: bytes) -> str:
    named = {
        "method": request.method,
        "path": signed_path(request),
        "body": hashlib.sha256(body).hexdigest(),
    }
    return hashlib.sha256(canonical_json(named)).hexdigest()


def _in_progress() -> DoudiError:
    return DoudiError("request.in_progress", "a request with this key is being worked on")
