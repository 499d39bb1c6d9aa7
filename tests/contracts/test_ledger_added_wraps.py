"""Wraps that one auditor makes for a later one: who may sign them, and that they are a record's `wraps`."""

import os

import pytest

from crypto import ledger_entries, sealing
from crypto.errors import DoudiError
from crypto.ledger_entries import parse_wraps, wrap_batch_key
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.added_wraps import (
    MAXIMUM_WRAPS,
    SignedAddedWraps,
    added_wraps,
    sign_added_wraps,
    unpack_wrap,
)
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.records import Record, parse_record, to_plain
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms

ORIGIN = "centre.example:8443/ledger-0a1b2c3d"


class Auditor:
    def __init__(self, name):
        self.sealing, self.signing = sealing.generate_sealing_key(), generate_signing_key()
        self.card = AuditorCard(
            auditor=name,
            sealing_key=sealing.sealing_public_key(self.sealing).hex(),
            signing_key=signing_public_key(self.signing).hex(),
        )


@pytest.fixture(scope="module")
def auditors():
    return Auditor("first"), Auditor("second")


def terms_of(*auditors):
    key = signing_public_key(generate_signing_key()).hex()
    cards = tuple(auditor.card for auditor in auditors)
    return LedgerTerms(number=1, issued_at=0, origin=ORIGIN, log_key=key, auditors=cards)


def made_by(giver, receiver, batches=2, private=None):
    pairs = []
    for number in range(batches):
        batch, key = number.to_bytes(16, "big"), os.urandom(32)
        public = bytes.fromhex(receiver.card.sealing_key)
        (wrap,) = parse_wraps(wrap_batch_key(ORIGIN, "tax", batch, key, [public])).values()
        pairs.append((batch, wrap))
    return sign_added_wraps(added_wraps(ORIGIN, giver.card, receiver.card, 7, pairs[::-1]), private or giver.signing)


def test_wraps_of_an_auditor_for_another_one_verify_and_survive_travel(auditors):
    signed = SignedAddedWraps.parse(made_by(*auditors).to_bytes())
    assert len(signed.verify(terms_of(*auditors)).wraps) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda signed, terms, first, second: (signed, terms_of(second)), "wraps.not_an_auditor"),
        (lambda signed, terms, first, second: (signed, terms_of(first)), "wraps.not_an_auditor"),
        (lambda signed, terms, first, second: (made_by(first, first), terms), "wraps.not_an_auditor"),
        (
            lambda signed, terms, first, second: (signed, terms.model_copy(update={"origin": "other/log"})),
            "wraps.other_log",
        ),
        (
            lambda signed, terms, first, second: (made_by(first, second, 2, second.signing), terms),
            "wraps.bad_signature",
        ),
        (
            lambda signed, terms, first, second: (signed.model_copy(update={"signature": "00" * 64}), terms),
            "wraps.bad_signature",
        ),
    ],
)
def test_other_wraps_are_refused(auditors, change, code):
    signed, terms = change(made_by(*auditors), terms_of(*auditors), *auditors)
    with pytest.raises(DoudiError) as caught:
        signed.verify(terms)
    assert caught.value.code == code


def test_a_full_document_fits_into_one_record_and_comes_out_again(auditors):
    signed = made_by(*auditors, batches=MAXIMUM_WRAPS)
    record = Record(
        "ledger.wraps_added",
        7,
        actor="centre",
        wraps=signed.added.packed,
        counts={"batches": MAXIMUM_WRAPS},
        hashes=signed.record_hashes(),
    )
    sealed = ledger_entries.seal_batch(
        ORIGIN, "coordinator", 0, [to_plain(record, RECORD_TYPES)], [bytes.fromhex(auditors[1].card.sealing_key)]
    )
    (entry,) = map(ledger_entries.parse_entry, sealed.entries)
    wrap = parse_wraps(sealed.wraps)[ledger_entries.auditor_id(bytes.fromhex(auditors[1].card.sealing_key))]
    key = ledger_entries.open_wrap(ORIGIN, "coordinator", sealed.batch_id, wrap, auditors[1].sealing)
    body = ledger_entries.open_entry(ORIGIN, entry, ledger_entries.entry_key(key, sealed.batch_id, 0))
    read = parse_record(entry.header, body, RECORD_TYPES)
    assert [unpack_wrap(text)[0] for text in read.wraps] == [number.to_bytes(16, "big") for number in range(16)]


def test_more_wraps_than_a_record_holds_are_refused(auditors):
    with pytest.raises(ValueError, match="at most 16"):
        made_by(*auditors, batches=MAXIMUM_WRAPS + 1)


@pytest.mark.parametrize("text", ["", "zz", "00", "00" * 1184, "00" * 1186])
def test_other_text_is_no_wrap(text):
    with pytest.raises(DoudiError, match=r"wraps\.malformed"):
        unpack_wrap(text)
