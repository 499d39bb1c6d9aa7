"""The pages of the ledger's entries (`views/ledger_entries.py`) and what both views give to keep."""

import json
import re

import pytest
from ledgered import GRANT, STEPS, Ledgered, main_of, text_of

from auditors.checking import check_note, check_proof, terms_of_file
from auditors.home import Cards
from auditors.verification.findings import Findings, exit_code_of
from coordinator.console.languages import LANGUAGES
from coordinator.console.titles import title_of
from crypto.checkpoint import parse_checkpoint, parse_note
from crypto.ledger_entries import parse_entry
from crypto.merkle import leaf_hash
from crypto.merkle_log import verify_inclusion
from policies.contracts.cards import CentreCard
from policies.contracts.ledger.entry_proof import EntryProof, InclusionProof
from policies.contracts.ledger.terms import SignedLedgerTerms

OVERSEERS = {"centre_officer", "centre_approver", "auditor"}


# Downloads


def cards(world) -> Cards:
    keys = world.config.centre_keys
    approval, *more = keys.approval_keys
    card = CentreCard(
        approval_key=approval,
        co_approval_keys=tuple(more),
        revocation_key=world.config.centre_revocation_key,
        api_key=world.config.centre_api_key,
        url=world.config.public_url,
        superlink="127.0.0.1:9092",
    )
    return Cards(card, (), {})


def downloaded(made: Ledgered, address: str, role: str = "auditor") -> bytes:
    answer = made.at(role).get(address)
    assert answer.status_code == 200, answer.text
    assert re.fullmatch(r'attachment; filename="[a-z0-9.-]+"', answer.headers["content-disposition"])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not answer.headers["content-type"].startswith("text/html")
    return answer.content


@pytest.mark.parametrize("which", ["granted", "shredded", "last_witnessed"])
def test_a_downloaded_proof_is_accepted_by_the_auditors_tool(ledgered, which):
    index = ledgered.size - 1 if which == "last_witnessed" else getattr(ledgered, which)
    proof = EntryProof.parse(downloaded(ledgered, f"/console/ledger/entries/{index}/proof"))
    result = check_proof(proof, cards(ledgered.world))
    assert [one.code for one in result.findings] == ["proof.without_key"]
    assert exit_code_of(result.findings) == 0
    assert result.witnessed_at is not None


def test_the_sealed_entry_and_the_proof_of_its_place_belong_together(ledgered):
    index = ledgered.granted
    entry = downloaded(ledgered, f"/console/ledger/entries/{index}/sealed")
    assert parse_entry(entry).header.type == STEPS[0]
    proof = InclusionProof.parse(downloaded(ledgered, f"/console/ledger/entries/{index}/place", "scheduler"))
    assert proof.leaf_hash == leaf_hash(entry).hex()
    checkpoint = parse_checkpoint(parse_note(proof.checkpoint.encode()).text)
    path = [bytes.fromhex(one) for one in proof.path]
    verify_inclusion(checkpoint.root, leaf_hash(entry), index, checkpoint.size, path)


def test_downloaded_checkpoints_and_terms_are_those_that_auditors_check(ledgered):
    signed = SignedLedgerTerms.parse(downloaded(ledgered, "/console/ledger/terms/2", "department_it"))
    chain = terms_of_file([signed], cards(ledgered.world), Findings())
    note = downloaded(ledgered, f"/console/ledger/checkpoints/{ledgered.size}", "department_it")
    result = check_note(note, chain)
    assert not result.findings
    assert result.witnessed_at is not None
    assert downloaded(ledgered, f"/console/ledger/timestamps/{ledgered.size}") == b"a stamp"


def test_json_downloads_are_json(ledgered):
    for address in (f"entries/{ledgered.granted}/proof", f"entries/{ledgered.granted}/place", "terms/1"):
        answer = ledgered.at("auditor").get(f"/console/ledger/{address}")
        assert answer.headers["content-type"] == "application/json"
        json.loads(answer.content)


# Entries


def test_the_list_shows_headers_and_what_is_sealed_stays_so(ledgered):
    shown = text_of(ledgered.at("centre_officer").get("/console/ledger/entries?limit=200"))
    for name in STEPS:
        assert title_of(LANGUAGES["en"], "event", name) in shown
    assert "keys destroyed" in shown
    # What the records say: neither projects nor people stand in a header.
    assert "winter-aid" not in shown
    assert "centre-officer" not in shown


@pytest.mark.parametrize(
    ("query", "types"),
    [
        (f"grant={GRANT}", STEPS[::-1]),
        (f"grant={GRANT}&type={STEPS[1]}", STEPS[1:2]),
        (f"grant={GRANT}&producer=health", ()),
        ("producer=health", ("node.project.joined",) * 3),
        ("type=ledger.batch_shredded", ("ledger.batch_shredded",)),
        ("index=0", ("ledger.opened",)),
    ],
)
def test_the_list_is_narrowed(ledgered, query, types):
    shown = ledgered.at("auditor").get(f"/console/ledger/entries?{query}").text
    assert tuple(re.findall(r'<code class="note">([a-z_.]+)</code>', shown)) == types
    assert ("Nothing fits." in shown) is (not types)
    # What was asked for stands in the form.
    for name, value in re.findall(r"(\w+)=([^&]+)", query):
        assert re.search(rf'name="{name}"[^>]*value="{value}"|value="{value}" selected', shown)


def test_the_list_comes_in_pages_that_lead_through_all_of_it(ledgered):
    auditor, address, found = ledgered.at("auditor"), "/console/ledger/entries?limit=5", []
    for _ in range(100):
        shown = auditor.get(address).text
        found += [int(number) for number in re.findall(r'<a href="/console/ledger/entries/(\d+)">', shown)]
        onward = re.search(r'rel="next" href="([^"]+)"', shown)
        if onward is None:
            break
        address = onward[1].replace("&amp;", "&")
    assert found == list(range(ledgered.size + 1, -1, -1))


def test_an_entry_shows_its_header_its_batch_and_where_it_stands(ledgered):
    index = ledgered.granted + 1
    shown = text_of(ledgered.at("auditor").get(f"/console/ledger/entries/{index}"))
    assert title_of(LANGUAGES["en"], "event", STEPS[1]) in shown
    assert "Its own No. 2" in shown
    assert "Place in it 2 of 4" in shown
    assert f"Index, counted from 0 {index}" in shown
    assert f"First witnessed checkpoint {ledgered.size} entries" in shown
    assert f"doudi audit prove {index} --home audit" in shown
    assert "/log/tile/entries/000.p/" in shown


def test_an_entry_whose_keys_were_destroyed_says_so_to_everybody_who_sees_it(ledgered):
    for role in sorted(OVERSEERS):
        shown = text_of(ledgered.at(role).get(f"/console/ledger/entries/{ledgered.shredded}"))
        assert "keys of this entry's batch were destroyed" in shown.replace("&#39;", "'")
        assert "Keys destroyed" in shown


def test_an_entry_that_is_not_witnessed_yet_says_so(ledgered):
    shown = text_of(ledgered.at("auditor").get(f"/console/ledger/entries/{ledgered.size}"))
    assert "not yet: too few departments have cosigned a checkpoint that holds it" in shown
    assert "sealed to court" in shown


def test_the_grants_request_is_linked_where_it_is_known(at_work):
    at_work.world.context.ledger.sequencer.advance()
    at_work.world.now += 5
    at_work.world.context.ledger.sequencer.advance()
    shown = at_work.at("auditor").get("/console/ledger/entries?type=run.started").text
    first = re.search(r'href="(/console/ledger/entries/\d+)"', shown)[1]
    assert re.search(r'href="/console/requests/\d+"', main_of(at_work.at("auditor").get(first)))


def test_a_grants_page_leads_to_its_entries_and_a_runs_page_says_how_it_is_traced(at_work):
    run = at_work.runs["finished"]
    for role, sees in (("auditor", True), ("centre_officer", True), ("department_it", False)):
        shown = at_work.at(role).get(f"/console/runs/{run}").text
        assert (f"doudi audit lineage {run} --home audit" in shown) is (role == "auditor")
        grant = re.search(r'href="(/console/grants/by-hash/([0-9a-f]{64}))"', shown)
        page = at_work.at(role).get(at_work.at(role).get(grant[1]).headers["location"]).text
        assert (f"/console/ledger/entries?grant={grant[2]}" in page) is sees
