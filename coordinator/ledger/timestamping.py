"""Time stamps of checkpoints by an RFC 3161 authority, where one is configured. Off by default: a closed network has none.

The authority learns the hash of a checkpoint's text and when it was asked. A stamp makes nothing wait and stops nothing: an
authority that is away is asked again, and who reads the log sees which checkpoints carry one. A stamp that does not verify with
the configured certificates is not stored.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from coordinator.db.session import Clock, begin, now_s, read
from coordinator.events import COORDINATOR, Event, EventType, record
from coordinator.ledger.log_reader import checkpoint_note
from coordinator.ledger.models import LedgerCheckpointRow, LedgerTimestampRow
from coordinator.ledger.settings import LedgerSettings
from crypto.checkpoint import parse_checkpoint
from crypto.errors import DoudiError
from crypto.timestamps import MAXIMUM_RESPONSE_BYTES, load_roots, timestamp_request, verify_timestamp

QUERY_TYPE = "application/timestamp-query"
_TIMEOUT_S = 30.0
_RETRY_S = 300.0
log = logging.getLogger("doudi.ledger")

Ask = Callable[[bytes], bytes]
"""Sends a query (DER) to the authority and returns its answer; raises `DoudiError`."""


class Timestamper:
    """Stamps the newest witnessed checkpoint, at most once in `timestamp_every_s`. `ask`: another way to the authority."""

    def __init__(
        self, engine: Engine, home: Path, settings: LedgerSettings, clock: Clock = time.time, ask: Ask | None = None
    ) -> None:
        self._engine, self._home, self._settings, self._clock = engine, home, settings, clock
        self._ask: Ask = ask or self._over_http
        self._not_before = 0.0

    def stamp_if_due(self) -> bool:
        """Return whether a checkpoint was stamped now. What goes wrong is logged by its code, and tried again in five minutes."""
        if not self._settings.timestamp_authority_url or self._clock() < self._not_before:
            return False
        try:
            return self._stamp()
        except DoudiError as error:
            log.warning("no time stamp: %s", error.code)
            self._not_before = self._clock() + _RETRY_S
            return False

    def _stamp(self) -> bool:
        with read(self._engine, self._clock) as session:
            note = checkpoint_note(session, witnessed=True)
            due = note is not None and self._is_due(session, parse_checkpoint(note.text).size)
        if note is None or not due:
            return False
        # No transaction is open while the authority is asked: it may take its time.
        answer = self._ask(timestamp_request(note.text.encode()))
        verify_timestamp(answer, note.text.encode(), load_roots(self._certificates()))
        checkpoint = parse_checkpoint(note.text)
        with begin(self._engine, self._clock) as session:
            if session.get(LedgerTimestampRow, checkpoint.size) is not None:
                return False
            session.add(LedgerTimestampRow(size=checkpoint.size, token=answer))
            hashes = {"root": checkpoint.root.hex(), "token": hashlib.sha256(answer).hexdigest()}
            counts = {"size": checkpoint.size}
            record(session, Event(EventType.LEDGER_TIMESTAMPED, COORDINATOR, counts=counts, hashes=hashes))
        return True

    def _is_due(self, session: Session, size: int) -> bool:
        newest = session.execute(
            select(LedgerCheckpointRow.size, LedgerCheckpointRow.published_at)
            .join(LedgerTimestampRow, LedgerTimestampRow.size == LedgerCheckpointRow.size)
            .order_by(LedgerCheckpointRow.size.desc())
            .limit(1)
        ).one_or_none()
        if newest is None:
            return True
        # The record of the last stamp makes the log grow by one: that alone is no reason for another.
        grown = size > newest.size + 1
        return bool(grown and now_s(session) - newest.published_at >= self._settings.timestamp_every_s)

    def _certificates(self) -> bytes:
        try:
            return (self._home / self._settings.timestamp_certificates_file).read_bytes()
        except OSError:
            raise DoudiError(
                "timestamp.no_root",
                "the certificates of the time stamping authority cannot be read",
                "Set timestamp_certificates_file in the section [ledger] of coordinator.toml.",
            ) from None

    def _over_http(self, query: bytes) -> bytes:
        try:
            with (
                httpx.Client(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False) as client,
                client.stream(
                    "POST",
                    self._settings.timestamp_authority_url,
                    content=query,
                    headers={"Content-Type": QUERY_TYPE},
                ) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise _unreachable()
                data = b""
                for part in answer.iter_bytes():
                    data += part
                    if len(data) > MAXIMUM_RESPONSE_BYTES:
                        raise _unreachable()
                return data
        except (httpx.HTTPError, httpx.InvalidURL):
            raise _unreachable() from None


def _unreachable() -> DoudiError:
    return DoudiError(
        "timestamp.unreachable", "the time stamping authority does not answer as one", "Check timestamp_authority_url."
    )
