"""A proof about one entry of the log in one file, which a third person checks with nothing but the centre's card.

It holds the entry, its own key if it is to be read (which opens no other entry), the producer's signature over its batch with
the path from the entry to what was signed, the log's checkpoint with the witnesses' cosignatures and the path from the entry to
its root, and the terms that say whose keys these are. Makes proofs from a mirror; `checking` checks them. Offline.
"""

from collections.abc import Callable, Iterable, Sequence

from auditors.opened import BatchState
from auditors.opening import OwnKeys, batch_key
from auditors.store import CHECKPOINT, WITNESSED, Store
from auditors.terms_chain import TermsChain
from crypto.checkpoint import Note
from crypto.errors import DoudiError
from crypto.ledger_entries import Entry, entry_key, parse_entry
from crypto.merkle import HASH_BYTES, node_hash
from crypto.merkle_log import inclusion_proof
from crypto.tiles import TILE_WIDTH, tile_reader
from policies.contracts.ledger.entry_proof import BatchProof, EntryProof
from policies.contracts.ledger.placed import PlacedBatch
from policies.contracts.ledger.terms import SignedLedgerTerms

AddedWraps = Callable[[bytes], Iterable[tuple[str, bytes]]]
"""A batch's id to what earlier auditors gave of its key: (digest of the receiver's card, wrap)."""


def make_proof(
    store: Store, chain: TermsChain, index: int, keys: OwnKeys | None, added: AddedWraps = lambda batch_id: ()
) -> EntryProof:
    """Return the proof of an entry of the mirror, under the newest witnessed checkpoint that holds it, else under the newest one.

    `keys`: the auditor's own, to disclose what the entry says; `None`: only that it is there, when, and whose. `added`: what
    earlier auditors gave of a batch's key. What comes out is only as good as the mirror: check it before it is handed out.
    Raises `audit.no_entry`, `proof.wraps_destroyed`, `proof.not_an_auditor`, `proof.wrong_key`, `StoreError`, "crypto.bad_key".
    """
    note, size = _checkpoint(store, index)
    data = store.entry(index)
    entry = parse_entry(data)
    _, batch = store.batch_of(index)
    leaves = _leaf_hashes(store, batch)
    root, path = _root_and_path(leaves, index - batch.first_index)
    key = b"" if keys is None else _entry_key(chain.origin, entry, batch, keys, added)
    return EntryProof(
        index=index,
        entry=data.hex(),
        entry_key=key.hex(),
        batch=BatchProof(
            count=batch.count,
            root=root.hex(),
            path=_hex(path),
            signer=batch.signer.hex(),
            signature=batch.signature.hex(),
        ),
        checkpoint=note.to_bytes().decode(),
        path=_hex(inclusion_proof(tile_reader(store.tile, size), index, size)),
        terms=_needed_terms(chain, batch, note),
    )


def _checkpoint(store: Store, index: int) -> tuple[Note, int]:
    for place in (WITNESSED, CHECKPOINT):
        if store.has(place):
            note = store.note(place)
            size = store.unverified_checkpoint(place, note).size
            # The tiles are those of the mirror's size: no proof leads to a larger tree.
            if index < size <= (size if place == CHECKPOINT else store.size):
                return note, size
    raise DoudiError("audit.no_entry", f"the mirror has no entry {index}", f"Choose one below {store.size}.")


def _leaf_hashes(store: Store, batch: PlacedBatch) -> list[bytes]:
    hashes: list[bytes] = []
    index, end = batch.first_index, batch.first_index + batch.count
    while index < end:
        number, start = divmod(index, TILE_WIDTH)
        width = min(TILE_WIDTH, end - number * TILE_WIDTH)
        tile = store.tile(0, number, width)
        hashes += [tile[at : at + HASH_BYTES] for at in range(start * HASH_BYTES, len(tile), HASH_BYTES)]
        index += width - start
    return hashes


def _root_and_path(leaves: Sequence[bytes], position: int) -> tuple[bytes, list[bytes]]:
    """Return the root over leaf hashes and the path of one of them, hashing each node once."""
    level, path = list(leaves), []
    while len(level) > 1:
        sibling = position ^ 1
        # The last node of an odd level has no sibling and moves up as it is.
        if sibling < len(level):
            path.append(level[sibling])
        odd = level[-1:] if len(level) & 1 else []
        pairs = iter(level)
        level = [node_hash(left, right) for left, right in zip(pairs, pairs, strict=False)] + odd
        position >>= 1
    return level[0], path


def _entry_key(origin: str, entry: Entry, batch: PlacedBatch, keys: OwnKeys, added: AddedWraps) -> bytes:
    header = entry.header
    state, key = batch_key(origin, batch, header, keys, added(batch.batch_id))
    if state is not BatchState.OPENED:
        code, message = _UNOPENED[state]
        raise DoudiError(code, message, "Prove its existence alone: --without-key.")
    return entry_key(key, header.batch_id, header.position)


_UNOPENED = {
    BatchState.SHREDDED: ("proof.wraps_destroyed", "the sealed keys of this entry's batch were destroyed"),
    BatchState.OTHERS: ("proof.not_an_auditor", "the entry's batch is not sealed to this auditor"),
    BatchState.WRONG_KEY: ("proof.wrong_key", "the sealed key of the entry's batch does not open the entry"),
}


def _needed_terms(chain: TermsChain, batch: PlacedBatch, note: Note) -> tuple[SignedLedgerTerms, ...]:
    signing = chain.signer_numbers.get((batch.producer, batch.signer), [])
    hashes = {line.key_hash for line in note.signatures}
    of_log = next((terms.number for terms in reversed(chain.terms) if terms.log_note_key.key_hash in hashes), 0)
    numbers = {*signing[-1:], of_log, chain.newest.number}
    return tuple(signed for signed in chain.signed if signed.terms.number in numbers)


def _hex(hashes: list[bytes]) -> tuple[str, ...]:
    return tuple(one.hex() for one in hashes)
