"""The content of report.json: one run's figures, what each party learned, and what the figures rest on.

Everything comes from outside: the coordinator's results, the nodes' own accounts and the demo's reference. What is None there
stays None here, because a suppressed cell is not a zero. No network; the only files it
reads are the published data standards, for the titles of columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from crypto.errors import DoudiError
from demo.report.learned import COORDINATOR, account_of_learning
from demo.report.limits import limits_of
from demo.report.machine import describe_machine, installed_versions
from demo.report.words import (
    MODES,
    PHASES,
    column_title,
    group_title,
    kind_title,
    party_title,
    region_title,
    value_title,
)

__all__ = ["SCHEMA_VERSION", "ReportSettings", "build_document"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ReportSettings:
    """What a report says about the run that the run's results do not.

    `region`, `state`: name and code; `mode`: as asked, "both", "evidence" or "sum-only"; `split_seed`: what fixed the held-out
    households, None for a random key; `epsilon`: as asked (`epsilon_label` is the run's own); `generated_at`: ISO 8601.
    """

    region: str
    state: str
    mode: str
    split_seed: int | str | None
    epsilon: float | None = None
    generated_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    machine: Mapping[str, Any] = field(default_factory=describe_machine)
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    lead: str = "civil_affairs"


def build_document(
    settings: ReportSettings,
    results: Mapping[str, Any],
    nodes: Mapping[str, Mapping[str, Any]],
    reference: Mapping[str, Any] | None,
    seconds_demo: float,
) -> dict[str, Any]:
    """Return the content of report.json: plain values, every bilingual text as `{"en", "zh"}`.

    `results`: `{"metrics", "run"}` of the coordinator's results; `nodes`: per department `{"sent", "reports"}`; `reference`:
    of `demo.reference.reference_aucs`, or None; `seconds_demo`: the whole demo, set-up to report.

    Raises `DoudiError` `report.no_results` when the run has no metrics or no account.
    """
    metrics, run = results.get("metrics"), results.get("run")
    if not metrics or not run:
        raise DoudiError("report.no_results", "the run has no metrics to report", "Look at `doudi centre status`.")
    # The command line writes "sum-only", the contracts write "sum_only".
    asked = settings.mode.replace("-", "_")
    modes = {mode: _mode(metrics.get(mode)) for mode in MODES}
    auc = {mode: None if figures is None else figures["auc"] for mode, figures in modes.items()}
    alone = dict(sorted((reference or {}).get("departments", {}).items()))
    best = max(alone, key=lambda name: alone[name], default=None)
    gained = best is not None and auc["evidence"] is not None
    disclosure = {
        name: _disclosure(name, nodes.get(name, {})) for name in sorted(run["lists"]) if name != settings.lead
    }
    bytes_sent = {name: run["bytes_sent"][name] for name in sorted(run["bytes_sent"])}
    return {
        "schema_version": SCHEMA_VERSION,
        "generated_at": settings.generated_at,
        "region": settings.region,
        "region_title": region_title(settings.region),
        "state": settings.state,
        "mode": asked,
        "lead": settings.lead,
        "target": metrics["target"],
        "target_title": column_title(settings.lead, metrics["target"]),
        "split_seed": settings.split_seed,
        "auc_joined": auc["evidence"],
        "auc_sum_only": auc["sum_only"],
        "auc_departments": alone,
        "auc_pooled_reference": None if reference is None else reference.get("pooled"),
        "best_department": best,
        "gain_over_best_department": round(auc["evidence"] - alone[best], 6) if gained else None,
        "epsilon_asked": settings.epsilon,
        "epsilon_label": metrics["epsilon_milli"] / 1000,
        "persons": metrics.get("persons", run["persons"]),
        "households": metrics["households"],
        "slots": run["slots"],
        "lists": dict(run["lists"]),
        "departments": list(run["departments"]),
        "missing": dict(run.get("missing", {})),
        "seconds": {phase: run["seconds"].get(phase) for phase in PHASES},
        "seconds_demo": round(seconds_demo, 3),
        "bytes_sent": bytes_sent,
        "messages": run["messages"],
        "payload_bits_per_person": _bits_per_person(bytes_sent, run["persons"]),
        "modes": modes,
        "learned": account_of_learning(run, modes, nodes, disclosure, settings.lead),
        "disclosure": disclosure,
        "sent": {name: _sent(nodes[name].get("sent", [])) for name in sorted(nodes)},
        "titles": {
            name: party_title(name)
            for name in sorted({*run["lists"], *run.get("missing", {}), *nodes, *alone, COORDINATOR})
        },
        "limits": limits_of(asked, [mode for mode in MODES if modes[mode]], list(run.get("missing", {}))),
        "machine": dict(settings.machine),
        "versions": dict(settings.versions),
    }


def _mode(metrics: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return one mode's metrics with the groups named in both languages; None for a mode that was not run."""
    if metrics is None:
        return None
    subgroups = {
        partition: [{**row, "title": group_title(partition, row["group"])} for row in rows]
        for partition, rows in metrics["subgroups"].items()
    }
    contributions = sorted(metrics["contributions"].items(), key=lambda item: -item[1])
    named = [{"player": name, "title": party_title(name), "mean_absolute": value} for name, value in contributions]
    return {**metrics, "subgroups": subgroups, "contributions": named}


def _bits_per_person(bytes_sent: Mapping[str, int], persons: int) -> float | None:
    return round(8 * sum(bytes_sent.values()) / persons, 1) if persons else None


def _disclosure(department: str, node: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the meter's reading of one department; None when it sent no levels."""
    reading = node.get("reports", {}).get("disclosure")
    if reading is None:
        return None
    return {
        "people": reading["people"],
        "levels": reading["levels"],
        "levels_before_merging": reading["levels_before_merging"],
        "cap": dict(reading["cap"]),
        "columns": [_column(department, column) for column in reading["columns"]],
    }


def _column(department: str, reading: Mapping[str, Any]) -> dict[str, Any]:
    def named(finding: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if finding is None:
            return None
        return {**finding, "value_title": value_title(department, reading["column"], finding["value"])}

    return {
        "column": reading["column"],
        "title": column_title(department, reading["column"]),
        "kind": reading["kind"],
        "largest_share": named(reading["largest_share"]),
        "most_telling": named(reading["most_telling"]),
        "rank_correlation": reading["rank_correlation"],
    }


def _sent(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what one department sent: one entry per attempt, kind and receiver, in the order of sending."""
    totals: dict[tuple[int, str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row.get("attempt", 1), row["kind"], row["receiver"])
        entry = totals.setdefault(
            key,
            {
                "attempt": key[0],
                "step": row["step"],
                "kind": row["kind"],
                "kind_title": kind_title(row["kind"]),
                "receiver": row["receiver"],
                "receiver_title": party_title(row["receiver"]),
                "items": 0,
                "bytes": 0,
            },
        )
        entry["items"] += row["items"]
        entry["bytes"] += row["bytes"]
    return list(totals.values())
