"""The pages of requests: who sees and may do what, what is said about signatures, forged and hostile input."""

import html
import re

import pytest
from console_people import enrolled
from coordinator_world import COLUMNS, DEPARTMENTS, LINE_DATASET
from governed import PEOPLE, Governed

from policies.standards.loader import load_dataset_standard

READERS = tuple(PEOPLE)
ACTS = ("submit", "withdraw", "approve", "refuse")


@pytest.fixture
def governed(cheap_world, signed_in):
    return Governed(cheap_world, signed_in)


def words(answer):
    """Return what a page says, in one line."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


def offered(page, number):
    """Return the acts whose forms the page of a request shows."""
    answer = page.get(f"/console/requests/{number}")
    assert answer.status_code == 200
    return {act for act in ACTS if f'action="/console/requests/{number}/{act}"' in answer.text}


# Reading


@pytest.mark.parametrize("name", READERS)
def test_everybody_concerned_reads_a_request(governed, name):
    number, page = governed.submitted(), governed.at(name)
    assert f"/console/requests/{number}" in page.get("/console/requests?view=all").text
    shown = words(page.get(f"/console/requests/{number}"))
    # The purpose in words, the asset beside its rules, whose signatures are missing, and what would leave.
    for said in ("Finding households", "Everything that is asked stays within", "0 of 1", "Blinded list"):
        assert said in shown


def test_a_request_of_others_is_unknown_and_in_no_list(governed, signed_in):
    stranger = signed_in(enrolled(governed.world.context, "stranger", "education", "department_approver"))
    number = governed.submitted()
    answer = stranger.get(f"/console/requests/{number}")
    assert (answer.status_code, "request.unknown" in answer.text) == (404, True)
    assert f"/console/requests/{number}" not in stranger.get("/console/requests?view=all").text
    assert stranger.post(f"/console/requests/{number}/refuse", {"reason": "no"}).status_code == 404


@pytest.mark.parametrize("address", ["0", "-1", "x", "99999999999999999999"])
def test_an_address_that_is_no_number_is_no_page(governed, address):
    assert governed.at("auditor").get(f"/console/requests/{address}").status_code in (404, 422)


@pytest.mark.parametrize("query", ["view=secret", "state=sold", "cursor=x", "view=waiting&state=%00"])
def test_a_list_refuses_what_it_does_not_know(governed, query):
    assert governed.at("approver").get(f"/console/requests?{query}").status_code == 422


def test_nobody_reads_without_signing_in(browser):
    for path in ("/console/requests", "/console/requests/1", "/console/requests/new", "/console/grants"):
        assert browser.get(path).headers["location"].startswith("/console/sign-in")


def test_the_lists_are_narrowed_and_come_in_pages(governed):
    refused, open_number = governed.submitted(grant_id="grant-1"), governed.submitted(grant_id="grant-2")
    governed.world.act("tax", refused, "decisions", {"decision": "refuse", "reason": "no"})
    page = governed.at("approver")
    assert f"requests/{refused}" not in page.get("/console/requests").text
    assert f"requests/{open_number}" in page.get("/console/requests").text
    only = page.get("/console/requests?view=all&state=refused").text
    assert (f"requests/{refused}" in only, f"requests/{open_number}" in only) == (True, False)
    first = page.get("/console/requests?view=all&limit=1").text
    following = html.unescape(re.search(r'href="([^"]*cursor=[^"]*)"', first)[1])
    assert f'requests/{open_number}"' in first
    assert f'requests/{refused}"' in page.get(following).text
    assert "There is no request in this state." in words(page.get("/console/requests?view=all&state=expired"))


def test_an_owner_has_in_its_inbox_what_its_people_must_still_sign(governed):
    grant = governed.world.grant()
    number = governed.world.request(grant)
    page = governed.at("owner")
    assert f"requests/{number}" in page.get("/console/requests").text
    governed.world.sign(number, governed.world.signed(grant, "tax"), "tax")
    assert f"requests/{number}" not in page.get("/console/requests").text
    assert "Nothing waits for your party." in words(page.get("/console/requests"))


# Which buttons there are


@pytest.mark.parametrize(
    ("name", "of_draft", "of_submitted"),
    [
        ("lead_it", {"submit", "withdraw"}, {"withdraw"}),
        ("lead_approver", set(), {"approve", "refuse"}),
        ("scheduler", set(), set()),
        ("owner_it", set(), set()),
        ("owner", set(), {"approve", "refuse"}),
        ("officer", set(), set()),
        ("approver", set(), {"approve", "refuse"}),
        ("auditor", set(), set()),
    ],
)
def test_each_role_is_offered_what_it_may_do_and_nothing_else(governed, name, of_draft, of_submitted):
    draft = governed.world.draft(governed.world.grant(grant_id="grant-1")).json()["number"]
    page = governed.at(name)
    assert offered(page, draft) == of_draft
    submitted = governed.submitted(grant_id="grant-2")
    assert offered(page, submitted) == of_submitted


@pytest.mark.parametrize("name", ["scheduler", "owner_it", "officer", "auditor"])
@pytest.mark.parametrize("act", ACTS)
def test_what_is_not_offered_is_refused_to_who_asks_all_the_same(governed, name, act):
    number, page = governed.submitted(), governed.at(name)
    page.get(f"/console/requests/{number}")
    answer = page.post(f"/console/requests/{number}/{act}", {"reason": "because"})
    # Submitting again is refused for its state before anybody asks who may.
    assert answer.status_code == (409 if act == "submit" else 403)
    assert governed.state_of(number) == "submitted"


@pytest.mark.parametrize("act", ACTS)
def test_no_act_without_the_secret_of_the_session(governed, act):
    number, page = governed.submitted(), governed.at("approver")
    answer = page.ask("POST", f"/console/requests/{number}/{act}", data={"reason": "x"})
    assert (answer.status_code, "console.foreign_form" in answer.text) == (403, True)
    assert governed.state_of(number) == "submitted"


# Acts


def test_a_draft_is_submitted_and_the_page_says_what_is_done(governed):
    number = governed.world.draft(governed.world.grant()).json()["number"]
    page = governed.at("lead_it")
    page.get(f"/console/requests/{number}")
    answer = page.post(f"/console/requests/{number}/submit")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/requests/{number}?done=submitted")
    assert "Owners and centre decide now." in words(page.get(answer.headers["location"]))
    assert governed.state_of(number) == "submitted"


def test_the_centres_approval_is_recorded_and_signs_nothing(governed):
    """Owners have signed and the centre has decided: granted. Active it is only with the signature."""
    grant = governed.world.grant()
    number = governed.world.request(grant)
    governed.world.sign_all(number, grant, *DEPARTMENTS)
    page = governed.at("approver")
    shown = words(page.get(f"/console/requests/{number}"))
    assert "The grant becomes active only with signatures, which no page can give." in shown
    assert f"doudi centre approve {number}" in shown
    answer = page.post(f"/console/requests/{number}/approve", {"reason": "agreed in the meeting"})
    assert answer.status_code == 303
    shown = words(page.get(answer.headers["location"]))
    assert governed.state_of(number) == "granted"
    assert "agreed in the meeting" in shown
    assert f"doudi centre approve {number}" in shown
    assert "approve" not in offered(page, number)
    governed.world.sign(number, governed.world.signed(grant, "centre"), "centre")
    assert governed.state_of(number) == "active"
    assert f"/console/grants/{number}" in page.get(f"/console/requests/{number}").text


def test_nobody_decides_twice(governed):
    number, page = governed.submitted(), governed.at("owner")
    page.get(f"/console/requests/{number}")
    assert page.post(f"/console/requests/{number}/approve").status_code == 303
    page.get(f"/console/requests/{number}")
    answer = page.post(f"/console/requests/{number}/refuse", {"reason": "changed my mind"})
    assert answer.status_code == 409
    assert governed.state_of(number) == "submitted"


def test_a_refusal_needs_a_reason_and_ends_the_request_for_everybody(governed):
    number, page = governed.submitted(), governed.at("owner")
    page.get(f"/console/requests/{number}")
    answer = page.post(f"/console/requests/{number}/refuse", {"reason": "  ", "confirm": "refuse"})
    assert answer.status_code == 422
    assert re.search(r'<details class="confirm[^>]*id="refuse" open', answer.text)
    assert governed.state_of(number) == "submitted"
    answer = page.post(f"/console/requests/{number}/refuse", {"reason": "The purpose does not need it."})
    assert answer.status_code == 303
    for name in ("lead_it", "approver"):
        shown = words(governed.at(name).get(f"/console/requests/{number}"))
        assert "“The purpose does not need it.”" in shown
        assert "doudi node approve" not in shown


def test_a_withdrawal_needs_a_reason_and_ends_the_request(governed):
    number, page = governed.submitted(), governed.at("lead_it")
    page.get(f"/console/requests/{number}")
    assert page.post(f"/console/requests/{number}/withdraw").status_code == 422
    assert page.post(f"/console/requests/{number}/withdraw", {"reason": "other plans"}).status_code == 303
    assert governed.state_of(number) == "withdrawn"
    assert "other plans" in page.get(f"/console/requests/{number}").text


def test_a_reason_is_text_and_never_part_of_the_page(governed):
    number, page = governed.submitted(), governed.at("owner")
    page.get(f"/console/requests/{number}")
    hostile = "</textarea><script>alert(1)</script> %(x)s {{ 7*7 }}"
    page.post(f"/console/requests/{number}/refuse", {"reason": hostile})
    answer = governed.at("auditor").get(f"/console/requests/{number}")
    assert "<script>alert" not in answer.text
    assert hostile in words(answer) or html.escape(hostile, quote=False) in answer.text


def test_a_reason_that_is_too_long_or_no_text_is_refused(governed):
    number, page = governed.submitted(), governed.at("owner")
    for reason in ("x" * 501, "a\x00b", "a\x1bb"):
        page.get(f"/console/requests/{number}")
        assert page.post(f"/console/requests/{number}/refuse", {"reason": reason}).status_code == 422
    assert governed.state_of(number) == "submitted"


# Both languages, and home


def test_a_request_is_told_in_chinese(governed):
    number, page = governed.submitted(), governed.at("approver")
    shown = words(page.get(f"/console/requests/{number}?lang=zh"))
    for said in ("授权只有经签署才会生效", f"doudi centre approve {number}", "社会救助", "盲化名单", "一般数据二级"):
        assert said in shown


def test_the_home_page_says_what_waits_for_whom(governed):
    draft = governed.world.draft(governed.world.grant(grant_id="grant-1")).json()["number"]
    number = governed.submitted(grant_id="grant-2")
    approver = words(governed.at("approver").get("/console"))
    assert "request waits for your party. Decide here; the signature: “doudi centre approve”" in approver
    owner = governed.at("owner").get("/console")
    assert "“doudi node approve”" in words(owner)
    assert f"/console/requests/{number}" in owner.text
    lead = governed.at("lead_it").get("/console")
    assert f"/console/requests/{draft}" in lead.text
    assert "Before their approvers: 1; granted and not active: 0." in words(governed.at("auditor").get("/console"))


def test_a_line_is_told_in_words(governed):
    world, standard = governed.world, load_dataset_standard(LINE_DATASET)
    shared = {"dataset": LINE_DATASET, "standard_hash": standard.standard_hash(), "columns": COLUMNS["tax"]}
    for place, department in enumerate(DEPARTMENTS):
        world.put_asset(world.asset(department, region=f"region-{place}", revision=2, **shared))
    number = world.request(world.line_grant())
    for address in ("requests", "grants"):
        shown = words(governed.at("approver").get(f"/console/{address}/{number}"))
        for said in ("How the line trains", "What protects each person", "Update of the model under masks", "10⁻⁶"):
            assert said in shown
