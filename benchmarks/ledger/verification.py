"""What an auditor's work costs at a million entries: full and incremental verification, proofs, opening. On one core.

Each command runs in a process of its own, whose greatest resident memory is its own; the log is made by the coordinator's code
and the mirror holds what `doudi audit fetch` would have written.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from auditors.checking import check_proof
from auditors.home import Home
from auditors.keys import all_keys
from auditors.opening import OwnKeys
from auditors.opening_home import open_home_log, verified_terms
from auditors.proofs import make_proof
from auditors.verification.verifier import verify_store
from benchmarks.ledger.large_log import LargeLog
from crypto import merkle, merkle_log
from crypto.tiles import tile_reader

ENTRIES = int(os.environ.get("LEDGER_ENTRIES", "1000000"))
MORE = 1_000
PROOFS = 200
SEED = 20_260_725


def measure() -> dict[str, Any]:
    """Return the figures, with how many entries they hold for."""
    with tempfile.TemporaryDirectory() as folder:
        log = LargeLog(Path(folder))
        started = time.perf_counter()
        log.grow(ENTRIES)
        log.mirror()
        made_s = time.perf_counter() - started
        full = _in_process("verify", log.home)
        log.grow(MORE)
        log.mirror()
        more = _in_process("verify", log.home)
        proofs = _in_process("prove", log.home)
        opened = _in_process("open", log.home)
    return {
        "verified_entries": ENTRIES,
        "ledger_made_and_mirrored_s": round(made_s, 1),
        "verify_1m_s": full["tree_s"],
        "verify_1m_signatures_s": full["signatures_s"],
        "verify_1m_signatures": full["signatures"],
        "verify_1m_mb": full["mb"],
        "verify_1000_more_s": more["seconds"],
        "verify_findings": full["findings"] + more["findings"],
        "proof_ms": proofs["inclusion_ms"],
        "proof_file_ms": proofs["file_ms"],
        "open_per_s": opened["per_s"],
        "open_mb": opened["mb"],
    }


def _in_process(what: str, home: Home) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ledger.verification", what, str(home.path)]
    # One core: the figures are stated for one, and the process must not be lent another.
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {0})
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _verify(home: Home) -> dict[str, Any]:
    started = time.perf_counter()
    result = verify_store(home)
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "tree_s": round(result.tree_s, 1),
        "signatures_s": round(result.signatures_s, 1),
        "signatures": result.signatures,
        # Notices alone: departments' cards are not part of this log.
        "findings": sum(one.severity.value != "notice" for one in result.findings),
    }


def _prove(home: Home) -> dict[str, Any]:
    """Return the cost of an inclusion proof made and checked, and of a whole proof file (terms, batch, cosignatures, opening)."""
    store, chain, keys = home.store, verified_terms(home), OwnKeys(all_keys(home))
    checkpoint = store.unverified_checkpoint()
    cards = home.cards()
    chosen = random.Random(SEED).sample(range(checkpoint.size), PROOFS)  # noqa: S311 - which entries are proven
    leaves = {index: merkle.leaf_hash(store.entry(index)) for index in chosen}
    inclusion, whole = [], []
    for index in chosen:
        started = time.perf_counter()
        path = merkle_log.inclusion_proof(tile_reader(store.tile, checkpoint.size), index, checkpoint.size)
        merkle_log.verify_inclusion(checkpoint.root, leaves[index], index, checkpoint.size, path)
        inclusion.append(time.perf_counter() - started)
    for index in chosen:
        started = time.perf_counter()
        checked = check_proof(make_proof(store, chain, index, keys), cards)
        whole.append(time.perf_counter() - started)
        if any(one.severity.value == "error" for one in checked.findings):
            raise RuntimeError("a proof of a sound log does not hold")
    return {"inclusion_ms": _median_ms(inclusion), "file_ms": _median_ms(whole)}


def _open(home: Home) -> dict[str, Any]:
    started = time.perf_counter()
    opening = open_home_log(home)
    return {"per_s": round(opening.portion.entries / (time.perf_counter() - started))}


def _median_ms(seconds: list[float]) -> float:
    return round(1000 * sorted(seconds)[len(seconds) // 2], 3)


if __name__ == "__main__":
    act = {"verify": _verify, "prove": _prove, "open": _open}[sys.argv[1]]
    figures = act(Home(Path(sys.argv[2])))
    print(json.dumps(figures | {"mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}))
