"""The auditors' commands, from keys to the report: facts, findings, exit codes, both languages, JSON."""

import json
import shutil
import time

import pytest
from ledger_story import CRASHED, FINISHED, HIDDEN, Story
from ledger_world import AuditorKeys, LedgerWorld
from log_server import LogServer, WorldLog
from typer.testing import CliRunner

from auditors.cli import app
from auditors.home import Home
from policies.contracts.ledger.added_wraps import SignedAddedWraps
from policies.contracts.ledger.records import Record
from policies.contracts.ledger.terms import COORDINATOR, AuditorCard


def run(*words, home=None, language=None):
    options = ["--lang", language] if language else []
    tail = ["--home", str(home.path if isinstance(home, Home) else home)] if home is not None else []
    return CliRunner().invoke(app, [*options, *map(str, words), *tail])


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    story = Story(folder / "log")
    home = story.world.home(folder / "audit", linked=True)
    assert run("verify", home=home).exit_code == 15
    assert run("open", home=home).exit_code == 15
    return story, home


def test_keys_are_made_shown_and_rotated(tmp_path):
    home = tmp_path / "audit"
    made = run("keys", "--name", "court", "--json", home=home)
    assert made.exit_code == 0
    facts = json.loads(made.stdout)
    card = AuditorCard.parse((home / "keys" / "card.json").read_bytes())
    assert facts["fingerprint"] == card.fingerprint()
    assert facts["fingerprint"] in run("keys", home=home).stdout
    again = run("keys", "--name", "court", home=home)
    assert (again.exit_code, "key.exists" in again.stderr) == (5, True)
    rotated = run("keys", "--rotate", home=home, language="zh")
    assert rotated.exit_code == 0
    assert "新密钥" in rotated.stdout
    assert facts["fingerprint"] not in run("keys", home=home).stdout


def test_a_name_that_no_terms_could_hold_is_a_wrong_value(tmp_path):
    result = run("keys", "--name", "Court of Audit", home=tmp_path / "audit")
    assert result.exit_code == 2
    assert not (tmp_path / "audit" / "keys").exists()


def test_nothing_is_opened_before_it_was_verified(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    world.fill(20)
    world.publish()
    home = world.home(tmp_path / "audit")
    refused = run("open", home=home)
    assert (refused.exit_code, "audit.not_verified" in refused.stderr) == (3, True)
    assert not home.opened_file.exists()
    unverified = run("open", "--unverified", home=home)
    assert unverified.exit_code == 0
    assert "without a verification" in unverified.stderr


def test_opening_tells_what_it_opened_and_what_it_found(told):
    _, home = told
    result = run("open", "--json", home=home)
    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["opened"], facts["entries"], facts["exit"]) == (15, 0, facts["verified"], 15)
    assert [finding["code"] for finding in facts["findings"]] == ["batch.shredded"]
    assert "legal_order" in run("open", home=home).stdout
    assert "密钥已被销毁" in run("open", home=home, language="zh").stdout


def test_a_faulty_record_ends_with_its_own_code(tmp_path):
    from crypto.ledger_entries import Plain

    world = LedgerWorld(tmp_path / "log")
    world.add("tax", [Plain("node.report.signed", 1, 0, b'{"name":"x"}')])
    world.publish()
    home = world.home(tmp_path / "audit")
    assert run("verify", home=home).exit_code == 0
    result = run("open", home=home)
    assert (result.exit_code, "record.malformed" in result.stdout) == (16, True)


def test_search_answers_with_places_and_how_to_prove_them(told):
    _, home = told
    result = run("search", "--party", "tax", "--run", CRASHED, "--kind", "node.step", home=home)
    assert result.exit_code == 0
    assert "node.step.unknown" in result.stdout
    assert "doudi audit prove" in result.stderr
    rows = json.loads(run("search", "--run", HIDDEN, "--json", home=home).stdout)
    assert [row["type"] for row in rows] == ["node.step.answered", "node.step.started"]
    assert all(row["prove"] == f"doudi audit prove {row['index']}" for row in rows)


def test_search_by_time_purpose_account_grant_and_limit(told):
    _, home = told
    by_time = json.loads(run("search", "--from", "2026-03-05", "--to", "2026-03-05", "--json", home=home).stdout)
    assert {row.get("run") for row in by_time} >= {FINISHED}
    assert not {row.get("run") for row in by_time} & {CRASHED}
    assert len(json.loads(run("search", "--limit", "3", "--json", home=home).stdout)) == 3
    assert "--limit" in run("search", "--limit", "3", home=home).stderr
    by_purpose = json.loads(run("search", "--purpose", "medical_assistance", "--json", home=home).stdout)
    assert {row["purpose"] for row in by_purpose} == {"medical_assistance"}
    by_account = json.loads(run("search", "--account", "5", "--json", home=home).stdout)
    assert all(5 in (row.get("account"), row.get("about")) for row in by_account)
    assert "没有符合" in run("search", "--run", "run-none", home=home, language="zh").stdout


def test_what_is_sealed_is_called_so(told):
    _, home = told
    result = run("search", "--party", "housing", "--kind", "node.report", home=home)
    assert "node.report.signed (not opened)" in result.stdout


def test_wrong_values_and_a_missing_file_of_records_say_what_to_do(told, tmp_path):
    _, home = told
    wrong = run("search", "--from", "yesterday", home=home)
    assert (wrong.exit_code, "search.bad_value" in wrong.stderr) == (3, True)
    missing = run("search", home=tmp_path / "nothing")
    assert (missing.exit_code, "doudi audit open" in missing.stderr) == (3, True)


def test_the_report_is_written_for_this_auditor_alone(told, tmp_path):
    _, home = told
    result = run("report", "--out", tmp_path / "out", "--json", home=home)
    facts = json.loads(result.stdout)
    # Shredded (15), unknown outcomes and a run left out (14), a witness's refusal (13): the lowest.
    assert (result.exit_code, facts["exit"], facts["runs"]) == (13, 13, 6)
    for name in ("report.html", "report.json"):
        assert (tmp_path / "out" / name).stat().st_mode & 0o777 == 0o600
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["runs"]["total"] == 6
    narrowed = run("report", "--out", tmp_path / "day", "--from", "2026-03-05", "--to", "2026-03-05", home=home)
    assert narrowed.exit_code == 13
    assert json.loads((tmp_path / "day" / "report.json").read_text())["runs"]["total"] == 1
    unknown = run("report", "--out", tmp_path / "zone", "--zone", "Mars/Olympus", home=home)
    assert (unknown.exit_code, "report.unknown_zone" in unknown.stderr) == (3, True)


def test_the_report_opens_in_the_language_that_was_asked_for(told, tmp_path):
    _, home = told
    for language in ("en", "zh"):
        run("report", "--out", tmp_path / language, home=home, language=language)
        page = (tmp_path / language / "report.html").read_text()
        assert f'id="choose-{language}" checked' in page
        assert "Who used what for which purpose" in page
        assert "谁为何用途使用了什么" in page


def test_a_lineage_is_a_table_json_and_a_page(told, tmp_path):
    _, home = told
    result = run("lineage", FINISHED, "--html", tmp_path / "run.html", home=home)
    assert result.exit_code == 0
    assert "node.labels.released" in result.stdout
    assert "epsilon_milli=1000" in result.stdout
    assert "2026-03-22T01:01:00Z" in result.stdout
    page = (tmp_path / "run.html").read_text()
    assert FINISHED in page
    assert "Release of labels" in page
    assert json.loads(run("lineage", FINISHED, "--json", home=home).stdout)["run"] == FINISHED
    unknown = run("lineage", "run-none", home=home)
    assert (unknown.exit_code, "lineage.unknown_run" in unknown.stderr) == (3, True)
    assert "结果未知" in run("lineage", CRASHED, home=home, language="zh").stderr


def test_wraps_for_a_later_auditor_go_through_files_and_a_record(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    world.fill(40, per_batch=2)
    later = AuditorKeys("later")
    (tmp_path / "later.json").write_bytes(later.card.to_bytes())
    home = world.home(tmp_path / "court", linked=True)
    world.publish()
    world.refresh(home)
    assert run("verify", home=home).exit_code == 0
    assert run("open", home=home).exit_code == 0
    words = ("wrap", "--for", tmp_path / "later.json", "--from", 0, "--to", 39, "--out", tmp_path / "wraps")
    stranger = run(*words, home=home)
    assert (stranger.exit_code, "wraps.not_an_auditor" in stranger.stderr) == (3, True)
    world.auditors.append(later)
    terms = world.renew_terms()
    world.refresh(home)
    made = run(*words, "--json", home=home)
    facts = json.loads(made.stdout)
    assert (facts["batches"], facts["files"], facts["already"]) == (20, 2, 0)
    for path in sorted((tmp_path / "wraps").iterdir()):
        signed = SignedAddedWraps.parse(path.read_bytes())
        signed.verify(terms)
        record = Record("ledger.wraps_added", world.now, wraps=signed.added.packed, hashes=signed.record_hashes())
        world.add(COORDINATOR, [record])
    world.publish()
    new_home = world.home(tmp_path / "new", auditor=1, linked=True)
    assert run("verify", home=new_home).exit_code == 0
    opened = run("open", "--json", home=new_home)
    assert (opened.exit_code, json.loads(opened.stdout)["opened"]) == (0, 42)


@pytest.fixture
def served(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    # The visit is now, and cosignatures of another time would be a finding.
    world.now = int(time.time())
    world.fill(40)
    world.publish()
    server = LogServer(WorldLog(world), tmp_path / "tls")
    home = world.home(tmp_path / "audit")
    yield world, home, ("--url", server.url, "--ca", server.ca_file, "--token-file", server.token_file)
    server.close()


def test_watching_tells_what_is_new_and_only_once(served):
    world, home, options = served
    first = run("watch", *options, "--once", "--json", home=home)
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["opened"] == 40
    world.add("tax", [Record("node.witness.refused", world.now, code="witness.fork")])
    world.publish()
    second = run("watch", *options, "--once", "--json", home=home)
    facts = json.loads(second.stdout)
    assert (second.exit_code, [one["code"] for one in facts["findings"]]) == (13, ["witness.reports_refusal"])
    third = run("watch", *options, "--once", "--json", home=home)
    facts = json.loads(third.stdout)
    assert (third.exit_code, facts["new"], facts["standing"]) == (0, 0, 1)
    # What was told is forgotten with its file: rather told twice than not at all.
    (home.path / "watch.json").write_text("damaged")
    assert run("watch", *options, "--once", home=home).exit_code == 13


def test_watching_without_keys_verifies_only(served):
    _, home, options = served
    shutil.rmtree(home.keys)
    result = run("watch", *options, "--once", "--json", home=home)
    assert (result.exit_code, json.loads(result.stdout)["entries"]) == (0, 40)
    assert not home.opened_file.exists()


def test_watching_once_ends_with_not_reachable_when_the_coordinator_is_away(served, tmp_path):
    _, home, options = served
    away = ("--url", "https://127.0.0.1:9", *options[2:])
    result = run("watch", *away, "--once", home=home)
    assert (result.exit_code, "coordinator.unreachable" in result.stderr) == (4, True)


def test_watching_needs_an_address(served):
    _, home, options = served
    assert run("watch", *options[2:], "--once", home=home).exit_code == 2


@pytest.mark.parametrize("command", ["keys", "open", "search", "wrap", "report", "lineage", "watch"])
def test_every_command_explains_itself(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--home" in result.stdout
