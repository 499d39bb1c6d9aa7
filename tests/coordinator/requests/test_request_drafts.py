"""What may be asked for: drafts against cards, catalogue and tiers. `coordinator/requests/drafts.py`, `rules.py`."""

import pytest
from coordinator_world import COLUMNS, DEPARTMENTS, LEAD, PROJECT, START_S, Keys, public

from coordinator.requests.drafts import draft_from_catalogue, registered_assets, require_registered
from coordinator.requests.rules import asked_against_rules
from crypto.errors import DoudiError
from policies.contracts.drafting import GrantTerms
from policies.contracts.grant import Grant
from policies.contracts.tier_rules import DAY_S, verify_tier_rules
from policies.standards.tier_loader import load_tier


def of_tier(world, tier, **changes):
    """Return a grant whose assets all are of a tier."""
    named = {"tier": tier, "tier_hash": load_tier(tier).standard_hash()}
    participants = [{**share.model_dump(), **named} for share in world.grant().participants]
    return world.grant(**{"participants": participants, "modes": ["sum_only"], **changes})


def with_share(world, department, **changes):
    participants = [share.model_dump() for share in world.grant().participants]
    for share in participants:
        if share["department"] == department:
            share.update(changes)
    return world.grant(participants=participants)


@pytest.fixture
def ready(world):
    world.prepare()
    return world


def test_a_draft_is_stored_once_and_binds_nobody(ready, code):
    grant = ready.grant()
    first, again = ready.draft(grant), ready.draft(grant)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["number"] == again.json()["number"]
    assert (first.json()["state"], first.json()["grant_hash"]) == ("drafted", grant.digest())
    assert code(ready.send(LEAD, "GET", f"/v1/projects/{PROJECT}/grant")) == "grant.unknown"
    assert len(ready.events("request.drafted")) == 1


@pytest.mark.parametrize("changes", [{"purpose": "statistics"}, {"region": "ohio"}])
def test_a_draft_of_another_project_is_refused(ready, code, changes):
    assert code(ready.draft(ready.grant(**changes))) == "grant.other_project"


def test_a_draft_for_an_unknown_project_is_refused(ready, code):
    assert code(ready.draft(ready.grant(project_id="other"))) == "project.unknown"


def test_a_draft_with_another_lead_than_the_project_is_refused(ready, code):
    participants = [
        share.model_copy(update={"role": "lead" if share.department == "tax" else "supporting"})
        for share in ready.grant().participants
    ]
    assert code(ready.draft(ready.grant(participants=participants), "tax")) == "grant.other_project"


@pytest.mark.parametrize("which", ["identity", "approval", "second", "scheduling", "revocation"])
def test_a_draft_with_another_key_than_the_registered_card_is_refused(ready, code, which):
    identity = ready.keys[LEAD].identity
    setattr(ready.keys[LEAD], which, getattr(Keys(), which))
    grant = ready.grant()
    ready.keys[LEAD].identity = identity
    assert code(ready.draft(grant)) == "grant.key_mismatch"


@pytest.mark.parametrize("field", ["centre_key", "centre_co_keys", "centre_revocation_key"])
def test_a_draft_with_another_key_of_the_centre_is_refused(ready, code, field):
    other = public(Keys().approval)
    grant = ready.grant(**{field: [other] if field == "centre_co_keys" else other})
    assert code(ready.draft(grant)) == "grant.key_mismatch"


def test_a_draft_that_names_an_unregistered_department_is_refused(world, code):
    for department in (LEAD, "health", "housing"):
        world.send("centre", "POST", "/v1/parties", world.card(department).to_bytes())
    world.open_project()
    assert code(world.draft(world.grant())) == "party.unknown"


def test_an_expired_draft_is_refused(ready, code):
    assert code(ready.draft(ready.grant(not_before=START_S - 10, expires_at=START_S))) == "grant.expired"


def test_every_asset_must_be_registered(world, code):
    world.register_all()
    world.open_project()
    for department in DEPARTMENTS[:-1]:
        world.put_asset(world.asset(department))
    assert code(world.draft(world.grant())) == "request.asset_not_registered"
    world.put_asset(world.asset(DEPARTMENTS[-1]))
    assert world.draft(world.grant()).status_code == 201


@pytest.mark.parametrize(
    ("registered", "asked", "expected"),
    [
        ({"withdrawn": True}, {}, "request.asset_withdrawn"),
        ({"allowed_purposes": ["statistics"]}, {}, "request.purpose_not_allowed"),
        ({"allowed_purposes": []}, {}, "request.purpose_not_allowed"),
        ({"tier": "general_3", "tier_hash": load_tier("general_3").standard_hash()}, {}, "request.wrong_tier"),
        ({"region": "ohio"}, {}, "request.wrong_region"),
        ({"columns": [COLUMNS["tax"][1]]}, {}, "request.column_not_registered"),
        ({}, {"standard_hash": "cd" * 32}, "request.wrong_standard"),
        ({}, {"standard_version": 2}, "request.wrong_standard"),
        ({}, {"columns": ["HINCP"]}, "request.column_not_registered"),
    ],
)
def test_a_draft_asks_for_an_asset_as_its_owner_registered_it(ready, code, registered, asked, expected):
    if registered:
        assert ready.put_asset(ready.asset("tax", revision=2, **registered)).status_code == 201
    assert code(ready.draft(with_share(ready, "tax", **asked))) == expected


@pytest.mark.parametrize(
    ("tier", "changes", "expected"),
    [
        ("core", {}, "tier.never_federates"),
        ("important", {"runs_allowed": 5}, "tier.runs"),
        ("important", {"expires_at": START_S + 200 * DAY_S}, "tier.duration"),
        ("general_4", {"label": {"target": "c", "label_period": "y2026", "epsilon_milli": 2001}}, "tier.epsilon"),
        ("general_1", {"purpose": "unheard_of"}, "grant.other_project"),
    ],
)
def test_a_draft_stays_within_the_tiers_of_its_assets(world, code, tier, changes, expected):
    world.register_all()
    world.open_project()
    world.register_assets(tier=tier, tier_hash=load_tier(tier).standard_hash())
    assert code(world.draft(of_tier(world, tier, **changes))) == expected
    if tier != "core":
        assert world.draft(of_tier(world, tier)).status_code == 201


def test_evidence_of_important_data_is_not_even_asked_for(world, code):
    world.register_all()
    world.open_project()
    world.register_assets(tier="important", tier_hash=load_tier("important").standard_hash())
    participants = [share.model_dump() for share in of_tier(world, "important").participants]
    participants[1]["operations"] = ["link", "train", "evidence"]
    assert code(world.draft(of_tier(world, "important", participants=participants))) == "tier.operation"


def test_open_requests_of_a_project_are_bounded(ready, code):
    limit = ready.config.limits.max_draft_grants_per_project
    numbers = [ready.draft(ready.grant(grant_id=f"draft-{count}")).json()["number"] for count in range(limit)]
    assert code(ready.draft(ready.grant(grant_id="one-more"))) == "request.too_many_open"
    ready.act(LEAD, numbers[0], "withdraw", {"reason": ""})
    assert ready.draft(ready.grant(grant_id="one-more")).status_code == 201


def test_a_draft_is_checked_again_when_it_is_submitted(ready, code):
    number = ready.draft(ready.grant()).json()["number"]
    ready.put_asset(ready.asset("tax", revision=2, withdrawn=True))
    assert code(ready.act(LEAD, number, "submit")) == "request.asset_withdrawn"
    ready.put_asset(ready.asset("tax", revision=3))
    ready.now += 100_000
    assert code(ready.act(LEAD, number, "submit")) == "grant.expired"
    assert ready.show_request(number)["state"] == "drafted"
    assert ready.keep_house() == 1
    assert ready.show_request(number)["state"] == "expired"


def test_a_grant_that_somebody_revoked_before_is_not_asked_for(ready, code):
    grant = ready.grant()
    assert ready.publish(ready.revocations("tax", grant)).status_code == 201
    assert code(ready.draft(grant)) == "grant.revoked"


def test_the_form_of_the_console_drafts_what_a_node_would(ready):
    terms = GrantTerms(
        project_id=PROJECT,
        purpose="social_assistance",
        target="public_coverage",
        label_period="y2026",
        epsilon_milli=1000,
    )
    with ready.begin() as session:
        grant = draft_from_catalogue(session, ready.config, LEAD, ["tax", "health", "housing"], terms)
    assert grant.centre_keys == ready.config.centre_keys.approval_keys
    assert grant.share("tax").columns == ready.card("tax").columns
    assert ready.draft(grant).status_code == 201
    with ready.begin() as session, pytest.raises(DoudiError) as caught:
        draft_from_catalogue(session, ready.config, LEAD, ["water"], terms)
    assert caught.value.code == "party.unknown"


# One change per rule; `None` is the grant as it is.
MUTATIONS = [
    None,
    {"purpose": "statistics"},
    {"runs_allowed": 51},
    {"expires_at": START_S + 731 * DAY_S},
    {"label": {"target": "c", "label_period": "y2026", "epsilon_milli": 4001}},
    {"evidence": {"levels": 32, "max_slots": 10, "bits_per_person_and_year": 241}, "operations": ["evidence"]},
    {"share": {"columns": ["HINCP"]}},
    {"share": {"standard_version": 2}},
    {"share": {"tier": "general_3", "tier_hash": load_tier("general_3").standard_hash()}},
    {"region": "ohio"},
    {"departments": 2},
]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_table_that_approvers_read_agrees_with_what_is_refused(ready, mutation):
    grant = mutated(ready, mutation or {})
    with ready.begin() as session:
        assets = registered_assets(session, grant)
    refused = None
    try:
        verify_tier_rules(grant)
        require_registered(grant, assets)
    except DoudiError as error:
        refused = error.code
    shown = all(comparison.within for comparison in asked_against_rules(grant, assets))
    assert shown == (refused is None) == (mutation is None)


def mutated(world, mutation) -> Grant:
    changes = dict(mutation)
    participants = [share.model_dump() for share in world.grant().participants]
    for share in participants:
        if share["department"] == "tax":
            share.update(changes.get("share", {}))
            share["operations"] = [*share["operations"], *changes.get("operations", [])]
    if "departments" in changes:
        kept = participants[: changes["departments"]]
        names = [share["department"] for share in kept]
        linkage = {**world.grant().linkage.model_dump(), "participants": names, "min_key_holders": 2}
        return world.grant(participants=kept, linkage=linkage, modes=["evidence"])
    fields = {name: value for name, value in changes.items() if name not in ("share", "operations")}
    return world.grant(participants=participants, **fields)


def test_the_table_says_what_is_asked_and_what_is_allowed(ready):
    rules = ready.draft(ready.grant()).json()["rules"]
    assert [one["department"] for one in rules] == list(DEPARTMENTS)
    lead = {row["rule"]: row for row in rules[0]["rows"]}
    assert lead["label_epsilon_milli"] == {
        "rule": "label_epsilon_milli",
        "asked": 1000,
        "allowed": 4000,
        "within": True,
    }
    assert lead["purpose"]["allowed"] == ["social_assistance"]
    assert (rules[0]["owner_approvals"], rules[0]["centre_approvals"], rules[0]["within"]) == (1, 1, True)
    assert "label_epsilon_milli" not in {row["rule"] for row in rules[1]["rows"]}
    with ready.begin() as session:
        assets = registered_assets(session, ready.grant())
    assets.pop("tax")
    missing = asked_against_rules(ready.grant(), assets)[-1]
    assert (missing.rows[0].rule, missing.rows[0].within, missing.within) == ("registered", False, False)
