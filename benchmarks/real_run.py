"""One whole run of the shipped region over real processes: coordinator, SuperLink, six nodes."""

import tempfile
from pathlib import Path
from typing import Any

from crypto.errors import DoudiError
from demo.cluster import Cluster, Project, prepare_folder


def measure(extracts: Path) -> dict[str, Any]:
    """Return seconds, bytes, messages and AUC of a run in both modes."""
    with (
        tempfile.TemporaryDirectory(prefix="doudi-bench-") as folder,
        Cluster(prepare_folder(Path(folder) / "run"), extracts, Project("kentucky")) as cluster,
    ):
        cluster.build()
        cluster.start_nodes()
        cluster.agree()
        run_id = cluster.create_run()
        cluster.schedule(run_id, "--wait-s", "120")
        run = cluster.wait_for_end(run_id, 900)
        if run["state"] != "finished":
            raise DoudiError("bench.run_failed", f"the run ended as {run['state']}: {run['reason_code']}")
        results = cluster.results(run_id)
    account = results["run"]
    return {
        "real_run": {
            "seconds": account["seconds"],
            "bytes_sent": account["bytes_sent"],
            "messages": account["messages"],
            "persons": account["persons"],
            "auc_evidence": results["metrics"]["evidence"]["auc"],
            "auc_sum_only": results["metrics"]["sum_only"]["auc"],
        },
        "link_over_flower_s": account["seconds"]["link"],
        "payload_bits_per_person": round(8 * sum(account["bytes_sent"].values()) / account["persons"]),
    }
