"""The centre officer's requests, approvals and revocations against a served API: `coordinator/cli`, `coordinator/revoking.py`."""

import json
import os
import subprocess
import sys
import time

import pytest
from coordinator_world import DEPARTMENTS, LEAD, Keys, World, code_of, public
from test_centre_cli import call, homes, served, write_cards

from coordinator.config import load_config
from coordinator.grants.summary import grant_summary
from coordinator.installation import REVOCATION_KEY_FILE
from coordinator.officer import Officer
from coordinator.revoking import LIST_FILE, RETRY_S, issue_list, keep_publishing, newest_list
from coordinator.texts import TEXTS
from crypto.errors import DoudiError
from policies.contracts.cards import CentreCard
from policies.contracts.grant import SignedGrant
from policies.contracts.revocations import RevocationList, RevokedGrant

__all__ = ["homes", "served"]  # fixtures


@pytest.fixture
def asked(served, tmp_path):
    """A request that every owner has signed: (folder option, world, grant, number)."""
    _, officer, world = served
    folder = ["--officer-home", officer]
    call("register", *write_cards(world, tmp_path), *folder)
    world.open_project()
    world.register_assets()
    now_s = int(time.time())
    # The world draws requests in a time to come, the served API lives now: the grant holds in both.
    grant = world.grant(not_before=now_s - 100)
    number = world.request(grant)
    for department in DEPARTMENTS:
        assert world.sign(number, world.signed(grant, department), department).status_code == 201
    return folder, world, grant, number


def state(world, number):
    return world.show_request(number)["state"]


def test_the_centres_signature_on_the_device_puts_a_grant_in_force(asked):
    folder, world, grant, number = asked
    (row,) = json.loads(call("requests", "--waiting", *folder, "--json").stdout)
    assert (row["number"], row["state"]) == (number, "submitted")
    shown = call("approve", number, *folder)
    assert f"grant {grant.digest()}" in shown.stdout
    for fact in ("tier general_2", "ε = 1", "centre: 0 of 1 people have signed", "tax: 1 of 1 people have signed"):
        assert fact in shown.stderr
    assert state(world, number) == "active"
    assert json.loads(call("requests", "--waiting", *folder, "--json").stdout) == []
    again = json.loads(call("approve", number, *folder, "--json").stdout)
    assert (again["state"], again["count"], again["needed"]) == ("active", 5, 5)


def test_everything_is_shown_in_chinese_too(asked):
    folder, _, _, number = asked
    result = call("--lang", "zh", "show-request", number, *folder)
    assert "分级 general_2" in result.stderr
    assert "申请未超出数据分级的规定" in result.stdout


def test_the_officer_approves_only_keys_that_were_registered_from_this_folder(asked):
    folder, world, _, number = asked
    (folder[1] / "cards" / "tax.json").write_bytes(world.card("tax", approval_key="ab" * 32).to_bytes())
    assert "grant.key_mismatch" in call("approve", number, *folder, code=3).stderr
    assert state(world, number) == "submitted"


def test_a_request_is_refused_with_a_reason_and_ends(asked):
    folder, world, _, number = asked
    call("refuse", number, *folder, code=2)
    assert "refused" in call("refuse", number, "--reason", "The purpose is too wide.", *folder).stdout
    assert state(world, number) == "refused"
    assert "request.illegal_transition" in call("approve", number, *folder, code=3).stderr


def test_an_unknown_request_and_a_key_that_is_none_have_their_codes(asked, tmp_path):
    folder, _, _, number = asked
    assert "request.unknown" in call("approve", number + 1, *folder, code=3).stderr
    assert "file.unreadable" in call("approve", number, "--key", tmp_path, *folder, code=5).stderr
    (tmp_path / "approval.key").write_text(Keys().approval.hex())
    # Somebody's key, but none of those that the grant names for the centre.
    assert "grant.bad_signature" in call("approve", number, "--key", tmp_path, *folder, code=3).stderr


def test_a_revocation_of_the_centre_ends_the_grant_and_stays_in_every_further_list(asked):
    folder, world, grant, number = asked
    call("approve", number, *folder)
    call("revoke", number, "--reason", "boredom", *folder, code=2)
    result = json.loads(call("revoke", number, "--reason", "misuse", *folder, "--json").stdout)
    assert (result["grants"], state(world, number)) == (1, "revoked")
    renewed = json.loads(call("publish-revocations", *folder, "--json").stdout)
    assert (renewed["number"], renewed["grants"]) == (result["number"] + 1, 1)
    (listed,) = json.loads(call("revocations", *folder, "--json").stdout)
    assert listed["content"]["revoked"][0]["grant_hash"] == grant.digest()
    answer = world.send(LEAD, "POST", f"/v1/projects/{grant.project_id}/runs", b'{"mode":"evidence"}')
    assert code_of(answer) in ("grant.revoked", "grant.unknown", "grant.not_active")


def test_a_list_is_kept_before_it_is_sent_and_its_number_never_decreases(homes, tmp_path):
    _, folder = homes
    now = [1_800_000_000.0]
    officer = Officer(folder, lambda: now[0])
    assert newest_list(officer) is None
    first = issue_list(officer)
    now[0] -= 1000
    second = issue_list(officer)
    assert (first.content.number, second.content.number) == (1, 2)
    # A clock that went back makes no list that looks older than the one before.
    assert second.content.issued_at == first.content.issued_at
    assert newest_list(officer) == second
    # Nobody answers: the list is signed and stored all the same.
    with pytest.raises(DoudiError, match=r"coordinator\.unreachable"):
        keep_publishing(officer, 1, lambda _s: None, times=1)
    assert newest_list(officer).content.number == 3


def test_a_damaged_list_or_a_missing_key_stops_before_anything_is_signed(homes):
    _, folder = homes
    officer = Officer(folder, lambda: 1_800_000_000.0)
    issue_list(officer)
    (folder / LIST_FILE).write_bytes(b"{}")
    with pytest.raises(DoudiError, match=r"document\.malformed"):
        issue_list(officer)
    (folder / LIST_FILE).unlink()
    os.rename(folder / REVOCATION_KEY_FILE, folder / "elsewhere.key")
    with pytest.raises(DoudiError, match=r"file\.unreadable"):
        issue_list(officer)
    assert newest_list(officer) is None


def test_keeping_on_publishing_renews_as_often_as_asked(served):
    _, folder, _ = served
    waits = []
    officer = Officer(folder, time.time)
    assert keep_publishing(officer, 60, waits.append, times=3) == 3
    assert waits == [60, 60]
    assert newest_list(officer).content == RevocationList(
        party="centre", number=3, issued_at=newest_list(officer).content.issued_at
    )


def test_a_coordinator_that_does_not_answer_is_tried_again_soon(homes):
    _, folder = homes
    waits, told = [], []
    officer = Officer(folder, time.time)
    keep_publishing(
        officer, 3600, waits.append, times=2, not_sent=lambda error, pause: told.append((error.code, pause))
    )
    assert told == [("coordinator.unreachable", RETRY_S)] * 2
    assert waits == [RETRY_S]
    assert newest_list(officer).content.number == 2


def test_the_officer_reads_what_is_asked_beside_the_tiers_rules(asked):
    folder, world, grant, number = asked
    shown = call("show-request", number, *folder).stderr
    for fact in ("runs, at most: 2; its tier: 50", "parties, at least: 4; its tier: 3", "(Social assistance)"):
        assert fact in shown
    assert "NOT within" not in shown
    wide = world.grant(runs_allowed=51)
    lines = grant_summary(wide, lambda key, **values: TEXTS[key][0].format(**values))
    assert "  ! runs, at most: 51; NOT within its tier: 50" in lines
    unknown = [share.model_dump() | {"tier": "secret"} for share in grant.participants]
    lines = grant_summary(world.grant(participants=unknown), lambda key, **values: TEXTS[key][1].format(**values))
    assert any("未发布分级 secret/1" in line for line in lines)


def test_a_grant_beyond_a_tier_is_not_signed_from_a_file_either(asked, tmp_path):
    folder, world, _, _ = asked
    (tmp_path / "wide.json").write_bytes(world.grant(runs_allowed=51).to_bytes())
    assert "tier.runs" in call("sign", tmp_path / "wide.json", *folder, code=3).stderr


def test_further_approvers_have_folders_of_their_own_and_sign_beside_the_officer(tmp_path):
    folder = tmp_path / "officer"
    call("init", "--home", tmp_path / "home", "--officer-home", folder, "--further-approvers", 2)
    card = CentreCard.parse((folder / "centre-card.json").read_bytes())
    keys = [bytes.fromhex((folder / f"approver-{number}" / "approval.key").read_text()) for number in (2, 3)]
    assert list(card.co_approval_keys) == [public(key) for key in keys]
    world = World(load_config(tmp_path / "home"), b"", bytes(32), {name: Keys() for name in DEPARTMENTS})
    (folder / "cards").mkdir()
    write_cards(world, folder / "cards")
    grant = world.grant(centre_key=card.approval_key)
    (tmp_path / "grant.json").write_bytes(grant.to_bytes())
    arguments = ("sign", tmp_path / "grant.json", "--officer-home", folder)
    first = SignedGrant.parse(call(*arguments).stdout.strip().encode())
    second = SignedGrant.parse(call(*arguments, "--key", folder / "approver-2").stdout.strip().encode())
    assert [one.signatures[0].key for one in (first, second)] == [card.approval_key, card.co_approval_keys[0]]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "approval.key").write_text(Keys().approval.hex())
    assert "grant.bad_signature" in call(*arguments, "--key", elsewhere, code=3).stderr


def test_the_officer_sees_queue_catalogue_nodes_and_decisions(asked):
    folder, world, grant, number = asked
    call("approve", number, *folder)
    run = world.start_run()
    offers = world.offer_all(run)
    now_s = int(time.time())
    manifest = world.manifest(run, offers, created_at=now_s, expires_at=now_s + 1000)
    world.now = now_s
    assert world.put_manifest(run, manifest).status_code == 201
    (queue,) = json.loads(call("queue", *folder, "--json").stdout)
    assert [row["run_id"] for row in queue["waiting"]] == [run["run_id"]]
    assert run["run_id"] in call("queue", *folder).stdout
    assert "即将开始" in call("--lang", "zh", "queue", *folder).stdout
    (asset,) = json.loads(call("assets", "--owner", "tax", "--purpose", "social_assistance", *folder, "--json").stdout)
    assert (asset["dataset"], asset["people"]) == ("tax", 2000)
    assert "general_2" in call("assets", *folder).stdout
    assert call("assets", "--tier", "core", *folder).stdout.count("offered") == 0
    nodes = json.loads(call("reports", *folder, "--json").stdout)
    assert [row["department"] for row in nodes] == list(DEPARTMENTS)
    assert "housing" in call("reports", *folder).stdout
    world.act("health", number, "withdraw", {"reason": ""})
    call("decisions", *folder)
    allowed = json.loads(call("decisions", "--action", "grant.sign", *folder, "--json").stdout)
    assert {(row["party"], row["allowed"]) for row in allowed} == {(name, True) for name in ("centre", *DEPARTMENTS)}
    # A request that is in force is not withdrawn, which is its state's answer and not the rules'.
    assert json.loads(call("decisions", "--denied", *folder, "--json").stdout) == []
    assert grant.digest() in call("show-request", number, *folder).stderr


def test_no_revocation_is_lost_when_two_processes_sign_at_once(homes):
    """`publish-revocations --every` renews the list while the officer revokes: without a lock two lists bear one number."""
    _, folder = homes
    entries = [
        RevokedGrant(grant_hash=f"{number:064x}", reason="other", revoked_at=1, expires_at=2) for number in range(12)
    ]
    command = (
        "import sys, time; from pathlib import Path; from coordinator.officer import Officer;"
        "from coordinator.revoking import issue_list; officer = Officer(Path(sys.argv[1]), time.time);"
        "[print(issue_list(officer).content.number, flush=True) for _ in range(12)]"
    )
    renewing = subprocess.Popen([sys.executable, "-c", command, str(folder)], stdout=subprocess.PIPE, text=True)
    officer = Officer(folder, time.time)
    others = [int(renewing.stdout.readline())]  # from here both sign at once
    own = [issue_list(officer, entry).content.number for entry in entries]
    others += [int(line) for line in renewing.communicate(timeout=60)[0].split()]
    assert sorted(own + others) == list(range(1, 25))
    assert {entry.grant_hash for entry in newest_list(officer).content.revoked} == {
        entry.grant_hash for entry in entries
    }
