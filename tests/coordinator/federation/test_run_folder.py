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
