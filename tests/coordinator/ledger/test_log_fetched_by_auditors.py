"""The coordinator's own log, as an auditor fetches, verifies and proves it: the two sides share contracts and no code."""

import shutil

import pytest
from coordinator_world import public
from ledger_hands import Hands
from timestamp_authority import TimestampAuthority

from auditors.carried_copy import CarriedCopy
from auditors.checking import check_proof
from auditors.fetching import fetch
from auditors.home import Cards, Home
from auditors.keys import all_keys
from auditors.opening import OwnKeys
from auditors.proofs import make_proof
from auditors.terms_chain import verify_terms
from auditors.verification.findings import Findings, Severity
from auditors.verification.verifier import verify_store
from coordinator.db.session import read
from coordinator.ledger.exporting import export_log
from coordinator.ledger.timestamping import Timestamper
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.cards import CentreCard


class CoordinatorLog:
    """A coordinator's `/log/`, asked with an API token."""

    def __init__(self, hands: Hands, token: str) -> None:
        self.hands, self.token = hands, token

    def get(self, path: str, at_most: int) -> bytes | None:
        answer = self.hands.world.ask(self.token, "GET", f"/log/{path}")
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        assert len(answer.content) <= at_most
        return answer.content


@pytest.fixture
def home(world, tmp_path):
    home = Home(tmp_path / "auditor")
    home.cards_folder.mkdir(parents=True)
    card = CentreCard(
        approval_key=public(world.approval_key),
        co_approval_keys=(public(world.second_approval_key),),
        revocation_key=public(world.revocation_key),
        api_key=public(world.api_key),
        url="https://coordinator",
        superlink="coordinator:9092",
    )
    (home.cards_folder / "centre-card.json").write_bytes(card.to_bytes())
    home.keys.mkdir()
    files = ((home.sealing_key_file, world.auditor.sealing_key), (home.signing_key_file, world.auditor.signing_key))
    for path, data in files:
        path.touch(mode=0o600)
        path.write_bytes(data)
    home.card_file.write_bytes(world.auditor.card.to_bytes())
    return home


def serious(result):
    return [(one.code, one.place) for one in result.findings if one.severity is not Severity.NOTICE]


def test_what_the_coordinator_serves_is_fetched_and_verifies_and_grows(hands, world, home):
    log = CoordinatorLog(hands, world.token("tax", "auditor", write=False))
    for _ in range(6):
        assert hands.submit(hands.sealed("tax", 60)).status_code == 200
    size = hands.witness()
    assert fetch(log, home.store, "https://coordinator", int(world.now)).visit.size == size
    first = verify_store(home)
    assert (serious(first), first.newest.size, first.full) == ([], size, True)
    hands.submit(hands.sealed("tax", 60))
    hands.submit(hands.sealed("health", 3))
    size = hands.witness()
    fetch(log, home.store, "https://coordinator", int(world.now))
    again = verify_store(home)
    assert (serious(again), again.newest.size, again.full) == ([], size, False)
    shutil.rmtree(home.store.folder)
    fetch(log, home.store, "https://coordinator", int(world.now))
    assert serious(verify_store(home, full=True)) == []


def test_every_entry_of_the_coordinators_log_is_proven_to_a_third_person(hands, world, home):
    log = CoordinatorLog(hands, world.token("tax", "auditor", write=False))
    hands.submit(hands.sealed("tax", 5))
    size = hands.witness()
    fetch(log, home.store, "https://coordinator", int(world.now))
    chain = verify_terms(home.store, home.cards(), Findings())
    cards = Cards(home.cards().centre, (), {})
    types = set()
    for index in range(size):
        checked = check_proof(make_proof(home.store, chain, index, OwnKeys(all_keys(home))), cards)
        assert not checked.findings, [one.shown() for one in checked.findings]
        types.add(checked.record.type)
    assert {"node.project.joined", "party.registered", "ledger.terms_changed"} <= types


def test_destroyed_wraps_are_stated_to_whoever_fetches_afterwards(hands, world, home):
    log = CoordinatorLog(hands, world.token("tax", "auditor", write=False))
    batch = hands.sealed("tax", 5)
    hands.submit(batch)
    hands.witness()
    body = canonical_json({"batch": batch.batch_id.hex(), "reason": "retention_over"})
    answer = world.ask(world.token("centre", "centre_approver"), "POST", "/v1/ledger/shred", body)
    assert answer.status_code == 201, answer.text
    hands.witness()
    fetch(log, home.store, "https://coordinator", int(world.now))
    assert {code for code, _ in serious(verify_store(home))} == {"batch.wraps_destroyed"}


def test_a_time_stamp_is_fetched_and_judged_with_the_authoritys_own_certificate(world, hands, home, tmp_path):
    authority, stranger = (TimestampAuthority(tmp_path, name) for name in ("authority", "stranger"))
    size = hands.witness()
    (world.config.home / "authority.pem").write_bytes(authority.root)
    settings = world.config.ledger.model_copy(
        update={"timestamp_authority_url": "https://authority", "timestamp_certificates_file": "authority.pem"}
    )
    assert Timestamper(world.engine, world.config.home, settings, lambda: world.now, authority.answer).stamp_if_due()
    hands.witness()
    fetch(CoordinatorLog(hands, world.token("centre", "auditor")), home.store, "https://coordinator", int(world.now))
    assert home.store.timestamp_sizes() == [size]
    assert list(verify_store(home, timestamp_roots=authority.root).stamped) == [size]
    assert serious(verify_store(home, timestamp_roots=stranger.root)) == [("timestamp.wrong", f"timestamps/{size}")]
    unjudged = verify_store(home)
    assert serious(unjudged) == []
    assert unjudged.findings.has("timestamp.unjudged")
    place = home.store.folder / f"timestamps/{size}"
    token = bytearray(place.read_bytes())
    # The authority's signature is what a token ends with.
    token[-10] ^= 1
    place.write_bytes(token)
    result = verify_store(home, timestamp_roots=authority.root)
    assert (serious(result), result.exit_code) == ([("timestamp.wrong", f"timestamps/{size}")], 12)


def export(world, folder):
    with read(world.engine, lambda: world.now) as session:
        return export_log(session, folder)


def test_a_carried_copy_is_read_as_the_log_itself(world, hands, home, tmp_path):
    hands.submit(hands.sealed("tax", 3))
    size = hands.witness()
    assert export(world, tmp_path / "copy").size == size
    fetched = fetch(CarriedCopy(tmp_path / "copy"), home.store, "", int(world.now))
    assert (fetched.visit.size, fetched.visit.witnessed) == (size, size)
    assert serious(verify_store(home)) == []
    # The next copy goes into the same folder, and brings what is new.
    hands.submit(hands.sealed("tax", 400))
    again = hands.witness()
    export(world, tmp_path / "copy")
    fetch(CarriedCopy(tmp_path / "copy"), home.store, "", int(world.now))
    result = verify_store(home)
    assert (serious(result), result.newest.size) == ([], again)


def test_a_copy_that_was_changed_on_the_way_is_found_out(world, hands, home, tmp_path):
    size = hands.witness()
    export(world, tmp_path / "copy")
    bundle = next((tmp_path / "copy/tile/entries").rglob(str(size % 256)))
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    fetch(CarriedCopy(tmp_path / "copy"), home.store, "", int(world.now))
    assert verify_store(home).exit_code == 10


def test_a_folder_that_is_no_copy_is_refused(tmp_path):
    with pytest.raises(DoudiError) as refused:
        CarriedCopy(tmp_path)
    assert refused.value.code == "file.unreadable"


def test_nothing_is_exported_before_there_is_a_checkpoint(world, tmp_path):
    with pytest.raises(DoudiError) as refused:
        export(world, tmp_path / "copy")
    assert refused.value.code == "ledger.nothing_published"
    assert not (tmp_path / "copy").exists()
