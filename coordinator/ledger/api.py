"""What nodes do with the ledger: /v1/ledger. They submit, wait for checkpoints, ask for proofs and cosign.

What the centre does is in `keeping_api.py`; the files that prove it all are under /log (`log_api.py`).
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field, StringConstraints

from coordinator.authorization.resources import party_resource, system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.idempotency import OnlyOnce
from coordinator.ledger import log_reader, submitting
from coordinator.ledger.waiting_for_checkpoints import LONGEST_WAIT_S, News, Seen, look, wait_for_news
from coordinator.openapi import operation
from coordinator.parties.authentication import Authenticated, BinaryBody, parsed
from policies.contracts.base import Document
from policies.contracts.ledger.batches import MAXIMUM_BATCH_BYTES

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])

BATCHES_PATH = "/v1/ledger/batches"
_BATCH = BinaryBody("a batch of sealed entries: `policies/contracts/ledger/batches.py`", MAXIMUM_BATCH_BYTES)
HIGHEST_SIZE = 2**53

Size = Annotated[int, Field(ge=0, le=HIGHEST_SIZE)]
SeenQuery = Annotated[int, Query(ge=0, le=HIGHEST_SIZE, description="size of the newest checkpoint that one has")]
WitnessedQuery = Annotated[
    int, Query(ge=0, le=HIGHEST_SIZE, description="size of the newest witnessed checkpoint that one has")
]
TermsQuery = Annotated[
    int, Query(ge=0, le=HIGHEST_SIZE, description="number of the terms that one has; 0: told of those that come now")
]
WaitQuery = Annotated[int, Query(ge=0, le=LONGEST_WAIT_S, description="seconds to wait for something new")]
OldQuery = Annotated[int, Query(ge=0, le=HIGHEST_SIZE, description="size of the tree that one has")]
NewQuery = Annotated[int, Query(ge=0, le=HIGHEST_SIZE, description="size of the tree that it should begin")]


class ReceiptView(BaseModel):
    """Where a batch stands: its entries have the indices from `first_index` on. `size`: entries of the log at that time."""

    first_index: int
    count: int
    size: int


class NewsView(BaseModel):
    """The newest checkpoint and the newest witnessed one as signed notes, null before the first. `terms`: those in force.

    `consistency`: where one has seen a smaller tree, the proof of RFC 9162 from that to the newest checkpoint, in hexadecimal:
    every witness needs it at once, and none has to ask for it.
    """

    latest: str | None
    witnessed: str | None
    terms: int
    consistency: list[str] | None = None


class ProofView(BaseModel):
    """A proof of RFC 9162, hashes in hexadecimal."""

    hashes: list[str]


class ProofsView(BaseModel):
    """A proof of RFC 9162 for each index, in the order of the request."""

    proofs: list[list[str]]


class ProofsRequest(Document):
    """Of which entries to prove that they are in the tree of a size."""

    size: Size
    indices: Annotated[tuple[Size, ...], Field(min_length=1, max_length=log_reader.MOST_PROOFS)]


class CosignatureRequest(Document):
    """A witness's line under the checkpoint of a size, without its line end: an em dash, its name, base64."""

    size: Size
    line: Annotated[str, StringConstraints(pattern=r"^— [a-z][a-z0-9_-]{0,62} [A-Za-z0-9+/]{1,400}={0,2}$")]

    @property
    def witness(self) -> str:
        """Whose line it says it is."""
        return self.line.split(" ")[1]


class CosignatureView(BaseModel):
    """Whether the cosignature is new or later than the one that was known; whether the checkpoint is witnessed now."""

    stored: bool
    witnessed: bool


@router.post(
    "/batches",
    summary="Submit records",
    openapi_extra=operation(
        "batch.malformed",
        "batch.inconsistent",
        "batch.wrong_wraps",
        "batch.wrong_auditors",
        "batch.bad_signature",
        "batch.conflict",
        "batch.gap",
        "ledger.not_a_witness",
        "ledger.not_set_up",
        "ledger.other_log_key",
        "ledger.damaged",
        "ledger.not_published",
    ),
    response_model=ReceiptView,
)
def submit_batch(
    principal: Authenticated, once: OnlyOnce, body: Annotated[bytes, Depends(_BATCH)], context: Context
) -> Response:
    """Give a node's sealed records their place. Durable and placed when it answers; the same batch again gets the same answer."""
    batch = submitting.parse_submission(body)
    with context.read() as session:
        authorise(session, context, principal, "ledger.submit", party_resource(batch.producer))
        submitting.verify_submission(session, batch)
    # Stored and placed in one transaction of the log's writer. A crash before it leaves nothing and the node sends again; a crash
    # after it leaves the batch with its place, and the repetition is told it.
    head = context.ledger.sequencer.append_and_place([batch])
    with context.begin() as session:
        found = submitting.receipt(session, batch, head.size)
        return once.answer(session, ReceiptView(first_index=found.first_index, count=found.count, size=found.size))


@router.get(
    "/checkpoint",
    summary="Wait for a checkpoint",
    openapi_extra=operation("ledger.not_set_up", "ledger.too_many_waiting"),
    response_model_exclude_unset=True,
)
async def wait_for_checkpoint(
    principal: Authenticated,
    context: Context,
    seen: SeenQuery = 0,
    witnessed: WitnessedQuery = 0,
    terms: TermsQuery = 0,
    wait_s: WaitQuery = 0,
) -> NewsView:
    """Return the newest checkpoints as soon as one is larger than what one has, or the terms changed; else after `wait_s`."""

    def look_now() -> News:
        # The rules are asked at every look, so that a change of them counts for those who wait, too.
        with context.read() as session:
            authorise(session, context, principal, "ledger.read_proofs", system_resource())
            return look(session)

    found = await wait_for_news(context.ledger.notifier, principal.id, Seen(seen, witnessed, terms), wait_s, look_now)
    news = NewsView(latest=found.latest, witnessed=found.witnessed, terms=found.terms)
    if not 0 < seen < found.sizes[0]:
        return news

    def prove_growth() -> list[bytes]:
        with context.read() as session:
            return log_reader.prove_consistency(session, seen, found.sizes[0])

    return news.model_copy(update={"consistency": _hex(await asyncio.to_thread(prove_growth))})


@router.get(
    "/consistency",
    summary="Prove that the log only grew",
    openapi_extra=operation("ledger.not_published", "merkle.bad_index"),
)
def prove_consistency(principal: Authenticated, context: Context, old: OldQuery, new: NewQuery) -> ProofView:
    """Return the proof that the tree of one size begins with that of another; both must be published."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        return ProofView(hashes=_hex(log_reader.prove_consistency(session, old, new)))


@router.post(
    "/proofs",
    summary="Prove that entries are in the log",
    openapi_extra=operation("ledger.not_published", "ledger.too_many_proofs", "merkle.bad_index"),
    response_model=ProofsView,
)
def prove_inclusion(
    principal: Authenticated,
    once: OnlyOnce,
    wanted: Annotated[ProofsRequest, Depends(parsed(ProofsRequest))],
    context: Context,
) -> Response:
    """Return a proof for each entry that it is in the tree of a published size; any party. A POST only for its length."""
    with context.begin() as session:
        authorise(session, context, principal, "ledger.read_proofs", system_resource())
        proofs = log_reader.prove_inclusion(session, wanted.indices, wanted.size)
        return once.answer(session, ProofsView(proofs=[_hex(proof) for proof in proofs]))


@router.post(
    "/cosignatures",
    summary="Cosign a checkpoint",
    openapi_extra=operation(
        "checkpoint.unknown",
        "checkpoint.malformed",
        "checkpoint.no_signature",
        "checkpoint.bad_signature",
        "ledger.not_a_witness",
        "ledger.cosignature_time",
        "ledger.not_set_up",
    ),
    response_model=CosignatureView,
)
def cosign(
    principal: Authenticated,
    once: OnlyOnce,
    given: Annotated[CosignatureRequest, Depends(parsed(CosignatureRequest))],
    context: Context,
) -> Response:
    """Store a witness's signature under a checkpoint, verified with the key that the terms in force name; its own node alone."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.cosign", party_resource(given.witness))
        submitting.require_plausible_time(session, given.size, given.line)
    # Durable when it returns. Sent again it changes nothing.
    stored = context.ledger.sequencer.add_cosignature(given.witness, given.size, given.line)
    with context.begin() as session:
        witnessed = log_reader.published_size(session, witnessed=True) >= given.size
        return once.answer(session, CosignatureView(stored=stored, witnessed=witnessed))


def _hex(hashes: list[bytes]) -> list[str]:
    return [item.hex() for item in hashes]
