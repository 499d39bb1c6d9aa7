"""One pass over tree, tiles and batches: from where the last verification ended, or over everything.

A shortened pass counts only if all that it rests on comes out again: the newest root, the root of the size that was verified
before, and, proven by the tiles, the root of every earlier checkpoint. Otherwise the whole log is read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from auditors.home import Home
from auditors.store import Store, StoreError
from auditors.terms_chain import TermsChain
from auditors.verification.batches import BatchesState, BatchPass
from auditors.verification.findings import Findings
from auditors.verification.state import VerifiedState, load_batches
from auditors.verification.tree import TreePass, root_from_tiles
from auditors.verification.walk import EntryWalk
from crypto.checkpoint import Checkpoint
from crypto.errors import DoudiError
from crypto.tiles import TILE_WIDTH
from policies.contracts.ledger.placed import PAGE_BATCHES, PlacedBatch, page_path

ProgressOf = Callable[[int, int], None]
"""Gets how many entries were read, of how many."""


@dataclass
class Pass:
    """What a pass found. `roots`: by size. `root`: the computed one, `None` where entries and hashes are missing.

    `sound`: the batches cover all of it. `full`: it used nothing of the last verification.
    """

    findings: Findings = field(default_factory=Findings)
    roots: dict[int, bytes] = field(default_factory=dict)
    root: bytes | None = None
    sound: bool = False
    full: bool = True
    batches: BatchesState = field(default_factory=BatchesState)
    entries: int = 0
    signatures_s: float = 0.0
    signatures: int = 0


def run_pass(
    home: Home,
    chain: TermsChain,
    newest: Checkpoint,
    others: Sequence[tuple[str, Checkpoint]],
    before: VerifiedState | None,
    full: bool,
    progress: ProgressOf,
) -> Pass:
    """Return the pass over a mirror up to its newest checkpoint. `others`: those whose roots it must come by, by place.

    `before`: what the last verification kept; `full`: use nothing of it.
    """
    store = home.store
    sizes = [one.size for _, one in others if one.size <= newest.size]
    if not full and before is not None and before.size <= newest.size:
        batches = load_batches(home, before)
        if batches is not None:
            done = _go_on(store, chain, newest, sizes, before, batches, progress)
            if done is not None:
                return done
    return _run(store, chain, newest, sizes, 0, BatchesState(), progress)


def _go_on(
    store: Store,
    chain: TermsChain,
    newest: Checkpoint,
    sizes: Sequence[int],
    before: VerifiedState,
    batches: BatchesState,
    progress: ProgressOf,
) -> Pass | None:
    """Return the pass over what came since the last verification; `None` unless all that it rests on is confirmed."""
    start = before.size // TILE_WIDTH * TILE_WIDTH
    later = [size for size in sizes if size >= start]
    try:
        done = _run(store, chain, newest, [*later, before.size], start, batches, progress)
        if done.root != newest.root or done.roots.get(before.size) != before.checkpoint().root:
            return None
        for size in {*sizes} - {*later}:
            done.roots[size] = root_from_tiles(store, size, newest.root, newest.size)
    except DoudiError:
        # A tile of the verified part is missing or was changed: the full pass says what is wrong.
        return None
    done.full = False
    return done


def _run(
    store: Store,
    chain: TermsChain,
    newest: Checkpoint,
    sizes: Sequence[int],
    start: int,
    batches: BatchesState,
    progress: ProgressOf,
) -> Pass:
    done = Pass(batches=batches)
    tree = TreePass(store, done.findings, sizes, start)
    walk = EntryWalk(store, tree, newest.size, done.findings, lambda read: progress(read - start, newest.size - start))
    checks = BatchPass(chain, batches, done.findings)
    checks.run(_batches(store, batches.number, done.findings), walk, newest.size)
    walk.drain()
    if not walk.broken:
        done.root = tree.finish(newest.root)
    done.roots = tree.roots
    done.sound = checks.sound and not walk.broken
    done.entries = tree.size - start
    done.signatures_s, done.signatures = checks.signature_s, checks.signatures
    return done


def _batches(store: Store, start: int, findings: Findings) -> Iterator[tuple[int, PlacedBatch]]:
    for number in count(start // PAGE_BATCHES):
        if not store.has_page(number):
            return
        try:
            page = store.page(number)
        except StoreError as error:
            findings.add(error.code, error.place)
            continue
        yield from ((at, one) for at, one in enumerate(page, start=number * PAGE_BATCHES) if at >= start)
        if len(page) < PAGE_BATCHES and store.has_page(number + 1):
            findings.add("store.missing", page_path(number))
