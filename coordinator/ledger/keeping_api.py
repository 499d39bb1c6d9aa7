"""What the centre does with the ledger, and what its people and auditors see of it without opening it: /v1/ledger."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.idempotency import OnlyOnce
from coordinator.ledger import administering, log_reader
from coordinator.ledger.api import HIGHEST_SIZE
from coordinator.ledger.log_reader import PlacedHeader
from coordinator.ledger.status import CheckpointState, LedgerStatus, ledger_status
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated, parsed
from crypto.ledger_entries import NO_GRANT
from policies.contracts.base import Document
from policies.contracts.ledger.added_wraps import BatchIdHex, SignedAddedWraps
from policies.contracts.ledger.terms import SignedLedgerTerms

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])


class HeaderView(BaseModel):
    """What everybody who may read headers sees of an entry: who recorded what kind of event when. The rest is sealed.

    `index`: in the log, from 0. `sequence`: the producer's own number; null for the coordinator's records, which have none.
    """

    index: int
    producer: str
    type: str
    schema_version: int
    at: int
    sequence: int | None
    grant_hash: str | None
    batch: str
    position: int
    sealed_bytes: int


class CheckpointView(BaseModel):
    """A checkpoint. Times are seconds since 1970 UTC; `witnessed_at` is null until a quorum cosigned."""

    size: int
    published_at: int
    witnessed_at: int | None


class WitnessView(BaseModel):
    """A witness of the terms in force: the largest checkpoint that it cosigned, and when by its own clock; null for none."""

    department: str
    size: int | None
    cosigned_at: int | None


class StatusView(BaseModel):
    """How the ledger is. `waiting`: batches without a place. `placed`: entries that have one. `quorum`: cosignatures that count.

    `log_key`: the public key that the coordinator's host holds now; the terms may name another one until they are renewed.
    """

    waiting: int
    placed: int
    latest: CheckpointView | None
    witnessed: CheckpointView | None
    terms: int
    auditors: list[str]
    witnesses: list[WitnessView]
    quorum: int
    tolerated_faulty_witnesses: int
    checkpoint_max_age_s: int
    log_key: str


class TermsView(BaseModel):
    """The number of the terms in force."""

    number: int


class ShredRequest(Document):
    """Which batch nobody shall open any more, and why."""

    batch: BatchIdHex
    reason: administering.ShredReason


class ShreddedView(BaseModel):
    """A batch that nobody can open any more who has not fetched it before."""

    batch: str


class WrapsView(BaseModel):
    """Of how many batches the receiver can read the keys now."""

    batches: int


@router.get("/entries", summary="List headers of entries")
def list_entries(
    principal: Authenticated,
    context: Context,
    wanted: PageQuery,
    after: Annotated[int, Query(ge=0, le=HIGHEST_SIZE, description="index of the first entry wanted")] = 0,
) -> Page[HeaderView]:
    """Return what is published of each entry, in the order of the log; the centre and auditors. What it says is sealed."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_headers", system_resource())
        found = log_reader.headers(session, after, wanted)
        return Page(items=[_header(row) for row in found.rows], next_cursor=found.next_cursor)


@router.get("/status", summary="Say how the ledger is", openapi_extra=operation("ledger.not_set_up"))
def get_status(principal: Authenticated, context: Context) -> StatusView:
    """Return what waits, the newest checkpoints, and when each witness cosigned last; the centre and auditors."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_headers", system_resource())
        return _status(ledger_status(session), context.ledger.sequencer.log_key)


@router.post(
    "/terms",
    summary="Change the ledger's terms",
    openapi_extra=operation(
        "terms.bad_signature",
        "terms.rollback",
        "terms.fork",
        "terms.gap",
        "terms.other_log",
        "ledger.wrong_log_key",
    ),
    response_model=TermsView,
    responses={201: {"model": TermsView, "description": "The terms are new"}},
)
def change_terms(
    principal: Authenticated,
    once: OnlyOnce,
    signed: Annotated[SignedLedgerTerms, Depends(parsed(SignedLedgerTerms))],
    context: Context,
) -> Response:
    """Put terms in force that an approver of the centre signed: who reads from now on, who witnesses, which key signs the log."""
    with context.begin() as session:
        is_new = administering.change_terms(session, context, principal, signed)
        answer = once.answer(session, TermsView(number=signed.terms.number), 201 if is_new else 200)
    context.ledger.notifier.notify()
    return answer


@router.post(
    "/shred",
    summary="Make a batch unreadable",
    openapi_extra=operation("ledger.unknown_batch", "ledger.not_set_up"),
    response_model=ShreddedView,
    responses={201: {"model": ShreddedView, "description": "Its keys were destroyed now"}},
)
def shred_batch(
    principal: Authenticated,
    once: OnlyOnce,
    wanted: Annotated[ShredRequest, Depends(parsed(ShredRequest))],
    context: Context,
) -> Response:
    """Destroy the wrapped keys of a batch for good. It stays provable, and auditors see that it was made unreadable, and why."""
    batch = bytes.fromhex(wanted.batch)
    with context.begin() as session:
        done = administering.shred(session, context, principal, batch, wanted.reason)
        answer = once.answer(session, ShreddedView(batch=wanted.batch), 201 if done else 200)
    administering.forget_old_pages(context)
    return answer


@router.post(
    "/wraps",
    summary="Give a later auditor the keys of old batches",
    openapi_extra=operation(
        "wraps.other_log", "wraps.not_an_auditor", "wraps.bad_signature", "wraps.unknown_batch", "ledger.not_set_up"
    ),
    response_model=WrapsView,
    status_code=201,
)
def add_wraps(
    principal: Authenticated,
    once: OnlyOnce,
    signed: Annotated[SignedAddedWraps, Depends(parsed(SignedAddedWraps))],
    context: Context,
) -> Response:
    """Record keys of old batches that one auditor sealed to another one. The centre's device brings them and can open none."""
    with context.begin() as session:
        administering.add_wraps(session, context, principal, signed)
        return once.answer(session, WrapsView(batches=len(signed.added.wraps)), 201)


def _header(row: PlacedHeader) -> HeaderView:
    header = row.header
    return HeaderView(
        index=row.index,
        producer=header.producer,
        type=header.type,
        schema_version=header.schema_version,
        at=header.at,
        sequence=header.sequence or None,
        grant_hash=None if header.grant_hash == NO_GRANT else header.grant_hash.hex(),
        batch=header.batch_id.hex(),
        position=header.position,
        sealed_bytes=row.sealed_bytes,
    )


def _status(found: LedgerStatus, log_key: str) -> StatusView:
    terms = found.terms
    return StatusView(
        waiting=found.waiting,
        placed=found.placed,
        latest=_checkpoint(found.latest),
        witnessed=_checkpoint(found.witnessed),
        terms=terms.number,
        auditors=[card.auditor for card in terms.auditors],
        witnesses=[WitnessView(**vars(witness)) for witness in found.witnesses],
        quorum=terms.quorum,
        tolerated_faulty_witnesses=terms.tolerated_faulty_witnesses,
        checkpoint_max_age_s=terms.checkpoint_max_age_s,
        log_key=log_key,
    )


def _checkpoint(found: CheckpointState | None) -> CheckpointView | None:
    return None if found is None else CheckpointView(**vars(found))
