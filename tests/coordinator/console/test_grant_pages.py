"""The pages of grants: what is used, whose lists say what, and that the console revokes nothing."""

import html
import re

import pytest
from console_people import enrolled
from coordinator_world import DEPARTMENTS, START_S
from governed import PEOPLE, Governed
from sqlalchemy import select

from coordinator.authorization.principals import Principal
from coordinator.revocations.models import RevocationWishRow
from coordinator.revocations.wishes import open_wishes, wish_revocation
from crypto.errors import DoudiError

DAY_S = 24 * 3600


@pytest.fixture
def governed(cheap_world, signed_in):
    return Governed(cheap_world, signed_in)


def words(answer):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


def wish(page, number, **fields):
    page.get(f"/console/grants/{number}")
    return page.post(f"/console/grants/{number}/revocation", {"why": "consent_withdrawn", "reason": "", **fields})


def wishes(governed):
    with governed.world.context.read() as session:
        rows = session.scalars(select(RevocationWishRow))
        return [(row.number, row.party, row.reason, row.note) for row in rows]


@pytest.mark.parametrize("name", PEOPLE)
def test_everybody_concerned_reads_a_grant_with_every_clause(governed, name):
    number, page = governed.active(runs_allowed=7), governed.at(name)
    assert f"/console/grants/{number}" in page.get("/console/grants").text
    shown = words(page.get(f"/console/grants/{number}"))
    said = (
        "Finding households",
        "7 runs, each tried at most 2 times",
        "73.1",
        "at least 3 departments",
        "5 signatures",
    )
    for clause in said:
        assert clause in shown


def test_the_page_shows_every_key_that_the_grant_pins(governed):
    number = governed.active()
    shown = re.sub(r"<[^>]+>", "", governed.at("auditor").get(f"/console/grants/{number}").text)
    grant = governed.world.grant()
    for share in grant.shares:
        assert {share.identity_key, share.revocation_key, *share.approval_keys} <= set(
            re.findall(r"[0-9a-f]{64}", shown)
        )


def test_a_grant_of_others_is_unknown(governed, signed_in):
    stranger = signed_in(enrolled(governed.world.context, "stranger", "education", "department_approver"))
    number = governed.active()
    for path in (f"/console/grants/{number}", f"/console/grants/by-hash/{governed.world.grant().digest()}"):
        assert stranger.get(path).status_code == 404
    assert f"/console/grants/{number}" not in stranger.get("/console/grants").text


def test_a_grant_is_found_by_its_hash(governed):
    number = governed.active()
    grant_hash = governed.world.show_request(number)["grant_hash"]
    page = governed.at("owner")
    assert page.get(f"/console/grants/by-hash/{grant_hash}").headers["location"] == f"/console/grants/{number}"
    assert page.get(f"/console/grants/by-hash/{'0' * 64}").status_code == 404
    assert page.get("/console/grants/by-hash/xyz").status_code == 422


def test_a_runs_page_leads_to_its_grant_and_the_grant_to_its_runs(governed):
    number = governed.active()
    run, page = governed.world.start_run(), governed.at("scheduler")
    found = re.search(r'href="(/console/grants/by-hash/[0-9a-f]{64})"', page.get(f"/console/runs/{run['run_id']}").text)
    assert page.get(found[1]).headers["location"] == f"/console/grants/{number}"
    found = re.search(r'href="(/console/runs\?project=[a-z-]+)"', page.get(f"/console/grants/{number}").text)
    assert run["run_id"] in page.get(found[1]).text


def test_what_is_used_is_shown_as_bars(governed):
    number = governed.active(runs_allowed=4, expires_at=START_S - 100 + 10 * DAY_S)
    governed.world.start_run()
    governed.world.now += 3 * DAY_S
    page = governed.at("auditor")
    listed = page.get("/console/grants")
    assert '<progress max="4" value="1"' in listed.text
    assert '<progress max="10" value="3"' in listed.text
    shown = words(page.get(f"/console/grants/{number}"))
    assert "1 / 4" in shown
    assert "3 / 10" in shown


def test_active_and_ended_grants_are_two_lists(governed):
    number = governed.active()
    page = governed.at("approver")
    assert "No grant has ended." in words(page.get("/console/grants?view=ended"))
    grant = governed.world.grant()
    assert governed.world.publish(governed.world.revocations("tax", grant)).status_code == 201
    assert "No grant is active." in words(page.get("/console/grants"))
    assert f"/console/grants/{number}" in page.get("/console/grants?view=ended").text
    assert page.get("/console/grants?view=secret").status_code == 422


def test_a_request_without_a_grant_in_force_says_so(governed):
    number = governed.submitted()
    shown = words(governed.at("approver").get(f"/console/grants/{number}"))
    assert "This is no grant in force." in shown


# Revocation


def test_every_partys_list_is_shown_with_what_it_says_of_the_grant(governed):
    number = governed.active()
    world, grant = governed.world, governed.world.grant()
    world.publish(world.revocations("housing", number=4))
    world.publish(world.revocations("tax", grant, number=9))
    shown = words(governed.at("auditor").get(f"/console/grants/{number}"))
    assert "No. 4" in shown
    assert "No. 9" in shown
    assert shown.count("nodes refuse to work") == len(DEPARTMENTS) + 1 - 2
    assert shown.count("taken back") == 1


@pytest.mark.parametrize("name", ["owner", "lead_approver", "officer", "approver"])
def test_a_wish_is_recorded_and_ends_nothing(governed, name):
    number, page = governed.active(), governed.at(name)
    party = PEOPLE[name][0]
    answer = wish(page, number, reason="we no longer agree")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/grants/{number}?done=wished")
    assert wishes(governed) == [(number, party, "consent_withdrawn", "we no longer agree")]
    assert governed.state_of(number) == "active"
    shown = words(page.get(answer.headers["location"]))
    command = "centre" if party == "centre" else "node"
    assert f"doudi {command} revoke {number} --reason consent_withdrawn" in shown
    # The record names the grant and the account, and no words of people.
    (event,) = governed.world.events("revocation.wished")
    assert (event["actor"], event["account"]) == (party, governed.people[name].number)
    assert "agree" not in str(event)


@pytest.mark.parametrize("name", ["lead_it", "owner_it", "scheduler", "auditor"])
def test_who_may_not_revoke_is_neither_offered_it_nor_let(governed, name):
    number, page = governed.active(), governed.at(name)
    assert f"/console/grants/{number}/revocation" not in page.get(f"/console/grants/{number}").text
    assert wish(page, number).status_code == 403
    assert wishes(governed) == []


def test_a_wish_needs_a_reason_of_the_list(governed):
    number, page = governed.active(), governed.at("owner")
    for why in ("", "because", "consent_withdrawn; rm"):
        answer = wish(page, number, why=why, reason="typed before")
        assert (answer.status_code, 'id="error-why"' in answer.text) == (422, True)
        assert re.search(r'id="revoke" open', answer.text)
        assert "typed before" in answer.text
    assert wishes(governed) == []


def test_a_second_wish_of_a_party_changes_nothing(governed):
    number = governed.active()
    wish(governed.at("officer"), number)
    wish(governed.at("approver"), number, why="misuse")
    assert wishes(governed) == [(number, "centre", "consent_withdrawn", "")]
    assert len(governed.world.events("revocation.wished")) == 1


def test_a_node_revokes_with_its_list_and_wishes_for_nothing(governed):
    number, context = governed.active(), governed.world.context
    with context.begin() as session, pytest.raises(DoudiError, match="wishes for nothing"):
        wish_revocation(session, context, Principal.of_party("tax"), number, "misuse", "")
    assert wishes(governed) == []


def test_what_has_ended_is_not_wished_away(governed):
    number, page = governed.active(), governed.at("owner")
    page.get(f"/console/grants/{number}")
    governed.world.publish(governed.world.revocations("housing", governed.world.grant()))
    assert page.post(f"/console/grants/{number}/revocation", {"why": "misuse"}).status_code == 409
    assert "/revocation" not in page.get(f"/console/grants/{number}").text


def test_a_wish_stays_on_the_home_page_until_the_key_has_signed(governed):
    number = governed.active()
    owner = governed.at("owner")
    wish(owner, number)
    for name in ("owner", "owner_it"):
        assert f"/console/grants/{number}" in governed.at(name).get("/console").text
    # Other parties have their own wishes.
    assert "wants this taken back" not in words(governed.at("lead_approver").get("/console"))
    governed.world.publish(governed.world.revocations("tax", governed.world.grant()))
    assert "wants this taken back" not in words(owner.get("/console"))
    with governed.world.context.read() as session:
        assert open_wishes(session, "tax", 3) == []
    assert governed.state_of(number) == "revoked"


def test_a_forged_wish_is_refused(governed):
    number = governed.active()
    answer = governed.at("owner").ask("POST", f"/console/grants/{number}/revocation", data={"why": "misuse"})
    assert (answer.status_code, wishes(governed)) == (403, [])


def test_a_note_is_text_and_never_part_of_the_page(governed):
    number = governed.active()
    wish(governed.at("owner"), number, reason="<script>alert(1)</script>")
    answer = governed.at("auditor").get(f"/console/grants/{number}?lang=zh")
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "归属部门不再同意" in answer.text
