"""Giving batches their places: the tree grows by their entries, in one transaction that holds the head's lock.

Statements are made once and run without the mapper: this is what every act waits for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from coordinator.ledger.batch_store import Waiting
from coordinator.ledger.log_head import Head, store_head
from coordinator.ledger.models import BATCHES, OUTBOX, PLACES
from coordinator.ledger.tile_store import extend_tiles
from crypto import merkle, signing
from crypto.ledger_entries import HASH_BYTES
from policies.contracts.ledger.batches import BATCH_SIGNATURE_DOMAIN, batch_statement, unframe
from policies.contracts.ledger.terms import LedgerTerms

# One transaction's portion: large enough that the commit costs little, small enough that no act waits long for its own.
PLACED_ENTRIES = 2_000
# Rows that are read at once: many small batches take few statements, large ones little memory.
_PORTION_ROWS = 16


_NEXT_WAITING = (
    select(*(BATCHES.c[one.name] for one in fields(Waiting)))
    .join(OUTBOX, OUTBOX.c.batch == BATCHES.c.id)
    .where(OUTBOX.c.batch > bindparam("after"))
    .order_by(OUTBOX.c.batch)
    .limit(_PORTION_ROWS)
)
_SIGN = (
    update(BATCHES)
    .where(BATCHES.c.id == bindparam("row"))
    .values(signer=bindparam("by"), signature=bindparam("signed"))
)
_PLACE = insert(PLACES)
_TAKE_OUT = delete(OUTBOX).where(OUTBOX.c.batch == bindparam("row"))


def oldest_waiting(session: Session, limit: int) -> list[Waiting]:
    """Return the batches of the outbox in the order of their rows: at least one if there is any, up to about `limit` entries."""
    taken: list[Waiting] = []
    entries = 0
    for row in _outbox(session):
        if taken and entries + row.count > limit:
            break
        taken.append(row)
        entries += row.count
    return taken


def place(session: Session, head: Head, terms: LedgerTerms, waiting: Sequence[Waiting], log_private: bytes) -> Head:
    """Give batches the next places after the head, which the caller has locked; return the head that follows.

    The coordinator's own batches are signed with the log's key on the way.
    """
    leaves: list[bytes] = []
    places, signed = [], []
    for number, row in enumerate(waiting, start=head.batches):
        hashes = [merkle.leaf_hash(entry) for entry in row.entries]
        if row.signature is None:
            signed.append({"row": row.id, **_signed(terms, row, hashes, log_private)})
        places.append({"number": number, "batch": row.id, "first_index": head.size + len(leaves)})
        leaves += hashes
    connection = session.connection()
    if signed:
        connection.execute(_SIGN, signed)
    connection.execute(_PLACE, places)
    extend_tiles(session, head.size, leaves)
    grown = head.with_leaves(leaves, len(waiting))
    store_head(session, grown)
    return grown


def place_oldest(session: Session, head: Head, terms: LedgerTerms, limit: int, log_private: bytes) -> Head:
    """Take the oldest batches out of the outbox, up to about `limit` entries, and place them; see `place`."""
    waiting = oldest_waiting(session, limit)
    if not waiting:
        return head
    grown = place(session, head, terms, waiting, log_private)
    session.connection().execute(_TAKE_OUT, [{"row": row.id} for row in waiting])
    # Signatures, places, tiles and head become durable together, with the caller's commit. A crash before it leaves the batches
    # in the outbox, and they are placed again, perhaps elsewhere: no checkpoint ever named the places that are lost.
    return grown


def _outbox(session: Session) -> Iterator[Waiting]:
    after = 0
    while True:
        rows = session.connection().execute(_NEXT_WAITING, {"after": after}).all()
        for row in rows:
            entries = tuple(unframe(row.entries))
            yield Waiting(row.id, row.batch_id, row.producer, row.first_sequence, len(entries), row.signature, entries)
        if len(rows) < _PORTION_ROWS:
            return
        after = rows[-1].id


def _signed(terms: LedgerTerms, row: Waiting, hashes: Sequence[bytes], log_private: bytes) -> dict[str, object]:
    # Every entry ends with the hash of the wraps, which stays when the wraps are destroyed while the batch waits.
    digest = row.entries[0][-HASH_BYTES:]
    statement = batch_statement(terms.origin, row.producer, row.batch_id, row.first_sequence, hashes, digest)
    return {
        "by": signing.signing_public_key(log_private).hex(),
        "signed": signing.sign(log_private, BATCH_SIGNATURE_DOMAIN, statement),
    }
