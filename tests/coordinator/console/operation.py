"""A coordinator at work: nodes that report, lists of revocations, and runs in every state, for the pages that show them.

Everything comes in through the coordinator's own API and services, at times that this file chooses.
"""

from dataclasses import dataclass, field
from typing import Any

from coordinator_world import COLUMNS, DEPARTMENTS, LEAD, LINE_DATASET, PROGRAM, PROJECT, START_S

from coordinator.runs.services import claim_running, fail_run, finish_run, mark_step
from crypto.canonical import canonical_json
from policies.contracts.node_reports import BudgetReport, NodeReport, RefusalReport, SentReport, sign_report
from policies.contracts.run_windows import RunWindow
from policies.contracts.steps import LINE_STEPS, REGION_STEPS, Step
from policies.standards.loader import load_dataset_standard

LINE_PROJECT = "tax-line"
NIGHT_PROJECT = "night-aid"
SUPPORTING = tuple(name for name in DEPARTMENTS if name != LEAD)
DAY_S = 24 * 3600
SECONDS = {"blind": 2, "evaluate": 3, "finish": 1, "release": 4, "train": 9, "combine": 6}
METRICS: dict[str, Any] = {
    "target": "public_coverage",
    "epsilon_milli": 1000,
    "households": 13_844,
    "persons": 25_392,
    "evidence": {
        "households": 2765,
        "positives": 612,
        "auc": 0.891234,
        "auc_interval": [0.874, 0.907],
        "average_precision": 0.7423,
        "brier": 0.1034,
        "recall": [{"top": 0.05, "recall": 0.211}, {"top": 0.1, "recall": 0.386}, {"top": 0.2, "recall": 0.641}],
        "contributions": {"own_columns": 0.412, "tax": 0.873, "housing": 0.344, "health": 0.291},
        "seconds": {"model": 1.2, "explanation": 0.8, "evaluation": 2.1},
    },
    "sum_only": {
        "households": 2765,
        "positives": 612,
        "auc": 0.868,
        "auc_interval": [0.85, 0.885],
        "average_precision": 0.7011,
        "brier": 0.1121,
        "recall": [{"top": 0.05, "recall": 0.198}, {"top": 0.1, "recall": None}, {"top": 0.2, "recall": 0.602}],
        "contributions": {"own_columns": 0.402, "all supporting departments": 1.114},
        "seconds": {"model": 1.1},
    },
}
RUN_FACTS: dict[str, Any] = {
    "mode": "both",
    "persons": 25_392,
    "slots": 26_011,
    "departments": list(DEPARTMENTS),
    "missing": {},
    "seconds": {"link": 6.412, "release": 4.02, "train": 9.77, "combine": 6.1, "total": 27.9},
    "bytes_sent": {
        "coordinator": 14_812_003,
        LEAD: 2_411_000,
        "health": 3_911_410,
        "housing": 3_402_118,
        "tax": 4_911_871,
    },
    "messages": 21,
}


@dataclass
class Operation:
    """`world`: of `coordinator_world`, not prepared yet. Times are those of the world's clock. `runs`: by what they show."""

    world: Any
    runs: dict[str, str] = field(default_factory=dict)

    def everything(self) -> "Operation":
        """Fill the coordinator with all that this file knows."""
        self.departments()
        self.region_runs()
        self.windowed_run()
        # Last: a line's assets lie in other regions than the grants above.
        self.line_runs()
        self.reports()
        self.revocations()
        # Before the run that gathers keys has waited too long.
        self.world.now = START_S + 2400
        self.seen_now()
        return self

    def departments(self) -> None:
        """Register departments and assets, and open the projects."""
        self.world.prepare()
        for project, title in ((LINE_PROJECT, "Tax line"), (NIGHT_PROJECT, "Night aid")):
            body = {"project_id": project, "title": title, "purpose": "social_assistance", "lead": LEAD}
            body["region"] = "kentucky"
            answer = self.world.send("centre", "POST", "/v1/projects", canonical_json(body))
            assert answer.status_code == 201, answer.text

    def region_runs(self) -> None:
        """One run of the main job in each state."""
        grant = self.world.grant(runs_allowed=20, attempts_allowed=3)
        self._agree(grant)
        finished = self._scheduled("both")
        self._start(finished)
        self._steps(finished, REGION_STEPS)
        with self.world.begin() as session:
            finish_run(session, finished["run_id"], {"metrics": METRICS, "run": RUN_FACTS})
        failed = self._scheduled("evidence")
        self._start(failed)
        self._step(failed, Step.BLIND, {name: "answered" for name in DEPARTMENTS})
        with self.world.begin() as session:
            fail_run(session, failed["run_id"], "run.lead_missing")
        stopped = self._scheduled("evidence")
        assert self.world.send(LEAD, "POST", f"/v1/runs/{stopped['run_id']}/stop").status_code == 200
        running = self._scheduled("sum_only")
        self._start(running)
        self._steps(running, REGION_STEPS[:4])
        self._step(running, Step.TRAIN, {"health": "answered", "housing": "sent", "tax": "refused"})
        waiting = self._scheduled("evidence")
        gathering = self._created("evidence")
        for name in ("tax", LEAD):
            assert self.world.put_offer(gathering, name).status_code == 201
        self._name(finished=finished, failed=failed, stopped=stopped, running=running, waiting=waiting)
        self._name(gathering=gathering)

    def line_runs(self) -> None:
        """A line that has finished, and one in its seventh round."""
        self._register_line_assets()
        grant = self.world.line_grant(project_id=LINE_PROJECT, runs_allowed=5)
        self._agree(grant)
        finished = self._scheduled("line", LINE_PROJECT)
        self._start(finished)
        self._step(finished, Step.LINE_UPDATE, {name: "answered" for name in DEPARTMENTS}, 40)
        with self.world.begin() as session:
            finish_run(session, finished["run_id"], line_results(40))
        running = self._scheduled("line", LINE_PROJECT)
        self._start(running)
        for number in range(4, 7):
            self._steps(running, LINE_STEPS[:5], number)
        self._step(running, Step.LINE_KEYS, {name: "answered" for name in DEPARTMENTS}, 7)
        self._step(running, Step.LINE_SHARES, {"health": "answered", "housing": "lost", "tax": "sent"}, 7)
        self._name(line_finished=finished, line_running=running)

    def windowed_run(self) -> None:
        """A run that waits for its window."""
        window = RunWindow(weekdays=(6, 7), start_minute=1320, end_minute=1440, utc_offset_minutes=480)
        grant = self.world.grant(grant_id="night", project_id=NIGHT_PROJECT, windows=[window])
        self._agree(grant)
        self._name(windowed=self._scheduled("evidence", NIGHT_PROJECT))

    def reports(self, count: int = 12) -> None:
        """Reports of all nodes but one, with budgets that grow."""
        for name in DEPARTMENTS:
            for number in range(1, count + 1) if name != "housing" else ():
                self.world.now = START_S + 150 * number
                self.report(name, number)

    def report(self, name: str, number: int, **changes: Any) -> None:
        """Have a node report."""
        now = int(self.world.now)
        run_id = self.runs.get("finished", "run-0123456789abcdef")
        values: dict[str, Any] = {
            "department": name,
            "number": number,
            "made_at": now,
            "program_hash": PROGRAM,
            "people": 2000,
            "faults": 3 if name == "tax" else 0,
            "active_runs": 1,
            "max_concurrent_runs": 2,
            "budgets": budgets(number),
            "refusals": [
                RefusalReport(at=now - 60, run_id=run_id, step="train", code="sum_only.department_missing"),
                RefusalReport(at=now - 900, run_id=None, step=None, code="grant.expired"),
            ],
            "sent": sent_rows(run_id, now),
        }
        report = NodeReport.model_validate({**values, **changes})
        body = sign_report(report, self.world.keys[name].identity).to_bytes()
        answer = self.world.send(name, "PUT", f"/v1/parties/{name}/report", body)
        assert answer.status_code == 201, answer.text

    def revocations(self) -> None:
        """Lists of some parties, one of them too old to work on."""
        for party, at in (("health", START_S - 3 * DAY_S), ("centre", START_S + 1900), ("tax", START_S + 1900)):
            self.world.now = at
            answer = self.world.publish(self.world.revocations(party, number=4))
            assert answer.status_code in (200, 201), answer.text

    def seen_now(self) -> None:
        """Have all nodes but housing's ask for work now."""
        for name in (LEAD, "health", "tax"):
            assert self.world.send(name, "GET", "/v1/runs").status_code == 200

    def started_run(self, mode: str = "evidence") -> dict[str, Any]:
        """Have a further run of the region under way, before its first step."""
        run = self._scheduled(mode)
        self._start(run)
        return run

    def scheduled_run(self, mode: str = "evidence") -> dict[str, Any]:
        """Have a further run of the region wait for its turn."""
        return self._scheduled(mode)

    def _agree(self, grant: Any) -> None:
        shown = self.world.sign_all(self.world.request(grant), grant)
        assert shown["state"] == "active", shown

    def _register_line_assets(self) -> None:
        shared = {
            "dataset": LINE_DATASET,
            "standard_hash": load_dataset_standard(LINE_DATASET).standard_hash(),
            "columns": COLUMNS["tax"],
        }
        for number, name in enumerate(DEPARTMENTS):
            asset = self.world.asset(name, region=f"region-{number}", revision=2, **shared)
            assert self.world.put_asset(asset).status_code == 201

    def _created(self, mode: str, project: str = PROJECT) -> dict[str, Any]:
        answer = self.world.send(LEAD, "POST", f"/v1/projects/{project}/runs", canonical_json({"mode": mode}))
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def _scheduled(self, mode: str, project: str = PROJECT) -> dict[str, Any]:
        self.world.now += 5
        run: dict[str, Any] = self.world.schedule(self._created(mode, project))
        return run

    def _start(self, run: dict[str, Any]) -> None:
        self.world.now += 5
        with self.world.begin() as session:
            claim_running(session, run["run_id"], 1_000_001)

    def _steps(self, run: dict[str, Any], steps: tuple[Step, ...], number: int = 0) -> None:
        for step in steps:
            asked = {Step.RELEASE: (LEAD,), Step.COMBINE: (LEAD,), Step.TRAIN: SUPPORTING}.get(step, DEPARTMENTS)
            self._step(run, step, dict.fromkeys(asked, "answered"), number)

    def _step(self, run: dict[str, Any], step: Step, states: dict[str, str], number: int = 0) -> None:
        for name in states:
            with self.world.begin() as session:
                mark_step(session, run["run_id"], 1, step.value, name, "sent", request_bytes=4096, round_number=number)
        self.world.now += SECONDS.get(step.value, 1)
        for name, state in states.items():
            code = {"refused": "evidence.budget_spent", "lost": "node.timeout"}.get(state, "")
            with self.world.begin() as session:
                mark_step(
                    session, run["run_id"], 1, step.value, name, state, code, reply_bytes=8192, round_number=number
                )

    def _name(self, **runs: dict[str, Any]) -> None:
        self.runs |= {name: run["run_id"] for name, run in runs.items()}


def line_results(rounds: int) -> dict[str, Any]:
    """Return what a line's run leaves: one round in ten lost a department, one gave no average."""
    rows: list[dict[str, Any]] = []
    for number in range(1, rounds + 1):
        lost = ["housing"] if number % 10 == 0 else []
        row: dict[str, Any] = {
            "round": number,
            "attempt": 1,
            "survivors": [name for name in DEPARTMENTS if name not in lost],
            "dropped": dict.fromkeys(lost, "node.timeout"),
            "silent": {},
            "seconds": 3.1 + number % 4 / 5,
            "up": 40_000,
            "down": 60_000,
        }
        if number == rounds // 2:
            row |= {"survivors": ["tax"], "code": "line.too_few_survivors"}
        else:
            row |= {"norm": 4.2 / number**0.5, "clipped": number == 1}
        rows.append(row)
    line = {
        "planned": rounds,
        "done": rounds - 1,
        "rounds": rows,
        "parameters": 225,
        "method": "secure",
        "placement": "local",
    }
    run = {
        "mode": "line",
        "persons": 8000,
        "missing": {},
        "seconds": {"rounds": 131.2, "deliver": 1.9, "total": 133.1},
        "bytes_sent": {"coordinator": 2_400_000, **dict.fromkeys(DEPARTMENTS, 400_000)},
        "messages": 820,
    }
    return {"line": line, "run": run}


def budgets(number: int) -> list[BudgetReport]:
    """Return a node's three budgets as they stand with its report of this number."""
    labels = {"name": "labels_in_a_year", "unit": "epsilon_milli", "cap": 8000}
    evidence = {"name": "evidence_in_a_year", "unit": "bits_per_person", "cap": 120}
    lines = {"name": "lines", "unit": "epsilon_milli", "cap": 8000}
    used = number // 3
    return [
        BudgetReport(spent=1000 * used, reserved=1000 * used + 500, **labels),
        BudgetReport(spent=10 * used, reserved=15 * used, **evidence),
        BudgetReport(spent=600 * used, reserved=600 * used, **lines),
    ]


def sent_rows(run_id: str, now: int, count: int = 120) -> list[SentReport]:
    """Return what a node sent, newest first."""
    kinds = (
        ("train", "evidence levels", LEAD, 26_011, 442_187),
        ("train", "key of the evidence", LEAD, 1, 1_402),
        ("finish", "pseudonyms", "coordinator", 2000, 64_000),
        ("evaluate", "evaluated list", "health", 2000, 65_421),
        ("blind", "blinded list", "housing", 2000, 65_390),
    )
    return [
        SentReport(
            run_id=run_id,
            attempt=1 + number // 100,
            step=step,
            receiver=receiver,
            kind=kind,
            items=items,
            size_bytes=size,
            sent_at=now - 7 * number,
        )
        for number in range(count)
        for step, kind, receiver, items, size in (kinds[number % len(kinds)],)
    ]
