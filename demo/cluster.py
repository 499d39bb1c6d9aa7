"""Whole regions on one host: coordinator, SuperLink and department nodes, each a process with its own folder and keys.

The officers of the demo register assets, request and approve here, each with the keys of their own party. Everything goes through
the `doudi` command and, through it, the coordinator's API.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crypto.errors import DoudiError
from demo.processes import LOOPBACK, Processes, doudi, free_ports
from department_nodes.client import CoordinatorClient
from department_nodes.home import IDENTITY_KEY, OFFICER_KEYS_VARIABLE, NodeHome
from policies.standards.tier_loader import load_tier

LEAD = "civil_affairs"
DEPARTMENTS = ("civil_affairs", "human_resources", "health_disability", "housing", "public_security", "tax")
PROJECT = "household-support"
PURPOSE = "social_assistance"
# The officers of the demo have read the meter and accept that a level may tell a column (health's tells "any disability"):
# with the default cap of 0.95 three departments could give sums only. The cap on rank correlation stays at its default.
DEMO_SITE_POLICY = {"disclosure_max_share": 1.0}
MARKER = ".doudi-demo"
TARGET = "public_coverage"


@dataclass(frozen=True)
class Member:
    """One department of one region. `name` is its name as a party: unique over all regions of a coordinator."""

    name: str
    region: str
    dataset: str
    extract: Path


@dataclass(frozen=True)
class Project:
    """What the demo's officers agree on in one region."""

    region: str
    epsilon: float = 1.0
    mode: str = "both"
    label_period: str = "2024"
    split_seed: str = "doudi-demo"
    runs: int = 5
    min_key_holders: int = 3
    bits_per_person_and_year: int = 60
    project_id: str = PROJECT
    lead: str = LEAD
    departments: tuple[str, ...] = DEPARTMENTS
    # Whether the released bits may train the departments' lines.
    lines: bool = False
    # How each department classifies its data; `stricter` names those that differ. Level 4 needs two people of the department.
    tier: str = "general_3"
    stricter: Mapping[str, str] = field(default_factory=dict)
    # What each department's officer writes into the [policy] section of its own node.toml.
    site_policy: Mapping[str, float] = field(default_factory=lambda: dict(DEMO_SITE_POLICY))


class Cluster:
    """The processes and folders of one or several regions. Use as a context manager: leaving it ends everything.

    Without `members` there is one region: the six departments of `project`, over the files `extracts/<department>.parquet`.
    """

    def __init__(
        self,
        folder: Path,
        extracts: Path,
        project: Project,
        step_timeout_s: int = 600,
        members: Sequence[Member] = (),
    ) -> None:
        self.folder, self.extracts, self.project = folder.absolute(), extracts.absolute(), project
        found = members or [
            Member(name, project.region, name, self.extracts / f"{name}.parquet") for name in project.departments
        ]
        self.members = {member.name: member for member in found}
        self.departments = tuple(self.members)
        self.processes = Processes(self.folder / "logs")
        self.step_timeout_s = step_timeout_s
        ports = free_ports(3 + len(self.departments))
        self.api_port, self.fleet_port, self.superlink_port = ports[:3]
        self.worker_port = dict(zip(self.departments, ports[3:], strict=True))

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.stop_all()

    @property
    def centre(self) -> Path:
        """The coordinator's home."""
        return self.folder / "coordinator"

    @property
    def officer(self) -> Path:
        """The centre officer's folder: off the coordinator's home, as in a real deployment."""
        return self.folder / "centre-officer"

    @property
    def auditor(self) -> Path:
        """The auditor's folder."""
        return self.folder / "audit"

    def home(self, department: str) -> Path:
        """Return a node's folder."""
        return self.folder / "nodes" / department

    def node(
        self,
        department: str,
        command: str,
        *arguments: str,
        timeout_s: float = 120,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run `doudi node COMMAND` for a department and return what it prints."""
        words = ("node", command, *arguments, "--home", str(self.home(department)))
        return doudi(*words, timeout_s=timeout_s, environment=environment)

    def centre_command(self, command: str, *arguments: str) -> str:
        """Run `doudi centre COMMAND` as the centre's officer and return what it prints."""
        return doudi("centre", command, *arguments, "--officer-home", str(self.officer))

    def build(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Create every party's folder and keys and start coordinator and SuperLink."""
        say("the auditor's keys; the centre: certificates, keys, database, ledger")
        self._init_centre()
        self.start_superlink()
        self.start_coordinator()
        say(f"{len(self.departments)} departments: keys, configuration, extract check, card")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._init_node, self.departments))
            say("the officers compare fingerprints and pin each other's keys")
            cards = [str(self._card(name)) for name in self.departments]
            centre_card = str(self.officer / "centre-card.json")
            list(pool.map(lambda name: self.node(name, "trust", centre_card, *cards), self.departments))
        self.processes.wait_for_port("superlink", self.fleet_port)
        self.processes.wait_for_port("coordinator", self.api_port)
        self.centre_command("register", *cards)
        say("every owner registers its data asset; the centre issues its revocation list")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: self.node(name, "register-asset"), self.departments))
        self.centre_command("publish-revocations")

    def start_nodes(self) -> None:
        """Start all departments' nodes."""
        for name in self.departments:
            self.start_node(name)

    def agree(self, say: Callable[[str], None] = lambda _: None, project: Project | None = None) -> None:
        """Request a region's grant at its lead, and have every owner and the centre approve it."""
        project = project or self.project
        self.create_project(project.project_id, project.region, project.lead)
        supporting = [name for name in project.departments if name != project.lead]
        number = self.request(
            project.lead,
            "request",
            *("--project", project.project_id, "--purpose", PURPOSE, "--target", TARGET),
            *("--label-period", project.label_period, "--epsilon", str(project.epsilon), "--mode", project.mode),
            *("--runs", str(project.runs), "--min-key-holders", str(project.min_key_holders)),
            *("--bits-per-year", str(project.bits_per_person_and_year)),
            *(word for name in supporting for word in ("--department", name)),
            *(("--lines",) if project.lines else ()),
        )
        say(f"request {number}: lead and owners approve it at their nodes, then the centre on its officer's device")
        self.approve(number, project.departments)

    def create_project(self, project_id: str, region: str, lead: str) -> None:
        """Have the centre's officer open a project."""
        self.centre_command(
            "create-project",
            project_id,
            *("--title", "Households in need", "--purpose", PURPOSE, "--region", region, "--lead", lead),
        )

    def request(self, lead: str, command: str, *options: str) -> str:
        """Have the lead hand in a request (`request` or `request-line`); return its number."""
        return str(json.loads(self.node(lead, command, *options, "--json"))["number"])

    def approve(self, number: str, departments: Sequence[str]) -> None:
        """Have every person approve a request whom the departments' tiers ask for, then the centre."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: self._approve(number, name), departments))
        self.centre_command("approve", number, "--yes")

    def _approve(self, number: str, department: str) -> None:
        self.node(department, "approve", number, "--yes")
        for person in self._further_approvers(department):
            # A second person, with a key that lies on a device of that person's own; here it is a folder.
            self.node(department, "approve", number, "--yes", environment={OFFICER_KEYS_VARIABLE: str(person)})

    def _people(self, department: str) -> int:
        return load_tier(self._tier(department)).approvals.owner.count

    def _further_approvers(self, department: str) -> list[Path]:
        return sorted((self.home(department) / "officers").glob("approver-*"))

    def _tier(self, department: str) -> str:
        return self.project.stricter.get(self.members[department].dataset, self.project.tier)

    def create_run(self, project: Project | None = None) -> str:
        """Create a run of a region's grant at its lead and return its identifier."""
        project = project or self.project
        return self.start_run(project.lead, project.project_id, project.mode)

    def start_run(self, scheduler: str, project_id: str, mode: str) -> str:
        """Create a run and return its identifier."""
        answer = json.loads(self.node(scheduler, "create-run", project_id, "--mode", mode, "--json"))
        return str(answer["run_id"])

    def schedule(self, run_id: str, *options: str, scheduler: str = "") -> None:
        """Have the scheduler sign the run's manifest."""
        self.node(scheduler or self.project.lead, "schedule", run_id, *options, timeout_s=300)

    def client(self, department: str = "") -> CoordinatorClient:
        """Return a department's way to the coordinator's API; progress is read there, without a process per look."""
        department = department or self.project.lead
        home = NodeHome(self.home(department))
        return CoordinatorClient(home.config.coordinator_url, home.ca_file, department, home.key(IDENTITY_KEY))

    def wait_for_end(
        self,
        run_id: str,
        timeout_s: float,
        on_state: Callable[[dict[str, Any]], None] = lambda _: None,
        department: str = "",
    ) -> dict[str, Any]:
        """Return the run once it has ended; `on_state` sees it about twice a second. Raises `demo.timeout`."""
        deadline = time.monotonic() + timeout_s
        client = self.client(department)
        try:
            while time.monotonic() < deadline:
                try:
                    run = dict(client.get(f"/v1/runs/{run_id}"))
                except DoudiError as error:
                    # The coordinator may be restarting: a fault test kills it on purpose.
                    if error.code != "coordinator.unreachable":
                        raise
                    time.sleep(0.5)
                    continue
                on_state(run)
                if run["state"] in ("finished", "failed", "stopped"):
                    return run
                time.sleep(0.5)
        finally:
            client.close()
        raise DoudiError(
            "demo.timeout", f"the run did not end within {timeout_s:.0f} s", "See the logs in the run folder."
        )

    def results(self, run_id: str, department: str = "") -> dict[str, Any]:
        """Return the metrics and the account of a finished run from the coordinator's API."""
        client = self.client(department)
        try:
            return dict(client.get(f"/v1/runs/{run_id}/results")["metrics"])
        finally:
            client.close()

    def shown_by_nodes(self, run_id: str) -> dict[str, Any]:
        """Return what each node says it sent and measured (`doudi node show RUN --json`)."""
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda name: json.loads(self.node(name, "show", run_id, "--json")), self.departments)
            return dict(zip(self.departments, found, strict=True))

    def start_superlink(self) -> None:
        """Start Flower's SuperLink; departments reach its fleet listener only."""
        self.processes.start("superlink", self._program("centre", "superlink", "--home", str(self.centre)))

    def start_coordinator(self) -> None:
        """Start the coordinator's API and supervisor."""
        self.processes.start("coordinator", self._program("centre", "run", "--home", str(self.centre)))

    def start_node(self, department: str) -> None:
        """Start one department's node."""
        command = self._program("node", "run", "--home", str(self.home(department)))
        # Six nodes share this host's two processors; a real department has its own.
        self.processes.start(department, command, {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "2"})

    def _init_centre(self) -> None:
        doudi("audit", "keys", "--home", str(self.auditor), "--name", "court-of-audit")
        doudi(
            *("centre", "init", "--home", str(self.centre), "--officer-home", str(self.officer), "--host", LOOPBACK),
            *("--port", str(self.api_port), "--fleet-port", str(self.fleet_port)),
            *("--superlink-port", str(self.superlink_port), "--step-timeout-s", str(self.step_timeout_s)),
            *("--auditor", str(self.auditor / "keys" / "card.json")),
        )

    def _init_node(self, department: str) -> None:
        member = self.members[department]
        seed = ("--held-out-seed", self.project.split_seed) if member.dataset == LEAD else ()
        self.node(
            department,
            "init",
            *("--department", department, "--region", member.region, "--dataset", member.dataset),
            *("--extract", str(member.extract), "--tier", self._tier(department), "--purpose", PURPOSE),
            *("--further-approvers", str(self._people(department) - 1)),
            *("--coordinator-url", f"https://{LOOPBACK}:{self.api_port}"),
            *("--superlink-address", f"{LOOPBACK}:{self.fleet_port}"),
            *("--ca-file", str(self.centre / "tls" / "ca.crt")),
            *("--worker-port", str(self.worker_port[department])),
            *seed,
        )
        self._write_site_policy(department)
        # `card` checks the extract too: a fault ends here, with its code.
        self.node(department, "card", "--out", str(self._card(department)))

    def _write_site_policy(self, department: str) -> None:
        """Write what this department's officer chose into its own node.toml, as an officer would with an editor."""
        path = self.home(department) / "node.toml"
        lines = path.read_text(encoding="utf-8").splitlines()
        for name, value in self.project.site_policy.items():
            lines = [f"{name} = {value}" if line.startswith(f"{name} =") else line for line in lines]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _card(self, department: str) -> Path:
        return self.folder / "cards" / f"{department}.json"

    @staticmethod
    def _program(*arguments: str) -> list[str]:
        return [str(Path(sys.executable).with_name("doudi")), *arguments]


def prepare_folder(folder: Path) -> Path:
    """Return an empty run folder. An earlier demo's folder is replaced; any other folder is refused (`demo.folder_in_use`)."""
    marker = folder / MARKER
    if folder.exists() and any(folder.iterdir()):
        if not marker.is_file():
            raise DoudiError("demo.folder_in_use", f"{folder.name} is not a demo's folder", "Choose another folder.")
        shutil.rmtree(folder)
    (folder / "cards").mkdir(parents=True, exist_ok=True)
    marker.write_text("made by the demo; replaced by the next one\n", encoding="utf-8")
    return folder
