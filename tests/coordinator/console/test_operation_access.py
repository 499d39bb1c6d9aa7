"""Who sees which page of the operation, and which buttons: the rules are asked, and the menu is not the fence."""

import pytest
from console_people import ROLES, enrolled
from coordinator_world import PROJECT
from screenless_browser import Browser

CENTRE = {"centre_officer", "centre_approver", "auditor"}
DEPARTMENTS = set(ROLES) - CENTRE
# Who may see a page; everybody else is refused.
PAGES = {
    "/console/runs": set(ROLES),
    "/console/queue": set(ROLES),
    "/console/catalogue": set(ROLES),
    "/console/catalogue/tax/tax": set(ROLES),
    "/console/parties": set(ROLES),
    "/console/parties/tax": set(ROLES),
    "/console/parties/tax/sent": CENTRE | {"department_it", "department_approver"},
    "/console/accounts": {"centre_officer", "auditor"},
    "/console/accounts/new": {"centre_officer"},
    "/console/accounts/1": {"centre_officer", "auditor"},
    "/console/policy": set(ROLES),
    "/console/policy/rules": set(ROLES),
    "/console/policy/propose": {"centre_officer", "centre_approver"},
    "/console/decisions": CENTRE,
    "/console/ledger": CENTRE,
    "/console/ledger/entries": CENTRE,
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_shown_to_those_whom_the_rules_let_read_it(at_work, path, role):
    answer = at_work.at(role).get(path)
    assert answer.status_code == (200 if role in PAGES[path] else 403)
    assert ('class="refusal"' in answer.text) is (role not in PAGES[path])


@pytest.mark.parametrize("path", [*PAGES, "/console/node", "/console/runs/run-1/events"])
def test_without_a_session_a_page_leads_to_the_sign_in_page(at_work, path):
    answer = Browser(at_work.world.app).get(path)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/console/sign-in")


@pytest.mark.parametrize("role", ROLES)
def test_a_denial_of_a_page_is_recorded_with_the_deciding_rules(at_work, role):
    if role in PAGES["/console/ledger"]:
        return
    at_work.at(role).get("/console/ledger")
    shown = at_work.at("auditor").get(
        f"/console/decisions?action=ledger.read_headers&account={at_work.people[role].number}"
    )
    assert "denied" in shown.text
    assert "no rule permits it" in shown.text


@pytest.mark.parametrize(
    "path",
    [
        "/console/runs?state=paused",
        "/console/runs?project=..%2F",
        "/console/catalogue?tier=secret",
        "/console/catalogue?owner=%3Cscript%3E",
        "/console/decisions?account=0",
        "/console/decisions?account=99999999999999999999",
        "/console/decisions?action=account.delete",
        "/console/ledger/entries?type=nothing",
        "/console/runs?cursor=AAAA",
        "/console/accounts/99999999999999999999",
        "/console/policy/changes/nothing",
        "/console/parties/A",
    ],
)
def test_a_value_that_is_none_gets_a_page_and_never_an_error(at_work, path):
    answer = at_work.at("auditor").get(path)
    assert answer.status_code in (404, 422)
    assert "<h1>" in answer.text


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/console/runs/run-ffffffffffffffff", "run.unknown"),
        ("/console/catalogue/tax/nothing", "asset.unknown"),
        ("/console/parties/nobody", "party.unknown"),
        ("/console/parties/centre", "party.unknown"),
        ("/console/accounts/9999", "account.unknown"),
        (f"/console/policy/changes/{'0' * 64}", "policy.unknown_change"),
    ],
)
def test_what_there_is_not_gets_its_page(at_work, path, code):
    answer = at_work.at("auditor").get(path)
    assert (answer.status_code, code in answer.text) == (404, True)


def test_a_department_lists_its_own_runs_and_not_those_of_others(at_work):
    stranger = at_work.of(enrolled(at_work.world.context, "stranger", "education", "scheduler"))
    answer = stranger.get("/console/runs")
    assert PROJECT not in answer.text
    assert "There is no run yet." in answer.text
    # The address of the filter widens nothing.
    assert PROJECT not in stranger.get("/console/runs?department=tax").text
    assert stranger.get(f"/console/runs/{at_work.runs['finished']}").status_code == 404
    assert stranger.get(f"/console/runs/{at_work.runs['finished']}/events").status_code == 404
    assert at_work.runs["running"] not in stranger.get("/console/queue").text


def test_a_department_sees_what_its_own_node_reports_and_only_the_card_of_others(at_work):
    page = at_work.at("department_it")
    own, other = page.get("/console/parties/tax").text, page.get("/console/parties/health").text
    assert "What left the node" in own
    assert "What left the node" not in other
    assert "Fingerprint, to be compared by telephone" in other
    listed = page.get("/console/parties").text
    assert listed.count("faults in the data") == 1
    assert "in order" not in listed


def test_the_menu_names_only_pages_that_open(at_work):
    import re

    for role in ROLES:
        page = at_work.at(role)
        menu = re.search(r'<nav class="menu wide-only".*?</nav>', page.get("/console").text, re.DOTALL)[0]
        for path in re.findall(r'href="([^"]+)"', menu):
            assert page.get(path).status_code in (200, 303), (role, path)
