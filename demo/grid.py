"""`make grid`: three regions × three departments as real processes: main job, one line per department, main job again.

Each region first runs the main job by itself. Then each department trains one model with its other regions, under masks and with
differential privacy, on the bits that the regions' leads released. Then each region runs the main job again, starting from its
lines' models. The table shows what that changed; three small regions are an illustration, the measured gain is in `make bench`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from crypto.errors import DoudiError
from demo.canary import audit_defaults
from demo.cluster import LEAD, PURPOSE, TARGET, Cluster, Member, Project, prepare_folder
from demo.ending import ending_with_code
from demo.regions import deal_regions, party_name
from demo.report import write_grid_page

REGIONS = ("east", "north", "west")
DEPARTMENTS = (LEAD, "health_disability", "tax")
SHIPPED = Path(__file__).parents[1] / "demo_data" / "kentucky"
AREA, PERIOD = "three-regions", "2024"
RUN_TIMEOUT_S = 900


class Grid:
    """The acts of the officers of all regions, over one cluster."""

    def __init__(self, cluster: Cluster, chosen: argparse.Namespace, say: Callable[[str], None]) -> None:
        self.cluster, self.chosen, self.say = cluster, chosen, say
        self.projects = {region: _project(region) for region in REGIONS}

    def agree(self) -> None:
        """Have each region agree on its grant: the main job, and the use of its bits in lines."""
        for region, project in self.projects.items():
            self.cluster.agree(project=project)
            self.say(f"{region}: lead, owners and centre have approved the region's request")

    def main_job(self) -> dict[str, dict[str, Any]]:
        """Run the main job in every region at once and return the results by region."""
        runs: dict[str, str] = {}
        for region, project in self.projects.items():
            runs[region] = self.cluster.create_run(project)
            self.cluster.schedule(runs[region], "--wait-s", "120", scheduler=project.lead)
        return {region: self._finished(run_id, self.projects[region].lead) for region, run_id in runs.items()}

    def lines(self) -> dict[str, dict[str, Any]]:
        """Agree on one line per department, run them at once, and return the results by department."""
        runs: dict[str, tuple[str, str]] = {}
        for department in DEPARTMENTS:
            parties = [party_name(region, department) for region in REGIONS]
            project = f"line-{department.replace('_', '-')}"
            self.cluster.create_project(project, AREA, parties[0])
            number = self.cluster.request(parties[0], "request-line", *self._terms(project, parties))
            self.cluster.approve(number, parties)
            self.say(
                f"line {department}: three regions and the centre have approved; ε = {self.chosen.epsilon:g} per person"
            )
            run_id = self.cluster.start_run(parties[0], project, "line")
            self.cluster.schedule(run_id, "--wait-s", "120", scheduler=parties[0])
            runs[department] = (run_id, parties[0])
        return {department: self._finished(*run) for department, run in runs.items()}

    def budgets(self) -> dict[str, Any]:
        """Return what each node says of its privacy budget."""
        names = self.cluster.departments
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda name: json.loads(self.cluster.node(name, "budget", "--json")), names)
            return dict(zip(names, found, strict=True))

    def starts(self, run_of_region: dict[str, dict[str, Any]]) -> dict[str, str]:
        """Return, for each node that trained, what its own training started from."""
        shown: dict[str, str] = {}
        for region, results in run_of_region.items():
            for department in DEPARTMENTS:
                name = party_name(region, department)
                told = json.loads(self.cluster.node(name, "show", results["run_id"], "--json"))
                shown[name] = told["reports"]["training"]["start"]
        return shown

    def _terms(self, project: str, parties: Sequence[str]) -> list[str]:
        words = ["--project", project, "--purpose", PURPOSE, "--area", AREA]
        words += ["--target", TARGET, "--label-period", PERIOD, "--epsilon", str(self.chosen.epsilon)]
        words += ["--placement", self.chosen.placement, "--rounds", str(self.chosen.rounds)]
        return words + [word for name in parties[1:] for word in ("--department", name)]

    def _finished(self, run_id: str, department: str) -> dict[str, Any]:
        run = self.cluster.wait_for_end(run_id, RUN_TIMEOUT_S, department=department)
        if run["state"] != "finished":
            raise DoudiError(
                "demo.run_failed", f"a run ended as {run['state']}: {run['reason_code']}", "See grid-run/logs."
            )
        return {"run_id": run_id, **self.cluster.results(run_id, department)}


def run_grid(chosen: argparse.Namespace, terminal: Console) -> int:
    """Build the grid, run it, and write `grid.json`."""
    started = time.monotonic()

    def say(text: str) -> None:
        terminal.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {text}", highlight=False)

    terminal.rule("Doudi 兜底: grid  网格")
    folder = prepare_folder(chosen.run_folder)
    members = deal_regions(SHIPPED, folder / "extracts", REGIONS, DEPARTMENTS, chosen.people)
    with Cluster(folder, folder / "extracts", _project(REGIONS[0]), members=members) as cluster:
        grid = Grid(cluster, chosen, say)
        cluster.build(say)
        cluster.start_nodes()
        grid.agree()
        say("main job in every region, each by itself  各地区独立运行主流程")
        alone = grid.main_job()
        say("one line per department over the regions  各部门条线训练")
        lines = grid.lines()
        say("main job again, from the lines' models  以条线模型为起点再次运行主流程")
        joined = grid.main_job()
        document = _document(chosen, members, alone, lines, joined, grid)
    document["seconds"] = round(time.monotonic() - started, 1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / "grid.json"
    path.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    page = write_grid_page(chosen.out, document)
    for table in tables(document):
        terminal.print(table)
    terminal.print(f"report  报告: {page}")
    terminal.print(f"data  数据: {path}   whole grid: {document['seconds']:.0f} s")
    return 0


def _document(
    chosen: argparse.Namespace,
    members: Sequence[Member],
    alone: dict[str, dict[str, Any]],
    lines: dict[str, dict[str, Any]],
    joined: dict[str, dict[str, Any]],
    grid: Grid,
) -> dict[str, Any]:
    audit = audit_defaults(chosen.epsilon)
    return {
        "format_version": 1,
        "epsilon": chosen.epsilon,
        "placement": chosen.placement,
        "members": [{"name": item.name, "region": item.region, "dataset": item.dataset} for item in members],
        "regions": {
            region: {
                "people": alone[region]["run"]["persons"],
                "auc_alone": alone[region]["metrics"]["evidence"]["auc"],
                "auc_from_lines": joined[region]["metrics"]["evidence"]["auc"],
            }
            for region in REGIONS
        },
        "lines": {department: found["line"] for department, found in lines.items()},
        "starts": grid.starts(joined),
        "budgets": grid.budgets(),
        "canary": {
            "lower_bound": audit.epsilon_lower_bound,
            "accounted": audit.epsilon_accounted,
            "canaries": audit.canaries,
        },
    }


def tables(document: dict[str, Any]) -> list[Table]:
    """Return what the terminal shows: regions, lines, budgets."""
    regions = Table(title="regions  地区: AUC of the evidence mode")
    for title in ("region 地区", "people 人数", "alone 独立", "from its lines 以条线为起点"):
        regions.add_column(title, justify="left" if title.startswith("region") else "right")
    for name, row in document["regions"].items():
        regions.add_row(name, str(row["people"]), f"{row['auc_alone']:.3f}", f"{row['auc_from_lines']:.3f}")
    lines = Table(title="lines  条线")
    for title in (
        "department 部门",
        "rounds 轮",
        "fewest survivors 最少存活",
        "seconds per round 每轮秒",
        "kB up 上传",
    ):
        lines.add_column(title, justify="left" if title.startswith("department") else "right")
    for name, row in document["lines"].items():
        rounds = row["rounds"]
        fewest = min((len(item["survivors"]) for item in rounds if not item.get("code")), default=0)
        seconds = sum(item["seconds"] for item in rounds) / max(1, len(rounds))
        kilobytes = sum(item["up"] for item in rounds) / 1000
        lines.add_row(name, str(len(rounds)), str(fewest), f"{seconds:.1f}", f"{kilobytes:.0f}")
    budgets = Table(title="privacy budget per person, δ = 1e-6  每人隐私预算")
    for title in ("node 节点", "asset 数据资源", "ε spent 已用", "cap 上限", "training started from 训练起点"):
        budgets.add_column(title, justify="right" if "ε" in title or "cap" in title else "left")
    for name, told in document["budgets"].items():
        lines_of_node = told["lines"]
        spent, cap = f"{lines_of_node['epsilon_spent']:.2f}", f"{lines_of_node['cap_epsilon']:g}"
        budgets.add_row(name, lines_of_node["asset"], spent, cap, document["starts"].get(name, "–"))
    return [regions, lines, budgets]


def _project(region: str) -> Project:
    departments = tuple(party_name(region, name) for name in DEPARTMENTS)
    return Project(
        region,
        mode="evidence",
        project_id=f"support-{region}",
        lead=departments[0],
        departments=departments,
        lines=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the grid and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.grid", description=__doc__)
    parser.add_argument("--epsilon", type=float, default=3.0, help="ε of a line's run per person (default: 3)")
    parser.add_argument("--placement", choices=("local", "distributed"), default="distributed")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each line")
    parser.add_argument("--people", type=int, default=1500, help="people of each region, about")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where grid.json goes")
    parser.add_argument(
        "--run-folder", type=Path, default=Path("grid-run"), help="folders, keys and logs of all parties"
    )
    chosen = parser.parse_args(arguments)
    return ending_with_code(lambda terminal: run_grid(chosen, terminal))


if __name__ == "__main__":
    sys.exit(main())
