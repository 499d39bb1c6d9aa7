"""Where a run's result comes from: program, grant, approvals, labels, evidence, steps, results; each with its place in the log.

For every act the index in the log and the first witnessed checkpoint of the mirror that holds it: from then on a quorum of the
departments vouches that the act was recorded. What no record says is absent and named in `missing`, never guessed. Reads
`opened.db` and the checkpoints; offline.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from auditors.acts import Act, Acts, proof_command
from auditors.checkpoints_here import CheckpointsHere
from auditors.opened import OpenedRecords
from auditors.record_findings import newest_time
from auditors.runs import runs_of
from crypto.errors import DoudiError

SCHEMA_VERSION = 1
# The parts of a lineage, in the order in which things happened, and the types of record that each is made of.
PARTS: Mapping[str, tuple[str, ...]] = {
    "request": ("project.created", "request.drafted", "request.submitted", "grant.stored"),
    "approvals": (
        "node.grant.signed",
        "grant.signatures_added",
        "request.approved",
        "grant.fully_signed",
        "request.activated",
    ),
    "start": (
        "run.created",
        "node.run.keys_offered",
        "node.run.scheduled",
        "run.scheduled",
        "run.started",
        "run.numbered",
    ),
    "labels": ("node.labels.charged", "node.labels.released"),
    "evidence": ("node.list.committed", "node.evidence.charged", "node.evidence.released", "node.evidence.withheld"),
    "steps": (
        "node.step.started",
        "node.step.answered",
        "node.step.refused",
        "node.step.failed",
        "node.step.unknown",
        "node.line.model_adopted",
        "node.budget.reserved",
        "node.budget.charged",
    ),
    "results": ("run.finished", "run.failed", "run.stopped", "node.results.read", "node.results.destroyed"),
}
# What a run of this program always has; an older or a broken one may lack it.
_EXPECTED = {
    # A person may decide at the console (`request.approved`); what a grant rests on is that everybody signed it.
    "approvals": ("node.grant.signed", "grant.fully_signed"),
    "start": ("run.created", "run.started"),
    "steps": ("node.step.started", "node.step.answered"),
    "results": ("run.finished",),
}
# A line trains one model; a region's run releases labels and joins evidence.
_EXPECTED_OF_REGION = {"labels": ("node.labels.released",), "evidence": ("node.evidence.released",)}
_EXPECTED_OF_LINE = {"steps": ("node.line.model_adopted", "node.budget.charged")}
_LINE_STEPS = "line_"
# Lists of single steps are cut here: a run of a line has many rounds.
MAXIMUM_ACTS = 2_000


def lineage_document(opened: OpenedRecords, checkpoints: CheckpointsHere, run: str) -> dict[str, Any]:
    """Return the lineage of a run, for JSON. Raises `lineage.unknown_run`."""
    acts = Acts(opened)
    accounts = runs_of(acts, newest_time(opened), run)
    if not accounts:
        raise DoudiError(
            "lineage.unknown_run",
            "no opened record names this run",
            "Look for it with `doudi audit search --kind run.created`; fetch, verify and open first.",
        )
    account = accounts[0]
    of_run = list(acts.where("run = :run", {"run": run}))
    of_grant = _of_grant(acts, account.grant, account.project)
    parts = {name: _chosen(kinds, (*of_grant, *of_run)) for name, kinds in PARTS.items()}
    programs = sorted({act.hashes["program"] for act in of_run if "program" in act.hashes})
    return {
        "schema_version": SCHEMA_VERSION,
        "origin": opened.origin,
        "run": run,
        "project": account.project,
        "purpose": account.purpose,
        "grant": account.grant,
        "state": account.state,
        "code": account.code,
        "attempts": account.attempts,
        "programs": programs,
        "assets": sorted({asset for act in of_grant for asset in act.assets}),
        "manifests": sorted({act.hashes["manifest"] for act in of_run if "manifest" in act.hashes}),
        "parts": {name: [_shown(act, checkpoints) for act in found[:MAXIMUM_ACTS]] for name, found in parts.items()},
        "cut": {name: len(found) - MAXIMUM_ACTS for name, found in parts.items() if len(found) > MAXIMUM_ACTS},
        "unknown_steps": account.shown()["unknown"],
        "missing": _missing(parts, programs),
    }


def _of_grant(acts: Acts, grant: str, project: str) -> list[Act]:
    """Return what was recorded about a grant, and its project, without its runs."""
    if not grant:
        return []
    about = "grant_hash = :grant AND run IS NULL"
    drafts = "type IN ('project.created', 'request.drafted') AND grant_hash IS NULL AND project = :project"
    return list(acts.where(f"({about}) OR ({drafts})", {"grant": bytes.fromhex(grant), "project": project}))


def _chosen(kinds: Sequence[str], acts: Iterable[Act]) -> list[Act]:
    return sorted((act for act in acts if act.type in kinds), key=lambda act: act.index)


def _shown(act: Act, checkpoints: CheckpointsHere) -> dict[str, Any]:
    """Return what a lineage says about an act; `checkpoint`: the first witnessed one that holds it, or `None`."""
    holding = checkpoints.first_holding(act.index)
    return {
        "index": act.index,
        "at": act.at,
        "type": act.type,
        "who": act.who,
        "account": act.account,
        "step": act.step,
        "round": act.round,
        "attempt": act.attempt,
        "code": act.code,
        "counts": dict(act.counts),
        "hashes": dict(act.hashes),
        "checkpoint": None if holding is None else {"size": holding.size, "at": holding.at},
        "prove": proof_command(act.index),
    }


def _missing(parts: Mapping[str, Sequence[Act]], programs: Sequence[str]) -> list[str]:
    """Return the types of record that a run has and this one has not; "program" where no record names the program's hash."""
    of_line = any(act.step.startswith(_LINE_STEPS) for act in parts["steps"])
    expected = (_EXPECTED, _EXPECTED_OF_LINE if of_line else _EXPECTED_OF_REGION)
    wanted = [(name, kind) for table in expected for name, kinds in table.items() for kind in kinds]
    absent = [kind for name, kind in wanted if all(act.type != kind for act in parts[name])]
    return absent if programs else [*absent, "program"]
