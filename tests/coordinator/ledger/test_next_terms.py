"""The ledger's next terms, from those in force: `coordinator/ledger/next_terms.py`."""

import pytest
from coordinator_world import DEPARTMENTS, START_S, public
from opened_records import ORIGIN, Auditor

from coordinator.ledger.next_terms import Changes, next_terms, with_auditor, without_auditor
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key
from policies.contracts.ledger.terms import LedgerTerms, require_next_terms


@pytest.fixture(scope="module")
def first():
    key = public(generate_signing_key())
    return LedgerTerms(number=1, issued_at=START_S, origin=ORIGIN, log_key=key, auditors=(Auditor().card,))


@pytest.fixture
def cards(world):
    return [world.card(department) for department in DEPARTMENTS]


def test_the_registered_departments_become_the_witnesses(first, cards):
    terms = next_terms(first, reversed(cards), START_S + 5)
    assert require_next_terms(first, terms)
    assert (terms.number, terms.issued_at) == (2, START_S + 5)
    assert [(one.department, one.key) for one in terms.witnesses] == [
        (card.department, card.identity_key) for card in cards
    ]
    assert (terms.tolerated_faulty_witnesses, terms.quorum) == (1, 3)
    assert (terms.origin, terms.log_key, terms.auditors) == (first.origin, first.log_key, first.auditors)


def test_without_a_change_there_are_no_new_terms(first, cards):
    terms = next_terms(first, cards, START_S)
    assert next_terms(terms, cards, START_S + 1000) is None
    assert next_terms(terms, cards, START_S, Changes(faulty=1, checkpoint_max_age_s=300)) is None
    assert next_terms(first, [], START_S) is None


def test_the_proposed_number_of_faulty_witnesses_follows_and_a_chosen_one_stays(first, cards):
    assert next_terms(first, cards[:3], START_S).tolerated_faulty_witnesses == 0
    terms = next_terms(first, cards, START_S, Changes(faulty=0))
    assert (terms.tolerated_faulty_witnesses, terms.quorum) == (0, 3)
    # Chosen for four; for three it stays, and for what it was proposed for it would have followed.
    assert next_terms(terms, cards[:2], START_S, Changes(faulty=1)).tolerated_faulty_witnesses == 1
    chosen = next_terms(first, cards, START_S, Changes(faulty=2))
    assert chosen.tolerated_faulty_witnesses == 2
    assert next_terms(chosen, cards[:3], START_S).tolerated_faulty_witnesses == 2
    # As far as a quorum is left.
    assert next_terms(chosen, cards[:1], START_S).tolerated_faulty_witnesses == 0


def test_terms_under_which_nothing_would_ever_be_witnessed_are_refused(first, cards):
    with pytest.raises(DoudiError, match=r"ledger\.bad_terms") as caught:
        next_terms(first, cards, START_S, Changes(faulty=4))
    assert "nothing would ever count as witnessed" in caught.value.message


def test_a_clock_that_was_put_back_does_not_put_terms_back(first, cards):
    assert next_terms(first, cards, START_S - 1000).issued_at == START_S


def test_auditors_are_added_replaced_and_removed():
    one, two, newer = Auditor("one").card, Auditor("two").card, Auditor("one").card
    assert with_auditor((one,), two) == (one, two)
    assert with_auditor((one, two), two) == (one, two)
    assert with_auditor((one, two), newer) == (two, newer)
    assert without_auditor((one, two), "one") == (two,)
    for auditors, name, expected in (((one,), "one", "ledger.no_auditor"), ((one,), "x", "ledger.unknown_auditor")):
        with pytest.raises(DoudiError) as caught:
            without_auditor(auditors, name)
        assert caught.value.code == expected
