"""Who used whose data for which purpose. One row: a party that asked, a purpose, an asset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditors.acts import Tracing
from auditors.runs import RunAccount


@dataclass
class Use:
    """`who`: the party that asked for the access; empty where no record says it. `steps`: that the asset's owner answered."""

    who: str
    purpose: str
    asset: str
    grants: set[str] = field(default_factory=set)
    runs: int = 0
    finished: int = 0
    steps: int = 0
    results_read: int = 0

    def shown(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {
            "who": self.who,
            "purpose": self.purpose,
            "asset": self.asset,
            "grants": len(self.grants),
            "runs": self.runs,
            "runs_finished": self.finished,
            "steps_answered": self.steps,
            "results_read": self.results_read,
        }


def uses_of(tracing: Tracing, assets: Mapping[str, Sequence[str]], runs: Sequence[RunAccount]) -> list[dict[str, Any]]:
    """Return the uses, by purpose, who and asset. `assets`: of each grant, in hexadecimal. `runs`: of the period.

    A grant without a run is a use that was allowed and did not happen: it has a row with no run. A run whose grant names no
    asset has one with an empty asset, so that no run is missing.
    """
    rows: dict[tuple[str, str, str], Use] = {}
    of_grant: dict[str, list[Use]] = {}
    for grant, named in tracing.grants.items():
        purpose = tracing.purpose_of(grant, None)
        for asset in assets.get(grant.hex(), ()):
            use = rows.setdefault((purpose, named["asker"] or "", asset), Use(named["asker"] or "", purpose, asset))
            use.grants.add(grant.hex())
            of_grant.setdefault(grant.hex(), []).append(use)
    for run in runs:
        if not (run.started_at or run.intents):
            continue
        of_run = of_grant.get(run.grant) or [rows.setdefault((run.purpose, "", ""), Use("", run.purpose, ""))]
        for use in of_run:
            use.runs += 1
            use.finished += run.end == "finished"
            use.results_read += run.results_read
            owner = use.asset.partition("/")[0]
            use.steps += sum(counts["answered"] for name, counts in run.steps.items() if owner in ("", name))
    return [use.shown() for _, use in sorted(rows.items())]
