"""The first account, and recovery on the host: `doudi centre init --administrator`, `add-administrator`, `reset-account`."""

import json
import re
import time

import pytest
from people import Town
from sqlalchemy import select
from typer.testing import CliRunner

from coordinator.accounts.host import add_administrator, reset_on_host
from coordinator.accounts.models import AccountRow
from coordinator.accounts.records import HOST
from coordinator.accounts.register import NewAccount, add_account
from coordinator.cli import app
from coordinator.config import load_config
from coordinator.db.session import begin, open_engine
from crypto.errors import DoudiError


def call(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def install(tmp_path, *options, code=0):
    return call("init", "--home", tmp_path / "home", "--officer-home", tmp_path / "officer", *options, code=code)


def accounts(home):
    engine = open_engine(load_config(home).resolved_database_url)
    with begin(engine) as session:
        rows = session.scalars(select(AccountRow)).all()
    engine.dispose()
    return rows


def test_init_makes_no_account_and_says_how(tmp_path):
    result = install(tmp_path)
    assert "doudi centre add-administrator NAME" in result.stderr
    assert accounts(tmp_path / "home") == []


def test_init_makes_the_first_administrator_without_a_password(tmp_path):
    result = install(tmp_path, "--administrator", "li.wei", "--port", "8555")
    (account,) = accounts(tmp_path / "home")
    assert (account.login_name, account.party, account.roles) == ("li.wei", "centre", ["centre_officer"])
    assert (account.state, account.password_hash, account.totp_sealed) == ("invited", None, None)
    assert "https://127.0.0.1:8555/console" in result.stdout
    # Shown once, on stdout, and nowhere in the two folders.
    (code,) = re.findall(r"\b(?:[A-Z2-9]{5}-){3}[A-Z2-9]{5}\b", result.stdout)
    for folder in (tmp_path / "home", tmp_path / "officer"):
        for path in folder.rglob("*"):
            assert path.is_dir() or code.encode() not in path.read_bytes()


def test_the_code_of_init_enrols_with_the_installations_own_key_file(tmp_path):
    facts = json.loads(install(tmp_path, "--administrator", "li.wei", "--json").stdout)
    assert facts["account"] == 1
    made = Town(load_config(tmp_path / "home"), now=time.time())
    person = made.enrol(facts["enrolment_code"])
    assert person.login_name == "li.wei"
    made.close()


def test_a_name_that_cannot_be_leaves_no_installation(tmp_path):
    assert "account.bad_login_name" in install(tmp_path, "--administrator", "Li Wei", code=3).stderr
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "officer").exists()


def test_an_administrator_can_be_added_later_and_only_once_by_a_name(tmp_path):
    install(tmp_path)
    home = tmp_path / "home"
    result = call("--lang", "zh", "add-administrator", "wang.fang", "--home", home)
    assert "一次性注册码" in result.stdout
    assert [row.login_name for row in accounts(home)] == ["wang.fang"]
    assert "account.name_in_use" in call("add-administrator", "wang.fang", "--home", home, code=3).stderr
    assert "config.missing" in call("add-administrator", "x.y", "--home", tmp_path / "nowhere", code=5).stderr


def test_the_host_resets_an_account_and_it_is_recorded_as_the_hosts_act(town):
    person = town.move_in()
    code = reset_on_host(town.config, person.number, lambda: town.now)
    with pytest.raises(DoudiError):
        town.give_password(person)
    assert town.enrol(code).number == person.number
    (event,) = town.events("account.reset")
    assert (event.actor, event.account, event.subject) == ("coordinator", None, "centre")


def test_the_reset_command_prints_a_new_code(tmp_path):
    install(tmp_path, "--administrator", "li.wei")
    home = tmp_path / "home"
    facts = json.loads(call("reset-account", "1", "--home", home, "--json").stdout)
    assert set(facts) == {"account", "enrolment_code", "console"}
    assert "account.unknown" in call("reset-account", "9", "--home", home, code=3).stderr
    call("reset-account", "0", "--home", home, code=2)


def test_an_account_made_on_the_host_of_an_earlier_installation_brings_the_key_file(tmp_path):
    install(tmp_path)
    home = tmp_path / "home"
    (home / "accounts.key").unlink()
    call("add-administrator", "li.wei", "--home", home)
    assert (home / "accounts.key").stat().st_mode & 0o777 == 0o600
    # From now on it is missed and not replaced.
    (home / "accounts.key").unlink()
    assert "config.missing_key" in call("add-administrator", "wang.fang", "--home", home, code=5).stderr


def test_the_host_cannot_reset_what_the_identity_provider_holds(town):
    with town.context.begin() as session:
        account, _ = add_account(session, HOST, NewAccount("li.wei", "centre", ["auditor"], "https://provider.example"))
    with pytest.raises(DoudiError) as caught:
        reset_on_host(town.config, account.number, lambda: town.now)
    assert caught.value.code == "account.signs_in_elsewhere"
    assert town.events("account.reset") == []


def test_an_administrator_added_on_the_host_is_recorded_as_its_act(town):
    number, _ = add_administrator(town.config, "li.wei", lambda: town.now)
    (event,) = town.events("account.created")
    assert (event.actor, event.account, event.counts) == ("coordinator", None, {"about_account": number})
