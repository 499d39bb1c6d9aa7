"""The ledger's terms at a node: the centre's approver alone makes them, and they are never taken back."""

import pytest
from hostile_log import HostileLog, auditor_card, is_error, public_hex
from ledger_nodes import ME, Node, centre_card

from crypto import sealing
from crypto.ledger_entries import auditor_id, parse_wraps
from crypto.signing import generate_signing_key
from department_nodes.home import Trust
from department_nodes.ledger.sealing import pinned_terms
from department_nodes.store.session import reading
from policies.contracts.ledger.batches import parse_batch
from policies.contracts.ledger.terms import LedgerTerms, SignedLedgerTerms, sign_terms


def pinned(node: Node) -> LedgerTerms | None:
    with reading(node.engine.db) as session:
        return pinned_terms(session)


def codes(node: Node) -> list[str]:
    return [event.code for event in node.events("witness.refused")]


def test_the_first_terms_are_accepted_and_recorded(log: HostileLog, node: Node) -> None:
    assert pinned(node) is None
    log.grow()
    node.look()
    assert pinned(node) == log.terms
    (event,) = node.events("terms.accepted")
    assert log.terms.digest() in event.hashes
    # And not again, by the same process or another.
    node.look()
    node.restart()
    node.look()
    assert len(node.events("terms.accepted")) == 1


def test_newer_terms_are_taken_when_the_log_says_that_there_are_some(log: HostileLog, node: Node) -> None:
    log.grow()
    node.look()
    another = sealing.generate_sealing_key()
    cards = [card.model_dump() for card in (*log.terms.auditors, auditor_card("second-office", another))]
    log.renew_terms(auditors=cards)
    node.look()
    assert pinned(node) == log.terms
    # From then on, the new auditor is one of those that events are sealed to.
    node.act()
    node.send()
    batch = parse_batch(node.batches()[-1].document)
    assert auditor_id(sealing.sealing_public_key(another)) in parse_wraps(batch.wraps)


def test_a_checkpoint_by_the_logs_new_key_is_accepted_with_the_terms_that_name_it(log: HostileLog, node: Node) -> None:
    log.grow()
    node.look()
    log.log_key = generate_signing_key()
    log.renew_terms(log_key=public_hex(log.log_key))
    log.grow()
    node.look()
    assert node.kept().size == 2
    assert [size for name, size, _ in log.cosigned if name == ME] == [1, 2]
    assert codes(node) == []


def test_a_checkpoint_by_the_former_key_that_comes_with_the_new_terms_is_no_alarm(log: HostileLog, node: Node) -> None:
    log.grow()
    node.look()
    log.grow()
    former, log.log_key = log.log_key, generate_signing_key()
    log.renew_terms(log_key=public_hex(log.log_key))
    assert former != log.log_key
    node.look()
    assert node.kept().size == 2
    assert pinned(node) == log.terms
    assert codes(node) == []


def forged(log: HostileLog, code: str) -> SignedLedgerTerms:
    """Return terms that must be refused with this code by a node that has terms number 3."""
    values = log.terms.model_dump()
    number, key = {"terms.rollback": 2, "terms.fork": 3}.get(code, 4), log.approval
    changes: dict[str, object] = {"number": number, "checkpoint_max_age_s": 77}
    if code == "terms.other_log":
        changes["origin"] = "elsewhere.example/ledger-00000000"
    if code == "terms.bad_signature":
        key = generate_signing_key()
    return sign_terms(LedgerTerms.model_validate(values | changes), key)


@pytest.mark.parametrize("code", ["terms.rollback", "terms.fork", "terms.other_log", "terms.bad_signature"])
def test_terms_that_do_not_follow_are_refused_with_evidence_and_change_nothing(
    log: HostileLog, node: Node, code: str
) -> None:
    log.renew_terms()
    log.renew_terms()
    log.grow()
    node.look()
    known, log.signed_terms = pinned(node), forged(log, code)
    if code == "terms.fork":
        # The number says nothing new; whoever asks for the terms sees it.
        assert is_error(lambda: node.exchange.own._terms.refresh(node.client)) == code
    else:
        assert is_error(node.look) == code
    assert pinned(node) == known
    assert codes(node) == [code]
    (alarm,) = node.alarms()
    evidence = alarm.signed.verify(public_hex(node.engine.identity_private))
    assert evidence.kind == "other_terms"
    assert SignedLedgerTerms.parse(evidence.offered.encode()) == log.signed_terms
    shown = SignedLedgerTerms.parse(evidence.seen.encode())
    assert shown.verify((public_hex(log.approval),)) == known
    # The node goes on under the terms that it knows.
    log.grow()
    assert is_error(lambda: node.exchange.own._terms.refresh(node.client)) == code
    assert codes(node) == [code]


def test_a_node_without_the_centres_card_believes_no_terms_and_seals_nothing(log: HostileLog, node: Node) -> None:
    node.engine.home.write_trust(Trust())
    node.act()
    assert is_error(node.send) == "terms.no_centre"
    assert is_error(node.look) == "terms.no_centre"
    assert (pinned(node), node.batches()) == (None, [])
    node.engine.home.write_trust(Trust(centre=centre_card(log)))
    node.send()
    assert pinned(node) == log.terms
    assert node.batches()[0].first_index == 0


def test_a_further_approver_of_the_centre_may_sign_terms(log: HostileLog, node: Node) -> None:
    second = generate_signing_key()
    card = centre_card(log).model_copy(update={"co_approval_keys": (public_hex(second),)})
    node.engine.home.write_trust(Trust(centre=card))
    log.signed_terms = sign_terms(log.terms, second)
    log.grow()
    node.look()
    assert pinned(node) == log.terms


def test_malformed_terms_are_refused_without_an_alarm(log: HostileLog, node: Node) -> None:
    class Damaged:
        def get_bytes(self, _: str) -> bytes:
            return log.signed_terms.to_bytes()[:-1]

    client: object = Damaged()
    refresh = node.exchange.own._terms.refresh
    assert is_error(lambda: refresh(client)) == "document.malformed"  # type: ignore[arg-type]
    assert codes(node) == []
