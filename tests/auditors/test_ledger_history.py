"""A log that only grew, and every way in which it did not: forks, rollbacks, withheld entries, changed terms."""

import shutil

import pytest
from ledger_world import LedgerWorld

from auditors.verification.findings import Severity
from auditors.verification.verifier import verify_store
from auditors.visits import Regression
from crypto import signing
from crypto.checkpoint import Note, cosign, with_signatures
from crypto.ledger_entries import Plain
from policies.contracts.ledger.terms import sign_terms


@pytest.fixture
def world(tmp_path):
    made = LedgerWorld(tmp_path / "log")
    made.fill(300)
    made.publish()
    return made


@pytest.fixture
def home(world, tmp_path):
    return world.home(tmp_path / "audit")


def grow(world, home, entries):
    world.fill(entries)
    world.publish()
    world.refresh(home)


def codes(result):
    return {one.code for one in result.findings if one.severity is not Severity.NOTICE}


# Going on from what was verified.


@pytest.mark.parametrize("before", [0, 1, 255, 256, 257, 300, 512, 1_000])
@pytest.mark.parametrize("more", [0, 1, 2, 255, 256, 300, 1_000])
def test_a_later_verification_reads_what_came_since_and_finds_the_same_root(tmp_path, before, more):
    world = LedgerWorld(tmp_path / "log")
    world.fill(before)
    world.publish()
    home = world.home(tmp_path / "audit")
    assert verify_store(home).full
    grow(world, home, more)
    result = verify_store(home)
    assert (result.exit_code, result.full, result.newest.root) == (0, False, world.root())
    assert result.entries == before + more - before // 256 * 256
    assert result.batches == world.batches


def test_a_later_verification_judges_what_came_since(world, home):
    verify_store(home)
    world.batch("tax", [Plain("account.signed_in", 1, 1, b'{"account":1}')])
    grow(world, home, 400)
    result = verify_store(home)
    assert codes(result) == {"batch.gap"}
    assert not result.full


def test_numbers_go_on_over_verifications(world, home):
    verify_store(home)
    for _ in range(3):
        grow(world, home, 130)
        assert verify_store(home).exit_code == 0


def test_what_was_found_in_a_batch_is_found_again(world, home):
    world.batch("tax", [Plain("account.signed_in", 1, 1, b'{"account":1}')])
    grow(world, home, 400)
    first = verify_store(home)
    grow(world, home, 100)
    again = verify_store(home)
    assert (first.full, again.full) == (True, False)
    assert [one.shown() for one in first.findings] == [one.shown() for one in again.findings]
    assert again.exit_code == 14


def test_what_was_found_in_an_old_checkpoint_is_found_again(world, home):
    path = home.store.folder / "checkpoints/300"
    path.write_bytes(path.read_bytes().replace("— tax".encode(), "— tux".encode()))
    grow(world, home, 100)
    path.write_bytes(path.read_bytes().replace("— tax".encode(), "— tux".encode()))
    assert codes(verify_store(home)) == {"witness.unknown_line"}
    grow(world, home, 100)
    result = verify_store(home)
    assert codes(result) == {"witness.unknown_line"}
    assert not result.full


def test_a_batch_of_before_that_is_repeated_later_is_found(world, home):
    verify_store(home)
    batch = world.batch("coordinator", [Plain("account.signed_in", 1, 1, b'{"account":1}')])
    world.place(batch)
    world.publish()
    world.refresh(home)
    assert verify_store(home).exit_code == 0
    world.place(batch)
    world.publish()
    world.refresh(home)
    result = verify_store(home)
    assert codes(result) == {"batch.repeated"}
    assert not result.full


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"format_version":1}'])
def test_a_damaged_note_of_what_was_verified_means_a_full_pass(world, home, damage):
    verify_store(home)
    home.verified_file.write_bytes(damage)
    result = verify_store(home)
    assert (result.exit_code, result.full) == (0, True)


def test_other_ids_than_those_that_were_kept_mean_a_full_pass(home):
    verify_store(home)
    home.verified_batches_file.write_bytes(home.verified_batches_file.read_bytes()[::-1])
    result = verify_store(home)
    assert (result.exit_code, result.full) == (0, True)


def test_another_root_in_the_note_of_what_was_verified_is_never_believed(world, home):
    verify_store(home)
    text = home.verified_file.read_text()
    home.verified_file.write_text(text.replace(world.root().hex(), "00" * 32))
    grow(world, home, 10)
    result = verify_store(home)
    assert result.full
    assert {(one.code, one.place) for one in result.findings} == {("history.fork", "verified.json")}


@pytest.mark.parametrize("name", ["tile/1/000.p/3", "tile/0/003.p/40", "tile/entries/003.p/40"])
def test_a_changed_file_of_the_verified_part_that_is_needed_is_found(tmp_path, name):
    world = LedgerWorld(tmp_path / "log")
    world.fill(808)
    world.publish()
    home = world.home(tmp_path / "audit")
    verify_store(home)
    path = home.store.folder / name
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    result = verify_store(home)
    assert result.exit_code == 10


def test_an_old_entry_that_changes_after_it_was_verified_is_found_by_a_full_pass(world, home):
    verify_store(home)
    path = home.store.folder / "tile/entries/000"
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    assert verify_store(home).exit_code == 0
    assert "tree.entry_changed" in codes(verify_store(home, full=True))


# Visits.


def test_the_checkpoints_of_all_visits_are_beginnings_of_the_newest_tree(world, home):
    for entries in (1, 211, 512):
        grow(world, home, entries)
    assert [path.name for path in (home.store.folder / "checkpoints").iterdir()]
    for full in (True, False, True):
        assert verify_store(home, full=full).exit_code == 0


def test_a_fork_of_another_size_is_found_against_an_earlier_visit(world, home, tmp_path):
    other = world.fork(tmp_path / "other")
    grow(world, home, 100)
    verify_store(home)
    other.fill(150)
    other.publish()
    shutil.copytree(home.store.folder / "checkpoints", other.folder / "checkpoints", dirs_exist_ok=True)
    shutil.rmtree(home.store.folder)
    other.refresh(home)
    result = verify_store(home)
    assert {(one.code, one.place) for one in result.findings} == {
        ("history.fork", "checkpoints/400"),
        ("history.fork", "verified.json"),
    }
    assert result.exit_code == 13
    # It does not go away by looking again.
    assert codes(verify_store(home)) == {"history.fork"}


def test_two_roots_for_one_size_are_a_fork(world, home, tmp_path):
    other = world.fork(tmp_path / "other")
    grow(world, home, 100)
    other.now += 1
    other.fill(100)
    note = other.publish()
    (home.store.folder / "checkpoints/400.fork-aa").write_bytes(note.to_bytes())
    result = verify_store(home)
    assert {(one.code, one.place) for one in result.findings} == {("history.fork", "checkpoints/400.fork-aa")}


def test_a_smaller_tree_than_before_is_a_rollback(world, home):
    state = home.store.state().model_copy(update={"regressions": (Regression(at=5, before=300, after=200),)})
    home.store.write("state.json", state.to_bytes())
    result = verify_store(home)
    assert [(one.code, one.place) for one in result.findings] == [("history.rollback", "visit/5")]


def test_a_mirror_that_is_smaller_than_what_was_verified_is_a_rollback(world, home, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(home.store.folder, old)
    grow(world, home, 100)
    verify_store(home)
    shutil.rmtree(home.store.folder)
    shutil.copytree(old, home.store.folder)
    for _ in range(2):
        result = verify_store(home)
        assert {(one.code, one.place) for one in result.findings} == {("history.rollback", "verified.json")}


def test_terms_that_were_verified_and_are_others_now_are_found(world, home):
    verify_store(home)
    terms = world.terms[0].terms.model_copy(update={"checkpoint_max_age_s": 60})
    (home.store.folder / "terms/1").write_bytes(sign_terms(terms, world.centre_private).to_bytes())
    for _ in range(2):
        assert codes(verify_store(home)) == {"history.terms_changed"}


# What departments hand over.


def handed_over(world, tmp_path, note, department="tax", at=None):
    """Return the file that a department hands over: the log's note with its own cosignature."""
    bare = Note(note.text, note.signatures[:1])
    line = cosign(bare, department, world.departments[department], world.now if at is None else at)
    path = tmp_path / f"{department}.checkpoint"
    path.write_bytes(with_signatures(bare, [line]).to_bytes())
    return path


@pytest.mark.parametrize("known", [False, True])
def test_a_departments_checkpoint_of_the_same_history_is_accepted(world, home, tmp_path, known):
    files = [handed_over(world, tmp_path, world.notes[300])]
    grow(world, home, 500)
    if known:
        verify_store(home)
    result = verify_store(home, department_files=files)
    assert (result.exit_code, result.full) == (0, not known)


@pytest.mark.parametrize("known", [False, True])
def test_a_departments_checkpoint_of_another_history_is_a_fork(world, home, tmp_path, known):
    other = world.fork(tmp_path / "other")
    other.now += 1
    other.fill(7)
    files = [handed_over(world, tmp_path, other.publish())]
    grow(world, home, 500)
    if known:
        verify_store(home)
    result = verify_store(home, department_files=files)
    assert {(one.code, one.place) for one in result.findings} == {("history.fork", "tax.checkpoint")}


def test_a_larger_tree_that_a_department_saw_before_the_visit_was_withheld(world, home, tmp_path):
    world.fill(10)
    note = world.publish()
    result = verify_store(home, department_files=[handed_over(world, tmp_path, note, at=world.now)])
    assert [(one.code, one.detail) for one in result.findings] == [("history.withheld", {"size": 310, "newest": 300})]
    result = verify_store(home, department_files=[handed_over(world, tmp_path, note, at=world.now + 1)])
    assert [(one.code, one.severity) for one in result.findings] == [("history.newer", Severity.NOTICE)]
    assert result.exit_code == 0


def test_a_departments_checkpoint_that_the_log_did_not_sign_is_found(world, home, tmp_path):
    world.log_private = signing.generate_signing_key()
    world.fill(10)
    files = [handed_over(world, tmp_path, world.publish())]
    assert codes(verify_store(home, department_files=files)) == {"checkpoint.bad_signature"}


def test_without_the_right_tree_older_checkpoints_are_called_unconfirmed_not_forked(world, home):
    grow(world, home, 100)
    path = home.store.folder / "tile/entries/000"
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    result = verify_store(home)
    assert {one.code for one in result.findings} >= {"tree.wrong_root", "history.unconfirmed"}
    assert "history.fork" not in codes(result)
