"""The form of a new request: every mistake at its field, nothing that was typed is lost, the draft is what was asked."""

import html
import re

import pytest
from coordinator_world import DEPARTMENTS, LEAD, PROJECT
from governed import Governed, form_fields
from sqlalchemy import func, select

from coordinator.requests.models import AccessRequestRow
from coordinator.requests.reading import grant_of
from policies.contracts.run_windows import parse_window
from policies.standards.tier_loader import load_tier

NEW = "/console/requests/new"
OTHERS = [name for name in DEPARTMENTS if name != LEAD]


@pytest.fixture
def governed(cheap_world, signed_in):
    return Governed(cheap_world, signed_in)


@pytest.fixture
def lead(governed):
    page = governed.at("lead_it")
    page.get(NEW)
    return page


def words(answer):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


def errors_of(answer):
    """Return the fields that a form marks as wrong."""
    return set(re.findall(r'id="error-([a-z0-9_]+)"', answer.text))


def drafts(governed):
    with governed.world.context.read() as session:
        return session.scalar(select(func.count()).select_from(AccessRequestRow))


def newest(governed):
    with governed.world.context.read() as session:
        row = session.scalars(select(AccessRequestRow).order_by(AccessRequestRow.number.desc())).first()
        return row.drafter, row.state, grant_of(row)


def other_tier(governed, department, tier):
    """Have a department's card and asset name another tier."""
    world = governed.world
    named = {"tier": tier, "tier_version": 1, "tier_hash": load_tier(tier).standard_hash()}
    card = world.card(department, **named)
    assert world.send("centre", "POST", "/v1/parties?replace=true", card.to_bytes()).status_code in (200, 201)
    assert world.put_asset(world.asset(department, revision=2, **named)).status_code in (200, 201)


# Who may


@pytest.mark.parametrize("name", ["lead_approver", "scheduler", "owner", "officer", "approver", "auditor"])
def test_only_the_departments_it_drafts(governed, name):
    page = governed.at(name)
    assert page.get(NEW).status_code == 403
    page.get("/console/requests")
    assert NEW not in page.seen
    assert page.post(NEW, form_fields()).status_code == 403
    assert drafts(governed) == 0


def test_a_department_drafts_for_no_project_of_another_one(governed):
    page = governed.at("owner_it")
    assert "Your department leads no open project." in words(page.get(NEW))
    assert page.get(f"{NEW}?project={PROJECT}").status_code == 404
    page.get(NEW)
    page.get("/console/account")
    assert page.post(NEW, form_fields()).status_code == 404
    assert drafts(governed) == 0


def test_a_forged_form_drafts_nothing(governed):
    assert governed.at("lead_it").ask("POST", NEW, data=form_fields()).status_code == 403
    assert drafts(governed) == 0


# What it offers


def test_the_form_offers_what_may_serve_the_purpose_and_explains_the_rest(governed):
    world = governed.world
    world.put_asset(world.asset("tax", revision=2, allowed_purposes=("statistics",)))
    world.put_asset(world.asset("housing", revision=2, withdrawn=True))
    page = governed.at("lead_it")
    answer = page.get(NEW)
    assert re.findall(r'name="supporting" value="([a-z_]+)"', answer.text) == ["health"]
    shown = words(answer)
    assert "Its owner does not allow this purpose." in shown
    assert "Its owner has withdrawn it." in shown
    # The lead's own purpose, target and tier.
    for said in ("Finding households", "Has public health coverage", "General data, level 2"):
        assert said in shown


def test_core_data_is_shown_as_never_federating(governed):
    other_tier(governed, "tax", "core")
    answer = governed.at("lead_it").get(NEW)
    assert "Its tier never federates." in words(answer)
    assert 'name="supporting" value="tax"' not in answer.text


def test_with_several_projects_the_first_step_is_the_choice(governed):
    governed.world.open_project("summer-aid")
    answer = governed.at("lead_it").get(NEW)
    assert "Step 1 of 3" in words(answer)
    assert f"{NEW}?project=summer-aid" in answer.text


# The draft


def test_the_draft_is_what_was_asked(governed, lead):
    fields = form_fields(
        mode="both",
        epsilon="1,25",
        runs="7",
        days="90",
        bits="40",
        key_holders="4",
        label_period="2027-q1",
        lines="yes",
    )
    window = {"days_1": ["1", "5"], "from_1": "22:00", "to_1": "24:00", "offset_1": "480"}
    answer = lead.post(NEW, {**fields, **window})
    assert answer.headers["location"].endswith("?done=drafted")
    drafter, state, grant = newest(governed)
    assert (drafter, state) == (str(governed.people["lead_it"].number), "drafted")
    assert grant.departments == (LEAD, *OTHERS)
    assert (grant.label.target, grant.label.label_period, grant.label.epsilon_milli) == (
        "public_coverage",
        "2027-q1",
        1250,
    )
    assert (grant.modes, grant.runs_allowed, grant.linkage.min_key_holders) == (("evidence", "sum_only"), 7, 4)
    assert grant.expires_at - grant.not_before == 90 * 24 * 3600
    assert grant.evidence.bits_per_person_and_year == 40
    assert grant.windows == (parse_window("mon,fri 22:00-24:00+08:00"),)
    assert all("line" in [one.value for one in share.operations] for share in grant.shares)
    shown = words(lead.get(answer.headers["location"]))
    assert "Monday, Friday, 22:00 to 24:00 (UTC+08:00)" in shown


def test_the_draft_can_be_submitted_and_signed_to_the_end(governed, lead):
    number = int(re.search(r"/(\d+)\?", lead.post(NEW, form_fields()).headers["location"])[1])
    lead.get(f"/console/requests/{number}")
    assert lead.post(f"/console/requests/{number}/submit").status_code == 303
    _, _, grant = newest(governed)
    assert governed.world.sign_all(number, grant)["state"] == "active"


def test_the_preview_stores_nothing_and_carries_every_field(governed, lead):
    window = {"days_2": ["6", "7"], "from_2": "0:00", "to_2": "00:00", "offset_2": "-300"}
    answer = lead.post(NEW, {**form_fields(act="preview", runs="9"), **window})
    assert (answer.status_code, drafts(governed)) == (200, 0)
    shown = words(answer)
    assert "Everything that is asked stays within" in shown
    assert "Saturday to Sunday, 00:00 to 24:00 (UTC-05:00)" in shown
    form = re.search(r'<form class="carried".*?</form>', answer.text, re.DOTALL)[0]
    fields: dict = {}
    for name, value in re.findall(r'type="hidden" name="([a-z_0-9]+)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(value)
    assert fields["supporting"] == OTHERS
    assert fields["days_2"] == ["6", "7"]
    again = lead.post(NEW, {**fields, "act": "change"})
    assert re.search(r'id="field-runs"[^>]*value="9"', again.text)
    assert re.search(r'id="field-days_2-6"[^>]* checked', again.text)
    assert lead.post(NEW, {**fields, "act": "draft"}).status_code == 303
    assert newest(governed)[2].runs_allowed == 9


# Mistakes


@pytest.mark.parametrize(
    ("field", "value", "wrong"),
    [
        ("target", "AGEP", "target"),
        ("target", "", "target"),
        ("label_period", "Year 1", "label_period"),
        ("label_period", "x" * 32, "label_period"),
        ("epsilon", "0", "epsilon"),
        ("epsilon", "8.001", "epsilon"),
        ("epsilon", "-1", "epsilon"),
        ("epsilon", "1e3", "epsilon"),
        ("epsilon", "nan", "epsilon"),
        ("epsilon", "1.2345", "epsilon"),
        ("mode", "everything", "mode"),
        ("runs", "0", "runs"),
        ("runs", "many", "runs"),
        ("runs", "²", "runs"),
        ("runs", "9" * 30, "runs"),
        ("days", "", "days"),
        ("days", "4000", "days"),
        ("bits", "0", "bits"),
        ("key_holders", "1", "key_holders"),
        ("key_holders", "5", "key_holders"),
        ("supporting", [], "supporting"),
        ("supporting", ["nobody"], "supporting"),
        ("supporting", [LEAD], "supporting"),
    ],
)
@pytest.mark.parametrize("act", ["preview", "draft"])
def test_a_mistake_is_told_at_its_field_and_nothing_is_stored(governed, lead, field, value, wrong, act):
    answer = lead.post(NEW, form_fields(act=act, **{field: value}))
    assert (answer.status_code, errors_of(answer), drafts(governed)) == (422, {wrong}, 0)
    # What was typed elsewhere is still there.
    assert field == "bits" or re.search(r'id="field-bits"[^>]*value="60"', answer.text)
    assert field == "supporting" or re.search(r'name="supporting" value="tax" checked', answer.text)


@pytest.mark.parametrize(
    "window",
    [
        {"from_1": "22:00", "to_1": "24:00"},
        {"days_1": ["1"], "from_1": "22:00"},
        {"days_1": ["1"], "from_1": "22:00", "to_1": "21:00"},
        {"days_1": ["1"], "from_1": "22:00", "to_1": "22:00"},
        {"days_1": ["1"], "from_1": "24:00", "to_1": "24:00"},
        {"days_1": ["1"], "from_1": "9:60", "to_1": "11:00"},
        {"days_1": ["1"], "from_1": "09", "to_1": "11"},
        {"days_1": ["8"], "from_1": "09:00", "to_1": "11:00"},
        {"days_1": ["1"], "from_1": "09:00", "to_1": "25:00"},
        {"days_1": ["1"], "from_1": "09:00", "to_1": "11:00", "offset_1": "7"},
    ],
)
def test_a_window_that_is_none_is_told_at_its_row(governed, lead, window):
    answer = lead.post(NEW, {**form_fields(), "offset_1": "480", **window})
    assert (answer.status_code, errors_of(answer), drafts(governed)) == (422, {"window_1"}, 0)


def test_more_windows_than_the_form_first_shows(governed, lead):
    windows = {}
    for number in range(1, 5):
        windows |= {
            f"days_{number}": [str(number)],
            f"from_{number}": "01:00",
            f"to_{number}": "02:00",
            f"offset_{number}": "0",
        }
    answer = lead.post(NEW, {**form_fields(act="change"), **windows})
    assert 'id="field-window_5"' in answer.text
    lead.post(NEW, {**form_fields(), **windows})
    assert len(newest(governed)[2].windows) == 4


def test_sums_need_three_supporting_departments(governed, lead):
    answer = lead.post(NEW, form_fields(mode="sum_only", supporting=["tax", "housing"]))
    assert errors_of(answer) == {"mode"}
    assert "Sums need at least 3 supporting departments." in words(answer)


# Beyond the rules


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"epsilon": "4.5"}, "epsilon"),
        ({"runs": "51"}, "runs"),
        ({"days": "731"}, "days"),
        ({"bits": "241"}, "bits"),
        ({"supporting": ["tax"], "key_holders": "2"}, "supporting"),
    ],
)
def test_what_a_tier_does_not_allow_is_told_at_its_field_beside_the_tiers(governed, lead, fields, wrong):
    answer = lead.post(NEW, form_fields(**fields))
    assert (answer.status_code, errors_of(answer), drafts(governed)) == (422, {wrong}, 0)
    assert "beyond its rules" in words(answer)


def test_a_tier_that_allows_sums_only_is_told_at_the_mode(governed):
    other_tier(governed, "tax", "important")
    lead = governed.at("lead_it")
    lead.get(NEW)
    answer = lead.post(NEW, form_fields(runs="2"))
    assert errors_of(answer) == {"mode"}
    assert "Tax: Important data does not allow “Evidence”." in words(answer)
    assert lead.post(NEW, form_fields(mode="sum_only", runs="2", act="preview", days="30")).status_code == 200


def test_a_draft_that_became_impossible_since_the_preview_comes_back_with_the_reason(governed, lead):
    assert lead.post(NEW, form_fields(act="preview")).status_code == 200
    governed.world.put_asset(governed.world.asset("tax", revision=2, allowed_purposes=("statistics",)))
    answer = lead.post(NEW, form_fields())
    assert (answer.status_code, drafts(governed)) == (422, 0)
    assert 'role="alert"' in answer.text


def test_too_many_open_requests_are_told_on_the_form(governed, lead):
    limit = governed.world.config.limits.max_draft_grants_per_project
    for number in range(limit):
        governed.world.draft(governed.world.grant(grant_id=f"grant-{number}"))
    answer = lead.post(NEW, form_fields())
    assert (answer.status_code, drafts(governed)) == (422, limit)
    assert "too many requests that nobody finished" in words(answer)
