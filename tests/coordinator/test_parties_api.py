"""Registering departments: `coordinator/parties`."""

import pytest

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key
from policies.contracts.requests import sign_request


def post(world, card, party="centre", query=""):
    return world.send(party, "POST", f"/v1/parties{query}", card.to_bytes())


def test_the_centre_registers_a_department_and_its_flower_node(world):
    card = world.card("tax")
    answer = post(world, card)
    assert (answer.status_code, answer.json()["fingerprint"]) == (201, card.fingerprint())
    assert world.flower_nodes == [("tax", card.flower_key)]
    listed = world.listed("tax", "/v1/parties")
    assert [party["name"] for party in listed] == ["centre", "tax"]
    assert listed[0]["card"] is None
    assert listed[1]["card"]["identity_key"] == card.identity_key


def test_the_same_card_again_changes_nothing_but_fills_the_superlink(world):
    post(world, world.card("tax"))
    assert post(world, world.card("tax")).status_code == 200
    assert len(world.flower_nodes) == 2
    (registered,) = world.events("party.registered")
    assert (registered["actor"], registered["subject"]) == ("centre", "tax")


def test_only_the_centre_registers(world, code):
    world.register_all()
    answer = post(world, world.card("tax", people=1), party="tax")
    assert (answer.status_code, code(answer)) == (403, "authorization.denied")


def test_changed_keys_need_an_explicit_replacement(world, code):
    post(world, world.card("tax"))
    changed = world.card("tax", identity_key="77" * 32)
    answer = post(world, changed)
    assert (answer.status_code, code(answer)) == (409, "party.keys_changed")
    assert post(world, changed, query="?replace=true").status_code == 201
    assert len(world.events("party.keys_replaced")) == 1


def test_a_new_count_of_people_needs_no_replacement(world):
    post(world, world.card("tax"))
    assert post(world, world.card("tax", people=5)).status_code == 201


def test_replaced_keys_are_the_ones_that_authenticate(world, code):
    post(world, world.card("tax"))
    old, new = world.keys["tax"].identity, generate_signing_key()
    world.keys["tax"].identity = new
    post(world, world.card("tax"), query="?replace=true")
    assert world.send("tax", "GET", "/v1/parties").status_code == 200
    assert code(world.send("tax", "GET", "/v1/parties", key=old)) == "request.unauthenticated"


@pytest.mark.parametrize("name", ["centre", "coordinator"])
def test_reserved_names_are_refused(world, code, name):
    assert code(post(world, world.card("tax", department=name))) == "party.reserved_name"


def test_one_key_cannot_be_two_parties_or_serve_two_purposes(world, code):
    post(world, world.card("tax"))
    same_identity = world.card("health", identity_key=world.card("tax").identity_key)
    assert code(post(world, same_identity)) == "party.key_in_use"
    as_centre = world.card("health", identity_key=world.config.centre_api_key)
    assert code(post(world, as_centre)) == "party.key_in_use"
    card = world.card("health")
    assert code(post(world, world.card("health", approval_key=card.identity_key))) == "party.bad_keys"


def test_a_department_whose_flower_node_is_refused_is_not_registered(world, code):
    def refuse(_name, _key):
        raise DoudiError("flower.unreachable", "the SuperLink does not answer")

    object.__setattr__(world.app.state.context, "register_flower_node", refuse)
    answer = post(world, world.card("tax"))
    assert (answer.status_code, code(answer)) == (503, "flower.unreachable")
    assert [party["name"] for party in world.listed("centre", "/v1/parties")] == ["centre"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"department":"tax"}', b"\xff", b"[" * 5000])
def test_malformed_cards_are_refused(world, code, body):
    answer = world.send("centre", "POST", "/v1/parties", body)
    assert (answer.status_code, code(answer)) == (422, "document.malformed")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_a_body_that_is_declared_as_something_else_is_refused(world, code, kind):
    body = world.card("tax").to_bytes()
    headers = sign_request(world.api_key, "centre", "POST", "/v1/parties", body, int(world.now))
    answer = world.raw("POST", "/v1/parties", body, {**headers, "Content-Type": kind})
    assert (answer.status_code, code(answer)) == (415, "request.unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_a_body_that_is_declared_as_json_is_read(world, kind):
    body = world.card("tax").to_bytes()
    headers = sign_request(world.api_key, "centre", "POST", "/v1/parties", body, int(world.now))
    assert world.raw("POST", "/v1/parties", body, {**headers, "Content-Type": kind}).status_code == 201


def test_an_unknown_field_is_refused_and_not_echoed(world, code):
    body = world.card("tax").to_bytes()[:-1] + b',"z_secret_field":1}'
    answer = world.send("centre", "POST", "/v1/parties", body)
    assert code(answer) == "document.malformed"
    assert b"secret" not in answer.content
