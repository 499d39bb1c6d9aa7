"""What nodes bring to the ledger, over the API: `coordinator/ledger/api.py`, `submitting.py`."""

import pytest
from coordinator_world import DEPARTMENTS, LEAD, public
from opened_records import Auditor

from crypto import ledger_entries
from crypto.canonical import canonical_json
from crypto.checkpoint import parse_checkpoint
from crypto.merkle import leaf_hash
from crypto.merkle_log import verify_inclusion
from crypto.signing import generate_signing_key
from policies.contracts.ledger.batches import MAXIMUM_BATCH_BYTES, parse_batch, sign_batch
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.requests import sign_request


def refused_records(world):
    return [one.code for one in world.records("request.refused")]


def test_a_batch_gets_its_place_and_the_next_one_follows(hands):
    first = hands.submit(hands.sealed("tax", 3))
    assert first.status_code == 200
    second = hands.submit(hands.sealed("tax", 2))
    assert first.json()["count"] == 3
    assert second.json()["first_index"] == first.json()["first_index"] + 3
    assert second.json()["size"] == second.json()["first_index"] + 2


def test_the_same_batch_again_gets_the_same_place(hands):
    batch = hands.sealed("tax", 2)
    first, again = hands.submit(batch), hands.submit(batch)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["first_index"] == again.json()["first_index"]
    # Nothing came in twice.
    assert again.json()["size"] == first.json()["size"]
    hands.submit(hands.sealed("tax", 1))
    assert hands.submit(batch).json()["first_index"] == first.json()["first_index"]


def test_what_was_submitted_is_proved_to_be_in_the_log(hands):
    batch = hands.sealed("health", 3)
    place = hands.submit(batch).json()
    size = hands.advance()
    indices = list(range(place["first_index"], place["first_index"] + 3))
    answer = prove(hands.world, size, indices)
    root = parse_checkpoint(hands.note().text).root
    for index, entry, proof in zip(indices, batch.entries, answer.json()["proofs"], strict=True):
        verify_inclusion(root, leaf_hash(entry), index, size, [bytes.fromhex(item) for item in proof])


def prove(world, size, indices, party="health"):
    body = f'{{"indices":[{",".join(map(str, indices))}],"size":{size}}}'.encode()
    return world.send(party, "POST", "/v1/ledger/proofs", body)


# What is refused


def test_a_gap_names_the_number_that_is_expected(hands, code):
    hands.submit(hands.sealed("tax", 2))
    answer = hands.submit(hands.sealed("tax", 2, first=5))
    assert (answer.status_code, code(answer)) == (409, "batch.gap")
    assert answer.json()["detail"].endswith("Its next number is 3.")
    assert code(hands.submit(hands.sealed("housing", 1, first=2))) == "batch.gap"


def test_numbers_are_given_once(hands, code):
    hands.submit(hands.sealed("tax", 2))
    for first in (1, 2):
        answer = hands.submit(hands.sealed("tax", 2, first=first))
        assert (answer.status_code, code(answer)) == (409, "batch.conflict")


def test_one_id_is_one_batch(hands, code):
    batch = hands.sealed("tax", 2)
    hands.submit(batch)
    # Signed anew by the producer itself: the same id under other numbers.
    other = hands.sealed("tax", 2)
    data = other.to_bytes().replace(other.batch_id, batch.batch_id)
    assert code(hands.submit(data)) in ("batch.bad_signature", "batch.inconsistent")


def test_a_batch_in_anothers_name_is_refused_by_the_rules(hands, code):
    batch = hands.sealed("tax", 2)
    for party in ("health", "centre"):
        assert code(hands.submit(batch, party)) == "authorization.denied"
    # Its own key under another name is no better.
    foreign = hands.sealed("health", 2, producer="tax")
    assert code(hands.submit(foreign, "health")) == "authorization.denied"
    assert code(hands.submit(foreign, "tax")) == "batch.bad_signature"


def test_the_coordinators_name_is_nobodys(hands, code):
    assert code(hands.submit(hands.sealed("tax", 1, producer="coordinator"), "tax")) == "authorization.denied"


def test_a_department_that_the_terms_do_not_name_is_told_who_changes_that(world, hands, code):
    hands.name_witnesses("health", "housing", "tax")
    answer = hands.submit(hands.sealed(LEAD, 1))
    assert (answer.status_code, code(answer)) == (403, "ledger.not_a_witness")
    assert "doudi centre ledger renew-terms" in answer.json()["next_step"]


def test_a_key_that_was_replaced_waits_for_new_terms(world, hands, code):
    hands.submit(hands.sealed("tax", 2))
    world.keys["tax"].identity = generate_signing_key()
    card = world.card("tax").to_bytes()
    assert world.send("centre", "POST", "/v1/parties?replace=true", card).status_code == 201
    assert code(hands.submit(hands.sealed("tax", 1))) == "ledger.not_a_witness"
    hands.name_witnesses()
    # Each key counts from one.
    assert code(hands.submit(hands.sealed("tax", 1, first=3))) == "batch.gap"
    assert hands.submit(hands.sealed("tax", 1, first=1)).status_code == 200


def test_a_batch_is_sealed_to_the_auditors_of_the_newest_terms_or_of_those_before(world, hands, code):
    second, third = Auditor("audit-office"), Auditor("parliament")
    before = hands.sealed("tax", 1)
    hands.name_witnesses(auditors=(world.auditor, second))
    assert hands.submit(before).status_code == 200
    old = hands.sealed("health", 1, auditors=[world.auditor.card])
    hands.name_witnesses(auditors=(world.auditor, second, third))
    assert code(hands.submit(old)) == "batch.wrong_auditors"
    # What was taken once is known, whatever the terms say now.
    assert hands.submit(before).status_code == 200
    newest = hands.terms.auditors
    for wrong in ([newest[0]], newest[1:], (*newest, Auditor("stranger").card), [Auditor("stranger").card]):
        answer = hands.submit(hands.sealed("health", 1, auditors=wrong))
        assert (answer.status_code, code(answer)) == (409, "batch.wrong_auditors")
    assert hands.submit(hands.sealed("health", 1)).status_code == 200


def test_a_batch_without_its_wraps_is_refused(hands, code):
    whole = hands.sealed("tax", 2)
    shredded = type(whole)(**{**vars(whole), "wraps": b""})
    assert code(hands.submit(shredded)) == "batch.wrong_wraps"
    assert code(hands.submit(type(whole)(**{**vars(whole), "wraps": whole.wraps[:-1] + b"x"}))) == "batch.wrong_wraps"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: b"", "batch.malformed"),
        (lambda data: b"\x02" + data[1:], "batch.malformed"),
        (lambda data: data[:-1], "batch.malformed"),
        (lambda data: data + b"\x00", "batch.malformed"),
        (lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:], "batch.bad_signature"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "batch.wrong_wraps"),
    ],
)
def test_other_bytes_are_no_batch(hands, code, change, expected):
    answer = hands.submit(change(hands.sealed("tax", 1).to_bytes()))
    assert (answer.status_code, code(answer)) == (422, expected)


def test_a_batch_must_be_numbered(hands, code):
    assert code(hands.submit(hands.sealed("tax", 1, first=0))) == "batch.malformed"


def test_a_batch_of_another_log_is_refused(hands, code):
    assert code(hands.submit(hands.sealed("tax", 1, origin="elsewhere/log"))) == "batch.bad_signature"


def test_a_node_makes_no_records_of_the_coordinator(hands, code):
    assert hands.submit(hands.sealed("tax", 1)).status_code == 200
    batch = coordinators_record(hands)
    assert code(hands.submit(batch)) == "batch.inconsistent"


def coordinators_record(hands):
    terms = hands.terms
    plain = to_plain(Record("run.finished", int(hands.world.now), run="run-1"), RECORD_TYPES)
    sealed = ledger_entries.seal_batch(terms.origin, "tax", 2, [plain], terms.sealing_keys)
    return sign_batch(terms.origin, "tax", 2, sealed, hands.world.keys["tax"].identity)


def test_a_body_of_another_kind_is_refused(world, hands, code):
    batch = hands.sealed("tax", 1).to_bytes()
    headers = sign_request(world.keys["tax"].identity, "tax", "POST", "/v1/ledger/batches", batch, int(world.now))
    answer = world.raw("POST", "/v1/ledger/batches", batch, {**headers, "Content-Type": "application/json"})
    assert code(answer) == "request.unsupported_media_type"
    headers = sign_request(world.keys["tax"].identity, "tax", "POST", "/v1/ledger/batches", batch, int(world.now))
    answer = world.raw("POST", "/v1/ledger/batches", batch, {**headers, "Content-Type": "application/octet-stream"})
    assert answer.status_code == 200


def test_a_batch_may_be_larger_than_other_bodies_and_no_larger_than_a_batch(world, hands, code):
    above_others = b"\x01" * (world.config.limits.max_body_bytes + 1)
    assert code(hands.submit(above_others)) == "batch.malformed"
    assert code(world.send("tax", "POST", "/v1/ledger/proofs", above_others)) == "request.body_too_large"
    assert code(hands.submit(b"\x01" * (MAXIMUM_BATCH_BYTES + 1))) == "request.body_too_large"


def test_a_request_is_accepted_once(world, hands, code):
    batch = hands.sealed("tax", 1).to_bytes()
    headers = sign_request(world.keys["tax"].identity, "tax", "POST", "/v1/ledger/batches", batch, int(world.now))
    assert world.raw("POST", "/v1/ledger/batches", batch, headers).status_code == 200
    assert code(world.raw("POST", "/v1/ledger/batches", batch, headers)) == "request.replayed"


def test_who_is_no_node_submits_nothing(world, hands, code):
    batch = hands.sealed("tax", 1).to_bytes()
    for token in (world.token("tax", "department_it"), world.token("centre", "auditor")):
        assert code(world.ask(token, "POST", "/v1/ledger/batches", batch)) == "authorization.denied"


def test_refusals_that_a_node_would_repeat_do_not_make_the_log_grow(world, hands):
    before = refused_records(world)
    hands.submit(hands.sealed("tax", 1, first=7))
    hands.cosign("tax", size=hands.advance() + 1)
    hands.cosign("tax", time_s=world.now + 10_000)
    hands.cosign("tax", key=generate_signing_key())
    assert refused_records(world) == before
    # What no honest node does is recorded.
    hands.submit(hands.sealed("tax", 1), "health")
    hands.submit(hands.sealed("tax", 1, origin="elsewhere/log"))
    assert refused_records(world) == [*before, "authorization.denied", "batch.bad_signature"]


def test_what_a_node_brings_is_its_own_record_and_no_decision_besides(world, hands):
    hands.submit(hands.sealed("tax", 1))
    hands.witness("tax")
    actions = {row["action"] for row in world.listed("centre", "/v1/decisions")}
    assert "ledger.change_terms" in actions
    assert not actions & {"ledger.submit", "ledger.cosign"}


# Consistency and proofs


def test_sizes_that_are_not_published_are_not_proved(world, hands, code):
    size = hands.advance()
    hands.submit(hands.sealed("tax", 2))
    for path in (f"/v1/ledger/consistency?old={size}&new={size + 2}", f"/v1/ledger/consistency?old=0&new={2**53}"):
        assert code(world.send("tax", "GET", path)) == "ledger.not_published"
    assert code(prove(world, size + 2, [0], "tax")) == "ledger.not_published"


def test_indices_and_sizes_outside_of_the_tree_are_refused(world, hands, code):
    size = hands.advance()
    assert code(world.send("tax", "GET", f"/v1/ledger/consistency?old={size}&new={size - 1}")) == "merkle.bad_index"
    assert code(prove(world, size, [size], "tax")) == "merkle.bad_index"
    for indices, expected in (([], "document.malformed"), (range(501), "document.malformed")):
        assert code(prove(world, size, indices, "tax")) == expected
    assert prove(world, size, [0] * 500, "tax").status_code == 200


@pytest.mark.parametrize("query", ["", "?old=1", "?old=-1&new=1", "?old=a&new=1", f"?old=0&new={2**53 + 1}"])
def test_a_consistency_of_what_is_no_number_is_malformed(world, hands, code, query):
    assert code(world.send("tax", "GET", f"/v1/ledger/consistency{query}")) == "request.malformed"


# Cosignatures


def test_a_checkpoint_is_witnessed_by_the_quorums_last_cosignature(hands):
    quorum = hands.terms.quorum
    assert (len(DEPARTMENTS), quorum) == (4, 3)
    hands.advance()
    answers = [hands.cosign(department).json() for department in DEPARTMENTS]
    assert [answer["stored"] for answer in answers] == [True] * 4
    assert [answer["witnessed"] for answer in answers] == [False, False, True, True]


def test_a_cosignature_sent_again_changes_nothing_and_a_later_one_counts(world, hands):
    hands.advance()
    note, time_s = hands.note(), world.now
    assert hands.cosign("tax", note=note, time_s=time_s).json()["stored"]
    assert not hands.cosign("tax", note=note, time_s=time_s).json()["stored"]
    assert not hands.cosign("tax", note=note, time_s=time_s - 1).json()["stored"]
    world.now += 60
    assert hands.cosign("tax", note=note, time_s=time_s + 60).json()["stored"]


def test_a_stranger_and_a_wrong_key_cosign_nothing(world, hands, code):
    hands.name_witnesses("health", "housing", "tax")
    hands.advance()
    assert code(hands.cosign(LEAD)) == "ledger.not_a_witness"
    assert code(hands.cosign("tax", key=generate_signing_key())) == "checkpoint.no_signature"
    assert code(hands.cosign("tax", party="health")) == "authorization.denied"
    assert code(hands.cosign("tax", party="centre")) == "authorization.denied"
    # Another's key under one's own name is none of one's lines.
    assert code(hands.cosign("tax", name="health", party="health")) == "checkpoint.no_signature"


def test_only_published_sizes_are_cosigned_and_only_their_own_text(world, hands, code):
    size = hands.advance()
    assert code(hands.cosign("tax", size=size + 1)) == "checkpoint.unknown"
    assert code(hands.cosign("tax", size=0)) == "checkpoint.unknown"
    _, line = hands.line("tax")
    hands.submit(hands.sealed("tax", 2))
    newer = hands.advance()
    assert newer > size
    assert code(hands.cosign("tax", size=newer, line=line)) == "checkpoint.bad_signature"
    assert hands.cosign("tax", size=size, line=line).status_code == 200


def test_a_cosignature_of_an_impossible_time_is_refused(world, hands, code):
    hands.advance()
    for time_s in (world.now + 200, world.now - 200, 0):
        assert code(hands.cosign("tax", time_s=time_s)) == "ledger.cosignature_time"
    for time_s in (world.now + 100, world.now - 1):
        assert hands.cosign("tax", time_s=time_s).status_code == 200
    # A node that was cut off brings an old one, which is a true one.
    note, then = hands.note(), world.now
    world.now += 10_000
    assert hands.cosign("health", note=note, time_s=then).status_code == 200


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "document.malformed"),
        ("- tax QUFB", "document.malformed"),
        ("— tax QUFB\n", "document.malformed"),
        ("— tax QUFB\n— health QUFB", "document.malformed"),
        ("— tax " + "A" * 500, "document.malformed"),
        ("— tax QUFB", "checkpoint.malformed"),
        ("— tax QUFBQUFBQUFB", "checkpoint.malformed"),
        ("— tax QUFBQUFBQUFBQ===", "document.malformed"),
    ],
)
def test_other_text_is_no_cosignature(hands, code, line, expected):
    hands.advance()
    assert code(hands.cosign("tax", line=line)) == expected


def test_people_do_not_cosign(world, hands, code):
    hands.advance()
    size, line = hands.line("tax")
    body = canonical_json({"size": size, "line": line})
    for token in (world.token("tax", "department_approver"), world.token("centre", "auditor")):
        assert code(world.ask(token, "POST", "/v1/ledger/cosignatures", body)) == "authorization.denied"


def test_the_parts_of_a_batch_travel_unchanged(hands):
    batch = hands.sealed("tax", 3)
    assert parse_batch(batch.to_bytes()) == batch
    assert batch.signer.hex() == public(hands.world.keys["tax"].identity)
