"""What a copy of the database gives away: nothing that signs anybody in. `coordinator/accounts/keys.py` and the tables."""

import stat

import pyotp
import pytest
from people import ADDRESS, PASSWORD

from coordinator.accounts.keys import AccountKeys, ensure_account_keys, load_account_keys
from coordinator.accounts.parts import open_parts
from coordinator.accounts.register import get_account
from coordinator.accounts.tokens import make_token
from crypto.errors import DoudiError


def test_no_secret_lies_in_the_database_in_clear(town):
    """Everything that somebody types, shows or keeps is looked for in the file, and so is a value that must be found."""
    number, code = town.invite("li.wei")
    person = town.enrol(code)
    town.now += 30
    pending = town.give_password(person)
    with town.context.begin() as session:
        token, _ = make_token(session, get_account(session, number), "nightly", ["read"], 1, two_factor=True)
    secrets = [
        PASSWORD,
        code,
        code.replace("-", ""),
        person.secret,
        person.token,
        pending,
        token.removeprefix("doudi_"),
        ADDRESS,
        *person.recovery_codes,
        *(found.replace("-", "") for found in person.recovery_codes),
    ]
    secrets += [pyotp.TOTP(person.secret).secret.lower(), town.code(person)]
    town.context.engine.dispose()
    data = b"".join(path.read_bytes() for path in town.config.home.glob("coordinator.db*"))
    assert b"li.wei" in data
    assert b"$argon2id$" in data
    assert [secret for secret in secrets if secret.encode() in data] == []


def test_the_key_file_is_private_and_not_in_the_database(town):
    path = town.config.home / "accounts.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = b"".join(found.read_bytes() for found in town.config.home.glob("coordinator.db*"))
    assert path.read_bytes() not in data
    assert bytes.fromhex(path.read_text()) not in data


def test_a_sealed_secret_opens_in_its_own_row_with_its_own_key_only(tmp_path):
    keys, other = AccountKeys(b"\x01" * 32), AccountKeys(b"\x02" * 32)
    sealed = keys.seal_totp(7, "A" * 32)
    assert keys.open_totp(7, sealed) == "A" * 32
    for wrong, number in ((other, 7), (keys, 8)):
        with pytest.raises(DoudiError) as caught:
            wrong.open_totp(number, sealed)
        assert caught.value.code == "crypto.cannot_open"


def test_names_and_addresses_are_hashed_with_the_installations_key():
    keys, other = AccountKeys(b"\x01" * 32), AccountKeys(b"\x02" * 32)
    found = keys.subject_hash("address", ADDRESS)
    assert found == keys.subject_hash("address", ADDRESS)
    assert len({found, keys.subject_hash("name", ADDRESS), other.subject_hash("address", ADDRESS)}) == 3


def test_the_key_file_is_made_once_for_an_installation_without_accounts(tmp_path):
    path = tmp_path / "accounts.key"
    first = ensure_account_keys(path, accounts_exist=False)
    second = ensure_account_keys(path, accounts_exist=False)
    assert first.subject_hash("name", "x") == second.subject_hash("name", "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["accounts.key"]


def test_a_lost_key_file_stops_the_start_and_is_not_replaced(town):
    town.move_in()
    path = town.config.home / "accounts.key"
    kept = path.read_bytes()
    path.unlink()

    def start():
        return open_parts(town.config.home, town.config.accounts, town.config.oidc, town.context.engine)

    with pytest.raises(DoudiError) as caught:
        start()
    assert caught.value.code == "config.missing_key"
    assert not path.exists()
    path.write_bytes(kept)
    start().close()


@pytest.mark.parametrize("content", [b"", b"\xff", b"ab", b"zz" * 32, b"00" * 33])
def test_a_damaged_key_file_is_refused_without_being_quoted(tmp_path, content):
    path = tmp_path / "accounts.key"
    path.write_bytes(content)
    with pytest.raises(DoudiError) as caught:
        load_account_keys(path)
    assert caught.value.code == "config.bad_key"
    assert "zz" not in str(caught.value)
