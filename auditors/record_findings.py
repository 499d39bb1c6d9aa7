"""What the opened records give to find: what did not open and why, what nobody can open again, what the records report.

Two kinds. `opening_findings`: of the opening itself. `conduct_findings`: of what parties recorded, above all intents without an
outcome, runs that never ended, and what the departments refused as witnesses. Reads `opened.db` only.
"""

import hashlib
from collections.abc import Sequence

from auditors.acts import Act, Acts
from auditors.opened import BatchState, OpenedRecords
from auditors.runs import RunAccount
from auditors.verification.findings import Findings, Severity
from crypto.ledger_entries import auditor_id
from policies.contracts.ledger.terms import LedgerTerms

BATCH_SHREDDED = "ledger.batch_shredded"
TERMS_CHANGED = "ledger.terms_changed"


def opening_findings(opened: OpenedRecords, terms: Sequence[LedgerTerms], own_ids: frozenset[bytes]) -> Findings:
    """Return what did not open. `terms`: the log's, verified. `own_ids`: of this auditor's sealing keys.

    A batch whose wraps were destroyed is a stated finding where a record says who destroyed them, and an error where none
    does. A batch that is sealed to others is a notice, unless the terms in force at its place, and those before them, name
    this auditor: then it was left out.
    """
    findings = Findings()
    acts = Acts(opened)
    stated = shredding_records(acts)
    others = entries_of_others = 0
    for row in opened.connection.execute(
        "SELECT * FROM batches WHERE state <> ? ORDER BY first_index", (BatchState.OPENED.value,)
    ):
        place, facts = f"entry/{row['first_index']}", {"entries": row["count"], "producer": row["producer"]}
        if row["state"] == BatchState.SHREDDED:
            act = stated.get(hashlib.sha256(row["batch_id"]).hexdigest())
            if act is None:
                findings.add("batch.shredded_unstated", place, **facts)
            else:
                findings.add("batch.shredded", place, Severity.WARNING, record=act.index, reason=act.code, **facts)
        elif row["state"] == BatchState.WRONG_KEY:
            findings.add("batch.wrong_key", place, **facts)
        elif _was_auditor(acts, terms, own_ids, row["first_index"]):
            findings.add("batch.left_out", place, **facts)
        else:
            others, entries_of_others = others + 1, entries_of_others + row["count"]
    if others:
        findings.add("batch.sealed_to_others", "log", Severity.NOTICE, batches=others, entries=entries_of_others)
    faulty = "SELECT number, fault, producer, type FROM records WHERE fault IS NOT NULL ORDER BY number"
    for row in opened.connection.execute(faulty):
        findings.add(row["fault"], f"entry/{row['number']}", producer=row["producer"], type=row["type"])
    several = """SELECT grant_hash, max(number) AS number, count(*) AS purposes FROM grant_purposes
        GROUP BY grant_hash HAVING purposes > 1"""
    for row in opened.connection.execute(several):
        grant = row["grant_hash"].hex()
        findings.add("record.two_purposes", f"entry/{row['number']}", grant=grant, purposes=row["purposes"])
    return findings


def conduct_findings(opened: OpenedRecords, runs: Sequence[RunAccount]) -> Findings:
    """Return what the records say went wrong between the parties."""
    findings = Findings()
    for run in runs:
        if run.intents and not run.is_known:
            # The departments computed; whoever runs the coordinator left its own part out.
            findings.add("run.unrecorded", f"entry/{run.first_index}", run=run.run)
        for step in run.unknown:
            facts = {"run": run.run, "step": step.step, "producer": step.producer}
            findings.add("step.outcome_unknown", f"entry/{step.index}", Severity.WARNING, **facts)
        if run.is_without_end:
            findings.add("run.without_end", f"entry/{run.started_index}", Severity.WARNING, run=run.run)
    for act in Acts(opened).where("type IN ('node.witness.refused', 'node.witness.omission')"):
        code = "witness.reports_refusal" if act.type == "node.witness.refused" else "witness.reports_omission"
        findings.add(code, f"entry/{act.index}", producer=act.producer, reason=act.code)
    return findings


def newest_time(opened: OpenedRecords) -> int:
    """Return the newest time in the header of any entry; 0 for an empty log."""
    row = opened.connection.execute("SELECT max(at) AS at FROM records").fetchone()
    return int(row["at"] or 0)


def shredding_records(acts: Acts) -> dict[str, Act]:
    """Return the record that states the shredding of a batch, by SHA-256 of the batch's id."""
    found = acts.where("type = :type", {"type": BATCH_SHREDDED})
    return {act.hashes.get("batch", ""): act for act in found}


def _was_auditor(acts: Acts, terms: Sequence[LedgerTerms], own_ids: frozenset[bytes], first_index: int) -> bool:
    """Return whether the terms in force at a place of the log, and those before them, name this auditor.

    A producer may seal to the terms before the newest ones, for it learns of new ones a little later.
    """
    before = {"type": TERMS_CHANGED, "index": first_index}
    changes = acts.where("type = :type AND opened AND number < :index", before, "number DESC LIMIT 1")
    number = next((act.counts.get("number", 0) for act in changes), 0)
    allowed = [item for item in terms if item.number in (number, number - 1)]
    named = [bool(own_ids & {auditor_id(key) for key in item.sealing_keys}) for item in allowed]
    return bool(named) and all(named)
