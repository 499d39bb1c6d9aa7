"""Records of the ledger: a fixed list of fields per type, refused on writing and on reading alike."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from crypto.ledger_entries import NO_GRANT, EntryHeader
from policies.contracts.ledger.record_types import COORDINATOR_TYPES, NODE_PREFIX, NODE_TYPES, RECORD_TYPES
from policies.contracts.ledger.records import Record, parse_record, to_plain

STARTED = Record(
    "node.step.started",
    1_800_000_000,
    project="winter-aid",
    run="run-1",
    attempt=1,
    step="blind",
    counts={"bytes": 12},
    hashes={"request": "ab" * 32},
    grant_hash="cd" * 32,
)


def header(**changes):
    values = {
        "schema_version": 1,
        "at": STARTED.at,
        "sequence": 1,
        "batch_id": bytes(16),
        "position": 0,
        "grant_hash": bytes.fromhex(STARTED.grant_hash),
        "key_commitment": bytes(32),
        "producer": "tax",
        "type": STARTED.type,
    }
    return EntryHeader(**{**values, **changes})


def refused(act):
    with pytest.raises(DoudiError) as error:
        act()
    assert error.value.code == "record.malformed"
    return error.value


def test_a_record_is_read_as_it_was_written():
    plain = to_plain(STARTED, NODE_TYPES)
    assert (plain.type, plain.schema_version, plain.at) == (STARTED.type, 1, STARTED.at)
    assert plain.grant_hash == bytes.fromhex(STARTED.grant_hash)
    assert parse_record(header(), plain.body, RECORD_TYPES) == STARTED


def test_a_record_without_a_grant_has_none_in_its_header():
    plain = to_plain(dataclasses.replace(STARTED, grant_hash=""), NODE_TYPES)
    assert plain.grant_hash == NO_GRANT
    assert parse_record(header(grant_hash=NO_GRANT), plain.body, RECORD_TYPES).grant_hash == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "node.step.invented"},
        {"type": "run.started"},  # the coordinator's, not a node's
        {"subject": "tax"},  # a field that the type does not name
        {"run": "Run 1"},
        {"step": "张三"},
        {"project": "a" * 64},
        {"attempt": -1},
        {"attempt": True},
        {"attempt": 1.5},
        {"counts": {"people_named": 1}},
        {"counts": {"bytes": "12"}},
        {"counts": {"bytes": True}},
        {"counts": {"bytes": 2**53 + 1}},
        {"hashes": {"request": "not a hash"}},
        {"hashes": {"pseudonym": "ab" * 32}},
        {"code": "Free text, about a person"},
        {"code": "a" * 81},
        {"assets": ("tax",)},
        {"assets": ("tax/tax",) * 65},
        {"grant_hash": "cd" * 31},
        {"at": -1},
        {"at": "now"},
    ],
)
def test_what_a_type_does_not_list_is_not_written(changes):
    error = refused(lambda: to_plain(dataclasses.replace(STARTED, **changes), NODE_TYPES))
    assert "张三" not in str(error)
    assert "person" not in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{ }",
        b'{"name":"x"}',
        b'{"run":"run-1","run":"run-2"}',
        b'{"run":""}',
        b'{"counts":{}}',
        b'{"counts":{"bytes":"1"}}',
        b'{"counts":[["bytes",1]]}',
        b'{"assets":"tax/tax"}',
        b'{"assets":[["tax/tax"]]}',
        b'{"attempt":null}',
        b'{"hashes":{"request":"x"}}',
        b'{"subject":"tax"}',
    ],
)
def test_what_a_type_does_not_list_is_not_read(body):
    refused(lambda: parse_record(header(), body, RECORD_TYPES))


def test_another_version_of_a_type_is_refused():
    refused(lambda: parse_record(header(schema_version=2), to_plain(STARTED, NODE_TYPES).body, RECORD_TYPES))


def test_a_grant_that_the_type_does_not_know_is_refused():
    body = canonical_json({"code": "a"})
    refused(lambda: parse_record(header(type="node.report.signed"), body, RECORD_TYPES))
    assert parse_record(header(type="node.report.signed", grant_hash=NO_GRANT), body, RECORD_TYPES).code == "a"


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_the_documented_error_only(body):
    try:
        found, code = parse_record(header(), body, RECORD_TYPES), ""
    except DoudiError as error:
        found, code = None, error.code
    assert code == "record.malformed" if found is None else to_plain(found, NODE_TYPES).body == body


def test_types_belong_to_one_side_and_have_no_field_for_text():
    assert all(name.startswith(NODE_PREFIX) for name in NODE_TYPES)
    assert not any(name.startswith(NODE_PREFIX) for name in COORDINATOR_TYPES)
    assert len(RECORD_TYPES) == len(NODE_TYPES) + len(COORDINATOR_TYPES)
    allowed = set(Record.__dataclass_fields__) - {"type", "at", "grant_hash"} | {"grant"}
    for kind in RECORD_TYPES.values():
        assert kind.fields <= allowed, kind.name
        assert kind.version >= 1
