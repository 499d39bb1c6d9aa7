"""A log that tells a story: six departments, two projects, three weeks of requests, runs, people, refusals and losses.

    story = Story(tmp_path / "log")     # everything below happened; `story.world` is published
    home = story.opened(tmp_path)       # an auditor's folder, fetched, verified and opened

Times begin on Monday, 2026-03-02, 09:00 in Shanghai (`MONDAY`). What tests look for is named in `Story`.
"""

import hashlib
from pathlib import Path

from ledger_world import LedgerWorld

from auditors.home import Home
from auditors.keys import all_keys
from auditors.opened import OpenedRecords
from auditors.opening import OwnKeys, open_pending
from auditors.verification.state import load_state
from auditors.verification.verifier import verify_store
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import COORDINATOR

MONDAY = 1_772_413_200
HOUR_S, DAY_S = 3_600, 86_400
DEPARTMENTS = ("civil_affairs", "health_disability", "housing", "human_resources", "public_security", "tax")
LEAD = "civil_affairs"
PURPOSES = {"winter-aid": "social_assistance", "clinic-aid": "medical_assistance"}
DATASETS = {
    "civil_affairs": "civil_affairs",
    "health_disability": "health_disability",
    "housing": "housing",
    "human_resources": "human_resources",
    "public_security": "public_security",
    "tax": "tax",
}
FINISHED, FAILED, LOST, CRASHED = "run-0001", "run-0002", "run-0003", "run-0004"
HIDDEN = "run-0099"


def digest(text: str) -> str:
    """Return a hash that stands for something named."""
    return hashlib.sha256(text.encode()).hexdigest()


def grant_of(project: str) -> str:
    return digest(f"grant {project}")


class Story:
    """The story, told when it is made. `shredded`: the index of the first entry of the batch whose wraps were destroyed."""

    def __init__(self, folder: Path, auditors: tuple[str, ...] = ("court",)) -> None:
        self.world = LedgerWorld(folder, DEPARTMENTS, auditors)
        self.at = MONDAY
        self._begin()
        for number, project in enumerate(PURPOSES):
            self._agree(project, request=number + 1)
        self._run("winter-aid", FINISHED, day=3)
        self._run("winter-aid", FAILED, day=4, fails="step.lost")
        self._run("winter-aid", CRASHED, day=7, crash="tax")
        self._run("clinic-aid", "run-0005", day=8, hour=23)
        self._run("clinic-aid", LOST, day=9, ends=False)
        self._people()
        self._refusals()
        self.shredded = self._shred()
        self._hidden()
        self._change_rules()
        self.world.now = self.at = MONDAY + 20 * DAY_S
        self.act("account.signed_in", account=2, actor="centre", counts={"about_account": 2})
        self.world.publish()

    # Tools.

    def act(self, kind: str, producer: str = COORDINATOR, **fields: object) -> int:
        """Record one act now, a minute after the one before; return its index."""
        self.at += 60
        self.world.now = self.at
        index = self.world.size
        if producer != COORDINATOR:
            kind = f"node.{kind}"
        self.world.place(self.world.batch(producer, [to_plain(Record(kind, self.at, **fields), RECORD_TYPES)]))
        return index

    def go_to(self, day: int, hour: int = 9) -> None:
        self.at = MONDAY + day * DAY_S + (hour - 9) * HOUR_S

    def opened(self, path: Path, auditor: int = 0) -> Home:
        """Return an auditor's folder in which the log was verified and opened."""
        home = self.world.home(path / "audit", auditor, linked=True)
        verify_store(home, full=True)
        open_home_records(home).close()
        return home

    # What happened.

    def _begin(self) -> None:
        self.act("ledger.opened", counts={"size": 0})
        self.act(
            "ledger.terms_changed", actor="centre", counts={"number": 1, "auditors": 1, "witnesses": 6, "faulty": 1}
        )
        for account in range(1, 6):
            self.act("account.created", actor="centre", account=1, counts={"about_account": account})
            self.act("account.enrolled", actor="centre", account=account, counts={"about_account": account})
        for name, dataset in DATASETS.items():
            self.act("party.registered", actor="centre", account=1, subject=name, hashes={"card": digest(name)})
            asset = f"{name}/{dataset}"
            self.act(
                "asset.registered", actor=name, subject=name, assets=(asset,), counts={"people": 1200, "columns": 9}
            )

    def _agree(self, project: str, request: int) -> None:
        purpose, grant = PURPOSES[project], grant_of(project)
        assets = tuple(f"{name}/{dataset}" for name, dataset in DATASETS.items() if self._takes_part(project, name))
        common = {"project": project, "purpose": purpose, "assets": assets, "counts": {"request": request}}
        self.act("project.created", actor="centre", account=2, project=project, purpose=purpose)
        self.act("request.drafted", actor=LEAD, account=3, **common)
        self.act("request.submitted", actor=LEAD, account=3, grant_hash=grant, **common)
        self.act("grant.stored", actor=LEAD, account=3, project=project, grant_hash=grant)
        for name in DATASETS:
            if self._takes_part(project, name):
                self.act("grant.signed", name, project=project, grant_hash=grant, counts={"signatures": 1})
                self.act("grant.signatures_added", actor=name, project=project, grant_hash=grant, counts={"added": 1})
        self.act("request.approved", actor="centre", account=4, grant_hash=grant, **common)
        self.act("grant.fully_signed", actor="centre", project=project, grant_hash=grant)
        self.act("request.activated", actor=COORDINATOR, grant_hash=grant, **common)

    def _takes_part(self, project: str, name: str) -> bool:
        return project == "winter-aid" or name in (LEAD, "health_disability", "human_resources")

    def _run(
        self, project: str, run: str, day: int, hour: int = 10, fails: str = "", crash: str = "", ends: bool = True
    ) -> None:
        self.go_to(day, hour)
        grant = grant_of(project)
        of_run = {"project": project, "run": run, "attempt": 1, "grant_hash": grant}
        central = {**of_run, "counts": {"attempt": 1}}
        central.pop("attempt")
        self.act("run.created", actor=LEAD, account=3, **central)
        names = [name for name in DATASETS if self._takes_part(project, name)]
        for name in names:
            self.act("run.keys_offered", name, **of_run)
        self.act("run.scheduled", LEAD, **of_run, counts={"departments": len(names)}, hashes={"manifest": digest(run)})
        self.act("run.started", actor=COORDINATOR, **central)
        program = digest("program")
        for step in ("blind", "evaluate", "train"):
            for name in names:
                at_step = {**of_run, "step": step}
                self.act("run.step_sent", actor=name, **central)
                self.act("step.started", name, **at_step, hashes={"program": program, "request": digest(run + step)})
                if step == "train" and name == LEAD:
                    self._label(of_run)
                elif step == "train":
                    self._evidence(name, of_run)
                if name == crash and step == "train":
                    self.act("step.unknown", name, **at_step)
                    self.act("step.started", name, **at_step, hashes={"program": program})
                if not ends and name == "health_disability" and step == "train":
                    return
                if fails and name == "health_disability" and step == "train":
                    self.act("step.failed", name, run=run, attempt=1, step=step, code="node.internal_error")
                    self.act("run.step_lost", actor=name, **central, code=fails)
                    self.act("run.failed", actor=COORDINATOR, **central, code=fails)
                    return
                self.act("step.answered", name, **at_step, counts={"bytes": 2048, "milliseconds": 900})
                self.act("run.step_answered", actor=name, **central)
        self.act("run.finished", actor=COORDINATOR, **central, hashes={"metrics": digest(f"metrics {run}")})
        self.act("results.read", LEAD, **of_run)

    def _label(self, of_run: dict[str, object]) -> None:
        at_step = {**of_run, "step": "release"}
        self.act("labels.charged", LEAD, **at_step, counts={"epsilon_milli": 1000, "cap_milli": 8000})
        self.act(
            "labels.released",
            LEAD,
            **at_step,
            counts={"slots": 900, "households": 400, "epsilon_milli": 1000},
            hashes={"commitment": digest("labels")},
        )

    def _evidence(self, name: str, of_run: dict[str, object]) -> None:
        at_step = {**of_run, "step": "train"}
        self.act("evidence.charged", name, **at_step, counts={"bits_per_person": 3, "cap_bits_per_person": 40})
        counts = {"slots": 900, "held": 700, "levels": 8, "merged": 1}
        self.act("evidence.released", name, **at_step, counts=counts)

    def _people(self) -> None:
        for day in range(5):
            self.go_to(day, hour=8 + day)
            for account in (2, 3, 4):
                self.act("account.signed_in", actor="centre", account=account, counts={"about_account": account})
        # Sunday, at 02:00.
        self.go_to(6, hour=2)
        self.act("account.signed_in", actor="centre", account=5, counts={"about_account": 5})
        self.act("account.roles_changed", actor="centre", account=5, counts={"about_account": 5})
        self.go_to(9, hour=21)
        self.act("account.locked", actor="centre", counts={"about_account": 3})

    def _refusals(self) -> None:
        self.go_to(10)
        for _ in range(4):
            self.act("step.refused", "tax", run=FINISHED, attempt=1, step="train", code="grant.expired")
        self.act("step.refused", LEAD, run=FINISHED, attempt=1, step="release", code="label.budget_exhausted")
        self.act("request.refused", actor=LEAD, account=3, code="auth.not_allowed")
        self.act("request.declined", actor="housing", project="winter-aid", code="request.purpose_not_allowed")
        counts = {"rounds": 3, "epsilon_milli": 2600, "cap_milli": 3000}
        line = {"project": "winter-aid", "run": "run-0007", "attempt": 1}
        self.act("budget.reserved", "health_disability", **line, counts={"rounds": 3, "epsilon_milli": 2600})
        self.act(
            "budget.refused",
            "health_disability",
            **line,
            code="budget.exhausted",
            counts={**counts, "epsilon_milli": 3400},
        )
        self.act("witness.refused", "tax", code="witness.fork", counts={"size": 90, "seen_size": 90})

    def _shred(self) -> int:
        self.go_to(11)
        index = self.world.size
        events = [
            to_plain(Record("node.report.signed", self.at, counts={"number": item}), RECORD_TYPES) for item in (1, 2)
        ]
        batch = self.world.batch("housing", events)
        self.world.place(type(batch)(**{**batch.__dict__, "wraps": b""}))
        self.act(
            "ledger.batch_shredded",
            actor="centre",
            account=4,
            subject="housing",
            code="legal_order",
            counts={"entries": 2, "first_index": index},
            hashes={"batch": hashlib.sha256(batch.batch_id).hexdigest()},
        )
        return index

    def _hidden(self) -> None:
        """A department computed in a run that the coordinator never recorded."""
        self.go_to(12)
        of_run = {
            "run": HIDDEN,
            "attempt": 1,
            "step": "train",
            "project": "winter-aid",
            "grant_hash": grant_of("winter-aid"),
        }
        self.act("step.started", "human_resources", **of_run)
        self.act("step.answered", "human_resources", **of_run, counts={"bytes": 10})

    def _change_rules(self) -> None:
        self.go_to(14)
        for kind in ("policy.proposed", "policy.approved", "policy.activated"):
            account = 2 if kind == "policy.proposed" else 4
            self.act(kind, actor="centre", account=account, counts={"version": 2}, hashes={"rules": digest("rules")})


def open_home_records(home: Home) -> OpenedRecords:
    """Open what is verified in an auditor's folder, with its own keys."""
    state = load_state(home)
    assert state is not None
    opened = OpenedRecords.create(home.opened_file, state.origin)
    open_pending(home.store, opened, OwnKeys(all_keys(home)), state.size)
    return opened
