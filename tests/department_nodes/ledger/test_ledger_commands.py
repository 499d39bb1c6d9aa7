"""`doudi node ledger` and the ledger's lines of `doudi node status`: alarms in both languages until an officer has seen them."""

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hostile_log import HostileLog, public_hex
from ledger_nodes import ME, Node, Witnesses
from region import Region
from typer.testing import CliRunner

from crypto.checkpoint import parse_note, verify_checkpoint, verify_cosignature
from department_nodes.cli import app
from department_nodes.ledger.alarms import raise_alarm
from department_nodes.ledger.texts import LEDGER_TEXTS
from department_nodes.store.journal import Event, EventType
from department_nodes.store.session import transaction
from policies.contracts.ledger.evidence import SignedWitnessEvidence, WitnessEvidence


def run(node: Node, *words: str, code: int = 0, language: str = "en") -> str:
    """Return what a command prints: both streams."""
    result = CliRunner().invoke(app, ["--lang", language, "ledger", *words, "--home", str(node.path)])
    assert result.exit_code == code, result.output
    return result.output


def facts(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(node, "status", "--json"))
    return found


def fork(log: HostileLog, node: Node) -> None:
    """Have the log show this node a second history."""
    other = log.main.fork(0)
    log.grow(len(log.main.leaves), other, "other")
    log.views[ME] = other
    other.shown_latest = other.notes[other.latest]
    node.look()


def test_the_status_of_a_node_says_how_far_its_events_are_and_who_reads(
    world: Witnesses, log: HostileLog, node: Node
) -> None:
    assert facts(node)["terms"] is None
    assert "no terms yet" in run(node, "status")
    node.act()
    assert facts(node)["events"] == {"waiting": 1, "placed": 0, "witnessed": 0}
    node.send()
    # The acceptance of the terms was recorded too.
    found = facts(node)
    assert found["events"] == {"waiting": 0, "placed": 2, "witnessed": 0}
    world.look()
    node.send()
    found = facts(node)
    assert found["events"] == {"waiting": 0, "placed": 0, "witnessed": 2}
    assert (found["size"], found["cosigned_at"]) == (log.main.latest, int(world.clock()))
    assert (found["witnesses"], found["quorum"], found["is_witness"], found["held"]) == (4, 3, True, False)
    (card,) = log.terms.auditors
    assert found["auditors"] == {card.auditor: card.fingerprint()}
    for language, words in (("en", "2 are witnessed"), ("zh", "2 条已见证")):
        shown = run(node, "status", language=language)
        assert words in shown
        assert card.fingerprint() in shown
        assert "ALARM" not in shown
        assert "警报" not in shown


def test_a_node_that_is_no_witness_is_told_the_next_step(world: Witnesses, log: HostileLog, node: Node) -> None:
    others = [item.model_dump() for item in log.terms.witnesses if item.department != ME]
    log.renew_terms(witnesses=others)
    log.grow()
    node.look()
    assert "doudi centre ledger renew-terms" in run(node, "status")
    assert facts(node)["is_witness"] is False


def test_the_checkpoint_that_a_node_gives_is_signed_by_the_log_and_by_itself(
    world: Witnesses, log: HostileLog, node: Node, tmp_path: Path
) -> None:
    out = tmp_path / "checkpoint.txt"
    assert "ledger.no_checkpoint" in run(node, "checkpoint", "--out", str(out), code=3)
    assert not out.exists()
    log.grow(9)
    world.look()
    assert "9" in run(node, "checkpoint", "--out", str(out))
    note = parse_note(out.read_bytes())
    assert verify_checkpoint(note, log.terms.log_note_key).size == 9
    key = next(item.note_key for item in log.terms.witnesses if item.department == ME)
    assert verify_cosignature(note, key) == int(world.clock())


@pytest.mark.parametrize(
    ("language", "words", "next_step"),
    [("en", "two different histories", "hand it to the auditors"), ("zh", "两份不同的历史", "交给审计方")],
)
def test_an_alarm_is_shown_in_both_languages_until_it_is_acknowledged(
    world: Witnesses, log: HostileLog, node: Node, language: str, words: str, next_step: str
) -> None:
    log.grow(3)
    world.look()
    fork(log, node)
    assert facts(node)["held"] is True
    for _ in range(2):
        shown = run(node, "status", language=language)
        assert words in shown
        assert next_step in shown
        assert "doudi node ledger acknowledge" in shown
        node.restart()
    run(node, "acknowledge", "1", language=language)
    shown = run(node, "status", language=language)
    assert words not in shown
    assert facts(node)["alarms"] == []
    assert "alarm.acknowledged" in run(node, "acknowledge", "1", code=3)
    assert "alarm.unknown" in run(node, "acknowledge", "2", code=3)


def test_the_nodes_own_status_shows_the_ledger_and_its_alarms(tmp_path: Path) -> None:
    region = Region(tmp_path / "region", people=60)
    engine = region.engines[ME]
    now_s = int(engine.clock())
    evidence = WitnessEvidence(kind="fork", witness=ME, at=now_s, terms_number=1)
    with transaction(engine.db) as session:
        raise_alarm(engine, session, evidence, Event(EventType.WITNESS_REFUSED, now_s, code="witness.fork"))
    path = region.homes[ME].path
    region.close()
    said = {"en": ("ALARM 1", "no terms yet", "Next:"), "zh": ("警报 1", "尚未取得条款", "下一步：")}
    for language, words in said.items():
        shown = CliRunner().invoke(app, ["--lang", language, "status", "--home", str(path)])
        assert shown.exit_code == 0, shown.output
        assert all(word in shown.stdout for word in words)
    shown = CliRunner().invoke(app, ["status", "--home", str(path), "--json"])
    assert [one["kind"] for one in json.loads(shown.stdout)["ledger"]["alarms"]] == ["fork"]
    CliRunner().invoke(app, ["ledger", "acknowledge", "1", "--home", str(path)])
    shown = CliRunner().invoke(app, ["status", "--home", str(path)])
    assert "ALARM" not in shown.stdout


def test_evidence_is_written_one_file_for_each_alarm_and_stands_alone(
    world: Witnesses, log: HostileLog, node: Node, tmp_path: Path
) -> None:
    folder = tmp_path / "evidence"
    assert "0" in run(node, "evidence", "--out", str(folder))
    log.grow(3)
    world.look()
    fork(log, node)
    run(node, "acknowledge", "1")
    run(node, "evidence", "--out", str(folder))
    (file,) = folder.iterdir()
    assert file.name == "alarm-1-fork.json"
    signed = SignedWitnessEvidence.parse(file.read_bytes())
    evidence = signed.verify(public_hex(node.engine.identity_private))
    notes = [parse_note(text.encode()) for text in (evidence.seen, evidence.offered)]
    one, other = (verify_checkpoint(note, log.terms.log_note_key) for note in notes)
    assert one.size == other.size
    assert one.root != other.root


def test_following_the_offered_history_is_said_apart(world: Witnesses, log: HostileLog, node: Node) -> None:
    log.grow(3)
    world.look()
    fork(log, node)
    assert "now follows" in run(node, "acknowledge", "1", "--follow")
    assert facts(node)["root"] == log.views[ME].root(3).hex()


def test_every_text_has_two_languages_with_the_same_fields() -> None:
    fields = string.Formatter()
    for key, (english, chinese) in LEDGER_TEXTS.items():
        names = [{name for _, name, _, _ in fields.parse(text) if name} for text in (english, chinese)]
        assert names[0] == names[1], key
        assert any("\u4e00" <= character <= "\u9fff" for character in chinese), key
        assert english.isascii() or "…" in english, key
