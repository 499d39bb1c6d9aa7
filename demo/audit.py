"""The demo's auditor: checks the ledger of the run that just ended, with its own keys and the cards that it collected.

It trusts neither the coordinator nor the departments: it takes a copy of the log, verifies it, opens it and writes its report.
The copy is carried in a folder, as on a closed network; `doudi audit fetch` takes it over the network where there is one.
"""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.errors import DoudiError
from demo.cluster import Cluster
from demo.processes import doudi

SETTLED_WITHIN_S = 60.0
_PAUSE_S = 0.5


@dataclass(frozen=True)
class Audit:
    """What the auditor found. `verified`: the facts of `doudi audit verify --json`. `report`, `lineage`: pages that it wrote."""

    verified: dict[str, Any]
    opened: dict[str, Any]
    report: Path
    lineage: Path


def audit_run(cluster: Cluster, run_id: str, out: Path) -> Audit:
    """Return what an auditor finds about a run that has ended, while the nodes still run. Raises `demo.timeout`."""
    _wait_until_witnessed(cluster)
    home = cluster.auditor
    copy, checkpoint = cluster.folder / "carried-log", cluster.folder / "checkpoint-of-the-lead"
    doudi("centre", "ledger", "export", "--home", str(cluster.centre), "--out", str(copy))
    # An auditor takes one checkpoint from a department directly: a log that shows everybody something else is found out.
    cluster.node(cluster.project.lead, "ledger", "checkpoint", "--out", str(checkpoint))
    _collect_cards(cluster)
    _audit(home, "fetch", "--from", str(copy))
    verified = json.loads(_audit(home, "verify", "--from-department", str(checkpoint), "--json"))
    opened = json.loads(_audit(home, "open", "--json"))
    report, lineage = out / "audit", out / "lineage.html"
    _audit(home, "report", "--out", str(report))
    _audit(home, "lineage", run_id, "--html", str(lineage))
    return Audit(verified, opened, report, lineage)


def _audit(home: Path, command: str, *arguments: str) -> str:
    return doudi("audit", command, *arguments, "--home", str(home))


def _collect_cards(cluster: Cluster) -> None:
    """Put the parties' cards into the auditor's folder, as if each had handed over its own."""
    folder = cluster.auditor / "cards"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(cluster.officer / "centre-card.json", folder)
    for path in (cluster.folder / "cards").glob("*.json"):
        shutil.copy(path, folder)


def _wait_until_witnessed(cluster: Cluster) -> None:
    """Wait until what the nodes recorded last is in a checkpoint that a quorum of them cosigned, and nothing new comes."""
    client, deadline = cluster.client(), time.monotonic() + SETTLED_WITHIN_S
    before: Any = None
    try:
        while time.monotonic() < deadline:
            found = client.get("/log/summary")
            if found["size"] and found["size"] == found["witnessed_size"] and found == before:
                return
            before = found
            time.sleep(_PAUSE_S)
    finally:
        client.close()
    raise DoudiError("demo.timeout", "the ledger's last records were not witnessed in time", "See demo-run/logs.")
