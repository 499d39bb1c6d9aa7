"""Projects and the gathering of a grant's signatures: `coordinator/projects`, `coordinator/grants`."""

import pytest
from coordinator_world import DEPARTMENTS, LEAD, PROJECT, START_S, Keys, public

from crypto.canonical import canonical_json
from policies.contracts.grant import GrantSignature, SignedGrant, sign_grant


@pytest.fixture
def ready(world):
    world.register_all()
    world.open_project()
    return world


def project_body(**changes):
    body = {"project_id": PROJECT, "title": "低保", "purpose": "aid", "region": "kentucky", "lead": LEAD}
    return canonical_json({**body, **changes})


def test_the_centre_or_the_lead_opens_a_project_once(world, code):
    world.register_all()
    assert world.send(LEAD, "POST", "/v1/projects", project_body()).status_code == 201
    assert world.send("centre", "POST", "/v1/projects", project_body()).status_code == 200
    assert code(world.send("centre", "POST", "/v1/projects", project_body(title="x"))) == "project.already_exists"
    assert code(world.send("tax", "POST", "/v1/projects", project_body())) == "authorization.denied"
    assert len(world.events("project.created")) == 1


def test_a_project_needs_a_registered_lead_and_known_fields(world, code):
    assert code(world.send("centre", "POST", "/v1/projects", project_body())) == "party.unknown"
    assert code(world.send("centre", "POST", "/v1/projects", project_body(lead="centre"))) == "party.unknown"
    for changes in ({"title": ""}, {"title": "x" * 201}, {"project_id": "Not A Slug"}, {"more": 1}):
        assert code(world.send("centre", "POST", "/v1/projects", project_body(**changes))) == "document.malformed"


def test_a_department_sees_only_projects_that_concern_it(ready, code):
    assert ready.listed("tax", "/v1/projects") == []
    assert code(ready.send("tax", "GET", f"/v1/projects/{PROJECT}")) == "project.unknown"
    assert code(ready.send("tax", "GET", f"/v1/projects/{PROJECT}/grant")) == "project.unknown"
    ready.put_grant(LEAD, ready.signed(ready.grant(), LEAD))
    for party in ("tax", LEAD, "centre"):
        assert ready.send(party, "GET", f"/v1/projects/{PROJECT}").json()["lead"] == LEAD
        assert [project["project_id"] for project in ready.listed(party, "/v1/projects")] == [PROJECT]
    assert code(ready.send("centre", "GET", "/v1/projects/other")) == "project.unknown"


def test_signatures_are_gathered_until_the_grant_is_fully_signed(ready):
    grant = ready.grant()
    for party in ("centre", *DEPARTMENTS):
        answer = ready.put_grant(party, ready.signed(grant, party))
        assert (answer.status_code, answer.headers["doudi-grant-hash"]) == (201, grant.digest())
        complete = party == DEPARTMENTS[-1]
        assert answer.headers["doudi-fully-signed"] == str(complete).lower()
    fetched = ready.send("tax", "GET", f"/v1/projects/{PROJECT}/grant")
    assert len(SignedGrant.parse(fetched.content).signatures) == 5
    assert len(ready.events("grant.fully_signed")) == 1
    assert ready.put_grant("tax", ready.signed(grant, "tax")).status_code == 200


def test_a_party_that_the_grant_does_not_name_cannot_send_it(ready, code):
    grant = ready.grant()
    three = [share for share in grant.participants if share.department != "tax"]
    linkage = grant.linkage.model_copy(update={"participants": tuple(share.department for share in three)})
    smaller = ready.grant(participants=three, linkage=linkage, modes=["evidence"])
    signed = ready.signed(smaller, LEAD)
    assert code(ready.put_grant("tax", signed)) == "authorization.denied"
    assert ready.put_grant("health", signed).status_code == 201


@pytest.mark.parametrize("changes", [{"purpose": "other"}, {"region": "ohio"}, {"project_id": "other"}])
def test_a_grant_of_another_project_is_refused(ready, code, changes):
    assert code(ready.put_grant(LEAD, ready.signed(ready.grant(**changes), LEAD))) == "grant.other_project"


def test_a_grant_with_another_lead_than_the_project_is_refused(ready, code):
    participants = [
        share.model_copy(update={"role": "lead" if share.department == "tax" else "supporting"})
        for share in ready.grant().participants
    ]
    grant = ready.grant(participants=participants)
    signed = SignedGrant(grant=grant, signatures=(sign_grant(grant, "tax", "lead", ready.keys["tax"].approval),))
    assert code(ready.put_grant("tax", signed)) == "grant.other_project"


@pytest.mark.parametrize("which", ["identity", "approval", "scheduling", "centre"])
def test_a_grant_with_another_key_than_the_registered_card_is_refused(ready, code, which):
    if which == "centre":
        ready.approval_key = Keys().approval
    else:
        setattr(ready.keys[LEAD], which, getattr(Keys(), which))
    signed = ready.signed(ready.grant(), "health")
    assert code(ready.put_grant("health", signed)) == "grant.key_mismatch"


def test_a_grant_that_names_an_unregistered_department_is_refused(world, code):
    for department in (LEAD, "health", "housing"):
        world.send("centre", "POST", "/v1/parties", world.card(department).to_bytes())
    world.open_project()
    assert code(world.put_grant(LEAD, world.signed(world.grant(), LEAD))) == "party.unknown"


def test_unsound_signatures_are_refused_and_leave_nothing(ready, code):
    grant = ready.grant()
    good = ready.signed(grant, "tax").signatures[0]
    other_grant = ready.signed(ready.grant(runs_allowed=3), "tax").signatures[0]
    wrong_role = sign_grant(grant, "tax", "centre", ready.keys["tax"].approval)
    wrong_key = sign_grant(grant, "tax", "owner", Keys().approval)
    forged = GrantSignature(party="tax", role="owner", key=good.key, signature="00" * 64)
    relabelled = good.model_copy(update={"party": "health", "key": public(ready.keys["health"].approval)})
    for signature in (other_grant, wrong_role, wrong_key, forged, relabelled):
        signed = SignedGrant(grant=grant, signatures=(good, signature))
        assert code(ready.put_grant("tax", signed)) == "grant.bad_signature"
    assert code(ready.put_grant("tax", SignedGrant(grant=grant))) == "grant.unsigned"
    assert code(ready.send(LEAD, "GET", f"/v1/projects/{PROJECT}/grant")) == "grant.unknown"


def test_an_expired_grant_is_not_stored(ready, code):
    expired = ready.grant(not_before=START_S - 10, expires_at=START_S)
    assert code(ready.put_grant(LEAD, ready.signed(expired, LEAD))) == "grant.expired"


def test_drafts_are_bounded_and_a_fully_signed_grant_counts_before_drafts(ready, code):
    first = ready.grant()
    ready.put_grant(LEAD, ready.signed(first))
    limit = ready.config.limits.max_draft_grants_per_project
    for number in range(limit):
        draft = ready.grant(grant_id=f"draft-{number}")
        assert ready.put_grant(LEAD, ready.signed(draft, LEAD)).status_code == 201
    answer = ready.put_grant(LEAD, ready.signed(ready.grant(grant_id="one-more"), LEAD))
    assert code(answer) == "grant.too_many_drafts"
    path = f"/v1/projects/{PROJECT}/grant"
    assert ready.send(LEAD, "GET", path).headers["doudi-grant-hash"] == first.digest()
    asked = ready.send(LEAD, "GET", f"{path}?grant_hash={draft.digest()}")
    assert asked.headers["doudi-fully-signed"] == "false"
    assert code(ready.send(LEAD, "GET", f"{path}?grant_hash={'0' * 64}")) == "grant.unknown"


def test_a_grant_for_an_unknown_project_is_refused(ready, code):
    signed = ready.signed(ready.grant(), LEAD)
    assert code(ready.put_grant(LEAD, signed, project_id="other")) == "project.unknown"
