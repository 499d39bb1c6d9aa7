"""What an auditor can prove offline, and what it refuses."""

import pytest
from typer.testing import CliRunner

from auditors.cli import app
from auditors.grants import Keyring, verify_signed_grant, verify_signed_manifest
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.cards import CentreCard
from policies.contracts.manifest import sign_manifest


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from region import Region

    region = Region(tmp_path_factory.mktemp("audited") / "region", people=100)
    signed = region.sign(region.draft())
    manifest = region.schedule(signed)
    centre = region.homes["tax"].trust.centre
    yield region, signed, manifest, Keyring(centre, region.cards)
    region.close()


def test_a_grant_that_every_party_signed_verifies(world):
    _, signed, manifest, keyring = world
    verify_signed_grant(signed, keyring)
    verify_signed_manifest(manifest, signed, keyring)


def test_a_grant_with_a_missing_signature_is_refused(world):
    _, signed, _, keyring = world
    short = signed.model_copy(update={"signatures": signed.signatures[:-1]})
    with pytest.raises(DoudiError, match=r"grant\.signature_missing"):
        verify_signed_grant(short, keyring)


def test_a_grant_whose_centre_key_is_not_on_the_card_is_refused(world):
    _, signed, _, keyring = world
    other = signing_public_key(generate_signing_key()).hex()
    card = CentreCard(**{**keyring.centre.model_dump(), "approval_key": other})
    with pytest.raises(DoudiError, match=r"audit\.wrong_key"):
        verify_signed_grant(signed, Keyring(card, keyring.departments))


def test_a_department_with_other_keys_than_on_its_card_is_refused(world):
    _, signed, _, keyring = world
    other = keyring.departments["tax"].model_copy(update={"identity_key": "0" * 63 + "1"})
    with pytest.raises(DoudiError, match=r"audit\.wrong_key"):
        verify_signed_grant(signed, Keyring(keyring.centre, {**keyring.departments, "tax": other}))


def test_a_department_without_a_card_is_refused(world):
    _, signed, _, keyring = world
    cards = {name: card for name, card in keyring.departments.items() if name != "tax"}
    with pytest.raises(DoudiError, match=r"audit\.no_card"):
        verify_signed_grant(signed, Keyring(keyring.centre, cards))


def test_a_manifest_that_was_changed_after_signing_is_refused(world):
    _, signed, manifest, keyring = world
    changed = manifest.model_copy(update={"manifest": manifest.manifest.model_copy(update={"run_number": 2})})
    with pytest.raises(DoudiError, match=r"manifest\.bad_signature"):
        verify_signed_manifest(changed, signed, keyring)


def test_the_command_tells_the_fact_in_one_line_in_both_languages(world, tmp_path):
    region, signed, _, keyring = world
    (tmp_path / "grant.json").write_bytes(signed.to_bytes())
    (tmp_path / "centre.json").write_bytes(keyring.centre.to_bytes())
    words = ["grant", str(tmp_path / "grant.json"), "--card", str(tmp_path / "centre.json")]
    for name, card in region.cards.items():
        (tmp_path / f"{name}.json").write_bytes(card.to_bytes())
        words += ["--card", str(tmp_path / f"{name}.json")]
    assert "grant ok" in CliRunner().invoke(app, words).stdout
    assert "授权签名核验通过" in CliRunner().invoke(app, ["--lang", "zh", *words]).stdout
    refused = CliRunner().invoke(app, words[:4])
    assert refused.exit_code == 3
    assert "audit.no_card" in refused.stderr


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"run_number": 6}, "manifest.too_many_runs"),
        ({"attempt": 4}, "manifest.too_many_attempts"),
        ({"expires_at": 9_999_999_999}, "audit.outside_grant"),
        ({"grant_hash": "ab" * 32}, "manifest.wrong_grant"),
    ],
)
def test_a_manifest_outside_the_grant_is_refused_though_its_scheduler_signed_it(world, fields, code):
    region, signed, manifest, keyring = world
    offers = tuple(
        offer.model_copy(update={name: value for name, value in fields.items() if name in ("attempt", "grant_hash")})
        for offer in manifest.manifest.offers
    )
    changed = manifest.manifest.model_copy(update={**fields, "offers": offers})
    outside = sign_manifest(changed, region.homes["civil_affairs"].officer_key("scheduling.key"))
    with pytest.raises(DoudiError) as caught:
        verify_signed_manifest(outside, signed, keyring)
    assert caught.value.code == code


def test_a_run_for_a_sum_without_every_department_is_refused(world):
    region, signed, manifest, keyring = world
    fewer = manifest.manifest.model_copy(update={"offers": manifest.manifest.offers[:-1]})
    outside = sign_manifest(fewer, region.homes["civil_affairs"].officer_key("scheduling.key"))
    with pytest.raises(DoudiError, match=r"manifest\.sum_needs_everyone|manifest\.wrong_participants"):
        verify_signed_manifest(outside, signed, keyring)
