"""Founding a log: files, first terms, who may sign them, and that a coordinator starts with nothing else."""

import stat

import pytest
from log_world import SETTINGS, START_S, LogWorld
from opened_records import ORIGIN, Auditor

from auditors.home import Home
from auditors.keys import load_keys
from coordinator.db.session import begin, open_engine, read
from coordinator.installation import Installation, install
from coordinator.ledger.founding import found_ledger, import_founding_terms, load_log_key, new_origin
from coordinator.ledger.founding_auditor import FOLDER
from coordinator.ledger.parts import open_ledger
from coordinator.ledger.terms_store import has_terms, newest_terms, store_terms, terms_by_number
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.terms import LedgerTerms, SignedLedgerTerms, sign_terms


def code(caught):
    return caught.value.code


@pytest.fixture
def unfounded(database_url, tmp_path):
    """A log's world before its founding."""
    world = LogWorld(open_engine(database_url), tmp_path / "unfounded")
    world.home.mkdir()
    yield world
    world.engine.dispose()


def start(world):
    with begin(world.engine, world.clock) as session:
        return import_founding_terms(session, world.home, SETTINGS, world.centre)


def test_the_logs_key_and_the_first_terms_are_files_that_only_this_account_reads(unfounded):
    signed = unfounded.auditor.found(unfounded.home, SETTINGS, unfounded.approval_key, START_S)
    folder = unfounded.home / "ledger"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("log.key", "terms.json")} == {0o600}
    assert SignedLedgerTerms.parse((folder / "terms.json").read_bytes()) == signed
    terms = signed.verify(unfounded.centre.approval_keys)
    assert (terms.number, terms.witnesses, terms.origin, terms.issued_at) == (1, (), ORIGIN, START_S)
    assert terms.log_key == signing_public_key(load_log_key(unfounded.home, SETTINGS)).hex()
    assert [card.auditor for card in terms.auditors] == ["court"]


def test_a_log_is_founded_once(unfounded):
    unfounded.auditor.found(unfounded.home, SETTINGS, unfounded.approval_key, START_S)
    with pytest.raises(DoudiError) as caught:
        unfounded.auditor.found(unfounded.home, SETTINGS, unfounded.approval_key, START_S)
    assert code(caught) == "install.exists"


def test_a_log_without_an_auditor_is_not_founded(unfounded):
    with pytest.raises(DoudiError) as caught:
        found_ledger(unfounded.home, SETTINGS, unfounded.approval_key, [], ORIGIN, START_S)
    assert code(caught) == "ledger.no_auditor"
    assert not (unfounded.home / "ledger").exists()


def test_the_first_start_stores_the_terms_and_the_next_ones_change_nothing(unfounded):
    unfounded.auditor.found(unfounded.home, SETTINGS, unfounded.approval_key, START_S)
    assert start(unfounded)
    assert not start(unfounded)
    (unfounded.home / "ledger" / "terms.json").unlink()
    assert not start(unfounded), "what is stored is in force, whatever became of the file"


@pytest.mark.parametrize("name", ["terms.json", "log.key"])
def test_without_its_files_a_coordinator_does_not_start(unfounded, name):
    unfounded.auditor.found(unfounded.home, SETTINGS, unfounded.approval_key, START_S)
    (unfounded.home / "ledger" / name).unlink()
    with pytest.raises(DoudiError) as caught:
        open_ledger(unfounded.engine, unfounded.clock, unfounded.home, SETTINGS, unfounded.centre)
    assert code(caught) == "ledger.not_set_up"


@pytest.mark.parametrize("content", ["", "ab" * 31, "AB" * 32, "zz" * 32, "ä" * 64, "ab" * 33])
def test_another_content_of_the_key_file_is_refused(unfounded, content):
    unfounded.auditor.found(unfounded.home, SETTINGS, unfounded.approval_key, START_S)
    (unfounded.home / "ledger" / "log.key").write_text(content)
    with pytest.raises(DoudiError) as caught:
        load_log_key(unfounded.home, SETTINGS)
    assert code(caught) == "ledger.bad_key"


def test_terms_that_no_approver_of_this_centre_signed_are_not_put_into_force(unfounded):
    unfounded.auditor.found(unfounded.home, SETTINGS, generate_signing_key(), START_S)
    with pytest.raises(DoudiError) as caught:
        start(unfounded)
    assert code(caught) == "terms.bad_signature"
    with read(unfounded.engine) as session:
        assert not has_terms(session)
        with pytest.raises(DoudiError) as caught:
            newest_terms(session)
    assert code(caught) == "ledger.not_set_up"


def test_terms_are_numbered_without_a_gap_and_never_changed(log):
    first = log.terms()

    def offered(**changes):
        return sign_terms(LedgerTerms.model_validate({**first.model_dump(), **changes}), log.approval_key)

    second = offered(number=2, checkpoint_max_age_s=100)
    with begin(log.engine, log.clock) as session:
        assert not store_terms(session, offered())
        assert store_terms(session, second)
        assert terms_by_number(session, 2) == second
        assert newest_terms(session) == second.terms
    for changes, expected in (
        ({"number": 1}, "terms.rollback"),
        ({"number": 2, "checkpoint_max_age_s": 99}, "terms.fork"),
        ({"number": 4}, "terms.gap"),
        ({"number": 3, "origin": "another:1/ledger-00000000"}, "terms.other_log"),
    ):
        with begin(log.engine, log.clock) as session:
            with pytest.raises(DoudiError) as caught:
                store_terms(session, offered(**changes))
            assert code(caught) == expected
            with pytest.raises(DoudiError) as caught:
                terms_by_number(session, 3)
            assert code(caught) == "terms.unknown"


def test_a_new_origin_is_one_that_terms_may_have_and_no_other_log_has():
    origins = {new_origin("Centre.Example.CN", 8443) for _ in range(100)}
    assert len(origins) == 100
    assert all(one.startswith("centre.example.cn:8443/ledger-") for one in origins)
    assert new_origin("[::1]", 8443).startswith("[::1]:8443/ledger-")


@pytest.fixture
def installation(tmp_path):
    return Installation(
        home=tmp_path / "coordinator",
        officer_home=tmp_path / "officer",
        hosts=["127.0.0.1"],
        listen="127.0.0.1",
        api_port=8443,
        fleet_port=9092,
        superlink_api_port=9091,
        step_timeout_s=900,
    )


def test_an_installation_without_an_auditor_makes_one_for_the_first_day_that_opens_everything(installation):
    config = install(installation, START_S)
    keys = load_keys(Home(installation.officer_home / FOLDER))
    assert keys.card.auditor == "founding-auditor"
    engine = open_engine(config.resolved_database_url)
    auditor = Auditor(keys.card.auditor, keys.sealing, keys.signing)
    assert auditor.card == keys.card
    assert [one.type for one in auditor.records(engine, ledgers_own=True)] == ["ledger.opened", "ledger.terms_changed"]
    engine.dispose()
    # The host has the log's key and none that opens or signs terms.
    for path in installation.home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for secret in (keys.sealing, keys.signing):
                assert secret not in data
                assert secret.hex().encode() not in data


def test_an_installation_with_an_appointed_auditor_makes_no_other(installation):
    auditor = Auditor("audit-office")
    chosen = Installation(**{**vars(installation), "auditors": (auditor.card,)})
    config = install(chosen, START_S)
    assert not (chosen.officer_home / FOLDER).exists()
    engine = open_engine(config.resolved_database_url)
    with read(engine) as session:
        terms = newest_terms(session)
    assert terms.auditors == (auditor.card,)
    assert terms.origin.startswith("127.0.0.1:8443/ledger-")
    assert len(auditor.records(engine, ledgers_own=True)) == 2
    engine.dispose()
