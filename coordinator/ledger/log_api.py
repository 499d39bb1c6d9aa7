"""The ledger as files under `/log/`, for whoever verifies it: checkpoints, tiles (C2SP tlog-tiles), entries, batches, terms.

What has a number or a width in its address never changes and says so; a page of batches may lose wraps. Nothing is served that
the newest published checkpoint does not cover. Reading needs authentication like everything else: signed requests, or a token.
"""

import re
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel
from sqlalchemy import select

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.ledger import log_reader
from coordinator.ledger.models import LedgerTimestampRow
from coordinator.ledger.terms_store import newest_signed_terms, terms_by_number
from coordinator.openapi import operation
from coordinator.parties.authentication import BINARY_TYPE, JSON_TYPE, Authenticated
from crypto.checkpoint import MAX_SIZE, Note
from crypto.errors import DoudiError
from crypto.tiles import parse_tile_path
from policies.contracts.ledger.placed import PAGE_BATCHES
from policies.contracts.ledger.terms import SignedLedgerTerms

router = APIRouter(prefix="/log", tags=["log"])

NOTE_TYPE = "text/plain; charset=utf-8"
TIMESTAMP_TYPE = "application/timestamp-reply"
# `private`: who may read is asked for everybody anew, so no shared cache may answer.
FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
ASK_AGAIN = {"Cache-Control": "private, no-cache"}
_PAGE = re.compile(r"(?P<number>0|[1-9][0-9]{0,14})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?")

SizePath = Annotated[int, Path(ge=0, le=MAX_SIZE, description="the checkpoint's number of entries")]
NumberPath = Annotated[int, Path(ge=1, le=2**53, description="the terms' number")]
TilePath = Annotated[
    str,
    Path(
        max_length=64,
        description="N in groups of three digits, and its width while it is not full: `x001/x234/067`, `005.p/12`",
    ),
]
PagePath = Annotated[
    str, Path(max_length=64, description="number of the page, and its width while it is not full: `7`, `8.p/12`")
]
LevelPath = Annotated[str, Path(max_length=64, description="level of the tile, 0 for the hashes of entries")]


class SummaryView(BaseModel):
    """How far the log is. `size`, `batches`: in the newest checkpoint; `witnessed_size`: of the newest witnessed one.

    `timestamped_size`: of the newest checkpoint with an authority's time stamp, 0 for none.
    """

    size: int
    batches: int
    terms: int
    witnessed_size: int
    timestamped_size: int


Answers = dict[int | str, dict[str, Any]]


def _answer_of(kind: str, what: str, schema: dict[str, Any]) -> Answers:
    """Return how the description names an answer that is no JSON of ours."""
    return {200: {"description": what, "content": {kind: {"schema": schema}}}}


_NOTE = _answer_of(NOTE_TYPE, "C2SP tlog-checkpoint: a signed note", {"type": "string"})
_BYTES = {"type": "string", "format": "binary"}
_HASHES = _answer_of(BINARY_TYPE, "Hashes of 32 bytes each", _BYTES)
_ENTRIES = _answer_of(BINARY_TYPE, "Sealed entries, each behind its length in two bytes", _BYTES)
_BATCHES = _answer_of(
    BINARY_TYPE, "Batches with their places, signatures and wraps: `policies/contracts/ledger/placed.py`", _BYTES
)
_TOKEN = _answer_of(TIMESTAMP_TYPE, "RFC 3161 TimeStampResp", _BYTES)
_TERMS: Answers = {200: {"model": SignedLedgerTerms, "description": "The terms, byte for byte as they are signed"}}


@router.get(
    "/checkpoint",
    summary="Fetch the newest checkpoint",
    openapi_extra=operation("checkpoint.unknown"),
    response_class=Response,
    response_model=None,
    responses=_NOTE,
)
def get_checkpoint(principal: Authenticated, context: Context) -> Response:
    """Return the newest published checkpoint with the cosignatures that it has so far; any party."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        return _note(log_reader.checkpoint_note(session))


@router.get(
    "/checkpoint/witnessed",
    summary="Fetch the newest witnessed checkpoint",
    openapi_extra=operation("checkpoint.unknown"),
    response_class=Response,
    response_model=None,
    responses=_NOTE,
)
def get_witnessed_checkpoint(principal: Authenticated, context: Context) -> Response:
    """Return the newest checkpoint that a quorum of the witnesses had cosigned; any party."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        return _note(log_reader.checkpoint_note(session, witnessed=True))


@router.get(
    "/checkpoint/{size}",
    summary="Fetch a checkpoint",
    openapi_extra=operation("checkpoint.unknown"),
    response_class=Response,
    response_model=None,
    responses=_NOTE,
)
def get_checkpoint_of_size(principal: Authenticated, size: SizePath, context: Context) -> Response:
    """Return the checkpoint of one size with the cosignatures that it has; any party."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        return _note(log_reader.checkpoint_of_size(session, size))


@router.get("/summary", summary="Say how far the log is")
def get_summary(principal: Authenticated, context: Context) -> SummaryView:
    """Return the numbers from which every address of the log follows; any party."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        return SummaryView(**asdict(log_reader.summary(session)))


@router.get(
    "/tile/entries/{path:path}",
    summary="Fetch sealed entries",
    openapi_extra=operation("ledger.unknown_tile", "tile.bad_path"),
    response_class=Response,
    response_model=None,
    responses=_ENTRIES,
)
def get_entries(principal: Authenticated, path: TilePath, context: Context) -> Response:
    """Return a bundle of up to 256 entries; auditors only."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_entries", system_resource())
        address = parse_tile_path(f"tile/entries/{path}")
        return _bytes(log_reader.bundle(session, address.index, address.width), FOR_EVER)


@router.get(
    "/tile/{level}/{path:path}",
    summary="Fetch hashes of the tree",
    openapi_extra=operation("ledger.unknown_tile", "tile.bad_path"),
    response_class=Response,
    response_model=None,
    responses=_HASHES,
)
def get_tile(principal: Authenticated, level: LevelPath, path: TilePath, context: Context) -> Response:
    """Return a tile of up to 256 hashes of one level of the tree; any party."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        address = parse_tile_path(f"tile/{level}/{path}")
        if address.level is None:
            raise DoudiError("tile.bad_path", "entries have an address of their own")
        return _bytes(log_reader.tile(session, address.level, address.index, address.width), FOR_EVER)


@router.get(
    "/batches/{path:path}",
    summary="Fetch batches without their entries",
    openapi_extra=operation("ledger.unknown_tile", "tile.bad_path"),
    response_class=Response,
    response_model=None,
    responses=_BATCHES,
)
def get_batches(principal: Authenticated, path: PagePath, context: Context) -> Response:
    """Return a page of up to 256 batches: places, numbers, signatures, wrapped keys; auditors only."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_entries", system_resource())
        number, width = _parse_page_path(path)
        # Wraps can be destroyed later, so a page is asked for again.
        return _bytes(log_reader.page(session, number, width), ASK_AGAIN)


@router.get(
    "/terms/newest",
    summary="Fetch the terms in force",
    openapi_extra=operation("ledger.not_set_up"),
    response_model=None,
    responses=_TERMS,
)
def get_newest_terms(principal: Authenticated, context: Context) -> Response:
    """Return who reads and who witnesses now. Do not trust it because it stands here: the centre's approver signed it."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        return Response(newest_signed_terms(session).to_bytes(), 200, ASK_AGAIN, JSON_TYPE)


@router.get(
    "/terms/{number}",
    summary="Fetch terms",
    openapi_extra=operation("terms.unknown"),
    response_model=None,
    responses=_TERMS,
)
def get_terms(principal: Authenticated, number: NumberPath, context: Context) -> Response:
    """Return the terms of one number, in force or former; any party."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        return Response(terms_by_number(session, number).to_bytes(), 200, FOR_EVER, JSON_TYPE)


@router.get(
    "/timestamps/{size}",
    summary="Fetch the time stamp of a checkpoint",
    openapi_extra=operation("ledger.no_timestamp"),
    response_class=Response,
    response_model=None,
    responses=_TOKEN,
)
def get_timestamp(principal: Authenticated, size: SizePath, context: Context) -> Response:
    """Return what a time stamping authority said about a checkpoint, where one is configured; any party."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        token = session.scalar(select(LedgerTimestampRow.token).where(LedgerTimestampRow.size == size))
        if token is None:
            raise DoudiError("ledger.no_timestamp", "the checkpoint has no time stamp")
        return Response(token, 200, FOR_EVER, TIMESTAMP_TYPE)


def _note(note: Note | None) -> Response:
    if note is None:
        raise DoudiError("checkpoint.unknown", "the log has published no such checkpoint yet")
    # Cosignatures are added to it later.
    return Response(note.to_bytes(), 200, ASK_AGAIN, NOTE_TYPE)


def _bytes(data: bytes, headers: dict[str, str]) -> Response:
    return Response(data, 200, headers, BINARY_TYPE)


def _parse_page_path(path: str) -> tuple[int, int]:
    """Return number and width of a page: only the one canonical form, so that two addresses never mean one page."""
    match = _PAGE.fullmatch(path)
    width = int(match["width"] or PAGE_BATCHES) if match else 0
    if match is None or (match["width"] and width >= PAGE_BATCHES):
        raise DoudiError("tile.bad_path", "the path is not the canonical name of a page")
    return int(match["number"]), width
