"""/console/ledger…: how the audit ledger is, and what proves it: checkpoints, terms, time stamps to download.

What entries say is sealed to the auditors; nothing is opened here, nor in the browser. The entries' headers: `ledger_entries.py`.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise, may
from coordinator.console.addresses import CONSOLE
from coordinator.console.downloads import BINARY, JSON, TEXT, attachment
from coordinator.console.languages import choose_language
from coordinator.console.ledger_witnesses import bars_of, witnesses_of
from coordinator.console.rendering import page
from coordinator.console.security import ConsoleUser
from coordinator.context import Context
from coordinator.db.session import now_s
from coordinator.ledger.header_lists import Narrowed, newest_headers
from coordinator.ledger.log_reader import checkpoint_of_size
from coordinator.ledger.models import LedgerTermsRow, LedgerTimestampRow
from coordinator.ledger.overview import checkpoint_line, newest_checkpoints, waiting_since
from coordinator.ledger.status import ledger_status
from coordinator.ledger.terms_store import newest_signed_terms, terms_by_number
from coordinator.paging import PageRequest
from crypto.checkpoint import MAX_SIZE
from crypto.errors import DoudiError

LEDGER = f"{CONSOLE}/ledger"
_CHECKPOINTS_SHOWN = 8
_HEADERS_SHOWN = 6

router = APIRouter(prefix=LEDGER, include_in_schema=False)
SizeInPath = Annotated[int, Path(ge=1, le=MAX_SIZE)]
TermsInPath = Annotated[int, Path(ge=1, le=2**53)]


@router.get("")
def ledger_page(request: Request, user: ConsoleUser, context: Context) -> HTMLResponse:
    """Show how the ledger is: checkpoints, what waits, witnesses, terms, the newest headers, and how to open them."""
    language = choose_language(request)
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_headers", system_resource())
        found = ledger_status(session)
        witnesses = witnesses_of(found)
        accepted_at = session.scalar(
            select(LedgerTermsRow.accepted_at).where(LedgerTermsRow.number == found.terms.number)
        )
        return page(
            request,
            "ledger.html.j2",
            user,
            ledger=found,
            now=now_s(session),
            latest=checkpoint_line(session, found.latest.size) if found.latest else None,
            witnessed=checkpoint_line(session, found.witnessed.size) if found.witnessed else None,
            checkpoints=newest_checkpoints(session, _CHECKPOINTS_SHOWN),
            waiting_since=waiting_since(session),
            terms=found.terms,
            terms_signed_by=newest_signed_terms(session).key,
            terms_accepted_at=accepted_at,
            holds_log_key=context.ledger.sequencer.log_key == found.terms.log_key,
            witnesses=witnesses,
            bars=bars_of(language, witnesses, now_s(session)),
            entries=newest_headers(session, Narrowed(), PageRequest(_HEADERS_SHOWN)).rows,
            may_read_entries=may(context, user.principal, "ledger.read_entries", system_resource()),
            public_url=context.config.public_url,
        )


@router.get("/checkpoints/{size}")
def download_checkpoint(user: ConsoleUser, context: Context, size: SizeInPath) -> Response:
    """Give a checkpoint with the cosignatures that it has; any party."""
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_proofs", system_resource())
        return attachment(checkpoint_of_size(session, size).to_bytes(), TEXT, f"ledger-checkpoint-{size}.txt")


@router.get("/terms/{number}")
def download_terms(user: ConsoleUser, context: Context, number: TermsInPath) -> Response:
    """Give the terms of a number, byte for byte as they are signed; any party."""
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_proofs", system_resource())
        return attachment(terms_by_number(session, number).to_bytes(), JSON, f"ledger-terms-{number}.json")


@router.get("/timestamps/{size}")
def download_timestamp(user: ConsoleUser, context: Context, size: SizeInPath) -> Response:
    """Give the time stamp of a checkpoint; any party."""
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_proofs", system_resource())
        token = session.scalar(select(LedgerTimestampRow.token).where(LedgerTimestampRow.size == size))
        if token is None:
            raise DoudiError("ledger.no_timestamp", "the checkpoint has no time stamp")
        return attachment(token, BINARY, f"ledger-checkpoint-{size}.tsr")
