"""The content of report.json: plain values from the opened records and the checkpoints, for machines; the page shows the same.

Nothing is judged here that `verify` judges: it says up to which size the log was verified, and what stayed found. Lists that
could be as long as the log are cut to the newest and say how many there are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditors.acts import Acts
from auditors.checkpoints_here import CheckpointsHere
from auditors.opened import OpenedRecords
from auditors.record_findings import conduct_findings, newest_time, opening_findings
from auditors.reporting import budgets, log_state, people, refusals, uses
from auditors.reporting.period import WITHIN, Period
from auditors.runs import RunAccount, runs_of
from auditors.verification.findings import Findings
from auditors.verification.state import VerifiedState

SCHEMA_VERSION = 1
MAXIMUM_ROWS = 500


@dataclass(frozen=True)
class Sources:
    """What a report is made of. `verified`: what the last verification kept; `None` before the first."""

    opened: OpenedRecords
    checkpoints: CheckpointsHere
    verified: VerifiedState | None
    own_ids: frozenset[bytes]


def build_document(sources: Sources, period: Period, made_at: int) -> dict[str, Any]:
    """Return the report about a period. Acts are placed by the time in their header, runs by the time of their first record."""
    opened, checkpoints = sources.opened, sources.checkpoints
    acts = Acts(opened)
    terms = checkpoints.chain.terms
    within = period.bounds
    until = newest_time(opened)
    all_runs = runs_of(acts, until)
    runs = [
        run
        for run in all_runs
        if period.holds(run.created_at or run.started_at or _first_time(opened, run.first_index))
    ]
    # Destroyed wraps are found again below, with the record that states them.
    kept = sources.verified.kept_findings() if sources.verified is not None else []
    findings = Findings(one for one in kept if one.code != "batch.wraps_destroyed")
    findings.extend(opening_findings(opened, terms, sources.own_ids))
    findings.extend(conduct_findings(opened, all_runs))
    newest = checkpoints.newest_witnessed
    states = [run.state for run in runs]
    return {
        "schema_version": SCHEMA_VERSION,
        "made_at": made_at,
        "origin": opened.origin,
        "period": period.shown(),
        "until": until,
        "coverage": log_state.coverage_of(opened),
        "verified_size": sources.verified.size if sources.verified is not None else 0,
        "witnessed": None if newest is None else {"size": newest.size, "at": newest.at},
        "witnesses": checkpoints.witnesses(),
        "quorum": checkpoints.chain.newest.quorum if checkpoints.chain.newest.witnesses else 0,
        "findings": [finding.shown() for finding in findings],
        "finding_counts": dict(findings.counts),
        "uses": uses.uses_of(acts.tracing, _assets_by_grant(opened), runs),
        "runs": {
            "total": len(runs),
            "by_state": {state: states.count(state) for state in sorted(set(states))},
            "without_result": sum(state not in ("finished", "running", "waiting") for state in states),
            "unknown_steps": sum(len(run.unknown) for run in runs),
            "newest": [run.shown() for run in reversed(runs[-MAXIMUM_ROWS:])],
        },
        "steps_by_department": _steps_by_department(runs),
        "budgets": budgets.budgets_of(acts.where(f"({budgets.BUDGET_TYPES}) AND {WITHIN}", within)),
        "refusals": refusals.refusals_of(acts.where(f"{refusals.REFUSAL_TYPES} AND {WITHIN}", within)),
        "numbering": log_state.numbering_of(opened),
        "shredded": log_state.shredded_of(opened),
        "hours": people.hours_of(acts.where(f"{people.PEOPLES_ACTS} AND {WITHIN}", within), period, MAXIMUM_ROWS),
        "sign_ins": people.sign_ins_of(acts.where(f"{people.ACCOUNT_TYPES} AND {WITHIN}", within)),
        "changes": log_state.changes_of(acts.where(f"({log_state.CHANGE_TYPES}) AND {WITHIN}", within), MAXIMUM_ROWS),
        "terms": log_state.terms_of(terms),
    }


def _steps_by_department(runs: Sequence[RunAccount]) -> list[dict[str, Any]]:
    """Return how many steps each department began, and what became of them; the unknown ones also where nobody recorded that."""
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        for name, steps in run.steps.items():
            counts.setdefault(name, Counter()).update({kind: steps[kind] for kind in steps if kind != "unknown"})
        for step in run.unknown:
            counts.setdefault(step.producer, Counter())["unknown"] += 1
    kinds = ("started", "answered", "refused", "failed", "unknown")
    return [{"department": name, **{kind: found[kind] for kind in kinds}} for name, found in sorted(counts.items())]


def _first_time(opened: OpenedRecords, index: int) -> int:
    row = opened.connection.execute("SELECT at FROM records WHERE number = ?", (index,)).fetchone()
    return int(row["at"])


def _assets_by_grant(opened: OpenedRecords) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in opened.connection.execute("SELECT * FROM grant_assets ORDER BY grant_hash, asset"):
        found.setdefault(row["grant_hash"].hex(), []).append(row["asset"])
    return found
