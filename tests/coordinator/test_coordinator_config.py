"""The configuration file: `coordinator/config.py`."""

import asyncio
import tomllib

import pytest
import uvicorn

from coordinator.cli.host_commands import serving
from coordinator.config import CONFIG_FILE, load_config, parse_config, write_config
from crypto.errors import DoudiError

KEYS = {"centre_api_key": "11" * 32, "centre_approval_key": "22" * 32, "centre_revocation_key": "33" * 32}


def test_defaults_stay_on_this_host(tmp_path):
    config = parse_config(KEYS, tmp_path)
    assert (config.api_host, config.fleet_host) == ("127.0.0.1", "127.0.0.1")
    assert (config.step_timeout_s, config.min_padding_percent, config.max_padding_percent) == (900, 1, 3)
    assert config.resolved_database_url == f"sqlite:///{tmp_path / 'coordinator.db'}"


def test_a_written_configuration_is_read_back_with_every_setting(tmp_path):
    config = parse_config({**KEYS, "public_url": 'https://a"b\\c', "limits": {"max_body_bytes": 2048}}, tmp_path)
    write_config(config, tmp_path)
    assert load_config(tmp_path) == config
    written = tomllib.loads((tmp_path / CONFIG_FILE).read_text())
    assert set(written) == set(type(config).model_fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown_key": 1},
        {"limits": {"unknown_key": 1}},
        {"api_port": 0},
        {"step_timeout_s": 0},
        {"min_padding_percent": 4},
        {"max_padding_percent": 101},
        {"fleet_port": 9091},
        {"centre_api_key": "not a key"},
        {"centre_api_key": "22" * 32},
        {"superlink_api_host": "10.0.0.1"},
        {"ledger": {"unknown_key": 1}},
        {"ledger": {"witness_timeout_s": 0}},
        {"ledger": {"republish_after_s": 0}},
        {"ledger": {"timestamp_authority_url": "ftp://authority.example"}},
        {"ledger": {"timestamp_every_s": 1}},
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, changes):
    with pytest.raises(DoudiError) as caught:
        parse_config({**KEYS, **changes}, tmp_path)
    assert caught.value.code == "config.invalid"
    assert "not a key" not in str(caught.value)


def test_a_missing_or_broken_file_is_refused(tmp_path):
    for content, expected in ((None, "config.missing"), (b"\xff", "config.missing"), (b"a = = b", "config.invalid")):
        if content is not None:
            (tmp_path / CONFIG_FILE).write_bytes(content)
        with pytest.raises(DoudiError) as caught:
            load_config(tmp_path)
        assert caught.value.code == expected


def test_a_forwarded_address_is_not_believed(tmp_path):
    """Who guesses passwords from this host would otherwise be somebody else at each attempt."""
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope["client"])

    files = {"ssl_certfile": None, "ssl_keyfile": None}
    server = uvicorn.Config(app, **(serving(parse_config(KEYS, tmp_path)) | files))
    server.load()
    headers = [(b"x-forwarded-for", b"203.0.113.9")]
    scope = {
        "type": "http",
        "client": ("127.0.0.1", 4),
        "headers": headers,
        "method": "GET",
        "path": "/",
        "scheme": "http",
    }
    asyncio.run(server.loaded_app(scope, None, None))
    assert seen == [("127.0.0.1", 4)]
