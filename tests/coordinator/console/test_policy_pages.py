"""The pages of the rules: propose, check, compare, approve, withdraw; and the record of decisions."""

import pytest
from console_people import enrolled

from policies.authorization.coordinator_rules import shipped_engine

RULES = shipped_engine().text
MORE = f"""{RULES}
// Auditors may know it.
@id("extra.rule")
permit (principal is Device, action == Action::"ledger.read_headers", resource is System);
"""


@pytest.fixture
def at(cheap_world, signed_in):
    """Return a function that gives the browser of a new person of the centre."""

    def browser_of(login_name, role="centre_approver"):
        page = signed_in(enrolled(cheap_world.context, login_name, "centre", role))
        page.cookies.set("doudi-lang", "en", domain="coordinator.example", path="/")
        return page

    return browser_of


def proposed(page, text=MORE):
    page.get("/console/policy/propose")
    return page.post("/console/policy/propose", {"rules": text})


def test_the_rules_in_force_are_shown_with_their_hash_and_every_rule_by_itself(at):
    page = at("one", "auditor")
    shown = page.get("/console/policy").text
    assert "0: as shipped with the program" in shown
    assert shipped_engine().policy_hash[:8] in shown
    rules = page.get("/console/policy/rules").text
    for rule in shipped_engine().rules:
        assert f'<h2 id="{rule.id}">' in rules
    assert "Who checks the others must not have done what is checked." in rules


def test_one_proposes_two_others_approve_and_then_it_is_in_force(at):
    proposer, first, second = at("proposer", "centre_officer"), at("first"), at("second")
    address = proposed(proposer).headers["location"].partition("?")[0]
    shown = proposer.get(address).text
    assert "extra.rule" in shown
    assert '<tr class="added">' in shown
    assert '<span class="unseen">added</span>' in shown
    assert f"{address}/approve" not in shown
    assert f"{address}/withdraw" in shown
    assert "change of the rules waits for your approval" in first.get("/console").text

    assert f"{address}/approve" in first.get(address).text
    assert first.post(f"{address}/approve").headers["location"] == f"{address}?done=approved"
    assert f"{address}/approve" not in first.get(address).text
    assert "1 of 2" in second.get(address).text
    assert second.post(f"{address}/approve").headers["location"] == f"{address}?done=in_force"
    in_force = second.get("/console/policy").text
    assert address.rpartition("/")[2][:8] in in_force
    assert 'id="extra.rule"' in second.get("/console/policy/rules").text


def test_nobody_approves_the_own_proposal_nor_twice(at):
    proposer, first = at("proposer"), at("first")
    address = proposed(proposer).headers["location"].partition("?")[0]
    assert proposer.post(f"{address}/approve").status_code == 403
    first.get(address)
    first.post(f"{address}/approve")
    assert first.post(f"{address}/approve").status_code == 403
    # An officer proposes and never approves.
    officer = at("officer", "centre_officer")
    officer.get(address)
    assert officer.post(f"{address}/approve").status_code == 403
    assert officer.post(f"{address}/withdraw").status_code == 403


def test_the_proposer_withdraws(at):
    proposer = at("proposer")
    address = proposed(proposer).headers["location"].partition("?")[0]
    proposer.get(address)
    assert proposer.post(f"{address}/withdraw").headers["location"] == f"{address}?done=withdrawn"
    assert "withdrawn by its proposer" in proposer.get(address).text
    first = at("first")
    first.get(address)
    assert first.post(f"{address}/approve").status_code == 409


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            MORE.replace('Action::"ledger.read_headers"', 'Action::"ledger.write_headers"'),
            "They do not parse, or do not fit the schema",
        ),
        ("permit (", "They do not parse"),
        (
            RULES.replace('@id("policy.not_own")', '@id("policy.other")'),
            "They lack something that every version must hold",
        ),
        ('@id("all")\npermit (principal, action, resource);\n', "They lack something"),
    ],
)
def test_rules_that_can_never_be_in_force_say_where(at, text, says):
    page = at("proposer")
    answer = proposed(page, text)
    assert answer.status_code == 422
    assert says in answer.text
    assert "The rules were never changed." in page.get("/console/policy").text


def test_a_check_shows_the_difference_and_proposes_nothing(at):
    page = at("proposer")
    page.get("/console/policy/propose")
    answer = page.post("/console/policy/propose", {"rules": MORE, "check": "1"})
    assert answer.status_code == 200
    assert "Every rule parses and fits the schema." in answer.text
    assert '<tr class="added">' in answer.text
    assert "extra.rule" in answer.text
    assert "The rules were never changed." in page.get("/console/policy").text


def test_rules_that_are_in_force_already_change_nothing(at):
    page = at("proposer")
    answer = proposed(page, f"\n{RULES}\n\n")
    assert answer.status_code == 409
    assert "in force already" in answer.text


def test_the_same_rules_again_lead_to_the_open_change(at):
    page = at("proposer")
    first = proposed(page).headers["location"]
    assert proposed(page).headers["location"] == first.replace("done=proposed", "done=again")
    assert proposed(at("other")).status_code == 409


def test_a_change_of_the_rules_is_text_on_its_page(at):
    page = at("proposer")
    address = proposed(page, MORE.replace("Auditors may know it.", "<script>alert(1)</script>")).headers["location"]
    shown = page.get(address).text
    assert "<script>alert(1)" not in shown
    assert "&lt;script&gt;alert(1)" in shown


# Decisions


def test_decisions_name_rules_hash_and_people_by_number(at_work):
    shown = at_work.at("auditor").get("/console/decisions?action=run.schedule&outcome=allowed").text
    assert '<a href="/console/policy/rules#runs.schedule">' in shown
    assert shipped_engine().policy_hash in shown
    assert "denied</span>" not in shown


def test_decisions_come_in_pages(at_work):
    page = at_work.at("auditor")
    first = page.get("/console/decisions?limit=5").text
    assert first.count('<tr role="row">') == 6
    assert 'rel="next"' in first
    assert "First page" not in first
