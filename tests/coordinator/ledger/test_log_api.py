"""The ledger as files under /log: `coordinator/ledger/log_api.py`. Who may read which, what changes and what never does."""

import pytest
from coordinator_world import LEAD

from coordinator.events import Event, EventType, record
from coordinator.ledger.models import LedgerTimestampRow
from crypto.checkpoint import cosignature_times, parse_checkpoint, parse_note, verify_checkpoint
from crypto.merkle import leaf_hash
from crypto.merkle_log import root_of
from crypto.tiles import bundles_of, parse_bundle, parse_hashes, tiles_of
from policies.contracts.ledger.placed import PAGE_BATCHES, page_path, parse_page
from policies.contracts.ledger.terms import SignedLedgerTerms

FOR_EVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"


@pytest.fixture
def auditor(world):
    """An auditor's API token, which may only read."""
    return world.token("tax", "auditor", write=False)


@pytest.fixture
def grown(hands):
    """A log of more than one tile, published and witnessed: (hands, size)."""
    for _ in range(6):
        assert hands.submit(hands.sealed("tax", 60)).status_code == 200
    return hands, hands.witness()


def test_an_auditor_fetches_the_whole_log_and_finds_the_signed_root(world, grown, auditor):
    _, size = grown
    assert size > 256
    note = parse_note(world.ask(auditor, "GET", "/log/checkpoint").content)
    terms = SignedLedgerTerms.parse(world.ask(auditor, "GET", "/log/terms/newest").content)
    checkpoint = verify_checkpoint(note, terms.verify(world.config.centre_keys.approval_keys).log_note_key)
    entries = []
    for address in bundles_of(checkpoint.size):
        entries += parse_bundle(world.ask(auditor, "GET", f"/log/{address.path}").content, address.width)
    assert root_of([leaf_hash(entry) for entry in entries]) == checkpoint.root
    hashes = {}
    for address in tiles_of(checkpoint.size):
        data = world.ask(auditor, "GET", f"/log/{address.path}").content
        hashes[address.level, address.index] = parse_hashes(data, address.width)
    assert hashes[0, 0] + hashes[0, 1] == [leaf_hash(entry) for entry in entries]
    assert hashes[1, 0] == [root_of(hashes[0, 0])]
    summary = world.ask(auditor, "GET", "/log/summary").json()
    assert (summary["size"], summary["terms"], summary["witnessed_size"]) == (size, 2, size)
    page = world.ask(auditor, "GET", f"/log/{page_path(0, summary['batches'])}").content
    placed = parse_page(page, summary["batches"])
    assert [one.first_index for one in placed] == running(placed)
    assert sum(one.count for one in placed) == size


def running(placed):
    starts, at = [], 0
    for one in placed:
        starts.append(at)
        at += one.count
    return starts


# Who reads what


OPEN_TO_ALL = ("/log/checkpoint", "/log/checkpoint/witnessed", "/log/summary", "/log/terms/newest", "/log/terms/1")


def test_what_proves_the_log_is_open_to_every_party(world, grown):
    _, size = grown
    paths = (*OPEN_TO_ALL, f"/log/checkpoint/{size}", "/log/tile/0/000", f"/log/tile/0/001.p/{size - 256}")
    tokens = [world.token("tax", "department_it"), world.token("centre", "centre_officer", write=False)]
    for path in paths:
        for party in ("tax", "centre"):
            assert world.send(party, "GET", path).status_code == 200, path
        for token in tokens:
            assert world.ask(token, "GET", path).status_code == 200, path


def test_what_is_sealed_is_for_auditors_alone(world, grown, auditor, code):
    _, size = grown
    batches = world.send("tax", "GET", "/log/summary").json()["batches"]
    paths = ("/log/tile/entries/000", f"/log/tile/entries/001.p/{size - 256}", f"/log/batches/0.p/{batches}")
    tokens = [
        world.token("centre", "centre_officer"),
        world.token("centre", "centre_approver"),
        world.token("tax", "department_approver"),
    ]
    for path in paths:
        assert world.ask(auditor, "GET", path).status_code == 200
        for party in ("tax", LEAD, "centre"):
            assert code(world.send(party, "GET", path)) == "authorization.denied"
        for token in tokens:
            assert code(world.ask(token, "GET", path)) == "authorization.denied"


def test_strangers_read_nothing(world, grown, code):
    for path in (*OPEN_TO_ALL, "/log/tile/0/000", "/log/tile/entries/000", "/log/batches/0.p/1"):
        assert code(world.raw("GET", path)) == "request.unauthenticated"


def test_a_batch_is_readable_for_its_auditors_only_and_the_disk_opens_nothing(world, grown, auditor):
    _, size = grown
    data = world.ask(auditor, "GET", f"/log/tile/entries/001.p/{size - 256}").content
    assert b"winter-aid" not in data
    for path in (world.config.home / "coordinator.db", world.config.home / "coordinator.db-wal"):
        assert b"winter-aid" not in path.read_bytes()


# What changes and what never does


def test_full_and_partial_tiles_never_change(world, hands, auditor):
    for _ in range(5):
        hands.submit(hands.sealed("tax", 60))
    first = hands.advance()
    paths = [f"/log/{address.path}" for address in (*tiles_of(first), *bundles_of(first))]
    before = {path: world.ask(auditor, "GET", path) for path in paths}
    for answer in before.values():
        assert (answer.status_code, answer.headers["cache-control"]) == (200, FOR_EVER)
        assert answer.headers["content-type"] == "application/octet-stream"
    for _ in range(5):
        hands.submit(hands.sealed("tax", 60))
    assert hands.advance() > 512
    # The partial ones are still there at their width, too: a client that began with them can end with them.
    assert {path: world.ask(auditor, "GET", path).content for path in paths} == {
        path: answer.content for path, answer in before.items()
    }


def test_nothing_is_served_that_no_checkpoint_covers(world, hands, auditor, code):
    size = hands.advance()
    hands.submit(hands.sealed("tax", 5))
    batches = world.send("tax", "GET", "/log/summary").json()["batches"]
    for path in (
        f"/log/tile/0/000.p/{size + 1}",
        f"/log/tile/entries/000.p/{size + 1}",
        f"/log/batches/0.p/{batches + 1}",
        "/log/tile/0/000",
        "/log/tile/entries/000",
        "/log/batches/0",
        "/log/tile/1/000.p/1",
        "/log/tile/63/000",
        "/log/tile/0/x999/999",
        "/log/batches/999999",
    ):
        answer = world.ask(auditor, "GET", path)
        assert (answer.status_code, code(answer)) == (404, "ledger.unknown_tile"), path
    assert hands.advance() == size + 5
    for path in (f"/log/tile/0/000.p/{size + 1}", f"/log/tile/entries/000.p/{size + 1}"):
        assert world.ask(auditor, "GET", path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x000/000",
        "tile/0/000.p",
        "tile/0/000/",
        "tile/0/%2e%2e/entries/000",
        "tile/0/a",
        "tile/hashes/000",
        "tile/entries/0",
        "tile/entries/000.p/256",
        "tile/entries/0/000",
        "batches/00",
        "batches/x",
        "batches/0.p/0",
        "batches/0.p/256",
        "batches/0.p/1/",
        "batches/-1",
        "batches/1000000000000000",
    ],
)
def test_only_one_name_means_a_tile_or_a_page(world, hands, auditor, code, path):
    hands.advance()
    answer = world.ask(auditor, "GET", f"/log/{path}")
    assert (answer.status_code, code(answer)) == (404, "tile.bad_path")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("checkpoint/-1", 422),
        ("checkpoint/a", 422),
        (f"checkpoint/{2**63}", 422),
        (f"checkpoint/{2**63 - 1}", 404),
        ("checkpoint/0", 404),
        ("terms/0", 422),
        ("terms/99", 404),
        (f"terms/{2**53}", 404),
        ("timestamps/0", 404),
        ("timestamps/x", 422),
        ("batches/", 403),
        ("tile/0/", 404),
        ("", 404),
    ],
)
def test_what_is_not_there_is_a_refusal(world, hands, path, status):
    hands.advance()
    assert world.send("tax", "GET", f"/log/{path}").status_code == status


def test_a_page_of_batches_is_asked_for_again_because_wraps_can_go(world, grown, auditor):
    batches = world.send("tax", "GET", "/log/summary").json()["batches"]
    answer = world.ask(auditor, "GET", f"/log/batches/0.p/{batches}")
    assert answer.headers["cache-control"] == ASK_AGAIN
    assert batches < PAGE_BATCHES


def test_pages_hold_256_batches(world, hands, auditor, code):
    for _ in range(260):
        with world.context.begin() as session:
            record(session, Event(EventType.PROJECT_CREATED, "centre", project_id="winter-aid"))
    hands.advance()
    batches = world.send("tax", "GET", "/log/summary").json()["batches"]
    assert PAGE_BATCHES < batches < 2 * PAGE_BATCHES
    first = parse_page(world.ask(auditor, "GET", "/log/batches/0").content, PAGE_BATCHES)
    rest = parse_page(world.ask(auditor, "GET", f"/log/{page_path(1, batches - 256)}").content, batches - 256)
    assert [one.first_index for one in (*first, *rest)] == running((*first, *rest))
    assert code(world.ask(auditor, "GET", "/log/batches/0.p/256")) == "tile.bad_path"


# Checkpoints, terms, time stamps


def test_checkpoints_are_notes_with_the_cosignatures_that_they_have(world, hands, code):
    assert code(world.send("tax", "GET", "/log/checkpoint/witnessed")) == "checkpoint.unknown"
    first = hands.witness("health", "tax", "housing")
    hands.submit(hands.sealed("tax", 2))
    second = hands.advance()
    hands.cosign("health")
    newest = world.send("tax", "GET", "/log/checkpoint")
    assert (newest.headers["content-type"], newest.headers["cache-control"]) == ("text/plain; charset=utf-8", ASK_AGAIN)
    keys = [witness.note_key for witness in hands.terms.witnesses]
    assert parse_checkpoint(parse_note(newest.content).text).size == second
    assert set(cosignature_times(parse_note(newest.content), keys)) == {"health"}
    witnessed = parse_note(world.send("tax", "GET", "/log/checkpoint/witnessed").content)
    assert parse_checkpoint(witnessed.text).size == first
    assert set(cosignature_times(witnessed, keys)) == {"health", "housing", "tax"}
    assert world.send("tax", "GET", f"/log/checkpoint/{first}").content == witnessed.to_bytes()


def test_before_the_first_checkpoint_there_is_none(world, code):
    # A world without registered parties: the centre reads.
    assert code(world.send("centre", "GET", "/log/checkpoint")) == "checkpoint.unknown"
    assert world.send("centre", "GET", "/log/summary").json()["size"] == 0


def test_former_terms_stay_readable(world, hands):
    first = world.send("tax", "GET", "/log/terms/1")
    assert first.headers["cache-control"] == FOR_EVER
    assert SignedLedgerTerms.parse(first.content).terms.witnesses == ()
    newest = world.send("tax", "GET", "/log/terms/newest")
    assert newest.headers["cache-control"] == ASK_AGAIN
    assert newest.content == world.send("tax", "GET", "/log/terms/2").content
    assert SignedLedgerTerms.parse(newest.content).terms.number == 2


def test_a_time_stamp_is_served_as_the_authority_gave_it(world, hands, code):
    size = hands.advance()
    assert code(world.send("tax", "GET", f"/log/timestamps/{size}")) == "ledger.no_timestamp"
    with world.begin() as session:
        session.add(LedgerTimestampRow(size=size, token=b"0\x03\x02\x01\x00"))
    answer = world.send("tax", "GET", f"/log/timestamps/{size}")
    assert answer.content == b"0\x03\x02\x01\x00"
    assert answer.headers["content-type"] == "application/timestamp-reply"
