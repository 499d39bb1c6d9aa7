"""An auditor's keys: for its own eyes, never overwritten, and kept when they are replaced."""

import shutil

import pytest

from auditors.home import Home
from auditors.keys import all_keys, has_keys, load_keys, make_keys, rotate_keys
from crypto.errors import DoudiError
from policies.contracts.ledger.terms import AuditorCard


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "audit")


def test_keys_are_readable_by_the_auditor_alone_and_the_card_by_everybody(home):
    keys = make_keys(home, "court")
    for path in (home.sealing_key_file, home.signing_key_file):
        assert path.stat().st_mode & 0o777 == 0o600
    assert home.card_file.stat().st_mode & 0o777 == 0o644
    assert home.keys.stat().st_mode & 0o077 == 0
    assert load_keys(home) == keys
    assert AuditorCard.parse(home.card_file.read_bytes()) == keys.card


def test_keys_are_never_overwritten(home):
    keys = make_keys(home, "court")
    with pytest.raises(DoudiError, match=r"key\.exists"):
        make_keys(home, "court")
    assert load_keys(home) == keys


def test_a_name_that_no_record_could_hold_makes_no_keys(home):
    with pytest.raises(ValueError, match="auditor"):
        make_keys(home, "Court of Audit")
    assert not has_keys(home)
    make_keys(home, "court")


def test_a_rotation_makes_a_new_pair_and_keeps_every_old_one(home):
    first = make_keys(home, "court")
    second = rotate_keys(home)
    third = rotate_keys(home)
    found = all_keys(home)
    assert found[0] == third == load_keys(home)
    assert {pair.card.digest() for pair in found} == {pair.card.digest() for pair in (first, second, third)}
    assert len({pair.sealing for pair in found}) == 3
    assert {pair.card.auditor for pair in found} == {"court"}
    for path in home.keys.rglob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_rotation_that_was_cut_off_before_its_card_leaves_the_old_pair(home, tmp_path):
    before = make_keys(home, "court")
    shutil.copytree(home.keys, tmp_path / "copy")
    rotate_keys(home)
    # As after a crash: the keys of the new pair are written, its card is not, and nothing was moved.
    coming = tmp_path / "copy" / "next"
    coming.mkdir()
    for name in ("sealing.key", "signing.key"):
        shutil.copy(home.keys / name, coming / name)
    shutil.rmtree(home.keys)
    shutil.copytree(tmp_path / "copy", home.keys)
    assert load_keys(home) == before
    assert not (home.keys / "next").exists()


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_rotation_that_was_cut_off_while_moving_is_ended_by_the_next_reading(home, tmp_path, moved):
    make_keys(home, "court")
    shutil.copytree(home.keys, tmp_path / "copy")
    after = rotate_keys(home)
    coming = tmp_path / "copy" / "next"
    coming.mkdir()
    names = ("sealing.key", "signing.key", "card.json")
    for number, name in enumerate(names):
        shutil.copy(home.keys / name, (tmp_path / "copy" if number < moved else coming) / name)
    shutil.rmtree(home.keys)
    shutil.copytree(tmp_path / "copy", home.keys)
    assert load_keys(home) == after


def test_keys_that_others_may_read_are_refused(home):
    make_keys(home, "court")
    home.sealing_key_file.chmod(0o640)
    with pytest.raises(DoudiError, match=r"key\.permissions"):
        load_keys(home)


def test_keys_that_are_not_those_of_the_card_are_refused(home, tmp_path):
    make_keys(home, "court")
    make_keys(Home(tmp_path / "other"), "court")
    shutil.copy(tmp_path / "other" / "keys" / "sealing.key", home.sealing_key_file)
    with pytest.raises(DoudiError, match=r"key\.mismatch"):
        load_keys(home)


def test_a_home_without_keys_says_how_to_make_them(home):
    assert not has_keys(home)
    with pytest.raises(DoudiError, match=r"key\.missing.*doudi audit keys --name"):
        load_keys(home)


def test_keys_never_show_in_what_is_printed(home):
    keys = make_keys(home, "court")
    shown = repr(keys)
    assert "sealing=" not in shown
    assert keys.sealing.hex() not in shown
    assert repr(keys.sealing) not in shown
