"""A line over real processes: coordinator, SuperLink and the nodes of four regions; only the released bits are planted."""

import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from planted_bits import PERIOD, TARGET, plant_bits
from region import SHIPPED

from demo.cluster import PURPOSE, Cluster, Member, Project
from department_nodes.engine import NodeEngine
from department_nodes.home import NodeHome
from department_nodes.officers import make_card
from department_nodes.trust import flower_public_key

DATASET, LINE = "health_disability", "line-health"
PARTIES = tuple(f"region{number}-health" for number in range(1, 5))
AREA, PEOPLE, ROUNDS = "four-regions", 300, 4


def line_cluster(folder: Path, step_timeout_s: int = 120) -> Cluster:
    """Return a cluster of four regions' health departments, not built yet."""
    table = pq.read_table(SHIPPED / f"{DATASET}.parquet")
    members = []
    for number, name in enumerate(PARTIES):
        path = folder / "extracts" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(number * PEOPLE, PEOPLE), path)
        members.append(Member(name, f"region{number + 1}", DATASET, path))
    project = Project(AREA, lead=PARTIES[0], departments=PARTIES, project_id=LINE, tier="general_1")
    return Cluster(folder, folder / "extracts", project, step_timeout_s=step_timeout_s, members=members)


def agree_on_line(cluster: Cluster, *options: str) -> None:
    """Plant the bits, start the nodes, and have every party sign the line's grant."""
    for name in PARTIES:
        home = NodeHome(cluster.home(name))
        engine = NodeEngine(home)
        plant_bits(engine, make_card(home, flower_public_key(home)))
        engine.db.dispose()
        cluster.start_node(name)
    cluster.create_project(LINE, AREA, PARTIES[0])
    number = cluster.request(
        PARTIES[0],
        "request-line",
        *("--project", LINE, "--purpose", PURPOSE, "--area", AREA, "--target", TARGET),
        *("--label-period", PERIOD, "--rounds", str(ROUNDS), "--runs", "30", "--epsilon", "0.5", *options),
        *(word for name in PARTIES[1:] for word in ("--department", name)),
    )
    cluster.approve(number, PARTIES)


def start_line(cluster: Cluster) -> str:
    """Create and schedule a run of the line."""
    run_id = cluster.start_run(PARTIES[0], LINE, "line")
    cluster.schedule(run_id, "--wait-s", "120", scheduler=PARTIES[0])
    return run_id


def adopted_digests(cluster: Cluster, run_id: str) -> dict[str, str]:
    """Return the digest of the line model that each node keeps of a run; a node without one is not named."""
    found: dict[str, str] = {}
    for name in PARTIES:
        for (digest,) in rows(cluster, name, "SELECT digest FROM line_models WHERE run_id = ?", run_id):
            found[name] = str(digest)
    return found


def charged_rounds(cluster: Cluster, name: str, run_id: str) -> list[int]:
    """Return the rounds that a node has charged for a run, over all attempts."""
    query = "SELECT round FROM privacy_charges WHERE run_id = ? ORDER BY attempt, round"
    return [int(number) for (number,) in rows(cluster, name, query, run_id)]


def rows(cluster: Cluster, name: str, query: str, *values: str) -> list[Any]:
    """Return rows of a node's database, read while the node runs."""
    connection = sqlite3.connect(f"file:{cluster.home(name) / 'node.db'}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()
