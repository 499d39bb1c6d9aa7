"""`make demo`: one region, six departments, one run over real data, one report. Everything ends when it ends."""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from crypto.errors import DoudiError
from demo.audit import Audit, audit_run
from demo.cluster import DEPARTMENTS, LEAD, Cluster, Project, prepare_folder
from demo.ending import ending_with_code
from demo.held_out import held_out_households
from demo.reference import reference_aucs
from demo.report import write_report
from demo.report.document import ReportSettings, build_document
from demo.report.summary import summary_table

REGIONS = Path(__file__).parents[1] / "demo_data"
STATES = {"kentucky": "21"}
STEPS = ("blind", "evaluate", "finish", "release", "train", "combine")
PHASES = {
    "blind": "linkage 1/3: blind  盲化",
    "evaluate": "linkage 2/3: evaluate  求值",
    "finish": "linkage 3/3: finish  完成",
    "release": "label release  标签发布",
    "train": "training, evidence  训练与证据",
    "combine": "combining  合成",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--region", default="kentucky", help="a folder of six extracts under demo_data (default: kentucky)"
    )
    parser.add_argument("--epsilon", type=float, default=1.0, help="label ε per household (default: 1)")
    parser.add_argument("--mode", choices=("both", "evidence", "sum-only"), default="both")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where the report goes")
    parser.add_argument(
        "--run-folder", type=Path, default=Path("demo-run"), help="folders, keys and logs of all parties"
    )
    parser.add_argument("--extracts", type=Path, help="another folder of six extracts")
    parser.add_argument("--no-reference", action="store_true", help="do not compute the figures without privacy")
    chosen = parser.parse_args(arguments)
    return ending_with_code(lambda terminal: run_demo(chosen, terminal))


def run_demo(chosen: argparse.Namespace, terminal: Console) -> int:
    """Build the cluster, agree, run, report."""
    extracts = chosen.extracts or REGIONS / chosen.region
    if not extracts.is_dir():
        known = ", ".join(sorted(path.name for path in REGIONS.iterdir() if path.is_dir()))
        raise DoudiError("demo.unknown_region", f"there are no extracts of {chosen.region}", f"Known regions: {known}.")
    # Health data are sensitive: level 4, so two people of that department approve.
    project = Project(chosen.region, chosen.epsilon, chosen.mode, stricter={"health_disability": "general_4"})
    terminal.rule("Doudi 兜底")
    terminal.print(
        f"region {chosen.region} (STATE {STATES.get(chosen.region, '–')}), ε = {chosen.epsilon:g}, mode {chosen.mode}, "
        f"split seed “{project.split_seed}”"
    )
    started = time.monotonic()

    def say(text: str) -> None:
        terminal.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {text}")

    with Cluster(prepare_folder(chosen.run_folder), extracts, project) as cluster:
        cluster.build(say)
        cluster.start_nodes()
        cluster.agree(say)
        say("six nodes are running; the lead starts a run, every node offers fresh keys")
        run_id = cluster.create_run()
        cluster.schedule(run_id, "--wait-s", "90")
        run = _follow(cluster, run_id, terminal)
        if run["state"] != "finished":
            raise DoudiError(
                "demo.run_failed", f"the run ended as {run['state']}: {run['reason_code']}", "See demo-run/logs."
            )
        results, nodes = cluster.results(run_id), cluster.shown_by_nodes(run_id)
        top = json.loads(cluster.node(LEAD, "results", run_id, "--top", "5", "--json"))
        say("the auditor takes a copy of the ledger, verifies it and opens it with its own key")
        chosen.out.mkdir(parents=True, exist_ok=True)
        audit = audit_run(cluster, run_id, chosen.out.absolute())
    say("the run has ended; all processes are stopped")
    reference = None
    if not chosen.no_reference:
        say("reference figures without privacy, computed outside the nodes")
        reference = _reference(extracts, project)
    settings = ReportSettings(
        region=chosen.region,
        state=STATES.get(chosen.region, ""),
        epsilon=chosen.epsilon,
        mode=chosen.mode,
        split_seed=project.split_seed,
    )
    document = build_document(settings, results, nodes, reference, time.monotonic() - started)
    data, page = write_report(chosen.out, document)
    terminal.print(summary_table(document))
    terminal.print(
        f"the lead's own list (stays at its node): the first household has a probability of need of "
        f"{top['rows'][0]['probability']:.2f}; see it with\n  .venv/bin/doudi node results {run_id} --top 10% "
        f"--home {_relative(cluster.home(LEAD))}"
    )
    terminal.print(_ledger_in_words(audit), highlight=False)
    terminal.print(f"report  报告: {_relative(page)}   data  数据: {_relative(data)}")
    terminal.print(f"whole demo: {time.monotonic() - started:.0f} s")
    return 0


def _ledger_in_words(audit: Audit) -> str:
    """Return what the auditor found, in a few lines."""
    facts = audit.verified
    return (
        f"audit ledger  审计账本: {facts['entries']} records, root {facts['root'][:8]}…, verified from the leaves up; "
        f"{facts['witnesses']} of {len(DEPARTMENTS)} departments cosigned, findings {facts['count']}\n"
        f"  by purpose, budgets, refusals: {_relative(audit.report)}   from the result back to the grant: "
        f"{_relative(audit.lineage)}"
    )


def _follow(cluster: Cluster, run_id: str, terminal: Console) -> dict[str, Any]:
    """Show a bar per step until the run has ended."""
    columns = (TextColumn("{task.description:32}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, transient=False) as progress:
        bars = {step: progress.add_task(PHASES[step], total=_expected(step), start=False) for step in STEPS}
        shown: dict[str, int] = dict.fromkeys(STEPS, -1)

        def on_state(run: dict[str, Any]) -> None:
            for step in STEPS:
                rows = [row for row in run["steps"] if row["step"] == step]
                done = sum(row["state"] in ("answered", "refused", "lost") for row in rows)
                if rows and shown[step] < 0:
                    progress.start_task(bars[step])
                if rows and done != shown[step]:
                    shown[step] = done
                    progress.update(bars[step], completed=done, total=len(rows))
                    if done == len(rows):
                        progress.stop_task(bars[step])

        return cluster.wait_for_end(run_id, 900, on_state)


def _expected(step: str) -> int:
    return {"release": 1, "combine": 1, "train": len(DEPARTMENTS) - 1}.get(step, len(DEPARTMENTS))


def _reference(extracts: Path, project: Project) -> dict[str, Any]:
    files = {name: extracts / f"{name}.parquet" for name in DEPARTMENTS}
    return reference_aucs(files, held_out_households(files[LEAD], project.split_seed))


def _relative(path: Path) -> str:
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    if shutil.which("doudi", path=str(Path(sys.executable).parent)) is None:
        sys.exit("doudi is not installed in this environment: run `make setup` first")
    sys.exit(main())
