"""The memory of a node on 278,000 rows: a process that does what the largest department's node does in one run.

Run as `python -m benchmarks.node_memory EXTRACT DEPARTMENT`; prints JSON with the peak of resident memory.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Read, check, blind, train, level and seal as the node's steps do, and print the peak."""
    from crypto.cells import generate_cell_key, seal_cells
    from crypto.pseudonyms import blind, hash_to_group, linkage_domain, random_points, random_scalar
    from department_nodes.config import NodeConfig, SitePolicy
    from department_nodes.evidence.disclosure import DisclosureCap
    from department_nodes.evidence.outcome import LevelRules, evidence_levels
    from department_nodes.extract import read_clean
    from department_nodes.home import NodeHome
    from department_nodes.steps.train import column_values
    from department_nodes.training.evidence_model import TrainingSettings, train_evidence_model

    path, department = Path(sys.argv[1]), sys.argv[2]

    class Home(NodeHome):
        """A home of configuration only: the benchmark writes no folder."""

        @property
        def config(self) -> Any:
            return NodeConfig(
                department=department,
                region="benchmark",
                dataset=department,
                tier="general_3",
                allowed_purposes=("social_assistance",),
                extract=str(path.absolute()),
                coordinator_url="https://127.0.0.1:1",
                superlink_address="127.0.0.1:2",
            )

    extract = read_clean(Home(path.parent))
    people = extract.people
    hashed = hash_to_group(extract.resident_ids, linkage_domain(b"benchmark"), 2)
    blinded = blind(hashed, random_scalar(), 2)
    # The answers of five other key holders, and the list that is evaluated for the next owner, lie in memory together.
    answers = [random_points(1) * people for _ in range(5)]
    columns = tuple(extract.standard.feature_names)
    features = extract.features(columns)
    target = (np.frombuffer(os.urandom(people), np.uint8) < 64).astype(np.float32)
    rows = np.arange(people)
    evidence = train_evidence_model(features, target, rows, TrainingSettings()).predict(features)
    width = features.shape[1]
    del features
    policy = SitePolicy()
    rules = LevelRules(32, policy.minimum_people_per_level, DisclosureCap(1.0, 1.0))
    outcome = evidence_levels(evidence, rows, float(target.mean()), column_values(extract, columns), rules)
    slots = np.arange(people, dtype=np.uint32)
    cells = seal_cells(generate_cell_key(), b"benchmark", slots, outcome.levels.reshape(-1, 1))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    facts = {"node_peak_mb": round(peak_mb), "rows": people, "encoded_columns": width}
    facts["bytes_held"] = len(blinded) + sum(map(len, answers)) + cells.nbytes
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
