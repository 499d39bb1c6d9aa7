"""What the coordinator keeps of an attempt: first requests win, files are whole or absent, and nobody else may read them."""

from pathlib import Path

import pytest

from coordinator.federation.run_folder import RunFolder
from crypto.errors import DoudiError
from policies.contracts.steps import Step


def test_the_first_request_is_the_one_that_is_sent_ever_after(tmp_path: Path) -> None:
    assert RunFolder(tmp_path, "run-1", 1).save_request(Step.BLIND, "tax", b"first") == b"first"
    again = RunFolder(tmp_path, "run-1", 1)
    assert again.save_request(Step.BLIND, "tax", b"second") == b"first"
    assert again.request(Step.BLIND, "tax") == b"first"


def test_attempts_runs_steps_and_departments_have_files_of_their_own(tmp_path: Path) -> None:
    RunFolder(tmp_path, "run-1", 1).save_request(Step.BLIND, "tax", b"x")
    assert RunFolder(tmp_path, "run-1", 2).request(Step.BLIND, "tax") is None
    assert RunFolder(tmp_path, "run-2", 1).request(Step.BLIND, "tax") is None
    assert RunFolder(tmp_path, "run-1", 1).request(Step.EVALUATE, "tax") is None
    assert RunFolder(tmp_path, "run-1", 1).request(Step.BLIND, "housing") is None


def test_replies_and_outcomes_are_absent_until_they_are_stored(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "run-1", 1)
    assert folder.reply(Step.BLIND, "tax") is None
    assert folder.done(Step.BLIND) is None
    folder.save_reply(Step.BLIND, "tax", b"reply")
    folder.save_done(Step.BLIND, {"missing": {"housing": "node.timeout"}, "seconds": 1.5})
    again = RunFolder(tmp_path, "run-1", 1)
    assert again.reply(Step.BLIND, "tax") == b"reply"
    assert again.done(Step.BLIND) == {"missing": {"housing": "node.timeout"}, "seconds": 1.5}


def test_a_random_choice_is_made_once_per_attempt(tmp_path: Path) -> None:
    assert RunFolder(tmp_path, "run-1", 1).save_once("union.bin", b"one") == b"one"
    assert RunFolder(tmp_path, "run-1", 1).save_once("union.bin", b"two") == b"one"


def test_a_half_written_file_of_a_killed_process_does_not_count(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "run-1", 1)
    (folder.path / "blind").mkdir()
    (folder.path / "blind" / ".tax.reply.123").write_bytes(b"hal")
    assert folder.reply(Step.BLIND, "tax") is None


def test_the_files_are_for_the_coordinators_account_only(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "run-1", 1)
    folder.save_reply(Step.BLIND, "tax", b"reply")
    for path in [folder.path, *folder.path.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["../tax", "a/b", ".tax"])
def test_a_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DoudiError) as caught:
        RunFolder(tmp_path, "run-1", 1).save_reply(Step.BLIND, name, b"reply")
    assert caught.value.code == "run.bad_name"


def test_each_round_of_a_line_has_files_of_its_own_until_it_is_forgotten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "run-1", 1)
    for number in (1, 2, 10):
        folder.round(number).save_request(Step.LINE_KEYS, "tax", b"%d" % number)
    assert [folder.round(number).request(Step.LINE_KEYS, "tax") for number in (1, 2, 10)] == [b"1", b"2", b"10"]
    assert folder.request(Step.LINE_KEYS, "tax") is None
    folder.forget_rounds(2)
    assert [folder.round(number).request(Step.LINE_KEYS, "tax") for number in (1, 2, 10)] == [None, None, b"10"]


def test_a_checkpoint_replaces_the_former_one_and_belongs_to_its_attempt(tmp_path: Path) -> None:
    first, third = RunFolder(tmp_path, "run-1", 1), RunFolder(tmp_path, "run-1", 3)
    assert (first.checkpoint(), first.former_checkpoint(), third.former_checkpoint()) == (None, None, None)
    first.save_checkpoint(b"one")
    first.save_checkpoint(b"two")
    assert (first.checkpoint(), first.former_checkpoint()) == (b"two", None)
    # The second attempt came to no round.
    RunFolder(tmp_path, "run-1", 2)
    assert (third.checkpoint(), third.former_checkpoint()) == (None, b"two")
    RunFolder(tmp_path, "run-1", 2).save_checkpoint(b"newer")
    assert third.former_checkpoint() == b"newer"
    assert RunFolder(tmp_path, "run-2", 3).former_checkpoint() is None


def test_sizes_are_counted_over_the_steps_of_a_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "run-1", 1)
    files = folder.round(1)
    files.save_request(Step.LINE_KEYS, "tax", b"123")
    files.save_request(Step.LINE_SHARES, "tax", b"12345")
    files.save_reply(Step.LINE_KEYS, "tax", b"12")
    files.save_done(Step.LINE_KEYS, {"missing": {}, "seconds": 1.0})
    (files.path / "line_keys" / ".tax.reply.123").write_bytes(b"hal")
    assert files.sizes() == ({"tax": 8}, {"tax": 2}, 2)
    assert folder.sizes() == ({}, {}, 0)
