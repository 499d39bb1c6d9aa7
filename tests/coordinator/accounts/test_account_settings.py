"""The sections `[accounts]` and `[oidc]`: `coordinator/accounts/settings.py`."""

import shutil
import tomllib

import pytest

from coordinator.app import create_app
from coordinator.config import CONFIG_FILE, load_config, parse_config, write_config
from crypto.errors import DoudiError

KEYS = {"centre_api_key": "11" * 32, "centre_approval_key": "22" * 32, "centre_revocation_key": "33" * 32}
PROVIDER = {"issuer": "https://provider.example", "client_id": "doudi"}


def test_by_default_there_is_no_provider_and_passwords_are_costly(tmp_path):
    config = parse_config(KEYS, tmp_path)
    assert not config.oidc.enabled
    assert (config.accounts.password_memory_kib, config.accounts.password_passes) == (65_536, 3)
    assert not config.oidc.counts_as_two_factors


def test_both_sections_are_written_and_read_back(tmp_path):
    oidc = {**PROVIDER, "accepted_acr": ["gold", "silver"], "counts_as_two_factors": True}
    config = parse_config({**KEYS, "oidc": oidc, "accounts": {"password_threads": 4}}, tmp_path)
    write_config(config, tmp_path)
    assert load_config(tmp_path) == config
    written = tomllib.loads((tmp_path / CONFIG_FILE).read_text())
    assert set(written["oidc"]) == set(type(config.oidc).model_fields)
    assert set(written["accounts"]) == set(type(config.accounts).model_fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"accounts": {"unknown": 1}},
        {"accounts": {"password_memory_kib": 1024}},
        {"accounts": {"password_passes": 1}},
        {"accounts": {"password_threads": 0}},
        {"accounts": {"attempts_per_address": 1_000_000}},
        {"oidc": {"unknown": 1}},
        {"oidc": {"issuer": "https://provider.example"}},
        {"oidc": {**PROVIDER, "issuer": "http://provider.example"}},
        {"oidc": {**PROVIDER, "issuer": "ftp://127.0.0.1"}},
        {"oidc": {**PROVIDER, "issuer": "https://user:pass@provider.example"}},
        {"oidc": {**PROVIDER, "issuer": "https://provider.example?x=1"}},
        {"oidc": {**PROVIDER, "issuer": "https://"}},
        {"oidc": {**PROVIDER, "issuer": "https://provider.example:port"}},
        {"oidc": {**PROVIDER, "accepted_amr": []}},
        {"oidc": {**PROVIDER, "accepted_amr": [""]}},
        {"oidc": {**PROVIDER, "login_name_claim": "Not A Claim"}},
    ],
)
def test_settings_that_would_weaken_sign_in_are_refused(tmp_path, changes):
    with pytest.raises(DoudiError) as caught:
        parse_config({**KEYS, **changes}, tmp_path)
    assert caught.value.code == "config.invalid"


@pytest.mark.parametrize("issuer", ["https://provider.example/realms/a", "http://127.0.0.1:9000", "http://[::1]:9000"])
def test_https_and_this_host_are_accepted(tmp_path, issuer):
    assert parse_config({**KEYS, "oidc": {**PROVIDER, "issuer": issuer}}, tmp_path).oidc.enabled


@pytest.mark.parametrize("name", ["client_secret_file", "ca_file"])
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path, migrated, name):
    shutil.copy(migrated, tmp_path / "coordinator.db")
    with pytest.raises(DoudiError) as caught:
        create_app(parse_config({**KEYS, "oidc": {**PROVIDER, name: "nowhere"}}, tmp_path))
    assert caught.value.code == "config.missing_file"
