"""Officers' commands at six nodes against the real coordinator: register, request, show, approve, run, revoke, refuse."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from coordinator_server import PROJECT, CoordinatorServer
from region import DEPARTMENTS, LEAD, Region
from sqlalchemy import select
from typer.testing import CliRunner

from department_nodes.agent import duties_of
from department_nodes.cli import app
from department_nodes.client import CoordinatorClient
from department_nodes.config import load_config, write_config
from department_nodes.home import APPROVAL_KEY, IDENTITY_KEY, OFFICER_KEYS_VARIABLE, SITE_POLICY_FILE
from department_nodes.store.models import EventRow
from department_nodes.store.session import transaction

NODE = "tax"
SUPPORTING = [name for name in DEPARTMENTS if name != LEAD]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoordinatorServer]:
    made = CoordinatorServer(tmp_path_factory.mktemp("centre"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, server: CoordinatorServer) -> Iterator[Region]:
    """Six nodes whose assets are registered and whose lists are published."""
    made = Region(tmp_path_factory.mktemp("region") / "region", people=240)
    server.admit(made)
    server.publish_revocations()
    for name in DEPARTMENTS:
        assert call(made, name, "register-asset").exit_code == 0
        perform_duties(made, name)
    yield made
    made.close()


def call(region: Region, name: str, *arguments: object, language: str = "en") -> Result:
    """Run a command of `doudi node` at a department."""
    home = ["--home", str(region.folder / name)]
    return CliRunner().invoke(app, ["--lang", language, *map(str, arguments), *home])


def told(region: Region, name: str, *arguments: object) -> Any:
    """Run a command that must succeed, and return what it tells machines."""
    result = call(region, name, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def perform_duties(region: Region, name: str) -> None:
    """Do once what the running node does again and again."""
    home = region.homes[name]
    client = CoordinatorClient(home.config.coordinator_url, home.ca_file, name, home.key(IDENTITY_KEY))
    for duty in duties_of(region.engines[name], client):
        duty.act()
    client.close()


def request(region: Region, *options: object) -> int:
    """Ask for a grant at the lead; return the request's number."""
    terms = ["--project", PROJECT, "--purpose", "social_assistance", "--target", "public_coverage"]
    named = [part for name in SUPPORTING for part in ("--department", name)]
    found = told(region, LEAD, "request", *terms, "--label-period", "2026", *named, *options)
    return int(found["number"])


def agree(region: Region, server: CoordinatorServer, number: int) -> None:
    """Have every owner and the centre approve a request."""
    for name in DEPARTMENTS:
        result = call(region, name, "approve", number, "--yes")
        assert result.exit_code == 0, result.output
    server.sign(number)
    assert server.state(number) == "active"


def test_an_asset_is_registered_once_and_again_when_it_changes(region: Region, server: CoordinatorServer) -> None:
    listed = {row["owner"]: row for row in told(region, NODE, "assets")}
    assert set(listed) == set(DEPARTMENTS)
    mine = listed["housing"]
    again = told(region, "housing", "register-asset")
    assert (again["revision"], again["people"]) == (mine["revision"], mine["people"])
    config = load_config(region.folder / "housing")
    write_config(region.folder / "housing", config.model_copy(update={"steward": "records-office"}))
    region.stop("housing")
    assert told(region, "housing", "register-asset")["revision"] == mine["revision"] + 1
    withdrawn = told(region, "housing", "register-asset", "--withdraw")
    assert withdrawn["withdrawn"] is True
    with pytest.raises(AssertionError, match=r"request\.asset_withdrawn"):
        request(region)
    assert told(region, "housing", "register-asset")["withdrawn"] is False
    rows = {row["owner"]: row for row in told(region, NODE, "assets")}
    assert (rows["housing"]["revision"], rows["housing"]["state"]) == (mine["revision"] + 3, "registered")
    shown = call(region, NODE, "assets", language="zh")
    assert "归属部门" in shown.stdout


def test_a_request_is_shown_exactly_approved_by_all_and_can_be_run(region: Region, server: CoordinatorServer) -> None:
    number = request(region, "--window", "mon-sun 00:00-24:00+08:00", "--runs", "3")
    assert server.state(number) == "submitted"
    assert [row["number"] for row in told(region, NODE, "requests", "--state", "submitted")] == [number]
    assert told(region, NODE, "status")["waiting_requests"] == [number]

    shown = told(region, NODE, "show-request", number)
    assert shown["refusals"] == []
    assert shown["grant"]["runs_allowed"] == 3
    (cost,) = shown["costs"]
    assert (cost["budget"], cost["per_run"], cost["grant"], cost["cap"], cost["fits"]) == ("evidence", 11, 33, 60, True)
    assert {row["party"]: (row["signed"], row["needed"]) for row in shown["signatures"]} == {
        name: (0, 1) for name in (*DEPARTMENTS, "centre")
    }
    (cost,) = told(region, LEAD, "show-request", number)["costs"]
    assert (cost["budget"], cost["spent"], cost["together"], cost["cap"]) == ("labels", 0, 1.0, 8.0)
    english = call(region, NODE, "show-request", number).stdout
    chinese = call(region, NODE, "show-request", number, language="zh").stdout
    assert "Social assistance" in english
    assert "Mon–Sun 00:00–24:00 (UTC+08:00)" in english
    assert "社会救助" in chinese
    assert "周一至周日 00:00–24:00（UTC+08:00）" in chinese
    assert "revocation list" in english
    assert told(region, NODE, "policy", "test", number) == {
        "grant_hash": shown["grant_hash"],
        "allowed": True,
        "refusals": [],
    }

    first = told(region, NODE, "approve", number, "--yes", "--grant-hash", shown["grant_hash"])
    assert (first["count"], first["needed"], first["missing"]) == (1, 1, 0)
    assert told(region, NODE, "status")["waiting_requests"] == []
    # The same person again changes nothing.
    assert told(region, NODE, "approve", number, "--yes")["count"] == 1
    for name in (LEAD, *SUPPORTING[:-1]):
        told(region, name, "approve", number, "--yes")
    # All owners have signed; the centre has not.
    assert server.state(number) == "submitted"
    assert server.sign(number)["state"] == "active"

    run = told(region, LEAD, "create-run", PROJECT)
    for name in DEPARTMENTS:
        perform_duties(region, name)
    scheduled = call(region, LEAD, "schedule", run["run_id"], "--wait-s", 0)
    assert scheduled.exit_code == 0, scheduled.output
    assert "6 departments" in scheduled.stdout


def test_another_grant_than_the_one_that_was_read_is_not_signed(region: Region) -> None:
    number = request(region)
    refused = call(region, NODE, "approve", number, "--yes", "--grant-hash", "ab" * 32)
    assert refused.exit_code == 3
    assert "grant.wrong_hash" in refused.stderr
    assert told(region, NODE, "show-request", number)["signatures"][-1]["signed"] == 0


def test_a_site_that_would_refuse_does_not_sign_and_says_every_reason(region: Region) -> None:
    number = request(region, "--runs", "40")
    path = region.folder / NODE / SITE_POLICY_FILE
    before = path.read_text(encoding="utf-8")
    config = load_config(region.folder / NODE)
    rules = '@id("site.few_runs")\nforbid (principal, action, resource) when { context.runs_allowed > 10 };\n'
    try:
        path.write_text(rules + '@id("site.no_lead")\nforbid (principal, action, resource);\n', encoding="utf-8")
        narrow = config.model_copy(update={"policy": config.policy.model_copy(update={"max_epsilon_milli": 500})})
        write_config(region.folder / NODE, narrow)
        tested = call(region, NODE, "policy", "test", number, "--json")
        assert tested.exit_code == 3
        found = [(row["code"], row["origin"], row["rule"]) for row in json.loads(tested.stdout)["refusals"]]
        assert found == [
            ("policy.epsilon", "node.toml", ""),
            ("policy.site_rule", "site-policy.cedar", "site.few_runs"),
            ("policy.site_rule", "site-policy.cedar", "site.no_lead"),
        ]
        shown = call(region, NODE, "policy", "test", number, language="zh")
        assert "site.few_runs" in shown.stdout
        assert "拒绝" in shown.stdout
        approved = call(region, NODE, "approve", number, "--yes")
        assert approved.exit_code == 3
        assert "policy.epsilon" in approved.stderr
    finally:
        path.write_text(before, encoding="utf-8")
        write_config(region.folder / NODE, config)
    assert told(region, NODE, "show-request", number)["signatures"][-1]["signed"] == 0


def test_a_further_approver_signs_with_the_key_of_their_own_folder(
    region: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = request(region)
    device = tmp_path / "device"
    device.mkdir()
    (device / APPROVAL_KEY).write_bytes((region.folder / "housing" / "keys" / APPROVAL_KEY).read_bytes())
    (device / APPROVAL_KEY).chmod(0o600)
    monkeypatch.setenv(OFFICER_KEYS_VARIABLE, str(device))
    # Another department's approver is none of this one's.
    refused = call(region, NODE, "approve", number, "--yes")
    assert refused.exit_code == 3
    assert "grant.wrong_key" in refused.stderr
    assert call(region, "housing", "approve", number, "--yes").exit_code == 0


def test_an_owner_refuses_and_the_request_ends(region: Region, server: CoordinatorServer) -> None:
    number = request(region)
    assert told(region, NODE, "refuse", number, "--reason", "not discussed here", "--yes")["state"] == "refused"
    assert call(region, "housing", "approve", number, "--yes").exit_code == 3
    assert server.state(number) == "refused"


def test_the_lead_withdraws_what_is_not_in_force(region: Region, server: CoordinatorServer) -> None:
    number = request(region, "--draft-only")
    assert server.state(number) == "drafted"
    assert told(region, LEAD, "submit-request", number)["hash"]
    assert call(region, NODE, "withdraw", number, "--reason", "not mine").exit_code == 3
    assert told(region, LEAD, "withdraw", number, "--reason", "asked too early")["state"] == "withdrawn"


@pytest.mark.parametrize("party", [NODE, LEAD])
def test_a_revocation_works_here_at_once_and_everywhere_when_the_list_comes(
    region: Region, server: CoordinatorServer, party: str
) -> None:
    number = request(region)
    agree(region, server, number)
    grant_hash = told(region, NODE, "show-request", number)["grant_hash"]
    revoked = told(region, party, "revoke", number, "--reason", "purpose_ended", "--yes")
    assert (revoked["hash"], revoked["handed_in"]) == (grant_hash, True)
    assert server.state(number) == "revoked"
    at_once = call(region, party, "policy", "test", grant_hash, "--json")
    assert [row["code"] for row in json.loads(at_once.stdout)["refusals"]] == ["grant.revoked"]
    other = "housing"
    assert call(region, other, "policy", "test", number).exit_code == 0
    perform_duties(region, other)
    refused = call(region, other, "policy", "test", number, "--json")
    assert [row["origin"] for row in json.loads(refused.stdout)["refusals"]] == ["revocation"]
    lists = {row["party"]: row for row in told(region, other, "revocations")}
    assert lists[party]["revoked"] >= 1
    assert {row["state"] for row in lists.values()} == {"recent"}
    # It can be revoked by its hash as well, though nobody knows the document any more; the list keeps it.
    assert told(region, other, "revoke", grant_hash, "--reason", "other", "--yes")["hash"] == grant_hash


def test_a_revocation_does_not_wait_for_the_coordinator(region: Region, tmp_path: Path) -> None:
    away = region.copy(tmp_path / "away")
    config = load_config(away.folder / NODE)
    write_config(away.folder / NODE, config.model_copy(update={"coordinator_url": "https://127.0.0.1:1"}))
    signed = away.sign(away.draft())
    file = tmp_path / "grant.json"
    file.write_bytes(signed.to_bytes())
    assert call(away, NODE, "policy", "test", file).exit_code in (0, 3)
    revoked = call(away, NODE, "revoke", signed.grant_hash, "--reason", "misuse", "--yes", "--json")
    # Done, and told that it is not handed in.
    assert revoked.exit_code == 4
    assert json.loads(revoked.stdout)["handed_in"] is False
    refused = call(away, NODE, "policy", "test", file, "--json")
    assert "grant.revoked" in [row["code"] for row in json.loads(refused.stdout)["refusals"]]
    away.close()


def test_the_running_node_hands_in_what_an_officer_revoked_while_the_coordinator_was_away(
    region: Region, server: CoordinatorServer
) -> None:
    from department_nodes.revocations import issue_list, known_lists

    issue_list(region.homes[NODE], int(region.clock()))
    mine = known_lists(region.homes[NODE])[NODE]
    perform_duties(region, NODE)
    theirs = {item["content"]["party"]: item for item in server.client.get("/v1/revocations")["items"]}
    assert theirs[NODE]["content"]["number"] == mine.content.number


def test_a_node_restored_from_an_old_copy_counts_its_lists_on(region: Region, server: CoordinatorServer) -> None:
    before = region.folder / NODE / "revocations" / f"{NODE}.json"
    old = before.read_bytes()
    number = told(region, NODE, "publish-revocations")["number"]
    before.write_bytes(old)
    assert told(region, NODE, "publish-revocations")["number"] == number + 1


def test_the_report_goes_once_and_again_when_something_changed(region: Region, server: CoordinatorServer) -> None:
    def stored() -> Any:
        return server.client.get(f"/v1/parties/{NODE}/report")

    perform_duties(region, NODE)
    first = stored()
    perform_duties(region, NODE)
    assert stored() == first
    with transaction(region.engines[NODE].db) as session:
        types = list(session.scalars(select(EventRow.type)))
    assert "report.signed" in types
    region.set_policy(NODE, report_to_centre=False)
    perform_duties(region, NODE)
    assert stored() == first
    region.set_policy(NODE, report_to_centre=True)


def test_a_request_that_names_somebody_else_is_unknown_here(region: Region) -> None:
    unknown = call(region, NODE, "show-request", 9999)
    assert unknown.exit_code == 3
    assert "request.unknown" in unknown.stderr


def test_without_the_coordinator_status_still_shows_the_node(region: Region, tmp_path: Path) -> None:
    away = region.copy(tmp_path / "away")
    config = load_config(away.folder / NODE)
    write_config(away.folder / NODE, config.model_copy(update={"coordinator_url": "https://127.0.0.1:1"}))
    found = told(away, NODE, "status")
    assert found["waiting_requests"] is None
    assert found["active_runs"] == []
    shown = call(away, NODE, "status", language="zh")
    assert "撤销清单" in shown.stdout
    assert call(away, NODE, "requests").exit_code == 4
    away.close()


def test_the_sites_own_policy_is_shown_with_who_decides_each_limit(region: Region, tmp_path: Path) -> None:
    found = told(region, NODE, "policy", "show")
    limits = {row["name"]: row for row in found["limits"]}
    assert limits["max_epsilon_milli"] == {
        "name": "max_epsilon_milli",
        "site": 3000,
        "tier": 4000,
        "in_force": 3000,
        "decided_by": "site",
    }
    assert [rule["id"] for rule in found["rules"]] == ["site.longer_than_a_year", "site.too_many_runs"]
    assert "site-policy.cedar" in call(region, NODE, "policy", "show").stdout
    assert told(region, NODE, "policy", "check")["rules"] == 2
    path = region.folder / NODE / SITE_POLICY_FILE
    before = path.read_bytes()
    path.write_text('@id("site.open")\npermit (principal, action, resource);\n', encoding="utf-8")
    assert call(region, NODE, "policy", "check").exit_code == 3
    assert call(region, NODE, "policy", "default").exit_code == 5
    assert call(region, NODE, "policy", "default", "--replace").exit_code == 0
    assert path.read_bytes() == before


def test_two_people_of_each_party_approve_important_data_each_with_a_key_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = CoordinatorServer(tmp_path / "centre", further_approvers=1)
    region = Region(tmp_path / "region", people=60, tier="important", further_approvers=1)
    server.admit(region)
    server.publish_revocations()
    for name in DEPARTMENTS:
        told(region, name, "register-asset")
    beyond = ["--mode", "sum-only", "--bits-per-year", "60", "--days", "90", "--runs", "5"]
    with pytest.raises(AssertionError, match=r"tier\.runs"):
        request(region, *beyond)
    number = request(region, "--mode", "sum-only", "--bits-per-year", "40", "--days", "90", "--runs", "2")
    for name in DEPARTMENTS:
        first = told(region, name, "approve", number, "--yes")
        assert (first["count"], first["needed"], first["missing"]) == (1, 2, 1)
    assert told(region, NODE, "status")["waiting_requests"] == [number]
    for name in DEPARTMENTS:
        monkeypatch.setenv(OFFICER_KEYS_VARIABLE, str(region.folder / name / "officers" / "approver-2"))
        second = told(region, name, "approve", number, "--yes")
        assert (second["count"], second["missing"]) == (2, 0)
    assert told(region, NODE, "status")["waiting_requests"] == []
    assert server.sign(number)["state"] == "submitted"
    assert server.sign(number, server.further_approval_keys[0])["state"] == "active"
    region.close()
    server.close()
