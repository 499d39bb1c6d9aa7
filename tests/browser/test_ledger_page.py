"""The ledger's pages in a real browser: both languages, by keyboard, without a script; downloads that auditors' tools accept."""

import json
import re
from pathlib import Path

import pytest
from ledgered import GRANT
from ledgered_server import ledgered_server
from navigation import follow, send_by_key
from playwright.sync_api import expect
from typer.testing import CliRunner

from auditors.cli import app
from policies.contracts.cards import CentreCard


@pytest.fixture(scope="module")
def ledgered_console(tmp_path_factory):
    server = ledgered_server(tmp_path_factory.mktemp("ledgered"))
    yield server
    server.close()


@pytest.fixture
def console(ledgered_console):
    """In the place of the console that all tests share."""
    return ledgered_console


@pytest.fixture
def log(console):
    return console.prepared


def test_the_ledgers_page_is_accessible(open_page, check_accessible, log):
    log.cosign_newest()
    page = open_page("/console/ledger", role="auditor")
    expect(page.get_by_role("heading", name="Record and ledger")).to_be_visible()
    check_accessible(page, "ledger")


def test_the_list_of_entries_is_accessible(open_page, check_accessible):
    page = open_page(f"/console/ledger/entries?grant={GRANT}", role="centre_officer")
    expect(page.locator("main tbody tr")).to_have_count(4)
    check_accessible(page, "ledger-entries-of-a-grant")
    page.goto("/console/ledger/entries?limit=12")
    expect(page.locator("main tbody tr")).to_have_count(12)
    check_accessible(page, "ledger-entries")
    page.goto(f"/console/ledger/entries?grant={'12' * 32}&lang=en")
    expect(page.get_by_text("Nothing fits.")).to_be_visible()
    check_accessible(page, "ledger-entries-none")


@pytest.mark.parametrize(
    ("role", "which"), [("auditor", "granted"), ("auditor", "shredded"), ("centre_officer", "granted")]
)
def test_an_entry_is_accessible(open_page, check_accessible, log, role, which):
    page = open_page(f"/console/ledger/entries/{getattr(log, which)}", role=role)
    expect(page.get_by_role("heading", name="Downloads")).to_be_visible()
    expect(page.get_by_role("link", name="Proof of this entry")).to_have_count(1 if role == "auditor" else 0)
    check_accessible(page, f"ledger-entry-{which}-{role}")


@pytest.mark.parametrize(("language", "behind", "current"), [("en", "behind", "up to date"), ("zh", "落后", "已跟上")])
def test_who_is_behind_is_said_in_the_plot_and_in_the_table(open_page, log, language, behind, current):
    page = open_page(f"/console/ledger?lang={language}", role="auditor")
    log.cosign_newest()
    page.reload()
    plot = page.locator("figure.plot svg")
    expect(plot).to_be_visible()
    expect(plot.locator(".bar")).to_have_count(4)
    rows = page.get_by_role("table", name=re.compile("Witnesses|见证方")).get_by_role("row")
    expect(rows).to_have_count(5)
    expect(rows.nth(1)).to_contain_text(behind)
    expect(rows.nth(4)).to_contain_text(current)
    # A reader of the screen hears the same numbers.
    expect(page.get_by_role("img", name=re.compile("each witness|各见证方"))).to_have_count(1)


def test_entries_are_narrowed_by_keyboard_and_without_a_script(open_page):
    page = open_page("/console/ledger", role="auditor", java_script_enabled=False)
    follow(page, page.get_by_role("link", name="All entries").first)
    page.get_by_label("What", exact=True).select_option("node.labels.released")
    page.get_by_label("Grant's hash").fill(GRANT)
    page.get_by_label("Grant's hash").focus()
    send_by_key(page)
    expect(page).to_have_url(re.compile(rf"[?&]grant={GRANT}(&|$)"))
    expect(page.locator("main tbody tr")).to_have_count(1)
    follow(page, page.locator("main tbody th a"))
    expect(page.locator("main .lead")).to_have_text("Labels released")
    follow(page, page.get_by_role("link", name="All entries under it"))
    expect(page.locator("main tbody tr")).to_have_count(4)


def test_pages_of_entries_follow_each_other(open_page, log):
    page = open_page("/console/ledger/entries?limit=8", role="auditor")
    first = page.locator("main tbody th a").first
    expect(first).to_be_visible()
    newest = first.inner_text()
    follow(page, page.get_by_role("link", name="Next page"))
    expect(first).not_to_have_text(newest)
    follow(page, page.get_by_role("link", name="First page"))
    expect(page.locator("main tbody tr")).to_have_count(8)


def download(page, name: str, folder: Path) -> Path:
    with page.expect_download() as begun:
        page.get_by_role("link", name=name).first.click()
    path = folder / begun.value.suggested_filename
    begun.value.save_as(path)
    return path


def test_a_downloaded_proof_is_accepted_by_doudi_audit_check(open_page, log, tmp_path):
    page = open_page(f"/console/ledger/entries/{log.granted}", role="auditor")
    proof = download(page, "Proof of this entry", tmp_path)
    assert proof.name == f"ledger-entry-{log.granted}-proof.json"
    config = log.world.config
    approval, *more = config.centre_keys.approval_keys
    card = CentreCard(
        approval_key=approval,
        co_approval_keys=tuple(more),
        revocation_key=config.centre_revocation_key,
        api_key=config.centre_api_key,
        url=config.public_url,
        superlink="127.0.0.1:9092",
    )
    card_file = tmp_path / "centre-card.json"
    card_file.write_bytes(card.to_bytes())
    # The command of the page, as it stands there.
    shown = page.locator("code.command").first.inner_text()
    assert shown == f"doudi audit check {proof.name} --card {card_file.name}"
    arguments = ["check", str(proof), "--card", str(card_file), "--home", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["index"], told["producer"], told["disclosed"]) == (log.granted, "tax", False)
    assert [finding["code"] for finding in told["findings"]] == ["proof.without_key"]


def test_a_checkpoint_and_the_terms_are_downloaded(open_page, log, tmp_path):
    page = open_page("/console/ledger", role="centre_approver")
    note = download(page, "Download with its cosignatures", tmp_path)
    assert (
        note.read_text().split("\n")[0]
        == json.loads(download(page, "Download the signed terms", tmp_path).read_text())["terms"]["origin"]
    )


def test_the_home_page_leads_to_the_ledger(open_page, check_accessible):
    page = open_page("/console", role="auditor")
    follow(page, page.get_by_role("link", name="Checkpoints, witnesses, entries"))
    expect(page.get_by_role("heading", name="Newest witnessed checkpoint")).to_be_visible()
