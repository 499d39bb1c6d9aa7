"""`doudi centre register | card | create-project | status`: parties and projects, from the officer's device."""

from pathlib import Path
from typing import Annotated, Any

import typer

from command_line.console import ending_with_code, show_fact, show_time
from command_line.documents import read_document_bytes
from command_line.paging import every_item
from coordinator.cli.ledger_commands import renew_after_registration
from coordinator.cli.start import AsJson, OfficerHome, console, open_officer
from coordinator.projects.api import ProjectRequest
from coordinator.runs.states import ENDED, RunState
from crypto.canonical import canonical_json
from policies.contracts.cards import DepartmentCard

ACTIVE = tuple(state for state in RunState if state not in ENDED)

app = typer.Typer()


@app.command()
@ending_with_code
def register(
    cards: Annotated[list[Path], typer.Argument(metavar="CARD...", help="departments' public cards")],
    officer_home: OfficerHome,
    replace: Annotated[bool, typer.Option(help="accept other keys than the registered ones")] = False,
    as_json: AsJson = False,
) -> None:
    """Register departments, which are the ledger's witnesses from then on. Compare each fingerprint by telephone before."""
    officer = open_officer(officer_home)
    # All files are read before the first is sent, so that a bad one does not leave half a registration.
    parsed = [DepartmentCard.parse(read_document_bytes(path)) for path in cards]
    for card in parsed:
        officer.request("POST", f"/v1/parties?replace={str(replace).lower()}", card.to_bytes())
        officer.keep_card(card)
        facts = {"department": card.department, "people": card.people, "fingerprint": card.fingerprint()}
        show_fact(console.text("registered", **facts), facts, as_json=as_json)
    # Each registered department witnesses the ledger, and may put its own records into it. A crash before this leaves them
    # registered and no witnesses: `doudi centre ledger renew-terms`, or registering again, completes it.
    renew_after_registration(officer)


@app.command()
@ending_with_code
def card(officer_home: OfficerHome, as_json: AsJson = False) -> None:
    """Show the centre's fingerprint, for reading out to the departments that pin its card."""
    found = open_officer(officer_home).centre_card
    facts = {"fingerprint": found.fingerprint(), "url": found.url}
    show_fact(console.text("centre_card", **facts), facts, as_json=as_json)


@app.command("create-project")
@ending_with_code
def create_project(
    project: Annotated[str, typer.Argument(help="the project's name")],
    officer_home: OfficerHome,
    title: Annotated[str, typer.Option(help="for people; no person's name")],
    purpose: Annotated[str, typer.Option(help="purpose that the grant must name")],
    region: Annotated[str, typer.Option(help="region that the grant must name")],
    lead: Annotated[str, typer.Option(help="lead department")],
    as_json: AsJson = False,
) -> None:
    """Open a project. The same project again is accepted."""
    fields = {"project_id": project, "title": title, "purpose": purpose, "region": region, "lead": lead}
    # Parsed here too, so that a mistake is named before anything is sent.
    wanted = ProjectRequest.parse(canonical_json(fields))
    answer = open_officer(officer_home).request("POST", "/v1/projects", wanted.to_bytes())
    show_fact(console.text("project_created", project=project, lead=lead), answer, as_json=as_json)


@app.command()
@ending_with_code
def status(officer_home: OfficerHome, as_json: AsJson = False) -> None:
    """Show whether the coordinator answers, who is registered and when each party was last seen."""
    officer = open_officer(officer_home)
    officer.health()
    departments = [party for party in every_item(officer.get, "/v1/parties") if party["role"] == "department"]
    projects = sum(1 for _ in every_item(officer.get, "/v1/projects"))
    active = sum(1 for state in ACTIVE for _ in every_item(officer.get, f"/v1/runs?state={state}"))
    counts = {"parties": len(departments), "projects": projects, "active": active}
    listed = [_party_facts(party) for party in departments]
    facts = {**counts, "departments": listed}
    show_fact(console.text("status", **counts), facts, as_json=as_json)
    if not as_json:
        rows = [{**party, "last_seen": show_time(party["last_seen_at"])} for party in listed]
        console.rows(["name", "last_seen", "fingerprint"], rows, as_json=False)


def _party_facts(party: dict[str, Any]) -> dict[str, Any]:
    return {name: party[name] for name in ("name", "fingerprint", "last_seen_at")}
