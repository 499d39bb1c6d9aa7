"""What the centre does with the ledger, and what is seen of it unopened: `keeping_api.py`, `administering.py`, `status.py`."""

import pytest
from coordinator_world import DEPARTMENTS, LEAD
from ledger_hands import Hands
from opened_records import Auditor
from sqlalchemy import select

from coordinator.ledger.models import LedgerBatchRow, LedgerOutboxRow
from crypto.canonical import canonical_json
from crypto.ledger_entries import (
    auditor_id,
    entry_key,
    open_entry,
    open_wrap,
    parse_entry,
    parse_wraps,
)
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.added_wraps import unpack_wrap
from policies.contracts.ledger.placed import parse_page
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.terms import SignedLedgerTerms, sign_terms

SHRED = "/v1/ledger/shred"


# Terms


def test_new_terms_are_recorded_and_sealed_to_the_auditors_that_they_name(world, hands):
    second = Auditor("audit-office")
    hands.name_witnesses("health", "tax", auditors=(world.auditor, second))
    changed = world.records("ledger.terms_changed")[-1]
    assert (changed.actor, changed.counts) == ("centre", {"number": 3, "auditors": 2, "witnesses": 2, "faulty": 0})
    assert changed.hashes["terms"] == hands.terms.digest()
    world.open_project()
    # From then on the new one reads everything; before it was sealed to others.
    (batch,) = [one for one in second_opens(world, second) if one == "project.created"]
    assert batch


def second_opens(world, auditor):
    own, origin = auditor_id(bytes.fromhex(auditor.card.sealing_key)), Hands(world).terms.origin
    found = []
    with world.begin() as session:
        for row in session.scalars(select(LedgerBatchRow).order_by(LedgerBatchRow.id)):
            if own in parse_wraps(row.wraps):
                opened = auditor._open(origin, row.producer, row.batch_id, row.wraps, row.entries)
                found += [record.type for record in opened]
    return found


def test_the_same_terms_again_change_nothing(world, hands):
    terms = hands.next_terms(checkpoint_max_age_s=60)
    assert hands.put_terms(terms).status_code == 201
    answer = hands.put_terms(terms)
    assert (answer.status_code, answer.json()) == (200, {"number": 3})
    assert len(world.records("ledger.terms_changed")) == 3


def test_terms_that_do_not_follow_are_refused(world, hands, code):
    known = hands.terms
    changed = {"checkpoint_max_age_s": 60}
    cases = {
        "terms.rollback": hands.next_terms(number=1, **changed),
        "terms.fork": hands.next_terms(number=2, **changed),
        "terms.gap": hands.next_terms(number=4),
        "terms.other_log": hands.next_terms(origin="elsewhere.example:8443/ledger-00000000"),
        "ledger.wrong_log_key": hands.next_terms(log_key=signing_public_key(generate_signing_key()).hex()),
    }
    for expected, terms in cases.items():
        answer = hands.put_terms(terms)
        assert (answer.status_code, code(answer)) == (409, expected)
    assert hands.terms == known


def test_only_an_approver_of_the_centre_signs_terms(world, hands, code):
    terms = hands.next_terms()
    for key in (generate_signing_key(), world.api_key, world.revocation_key, world.keys["tax"].approval):
        assert code(hands.put_terms(terms, key=key)) == "terms.bad_signature"
    signed = sign_terms(terms, world.approval_key)
    other = SignedLedgerTerms(
        terms=hands.next_terms(checkpoint_max_age_s=60), key=signed.key, signature=signed.signature
    )
    assert code(world.send("centre", "POST", "/v1/ledger/terms", other.to_bytes())) == "terms.bad_signature"
    # A further approver of the card does.
    assert hands.put_terms(terms, key=world.second_approval_key).status_code == 201


def test_only_the_centres_device_brings_terms(world, hands, code):
    terms = hands.next_terms()
    assert code(hands.put_terms(terms, party="tax")) == "authorization.denied"
    body = sign_terms(terms, world.approval_key).to_bytes()
    for roles in (("centre", "centre_officer"), ("centre", "centre_approver"), ("tax", "auditor")):
        assert code(world.ask(world.token(*roles), "POST", "/v1/ledger/terms", body)) == "authorization.denied"
    assert hands.terms.number == 2


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"terms":{},"key":"","signature":""}'])
def test_other_bytes_are_no_terms(world, hands, code, body):
    assert code(world.send("centre", "POST", "/v1/ledger/terms", body)) == "document.malformed"


def test_a_removed_witness_and_an_added_one_count_from_the_new_terms_on(world, hands):
    hands.name_witnesses("health", "tax")
    assert hands.terms.quorum == 2
    size = hands.advance()
    assert hands.cosign("housing").status_code == 403
    hands.cosign("health")
    assert hands.cosign("tax").json() == {"stored": True, "witnessed": True}
    assert hands.note(size).signatures


# Headers and status


def test_headers_say_who_recorded_what_when_and_nothing_else(world, hands):
    place = hands.submit(hands.sealed("tax", 2)).json()
    # What is placed and not published is not shown.
    indices = [row["index"] for row in world.listed("centre", "/v1/ledger/entries")]
    assert place["first_index"] not in indices
    size = hands.advance()
    rows = world.listed("centre", "/v1/ledger/entries")
    assert [row["index"] for row in rows] == list(range(size))
    own = rows[place["first_index"] :]
    assert [(row["producer"], row["type"], row["sequence"], row["position"]) for row in own] == [
        ("tax", "node.project.joined", 1, 0),
        ("tax", "node.project.joined", 2, 1),
    ]
    assert {row["at"] for row in own} == {int(world.now) - world.config.ledger.republish_after_s}
    assert own[0]["batch"] == own[1]["batch"]
    assert {row["sequence"] for row in rows if row["producer"] == "coordinator"} == {None}
    assert {row["type"] for row in rows} <= RECORD_TYPES.keys()
    named = {"index", "producer", "type", "schema_version", "at", "sequence", "grant_hash", "batch", "position"}
    assert set(rows[0]) == {*named, "sealed_bytes"}


def test_headers_begin_where_it_is_asked_and_come_in_pages(world, hands):
    hands.submit(hands.sealed("tax", 7))
    size = hands.advance()
    listed = world.listed("centre", "/v1/ledger/entries")
    assert world.listed("centre", "/v1/ledger/entries?after=3") == listed[3:]
    assert world.listed("centre", f"/v1/ledger/entries?after={size}") == []
    page = world.send("centre", "GET", "/v1/ledger/entries?limit=2&after=1").json()
    assert [row["index"] for row in page["items"]] == [1, 2]
    follow = world.send("centre", "GET", f"/v1/ledger/entries?limit=2&after=1&cursor={page['next_cursor']}").json()
    assert [row["index"] for row in follow["items"]] == [3, 4]


def test_a_header_names_its_grant(world):
    grant = world.agree()
    Hands(world).advance()
    hashes = {row["grant_hash"] for row in world.listed("centre", "/v1/ledger/entries")}
    assert hashes == {None, grant.digest()}


def test_headers_and_status_are_for_the_centre_and_auditors(world, hands, code):
    hands.advance()
    allowed = [("centre", "centre_officer"), ("centre", "centre_approver"), ("tax", "auditor"), ("centre", "auditor")]
    for path in ("/v1/ledger/entries", "/v1/ledger/status"):
        assert world.send("centre", "GET", path).status_code == 200
        for roles in allowed:
            assert world.ask(world.token(*roles, write=False), "GET", path).status_code == 200
        for party in ("tax", LEAD):
            assert code(world.send(party, "GET", path)) == "authorization.denied"
        for role in ("department_it", "department_approver", "scheduler"):
            assert code(world.ask(world.token("tax", role), "GET", path)) == "authorization.denied"


def test_the_status_says_what_waits_and_who_cosigned(world, hands):
    # Registrations and terms wait for their place.
    before = world.send("centre", "GET", "/v1/ledger/status").json()
    assert (before["latest"], before["witnessed"], before["placed"]) == (None, None, 0)
    assert before["waiting"] > 0
    size = hands.witness("health", "tax", "housing")
    found = world.send("centre", "GET", "/v1/ledger/status").json()
    assert (found["waiting"], found["placed"], found["terms"], found["quorum"]) == (0, size, 2, 3)
    now = int(world.now)
    assert found["latest"] == found["witnessed"] == {"size": size, "published_at": now, "witnessed_at": now}
    assert found["auditors"] == ["court"]
    cosigned = {row["department"]: (row["size"], row["cosigned_at"]) for row in found["witnesses"]}
    assert cosigned == {LEAD: (None, None), "health": (size, now), "housing": (size, now), "tax": (size, now)}
    assert found["log_key"] == hands.terms.log_key
    hands.submit(hands.sealed("tax", 1))
    hands.advance()
    hands.cosign("tax")
    found = world.send("centre", "GET", "/v1/ledger/status").json()
    assert found["witnessed"]["size"] == size < found["latest"]["size"]
    assert found["latest"]["witnessed_at"] is None
    assert {row["department"]: row["size"] for row in found["witnesses"]}["tax"] == found["latest"]["size"]


# Shredding


def shred(world, batch, reason="retention_over", token=None, party=None):
    body = canonical_json({"batch": batch, "reason": reason})
    if party:
        return world.send(party, "POST", SHRED, body)
    return world.ask(token or world.token("centre", "centre_approver"), "POST", SHRED, body)


def test_a_shredded_batch_cannot_be_opened_and_stays_provable(world, hands):
    batch = hands.sealed("tax", 3)
    place = hands.submit(batch).json()
    hands.advance()
    auditor = world.token("centre", "auditor", write=False)
    before = fetched(world, auditor)
    answer = shred(world, batch.batch_id.hex())
    assert (answer.status_code, answer.json()) == (201, {"batch": batch.batch_id.hex()})
    recorded = world.records("ledger.batch_shredded")[-1]
    assert (recorded.actor, recorded.subject, recorded.code) == ("centre", "tax", "retention_over")
    assert recorded.counts == {"entries": 3, "first_index": place["first_index"]}
    assert recorded.account is not None
    after = fetched(world, auditor)
    assert (before["entries"], before["tiles"]) == (after["entries"], after["tiles"])
    (was,) = [one for one in before["batches"] if one.batch_id == batch.batch_id]
    (now,) = [one for one in after["batches"] if one.batch_id == batch.batch_id]
    assert (was.wraps, now.wraps) == (batch.wraps, b"")
    assert {**vars(was), "wraps": b""} == vars(now)
    # Its node may send it again; it does not bring the keys back.
    assert hands.submit(batch).json()["first_index"] == place["first_index"]
    assert fetched(world, auditor)["batches"] == after["batches"]


def fetched(world, token):
    """Return what an auditor fetches of the present log, up to the size that it had first."""
    summary = world.send("tax", "GET", "/log/summary").json()
    size, batches = summary["size"], summary["batches"]
    page = world.ask(token, "GET", f"/log/batches/0.p/{batches}").content
    return {
        "entries": world.ask(token, "GET", f"/log/tile/entries/000.p/{size}").content,
        "tiles": world.ask(token, "GET", f"/log/tile/0/000.p/{size}").content,
        "batches": parse_page(page, batches),
    }


def test_destroyed_keys_are_not_on_the_disk_any_more(world, hands):
    batch = hands.sealed("tax", 1)
    hands.submit(batch)
    files = [world.config.home / name for name in ("coordinator.db", "coordinator.db-wal")]
    piece = batch.wraps[100:140]
    assert any(piece in path.read_bytes() for path in files)
    shred(world, batch.batch_id.hex())
    assert not any(piece in path.read_bytes() for path in files)


def test_shredding_again_changes_nothing(world, hands):
    batch = hands.sealed("tax", 1)
    hands.submit(batch)
    assert [shred(world, batch.batch_id.hex()).status_code for _ in range(2)] == [201, 200]
    assert len(world.records("ledger.batch_shredded")) == 1


def test_a_batch_that_waits_for_its_place_can_be_shredded(world, hands):
    with world.begin() as session:
        query = select(LedgerBatchRow.batch_id).join(LedgerOutboxRow, LedgerOutboxRow.batch == LedgerBatchRow.id)
        waiting = session.scalars(query.order_by(LedgerBatchRow.id)).first()
    assert shred(world, waiting.hex(), "recorded_in_error").status_code == 201
    assert "first_index" not in world.auditor.records(world.engine, ledgers_own=True)[-1].counts
    size = hands.advance()
    assert size > 0


def test_only_an_approver_of_the_centre_shreds(world, hands, code):
    batch = hands.sealed("tax", 1)
    hands.submit(batch)
    name = batch.batch_id.hex()
    for party in ("centre", "tax"):
        assert code(shred(world, name, party=party)) == "authorization.denied"
    for roles in (("centre", "centre_officer"), ("tax", "department_approver"), ("centre", "auditor")):
        assert code(shred(world, name, token=world.token(*roles))) == "authorization.denied"
    reader = world.token("centre", "centre_approver", write=False)
    assert code(shred(world, name, token=reader)) == "authorization.denied"
    assert not world.records("ledger.batch_shredded")


@pytest.mark.parametrize(
    ("batch", "reason", "expected"),
    [
        ("00" * 16, "retention_over", "ledger.unknown_batch"),
        ("00" * 15, "retention_over", "document.malformed"),
        ("zz" * 16, "retention_over", "document.malformed"),
        ("00" * 16, "because", "document.malformed"),
        ("00" * 16, "", "document.malformed"),
    ],
)
def test_other_batches_and_reasons_are_refused(world, hands, code, batch, reason, expected):
    assert code(shred(world, batch, reason)) == expected


# Wraps for a later auditor


@pytest.fixture
def later(world, hands):
    """A batch of before, and an auditor who was appointed after it: (hands, batch, auditor)."""
    batch = hands.sealed("tax", 2)
    hands.submit(batch)
    auditor = Auditor("parliament")
    hands.name_witnesses(auditors=(world.auditor, auditor))
    return hands, batch, auditor


def bring(world, signed, party="centre"):
    return world.send(party, "POST", "/v1/ledger/wraps", signed.to_bytes())


def test_a_later_auditor_finds_the_keys_of_old_batches_in_a_record(world, later):
    hands, batch, auditor = later
    signed = hands.rewrapped(batch, world.auditor, auditor)
    answer = bring(world, signed)
    assert (answer.status_code, answer.json()) == (201, {"batches": 1})
    record = newest_record(world, auditor)
    assert record.type == "ledger.wraps_added"
    assert (record.actor, record.counts) == ("centre", {"batches": 1})
    assert record.hashes == signed.record_hashes()
    name, wrap = unpack_wrap(record.wraps[0])
    assert name == batch.batch_id
    key = open_wrap(hands.terms.origin, "tax", name, wrap, auditor.sealing_key)
    assert b"winter-aid" in open_entry(hands.terms.origin, parse_entry(batch.entries[1]), entry_key(key, name, 1))


def newest_record(world, auditor):
    origin = Hands(world).terms.origin
    with world.begin() as session:
        row = session.scalars(select(LedgerBatchRow).order_by(LedgerBatchRow.id.desc()).limit(1)).one()
        return auditor._open(origin, row.producer, row.batch_id, row.wraps, row.entries)[-1]


def test_wraps_of_others_for_others_or_of_other_batches_are_refused(world, later, code):
    hands, batch, auditor = later
    stranger = Auditor("stranger")
    cases = {
        "wraps.not_an_auditor": [
            hands.rewrapped(batch, world.auditor, stranger),
            hands.rewrapped(batch, stranger, auditor, batch_id=batch.batch_id),
            hands.rewrapped(batch, world.auditor, world.auditor),
        ],
        "wraps.bad_signature": [hands.rewrapped(batch, world.auditor, auditor, private=auditor.signing_key)],
        "wraps.unknown_batch": [hands.rewrapped(batch, world.auditor, auditor, batch_id=b"\x01" * 16)],
        "wraps.other_log": [hands.rewrapped(batch, world.auditor, auditor, origin="elsewhere.example:1/ledger-0")],
    }
    for expected, documents in cases.items():
        for signed in documents:
            assert code(bring(world, signed)) == expected
    assert not world.records("ledger.wraps_added")


def test_only_the_centres_device_brings_wraps(world, later, code):
    hands, batch, auditor = later
    signed = hands.rewrapped(batch, world.auditor, auditor)
    assert code(bring(world, signed, "tax")) == "authorization.denied"
    for roles in (("centre", "auditor"), ("centre", "centre_officer")):
        answer = world.ask(world.token(*roles), "POST", "/v1/ledger/wraps", signed.to_bytes())
        assert code(answer) == "authorization.denied"


def test_what_the_centre_does_is_written_into_the_record_of_decisions(world, hands):
    batch = hands.sealed("tax", 1)
    hands.submit(batch)
    shred(world, batch.batch_id.hex())
    shred(world, batch.batch_id.hex(), party="tax")
    found = [(row["action"], row["allowed"]) for row in world.listed("centre", "/v1/decisions")]
    assert found[:2] == [("ledger.shred", False), ("ledger.shred", True)]
    assert len(DEPARTMENTS) == 4
