"""Every changed byte of a mirror is found, and no bytes end a verification; findings and their exit codes."""

import random

import pytest
from ledger_world import LedgerWorld
from mirror_hands import edit_page, edited, flip

from auditors.verification.findings import CODES, MAXIMUM_PER_CODE, Findings, Severity, exit_code_of
from auditors.verification.verifier import verify_store
from crypto.errors import DoudiError


@pytest.fixture
def world(tmp_path):
    made = LedgerWorld(tmp_path / "log")
    made.fill(300)
    made.publish()
    return made


@pytest.fixture
def home(world, tmp_path):
    return world.home(tmp_path / "audit")


# Untrusted bytes.


def test_every_changed_byte_is_found_wherever_it_stands(world, home):
    """One changed byte in turn, in every file of the log: sampled over its bytes, with a fixed seed."""
    chosen = random.Random(5)
    for path in sorted(path for path in home.store.folder.rglob("*") if path.is_file() and path.name != "state.json"):
        whole = path.read_bytes()
        for position in chosen.sample(range(len(whole)), min(12, len(whole))):
            flip(path, position)
            result = verify_store(home, full=True)
            assert result.exit_code >= 10, (path.relative_to(home.store.folder), position)
            path.write_bytes(whole)
    assert verify_store(home, full=True).exit_code == 0


def test_garbage_in_every_file_is_a_finding_and_never_more(world, home):
    chosen = random.Random(6)
    for path in sorted(path for path in home.store.folder.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for garbage in (b"", b"{", b"\x01", chosen.randbytes(300), whole + b"\x00", whole[: len(whole) // 2]):
            path.write_bytes(garbage)
            assert verify_store(home, full=True).exit_code >= 10, path
        path.unlink()
        path.mkdir()
        if path.name == "checkpoint":
            with pytest.raises(DoudiError, match=r"audit\.not_fetched"):
                verify_store(home, full=True)
        else:
            verify_store(home, full=True)
        path.rmdir()
        path.write_bytes(whole)


def test_names_in_findings_hold_no_control_characters(home):
    edit_page(home, lambda page: edited(page, 1, producer="\x1b[2J"))
    for one in verify_store(home).findings:
        assert "\x1b" not in str(one.shown())


# Findings.


def test_the_most_serious_finding_decides_and_notices_do_not():
    findings = Findings()
    assert exit_code_of(findings) == 0
    findings.add("witness.no_card", "terms/1", Severity.NOTICE, department="tax")
    assert exit_code_of(findings) == 0
    findings.add("batch.wraps_destroyed", "batch/1", Severity.WARNING, entries=1, producer="tax")
    assert exit_code_of(findings) == 15
    findings.add("batch.gap", "batch/2", producer="tax", expected=1, found=2)
    findings.add("tree.wrong_root", "checkpoint", size=1)
    assert exit_code_of(findings) == 10


def test_findings_above_the_limit_are_counted_and_not_kept():
    findings = Findings()
    for number in range(MAXIMUM_PER_CODE + 5):
        findings.add("tree.entry_changed", f"entry/{number}")
    assert len(findings) == findings.counts["tree.entry_changed"] == MAXIMUM_PER_CODE + 5
    assert len(list(findings)) == MAXIMUM_PER_CODE


def test_a_code_that_is_not_in_the_table_is_a_mistake_of_the_program():
    with pytest.raises(KeyError):
        _ = [one.exit for one in _one_unknown()]


def _one_unknown():
    findings = Findings()
    findings.add("no.such_code", "nowhere")
    return findings


def test_every_code_ends_between_10_and_16():
    assert {int(code) for code in CODES.values()} <= set(range(10, 17))
