"""The audit ledger of a large centre: every department witnesses it, and 100,000 entries and more stand in it.

Sealed, placed, published and cosigned as at work. What is recorded is of one kind; what is measured is listing and proving it.
"""

import secrets

from sqlalchemy import insert
from sqlalchemy.orm import Session

from coordinator.config import CoordinatorConfig
from coordinator.db.session import begin, open_engine
from coordinator.ledger.founding import load_log_key
from coordinator.ledger.marks import Marker
from coordinator.ledger.models import LedgerCheckpointRow, LedgerCosignatureRow
from coordinator.ledger.recording import seal_into_outbox
from coordinator.ledger.sequencer import Sequencer
from coordinator.ledger.terms_store import newest_terms, store_terms
from crypto.checkpoint import Note, cosign, parse_checkpoint
from crypto.ledger_entries import Plain, seal_batch
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.batches import sign_batch
from policies.contracts.ledger.record_types import COORDINATOR_TYPES, NODE_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import LedgerTerms, Witness, sign_terms, tolerable_faults

NODE_BATCHES, NODE_BATCH, OWN_RECORDS = 400, 250, 8_000
CHECKPOINTS_AFTER_BATCHES = 4
GRANTS = 50
_STEPS = ("node.step.started", "node.labels.charged", "node.labels.released", "node.step.answered")


def fill_ledger(config: CoordinatorConfig, departments: list[str], approval: bytes, at: int) -> int:
    """Fill the ledger of a new installation with the records of departments; return how many were added.

    `approval`: an approver's private key of the centre. One department in ten is away and has cosigned early checkpoints only.
    """
    engine = open_engine(config.resolved_database_url)
    keys = {name: generate_signing_key() for name in departments}
    with begin(engine) as session:
        terms = _with_witnesses(newest_terms(session), keys)
        store_terms(session, sign_terms(terms, approval))
    sequencer = Sequencer(engine, load_log_key(config.home, config.ledger), republish_after_s=0)
    grants = [secrets.token_hex(32) for _ in range(GRANTS)]
    sequences = dict.fromkeys(departments, 1)
    for number in range(NODE_BATCHES):
        name = departments[number % len(departments)]
        plains = [_of_node(at, grants[number % GRANTS], place) for place in range(NODE_BATCH)]
        sealed = seal_batch(terms.origin, name, sequences[name], plains, terms.sealing_keys)
        sequencer.append_and_place([sign_batch(terms.origin, name, sequences[name], sealed, keys[name])])
        sequences[name] += NODE_BATCH
        with begin(engine) as session:
            # One act is one batch.
            for _ in range(OWN_RECORDS // NODE_BATCHES):
                seal_into_outbox(session, [_of_coordinator(at)])
        sequencer.place()
        if number % CHECKPOINTS_AFTER_BATCHES == 0 and (note := sequencer.publish()) is not None:
            away = 0 if number < NODE_BATCHES // 2 else len(departments) // 10
            with begin(engine) as session:
                _cosign(session, note, departments[away:], keys, at)
    marker = Marker(engine)
    while marker.mark():
        pass
    engine.dispose()
    return NODE_BATCHES * NODE_BATCH + OWN_RECORDS


def _with_witnesses(founding: LedgerTerms, keys: dict[str, bytes]) -> LedgerTerms:
    witnesses = tuple(Witness(department=name, key=signing_public_key(keys[name]).hex()) for name in sorted(keys))
    changes = {"witnesses": witnesses, "tolerated_faulty_witnesses": tolerable_faults(len(keys))}
    return founding.model_copy(update={**changes, "number": founding.number + 1})


def _cosign(session: Session, note: Note, departments: list[str], keys: dict[str, bytes], at: int) -> None:
    """Store cosignatures without verifying each, and let the checkpoint count as witnessed."""
    size = parse_checkpoint(note.text).size
    rows = [
        {"size": size, "department": name, "time": at, "line": cosign(note, name, keys[name], at).line().rstrip("\n")}
        for name in departments
    ]
    session.execute(insert(LedgerCosignatureRow), rows)
    row = session.get_one(LedgerCheckpointRow, size)
    row.witnessed_at = at


def _of_node(at: int, grant: str, place: int) -> Plain:
    return to_plain(Record(_STEPS[place % len(_STEPS)], at, run="run-1", step="train", grant_hash=grant), NODE_TYPES)


def _of_coordinator(at: int) -> Plain:
    return to_plain(Record("account.signed_in", at, actor="centre", account=7), COORDINATOR_TYPES)
