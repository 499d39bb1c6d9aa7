"""Damaged and invented bytes at the ledger's borders: the coordinator's API, and everything that an auditor reads.

What is damaged begins as a right document, so that the damage reaches every layer. Only documented refusals and findings come
out, and nothing that was damaged gets in.
"""

from dataclasses import replace

import pytest
from coordinator_world import World, code_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_hands import Hands
from ledger_world import LedgerWorld
from log_server import WorldLog
from mirror_fields import files_of

from auditors.checking import check_proof
from auditors.fetching import fetch
from auditors.home import Cards, Home
from auditors.keys import all_keys
from auditors.opening import OwnKeys
from auditors.opening_home import open_home_log
from auditors.proofs import make_proof
from auditors.terms_chain import verify_terms
from auditors.verification.findings import Findings, Severity
from auditors.verification.verifier import verify_store
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.ledger.entry_proof import EntryProof
from policies.contracts.ledger.placed import pack_page, parse_page

EXAMPLES = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
# What a batch may be refused with; each is in the API's description too, which the world holds every answer against.
BATCH_CODES = {
    "batch.bad_signature",
    "batch.conflict",
    "batch.gap",
    "batch.inconsistent",
    "batch.malformed",
    "batch.wrong_auditors",
    "batch.wrong_wraps",
    "authorization.denied",
    "ledger.not_a_witness",
}


@st.composite
def damages(draw):
    """Return a function that damages bytes: changes, cuts, repeats, moves or puts something in."""
    kind = draw(st.sampled_from(["change", "cut", "repeat", "insert", "end", "exchange"]))
    where, length = draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(1, 40))
    value, other = draw(st.integers(1, 255)), draw(st.floats(0, 1, exclude_max=True))
    more = draw(st.binary(min_size=1, max_size=20))

    def damage(data: bytes) -> bytes:
        at = int(where * len(data))
        part = data[at : at + length]
        if kind == "change":
            return data[:at] + bytes([data[at] ^ value]) + data[at + 1 :]
        if kind == "cut":
            return data[:at] + data[at + length :]
        if kind == "repeat":
            return data[:at] + part + data[at:]
        if kind == "insert":
            return data[:at] + more + data[at:]
        if kind == "end":
            return data[:at]
        target = int(other * len(data))
        return data[:target] + part + data[target + length :]

    return damage


def refusal_of(act) -> str:
    """Return the code of what an act is refused with; nothing if it is not. Any other error ends the test."""
    try:
        act()
    except DoudiError as error:
        return error.code
    return ""


@pytest.fixture(scope="module")
def hands(tmp_path_factory, migrated):
    world = World.in_folder(tmp_path_factory.mktemp("coordinator"), migrated)
    world.register_all()
    found = Hands(world)
    found.name_witnesses()
    found.submit(found.sealed("tax", 3))
    found.witness()
    return found


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    world = LedgerWorld(tmp_path_factory.mktemp("log") / "log")
    world.fill(300, per_batch=30)
    world.publish()
    return world


# The coordinator's API.


def test_what_is_not_damaged_is_taken(hands):
    """What is damaged below would be accepted."""
    assert hands.submit(hands.sealed("health", 2)).status_code == 200
    assert hands.cosign("tax").status_code == 200


@EXAMPLES
@given(damage=damages())
def test_a_damaged_batch_is_refused_with_a_documented_code_and_nothing_of_it_is_kept(hands, damage):
    batch = hands.sealed("tax", 2, first=4)
    whole = batch.to_bytes()
    damaged = damage(whole)
    before = len(hands.world.records("node.project.joined"))
    if damaged == whole:
        return
    answer = hands.world.send("tax", "POST", "/v1/ledger/batches", damaged)
    assert answer.status_code in (400, 403, 409, 413, 422), answer.status_code
    assert code_of(answer) in BATCH_CODES
    assert len(hands.world.records("node.project.joined")) == before


@EXAMPLES
@given(data=st.binary(max_size=400))
def test_arbitrary_bytes_are_no_batch_for_the_coordinator(hands, data):
    answer = hands.world.send("tax", "POST", "/v1/ledger/batches", b"\x01" + data)
    assert code_of(answer) in BATCH_CODES


@EXAMPLES
@given(
    producer=st.sampled_from(["tax", "health", "coordinator", "nobody", ""]),
    first=st.integers(0, 2**53 + 1),
    taken=st.integers(0, 3),
    reverse=st.booleans(),
)
def test_a_batch_whose_parts_are_exchanged_is_refused(hands, producer, first, taken, reverse):
    batch = hands.sealed("tax", 3, first=4)
    entries = batch.entries[taken:] + batch.entries[:taken] if not reverse else batch.entries[::-1]
    other = replace(batch, producer=producer, first_sequence=first, entries=entries)
    if other == batch:
        return
    answer = hands.world.send("tax", "POST", "/v1/ledger/batches", other.to_bytes())
    assert code_of(answer) in BATCH_CODES


@EXAMPLES
@given(damage=damages(), size=st.integers(-1, 40))
def test_a_damaged_cosignature_never_counts(hands, damage, size):
    right, line = hands.line("tax")
    damaged = damage(line.encode()).decode(errors="replace")
    if damaged.strip() == line:
        return
    body = canonical_json({"size": right if size < 0 else size, "line": damaged})
    answer = hands.world.send("tax", "POST", "/v1/ledger/cosignatures", body)
    assert answer.status_code in (400, 403, 404, 409, 422)
    code = code_of(answer)
    assert code.startswith(("checkpoint.", "document.", "ledger.", "request.")), code


# What auditors read.


def place_of(home: Home, chosen: float) -> str:
    places = sorted(files_of(home.store.folder))
    return places[int(chosen * len(places))]


@pytest.fixture(scope="module")
def home(log, tmp_path_factory):
    return log.home(tmp_path_factory.mktemp("auditor") / "home")


@EXAMPLES
@given(damage=damages(), chosen=st.floats(0, 1, exclude_max=True))
def test_a_damaged_file_is_a_finding_and_opening_it_raises_nothing_else(log, home, damage, chosen):
    place = place_of(home, chosen)
    path = home.store.folder / place
    whole = path.read_bytes()
    damaged = damage(whole)
    if damaged == whole:
        return
    path.write_bytes(damaged)
    try:
        assert verify_store(home, full=True).exit_code >= 10, place
        home.opened_file.unlink(missing_ok=True)
        refused = refusal_of(lambda: open_home_log(home, unverified=True))
        assert refused.partition(".")[0] in ("", "audit", "opened", "store"), refused
    finally:
        path.write_bytes(whole)
        for file in (home.verified_file, home.verified_batches_file):
            file.unlink(missing_ok=True)


@EXAMPLES
@given(damage=damages(), number=st.integers(0, 9))
def test_damaged_wraps_open_nothing_and_say_so(log, home, damage, number):
    (path,) = (home.store.folder / "batches" / "0.p").iterdir()
    whole = path.read_bytes()
    page = parse_page(whole, int(path.name))
    damaged = damage(page[number].wraps)
    if damaged == page[number].wraps:
        return
    page[number] = replace(page[number], wraps=damaged)
    path.write_bytes(pack_page(page))
    home.opened_file.unlink(missing_ok=True)
    try:
        codes = {one.code for one in verify_store(home, full=True).findings}
        assert codes & {"batch.wrong_wraps", "batch.wraps_destroyed"}
        opening = open_home_log(home, unverified=True)
        # All other batches open; this one does where its own wrap was left whole.
        assert opening.portion.entries in (270, 300)
    finally:
        path.write_bytes(whole)
        for file in (home.verified_file, home.verified_batches_file):
            file.unlink(missing_ok=True)


@EXAMPLES
@given(damage=damages(), path=st.sampled_from(["summary", "checkpoint", "checkpoint/witnessed", "terms/newest"]))
def test_damaged_answers_to_a_visit_are_refused_or_found(log, tmp_path_factory, damage, path):
    source, folder = WorldLog(log), tmp_path_factory.mktemp("visit")
    right = source.get(path, 1 << 20)
    assert right is not None
    damaged = damage(right)
    source.instead[path] = damaged
    fresh = log.home(folder / "home", linked=True)
    fresh.store.folder.unlink()
    refused = refusal_of(lambda: fetch(source, fresh.store, "https://coordinator", log.now))
    if refused:
        assert refused.partition(".")[0] in ("audit", "checkpoint", "coordinator", "document", "log", "store"), refused
        return
    result = verify_store(fresh, full=True)
    if damaged != right and path != "summary":
        assert result.exit_code >= 10


@EXAMPLES
@given(damage=damages(), index=st.integers(0, 299), discloses=st.booleans())
def test_a_damaged_proof_proves_nothing(log, home, damage, index, discloses):
    chain = verify_terms(home.store, home.cards(), Findings())
    keys = OwnKeys(all_keys(home)) if discloses else None
    whole = make_proof(home.store, chain, index, keys).to_bytes()
    damaged = damage(whole)
    refused = refusal_of(lambda: EntryProof.parse(damaged))
    if refused:
        assert refused.startswith("document."), refused
        return
    findings = check_proof(EntryProof.parse(damaged), Cards(home.cards().centre, (), {})).findings
    if damaged != whole:
        assert [one for one in findings if one.severity is not Severity.NOTICE]
