"""/console/ledger/entries…: headers of the ledger's entries, one entry, and files that prove it.

A header says who recorded what kind of event when, under which grant. The rest is sealed, and its ciphertext is for auditors
alone; nothing is opened here, nor in the browser.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise, may
from coordinator.console.downloads import BINARY, JSON, attachment
from coordinator.console.filters import wanted_choice, wanted_hash, wanted_index, wanted_name
from coordinator.console.languages import choose_language
from coordinator.console.parties_in_lists import department_names
from coordinator.console.rendering import page
from coordinator.console.security import ConsoleUser
from coordinator.console.titles import title_of
from coordinator.console.views.ledger import LEDGER
from coordinator.context import Context
from coordinator.ledger.entry_reader import (
    PlacedEntry,
    first_witnessed,
    placed_entry,
    prove_entry,
    prove_place,
    proving_size,
)
from coordinator.ledger.header_lists import Narrowed, newest_headers
from coordinator.ledger.log_reader import published_size
from coordinator.ledger.terms_store import newest_terms
from coordinator.paging import PageQuery
from coordinator.requests.models import AccessRequestRow
from crypto.ledger_entries import NO_GRANT, auditor_id, parse_wraps
from crypto.tiles import TILE_HEIGHT, TILE_WIDTH, entries_path, tile_path
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.terms import COORDINATOR, LedgerTerms

router = APIRouter(prefix=f"{LEDGER}/entries", include_in_schema=False)
IndexInPath = Annotated[int, Path(ge=0, le=2**53)]


@router.get("")
def entries_page(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """List headers, newest first."""
    narrowed = Narrowed(
        producer=wanted_name(request, "producer"),
        type=wanted_choice(request, "type", RECORD_TYPES),
        grant_hash=wanted_hash(request, "grant"),
        up_to=wanted_index(request, "index"),
    )
    language = choose_language(request)
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_headers", system_resource())
        found = newest_headers(session, narrowed, wanted)
        types = sorted((title_of(language, "event", name), name) for name in RECORD_TYPES)
        return page(
            request,
            "ledger_entries.html.j2",
            user,
            entries=found,
            cursor=wanted.cursor,
            producers=[(name, title_of(language, "party", name)) for name in (COORDINATOR, *department_names(session))],
            types=[(name, title) for title, name in types],
            given={
                "producer": narrowed.producer,
                "type": narrowed.type,
                "grant": narrowed.grant_hash,
                "index": narrowed.up_to,
            },
            narrowed=narrowed != Narrowed(),
        )


@router.get("/{index}")
def entry_page(request: Request, user: ConsoleUser, context: Context, index: IndexInPath) -> HTMLResponse:
    """Show one entry as far as it is not sealed, and what proves it."""
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_headers", system_resource())
        placed = placed_entry(session, index)
        header = placed.entry.header
        grant = header.grant_hash.hex() if header.grant_hash != NO_GRANT else ""
        size = published_size(session)
        may_read_entries = may(context, user.principal, "ledger.read_entries", system_resource())
        return page(
            request,
            "ledger_entry.html.j2",
            user,
            placed=placed,
            header=header,
            size=size,
            grant=grant,
            request_number=_request_of(session, grant),
            sealed_to=_readers(placed, newest_terms(session)) if may_read_entries else (),
            witnessed=first_witnessed(session, index),
            proven_by=proving_size(session, index),
            addresses=_addresses(index, size),
            may_read_entries=may_read_entries,
        )


@router.get("/{index}/proof")
def download_proof(user: ConsoleUser, context: Context, index: IndexInPath) -> Response:
    """Give the proof that `doudi audit check` accepts, with the sealed entry and without its key; auditors only."""
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_entries", system_resource())
        proof = prove_entry(session, placed_entry(session, index))
        return attachment(proof.to_bytes(), JSON, f"ledger-entry-{index}-proof.json")


@router.get("/{index}/place")
def download_place(user: ConsoleUser, context: Context, index: IndexInPath) -> Response:
    """Give the proof that the entry's hash is in the log, without the entry; any party."""
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_proofs", system_resource())
        proof = prove_place(session, placed_entry(session, index))
        return attachment(proof.to_bytes(), JSON, f"ledger-entry-{index}-place.json")


@router.get("/{index}/sealed")
def download_entry(user: ConsoleUser, context: Context, index: IndexInPath) -> Response:
    """Give the sealed entry, byte for byte; auditors only."""
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_entries", system_resource())
        return attachment(placed_entry(session, index).data, BINARY, f"ledger-entry-{index}.bin")


def _request_of(session: Session, grant_hash: str) -> int | None:
    """Return the number of the request that became a grant, if it is known here."""
    if not grant_hash:
        return None
    return session.scalar(select(AccessRequestRow.number).where(AccessRequestRow.grant_hash == grant_hash))


def _readers(placed: PlacedEntry, terms: LedgerTerms) -> list[str]:
    """Return to whom the batch's key was sealed: names of the terms in force, and ids of former keys."""
    if placed.wraps is None:
        return []
    known = {auditor_id(bytes.fromhex(card.sealing_key)): card.auditor for card in terms.auditors}
    return [known.get(name, name.hex()) for name in parse_wraps(placed.wraps)]


def _addresses(index: int, size: int) -> list[str]:
    """Return the files of the log that hold an entry and the hashes above it, in the tree of a size."""
    number = index // TILE_WIDTH
    found = [entries_path(number, min(TILE_WIDTH, size - number * TILE_WIDTH))]
    level = 0
    while (width := size >> (TILE_HEIGHT * level)) > 0:
        number = index >> (TILE_HEIGHT * (level + 1))
        if number * TILE_WIDTH < width:
            found.append(tile_path(level, number, min(TILE_WIDTH, width - number * TILE_WIDTH)))
        level += 1
    return [f"/log/{path}" for path in found]
