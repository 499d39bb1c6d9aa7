"""Wraps of old batches for an auditor who was appointed later, made by one who can open them. Offline.

Whoever is appointed opens what is recorded from then on. For what came before, an auditor of that time opens the key of each
batch and seals it to the new one's key: nothing is sealed anew, no entry changes. The documents are signed and become records of
the log (`ledger.wraps_added`), so that every auditor sees who was given what by whom.

A batch whose keys were destroyed is never given on, also where this auditor still has a copy. The reverse is a limit: destroying
the keys of a batch does not destroy wraps that were given before and stand in records; their batches must be shredded too.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from auditors.acts import Acts
from auditors.keys import AuditorKeys
from auditors.opened import BatchState, OpenedRecords
from auditors.opening import OwnKeys, batch_key
from auditors.record_findings import shredding_records
from auditors.store import Store
from crypto.errors import CryptoError, DoudiError
from crypto.ledger_entries import auditor_id, parse_entry, parse_wraps, wrap_batch_key
from policies.contracts.ledger.added_wraps import MAXIMUM_WRAPS, SignedAddedWraps, added_wraps, sign_added_wraps
from policies.contracts.ledger.placed import PlacedBatch
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms


@dataclass
class Wrapping:
    """`already`: batches that the receiver can open; `closed`: those that this auditor cannot open or must not give on."""

    documents: list[SignedAddedWraps] = field(default_factory=list)
    batches: int = 0
    already: int = 0
    closed: int = 0


def require_auditors(terms: LedgerTerms, giver: AuditorCard, receiver: AuditorCard) -> None:
    """Raise `wraps.not_an_auditor` unless the newest terms name both, as two."""
    if giver not in terms.auditors or receiver not in terms.auditors or giver == receiver:
        raise DoudiError(
            "wraps.not_an_auditor",
            "wraps are given by an auditor of the newest terms to another one",
            "Let the centre's officer add the card (`doudi centre ledger add-auditor`), then fetch and verify again.",
        )


def make_wraps(
    store: Store,
    opened: OpenedRecords,
    keys: list[AuditorKeys],
    receiver: AuditorCard,
    between: tuple[int, int],
    now_s: int,
) -> Wrapping:
    """Return signed wraps of the batches with an entry in [first, last], for the receiver.

    `keys`: this auditor's, the present pair first, which signs. `opened`: gives wraps that this auditor was given itself. Raises
    `StoreError`.
    """
    giver, own = keys[0], OwnKeys(keys)
    shredded = shredding_records(Acts(opened))
    public = bytes.fromhex(receiver.sealing_key)
    made = Wrapping()
    waiting: list[tuple[bytes, bytes]] = []
    for placed in _batches(store, *between):
        given = [card for card, _ in opened.added_wraps(placed.batch_id)]
        if receiver.digest() in given or auditor_id(public) in _ids(placed):
            made.already += 1
            continue
        destroyed = hashlib.sha256(placed.batch_id).hexdigest() in shredded
        key = b"" if destroyed else _key(store, opened, own, placed)
        if not key:
            made.closed += 1
            continue
        sealed = wrap_batch_key(opened.origin, placed.producer, placed.batch_id, key, [public])
        waiting.append((placed.batch_id, parse_wraps(sealed)[auditor_id(public)]))
        made.batches += 1
        if len(waiting) == MAXIMUM_WRAPS:
            made.documents.append(_document(opened.origin, giver, receiver, now_s, waiting))
            waiting = []
    if waiting:
        made.documents.append(_document(opened.origin, giver, receiver, now_s, waiting))
    return made


def _document(
    origin: str, giver: AuditorKeys, receiver: AuditorCard, now_s: int, wraps: list[tuple[bytes, bytes]]
) -> SignedAddedWraps:
    return sign_added_wraps(added_wraps(origin, giver.card, receiver, now_s, wraps), giver.signing)


def _batches(store: Store, first: int, last: int) -> Iterator[PlacedBatch]:
    for _, placed in store.batches(store.batch_of(first)[0]):
        if placed.first_index > last:
            return
        yield placed


def _ids(placed: PlacedBatch) -> frozenset[bytes]:
    try:
        return frozenset(parse_wraps(placed.wraps)) if placed.wraps else frozenset()
    except CryptoError:
        return frozenset()


def _key(store: Store, opened: OpenedRecords, own: OwnKeys, placed: PlacedBatch) -> bytes:
    """Return the key of a batch, once its first entry confirmed it: nobody gives on a key that opens nothing."""
    try:
        header = parse_entry(store.entry(placed.first_index)).header
    except CryptoError:
        return b""
    state, key = batch_key(opened.origin, placed, header, own, opened.added_wraps(placed.batch_id))
    return key if state is BatchState.OPENED else b""
