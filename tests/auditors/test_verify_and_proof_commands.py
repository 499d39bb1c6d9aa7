"""`doudi audit fetch`, `verify`, `prove` and `check` as an auditor calls them: exit codes, both languages, JSON."""

import json
import string

import pytest
from ledger_world import LedgerWorld
from typer.testing import CliRunner

from auditors.cli import app
from auditors.texts import TEXTS
from auditors.verification.findings import CODES
from crypto import signing
from policies.contracts.ledger.evidence import WitnessEvidence, sign_evidence


@pytest.fixture
def world(tmp_path):
    made = LedgerWorld(tmp_path / "log")
    made.fill(300)
    made.publish()
    return made


@pytest.fixture
def home(world, tmp_path):
    return world.home(tmp_path / "audit")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def damage(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_sound_log_is_one_line_and_the_times_go_to_stderr(world, home):
    result = run("verify", "--home", home.path)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"ledger ok: 300 entries in 6 batches, root {world.root().hex()}")
    assert len(result.stdout.splitlines()) == 1
    assert "300 entries: tree and checkpoints" in result.stderr
    assert "6 signatures of batches" in result.stderr


def test_findings_are_a_table_in_the_officers_language(home):
    damage(home.store.folder / "tile/entries/000")
    result = run("verify", "--home", home.path)
    assert result.exit_code == 10
    assert "tree.entry_changed" in result.stdout
    assert "entry/255" in result.stdout
    assert "it was changed after that" in result.stdout
    assert "之后被改动" in run("--lang", "zh", "verify", "--home", home.path).stdout


def test_json_holds_the_facts_and_every_finding(home):
    damage(home.store.folder / "tile/0/000")
    result = run("verify", "--home", home.path, "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["exit"], answer["entries"], answer["full"]) == (10, 10, 300, True)
    (finding,) = answer["findings"]
    assert finding == {
        "code": "tree.tile_differs",
        "severity": "error",
        "place": "tile/0/000",
        "detail": {},
        "exit": 10,
    }


def test_verify_goes_on_and_can_be_told_not_to(world, home):
    run("verify", "--home", home.path)
    assert json.loads(run("verify", "--home", home.path, "--json").stdout)["full"] is False
    assert json.loads(run("verify", "--home", home.path, "--full", "--json").stdout)["read"] == 300


def test_a_departments_checkpoint_is_an_option(world, home, tmp_path):
    file = tmp_path / "tax.checkpoint"
    file.write_bytes(world.notes[300].to_bytes())
    assert run("verify", "--home", home.path, "--from-department", file).exit_code == 0
    other = world.fork(tmp_path / "other")
    other.levels[0][5] = bytes(32)
    file.write_bytes(other.publish().to_bytes())
    assert run("verify", "--home", home.path, "--from-department", file).exit_code == 13
    file.write_text("nothing")
    assert run("verify", "--home", home.path, "--from-department", file).exit_code == 5


def test_an_empty_folder_says_what_to_do(home, tmp_path):
    result = run("verify", "--home", tmp_path / "nowhere")
    assert result.exit_code == 3
    assert "audit.not_fetched" in result.stderr
    assert "doudi audit fetch" in result.stderr


# Proofs.


def test_a_proof_is_written_and_a_third_person_checks_it_with_the_centres_card(world, home, tmp_path):
    proof, card = tmp_path / "proof.json", home.cards_folder / "centre-card.json"
    made = run("prove", 60, "--out", proof, "--home", home.path)
    assert made.exit_code == 0, made.output
    result = run("check", proof, "--card", card, "--home", tmp_path / "nowhere")
    assert result.exit_code == 0, result.output
    assert "entry 60 of the log" in result.stdout
    assert "node.step.started that health signed as its number 11" in result.stdout
    assert json.loads(result.stdout.splitlines()[-1])["purpose"] == "social_assistance"
    answer = json.loads(run("check", proof, "--card", card, "--json").stdout)
    assert (answer["producer"], answer["record"]["type"], answer["findings"]) == ("health", "node.step.started", [])


def test_a_proof_without_the_key_says_so(home, tmp_path):
    proof = tmp_path / "proof.json"
    assert run("prove", 60, "--out", proof, "--home", home.path, "--without-key").exit_code == 0
    result = run("check", proof, "--home", home.path)
    assert result.exit_code == 0
    assert "proof.without_key" in result.stdout


def test_a_changed_proof_proves_nothing(home, tmp_path):
    proof = tmp_path / "proof.json"
    run("prove", 60, "--out", proof, "--home", home.path)
    document = json.loads(proof.read_text())
    proof.write_text(json.dumps({**document, "index": 61}, indent=2))
    result = run("check", proof, "--home", home.path)
    assert result.exit_code == 10
    assert "not proven" in result.stdout
    assert "social_assistance" not in result.stdout


def test_a_proof_from_a_damaged_mirror_is_not_written(home, tmp_path):
    damage(home.store.folder / "tile/entries/000")
    result = run("prove", 255, "--out", tmp_path / "proof.json", "--home", home.path)
    assert result.exit_code == 10
    assert not (tmp_path / "proof.json").exists()


def test_a_proof_without_a_card_of_the_centre_ends_with_the_key_to_ask_about(home, tmp_path):
    proof = tmp_path / "proof.json"
    run("prove", 60, "--out", proof, "--home", home.path)
    result = run("check", proof, "--home", tmp_path / "nowhere")
    assert result.exit_code == 11
    assert "terms.unpinned" in result.stdout


def test_a_proof_of_what_is_not_there_is_refused(home, tmp_path):
    result = run("prove", 300, "--out", tmp_path / "proof.json", "--home", home.path)
    assert result.exit_code == 3
    assert "audit.no_entry" in result.stderr


# Checkpoints and evidence.


def test_a_checkpoint_is_checked_against_the_terms_of_the_mirror_or_given_ones(world, home, tmp_path):
    file = tmp_path / "checkpoint"
    file.write_bytes(world.notes[300].to_bytes())
    result = run("check", file, "--home", home.path)
    assert result.exit_code == 0
    assert "a tree of 300 entries" in result.stdout
    assert "health, pension, tax" in result.stdout
    terms, card = home.store.folder / "terms/1", home.cards_folder / "centre-card.json"
    alone = run("check", file, "--terms", terms, "--card", card, "--home", tmp_path / "nowhere")
    assert alone.exit_code == 0, alone.output
    missing = run("check", file, "--card", card, "--home", tmp_path / "nowhere")
    assert missing.exit_code == 3
    assert "audit.no_terms" in missing.stderr


def test_a_checkpoint_of_nobody_is_refused(world, home, tmp_path):
    world.log_private = signing.generate_signing_key()
    file = tmp_path / "checkpoint"
    file.write_bytes(world.publish().to_bytes())
    assert run("check", file, "--home", home.path).exit_code == 10
    file.write_bytes(b"\xff")
    assert run("check", file, "--home", home.path).exit_code == 5
    assert run("check", tmp_path / "nothing", "--home", home.path).exit_code == 5


def test_evidence_is_told_in_plain_words(world, home, tmp_path):
    other = world.fork(tmp_path / "other")
    other.levels[0][5] = bytes(32)
    evidence = WitnessEvidence(
        kind="fork",
        witness="tax",
        at=world.now,
        terms_number=1,
        seen=world.notes[300].to_bytes().decode(),
        offered=other.publish().to_bytes().decode(),
    )
    file = tmp_path / "evidence.json"
    file.write_bytes(sign_evidence(evidence, world.departments["tax"]).to_bytes())
    result = run("check", file, "--home", home.path)
    assert result.exit_code == 13
    assert "does not continue the one it had shown before" in result.stdout
    assert "its own signatures prove it" in result.stdout
    answer = json.loads(run("check", file, "--home", home.path, "--json").stdout)
    assert (answer["kind"], answer["findings"][0]["code"]) == ("fork", "evidence.fork")
    assert "出示的树不是先前所示树的延续" in run("--lang", "zh", "check", file, "--home", home.path).stdout


@pytest.mark.parametrize("content", ["{}", "{", '{"evidence":{}}', '{"kind":"ledger-entry-proof"}'])
def test_a_file_that_is_nothing_of_all_this_is_a_bad_file(home, tmp_path, content):
    file = tmp_path / "file"
    file.write_text(content)
    assert run("check", file, "--home", home.path).exit_code == 5


# Texts.


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_finding_has_a_text_with_the_same_facts_in_both_languages(code):
    english, chinese = TEXTS[f"finding.{code}"]
    assert _facts(english) == _facts(chinese)
    assert english != chinese


def test_every_text_has_the_same_facts_in_both_languages():
    for key, (english, chinese) in TEXTS.items():
        assert _facts(english) == _facts(chinese), key


def _facts(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
