"""The whole way of a grant, with real processes and a real browser: from the first account to the revocation.

Coordinator, SuperLink and four nodes as processes over small extracts; the people use Chromium, their keys stay with the `doudi`
command on nodes and on the officer's device. A picture of each station is kept in `test-artefacts/`.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyotp
import pytest
from navigation import follow
from pictures import ARTEFACTS
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parents[1] / "simulation"))

from region import write_small_extracts

from crypto.errors import DoudiError
from demo.cluster import LEAD, PROJECT, Cluster, Project, prepare_folder
from demo.processes import LOOPBACK, doudi

PEOPLE = 1_200
DEPARTMENTS = (LEAD, "human_resources", "housing", "tax")
SUPPORTING = DEPARTMENTS[1:]
REGION = "kentucky"
PASSWORD = "seven words for people who sign grants"
WIDTH_PX, HEIGHT_PX = 1440, 900
RUN_TIMEOUT_MS = 300_000
# A small sample's levels show more than a large one's; here the caps must not decide which departments send evidence.
SITE_POLICY = {
    "disclosure_max_share": 1.0,
    "disclosure_max_rank_correlation": 1.0,
    "max_evidence_bits_per_person_and_year": 1_000,
}


class ClusterWithConsole(Cluster):
    """A cluster whose centre has a first administrator. `one_time_code`: what `init` printed for that person, this once."""

    one_time_code = ""

    def _init_centre(self) -> None:
        printed = doudi(
            *("centre", "init", "--home", str(self.centre), "--officer-home", str(self.officer), "--host", LOOPBACK),
            *("--port", str(self.api_port), "--fleet-port", str(self.fleet_port)),
            *("--superlink-port", str(self.superlink_port), "--step-timeout-s", str(self.step_timeout_s)),
            *("--administrator", "centre-officer", "--json"),
        )
        self.one_time_code = json.loads(printed)["enrolment_code"]

    @property
    def url(self) -> str:
        """Where the console is."""
        return f"https://{LOOPBACK}:{self.api_port}"


@dataclass
class People:
    """Everybody in a browser of their own, which keeps cookies and nothing else of the others."""

    chromium: Any
    url: str
    pages: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    stations: int = 0

    def page_of(self, name: str, language: str = "en") -> Any:
        """Return a person's page, opening the browser at the first call."""
        if name not in self.pages:
            context = self.chromium.new_context(
                base_url=self.url,
                ignore_https_errors=True,
                locale="zh-CN" if language == "zh" else "en-GB",
                viewport={"width": WIDTH_PX, "height": HEIGHT_PX},
            )
            page = context.new_page()
            page.on("console", self._note)
            page.on("pageerror", lambda error: self.complaints.append(str(error)))
            self.pages[name] = page
        return self.pages[name]

    def enrol(self, name: str, code: str, language: str = "en") -> Any:
        """Set password and second factor with a one-time code, and come to the home page."""
        page = self.page_of(name, language)
        page.goto("/console/enrol")
        page.locator("#field-code").fill(code)
        follow(page, page.locator("main button"))
        secret = page.locator(".secret").inner_text().replace(" ", "")
        page.locator("#field-password").fill(PASSWORD)
        page.locator("#field-password_again").fill(PASSWORD)
        page.locator("#field-totp_code").fill(pyotp.TOTP(secret).now())
        follow(page, page.locator("main button"))
        expect(page.locator(".codes li")).to_have_count(10)
        follow(page, page.locator("main .buttons a"))
        expect(page).to_have_url(f"{self.url}/console")
        return page

    def station(self, page: Any, name: str) -> None:
        """Keep a picture of where a person is."""
        self.stations += 1
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"whole-path-{self.stations:02d}-{name}.png", full_page=True)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterWithConsole]:
    """Parties that know each other and have registered their assets; nobody has asked for anything."""
    extracts = tmp_path_factory.mktemp("extracts")
    write_small_extracts(extracts / "by-department", PEOPLE)
    for name in DEPARTMENTS:
        (extracts / "by-department" / name / "extract.parquet").rename(extracts / f"{name}.parquet")
    project = Project(REGION, departments=DEPARTMENTS, site_policy=SITE_POLICY, tier="general_1")
    folder = prepare_folder(tmp_path_factory.mktemp("path") / "run")
    with ClusterWithConsole(folder, extracts, project, step_timeout_s=120) as made:
        made.build()
        made.start_nodes()
        made.create_project(PROJECT, REGION, LEAD)
        yield made


@pytest.fixture
def people(chromium: Any, cluster: ClusterWithConsole) -> Iterator[People]:
    """The people of this path; at the end none of their pages may have complained."""
    found = People(chromium, cluster.url)
    yield found
    for page in found.pages.values():
        page.context.close()
    assert found.complaints == []


@pytest.mark.processes
@pytest.mark.timeout(900)
def test_a_grant_from_the_first_account_to_its_revocation(cluster: ClusterWithConsole, people: People) -> None:
    officer = people.enrol("officer", cluster.one_time_code)
    people.station(officer, "officer-home")
    approver, lead, owner = _accounts(people, officer)

    _see_the_catalogue(people, lead)
    number = _ask(people, lead)
    _owners_approve(cluster, people, owner, number)
    _centre_decides(cluster, people, approver, number)
    run_id = _run(cluster, people, lead)
    _see_the_results(people, approver, run_id)
    _take_back(cluster, people, owner, number)

    # What ended stays ended, for every node and for the coordinator.
    with pytest.raises(DoudiError, match=r"grant\.revoked|has revoked the grant"):
        cluster.start_run(LEAD, PROJECT, "evidence")
    lead.goto("/console/runs")
    people.station(lead, "runs-after-the-revocation")
    expect(lead.locator("tbody tr")).to_have_count(1)


def _accounts(people: People, officer: Any) -> tuple[Any, Any, Any]:
    """The officer makes an account for each of three people, and each enrols: one of them reads Chinese."""
    wanted = (
        ("centre-approver", "centre", "centre_approver", "en"),
        ("lead-it", LEAD, "department_it", "en"),
        ("tax-steward", "tax", "department_approver", "zh"),
    )
    pages = []
    for name, party, role, language in wanted:
        officer.goto("/console/accounts/new")
        officer.get_by_label("Login name").fill(name)
        officer.locator("#field-party").select_option(party)
        officer.locator(f'input[name=roles][value="{role}"]').check()
        follow(officer, officer.locator("main form button.primary"))
        code = officer.locator(".secret").inner_text()
        pages.append(people.enrol(name, code, language))
        # The code was shown once and counts once.
        officer.reload()
        expect(officer).to_have_url(re.compile(r"/console/accounts/\d+$"))
        assert code not in officer.content()
    officer.goto("/console/accounts")
    people.station(officer, "accounts")
    expect(officer.locator("tbody tr")).to_have_count(4)
    approver, lead, owner = pages
    expect(owner.locator("h1")).to_have_text("首页")
    people.station(owner, "owner-home")
    return approver, lead, owner


def _see_the_catalogue(people: People, lead: Any) -> None:
    """What the nodes registered with `doudi node register-asset` is in everybody's catalogue."""
    lead.goto("/console/catalogue")
    people.station(lead, "catalogue")
    expect(lead.locator("tbody tr")).to_have_count(len(DEPARTMENTS))
    expect(lead.locator("tbody")).to_contain_text("Social assistance", use_inner_text=True)


def _ask(people: People, lead: Any) -> int:
    """The lead's IT asks for the supporting departments' data, sees it beside the tiers, and submits."""
    lead.goto("/console/requests")
    follow(lead, lead.get_by_role("link", name="New request"))
    for name in SUPPORTING:
        lead.locator(f'input[name=supporting][value="{name}"]').check()
    lead.get_by_label("Label period").fill("2024")
    lead.get_by_label("Number of runs").fill("3")
    lead.get_by_label("Evidence bits per person and year, at most").fill("400")
    people.station(lead, "new-request")
    follow(lead, lead.get_by_role("button", name="Compare with the rules"))
    expect(lead.get_by_text("within all rules")).to_be_visible()
    people.station(lead, "request-beside-the-rules")
    follow(lead, lead.get_by_role("button", name="Store as a draft").first)
    expect(lead).to_have_url(re.compile(r"\?done=drafted$"))
    follow(lead, lead.get_by_role("button", name="Submit to owners and centre"))
    expect(lead).to_have_url(re.compile(r"\?done=submitted$"))
    people.station(lead, "request-submitted")
    found = re.search(r"/requests/(\d+)", lead.url)
    assert found is not None
    return int(found[1])


def _owners_approve(cluster: ClusterWithConsole, people: People, owner: Any, number: int) -> None:
    """An owner's steward reads the request, switches the language, approves at the console, and signs at the node."""
    owner.goto("/console")
    follow(owner, owner.get_by_role("link", name=re.compile(rf"第 {number} 号")))
    people.station(owner, "request-at-the-owner-in-chinese")
    expect(owner.get_by_text(f"doudi node approve {number}", exact=True).first).to_be_visible()
    follow(owner, owner.get_by_role("link", name="English"))
    expect(owner.locator("h1")).to_have_text(re.compile(rf"^\s*Request {number}\b"))
    owner.locator("#approve summary").click()
    follow(owner, owner.get_by_role("button", name="Record my approval"))
    expect(owner).to_have_url(re.compile(r"\?done=approved$"))
    _expect_state(owner, "Submitted")
    for name in DEPARTMENTS:
        cluster.node(name, "approve", str(number), "--yes")
    owner.reload()
    people.station(owner, "signed-by-all-owners")
    _expect_state(owner, "Submitted")


def _centre_decides(cluster: ClusterWithConsole, people: People, approver: Any, number: int) -> None:
    """The console's button records the centre's decision; the signature on the officer's device makes the grant active."""
    approver.goto("/console/requests")
    follow(approver, approver.locator(f'a[href="/console/requests/{number}"]'))
    approver.locator("#approve summary").click()
    approver.locator("#approve-note").fill("Agreed at the centre's meeting.")
    people.station(approver, "request-at-the-centre")
    follow(approver, approver.get_by_role("button", name="Record my approval"))
    expect(approver).to_have_url(re.compile(r"\?done=approved$"))
    _expect_state(approver, "Granted, not active")
    expect(approver.locator(".commands .command").last).to_have_text(f"doudi centre approve {number}")
    people.station(approver, "granted-and-not-active")
    with pytest.raises(DoudiError, match=r"grant\.signature_missing|has not signed|signature"):
        cluster.start_run(LEAD, PROJECT, "evidence")
    cluster.centre_command("approve", str(number), "--yes")
    approver.reload()
    _expect_state(approver, "Active")
    follow(approver, approver.get_by_role("link", name="Grant, runs and revocation"))
    people.station(approver, "grant-active")


def _run(cluster: ClusterWithConsole, people: People, lead: Any) -> str:
    """The scheduler starts a run; its page follows it without being loaded again, until it has ended."""
    run_id = cluster.start_run(LEAD, PROJECT, "evidence")
    lead.goto(f"/console/runs/{run_id}")
    people.station(lead, "run-gathers-keys")
    state, progress = lead.locator(".run-state"), lead.locator(".progress progress")
    before = state.inner_text()
    cluster.schedule(run_id)
    expect(state).not_to_have_text(before)
    # Once it waits for its turn, the page has a row for each department. It is not loaded again after this: before its first
    # answer the run has its processes to start, so that all of its answers are still to come.
    lead.reload()
    expect(lead.locator(".step-state").nth(len(DEPARTMENTS) - 1)).to_be_visible()
    lead.evaluate("window.neverLoadedAgain = true")
    expect(progress).not_to_have_attribute("value", "0", timeout=RUN_TIMEOUT_MS)
    people.station(lead, "run-in-progress")
    ended = lead.get_by_role("link", name="Show how it ended")
    expect(ended).to_be_visible(timeout=RUN_TIMEOUT_MS)
    expect(progress).to_have_attribute("value", str(progress.get_attribute("max")))
    assert lead.evaluate("window.neverLoadedAgain") is True
    people.station(lead, "run-has-ended")
    follow(lead, ended)
    expect(state).to_have_text("finished")
    return run_id


def _see_the_results(people: People, approver: Any, run_id: str) -> None:
    """Everybody concerned sees the quality and the departments' contributions, as plots with their tables."""
    approver.goto("/console/runs")
    follow(approver, approver.locator(f'a[href="/console/runs/{run_id}"]').first)
    expect(approver.locator("svg.chart").nth(1)).to_be_visible()
    people.station(approver, "results")
    approver.goto(f"/console/runs/{run_id}?lang=zh")
    people.station(approver, "results-in-chinese")
    approver.goto("/console/grants?lang=en")
    expect(approver.locator("tbody")).to_contain_text("1 / 3", use_inner_text=True)
    people.station(approver, "grants-with-one-run-used")


def _take_back(cluster: ClusterWithConsole, people: People, owner: Any, number: int) -> None:
    """The steward asks for it at the console; the node's revocation key does it."""
    owner.goto(f"/console/grants/{number}")
    owner.locator("#revoke summary").click()
    owner.locator("#field-why").select_option("consent_withdrawn")
    follow(owner, owner.get_by_role("button", name="Record that we want to take it back"))
    expect(owner).to_have_url(re.compile(r"\?done=wished$"))
    command = f"doudi node revoke {number} --reason consent_withdrawn"
    expect(owner.get_by_text(command, exact=True)).to_be_visible()
    _expect_state(owner, "Active")
    people.station(owner, "revocation-asked-for")
    cluster.node("tax", "revoke", str(number), "--reason", "consent_withdrawn", "--yes")
    owner.goto(f"/console/grants/{number}")
    _expect_state(owner, "Revoked")
    expect(owner.get_by_text("taken back", exact=True)).to_be_visible()
    people.station(owner, "revoked")


def _expect_state(page: Any, state: str) -> None:
    expect(page.locator(".head .badge")).to_have_text(state)
