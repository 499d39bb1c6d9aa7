"""The pages of the ledger (`views/ledger.py`, `ledger_entries.py`): who sees what, and whether what they show is true."""

import re

import pytest
from console_people import ROLES
from ledgered import GRANT, LATE, Ledgered, main_of, text_of
from screenless_browser import Browser

from coordinator.console.languages import LANGUAGES
from coordinator.console.ledger_witnesses import MOST_BARS, MOST_ROWS, bars_of, witnesses_of
from coordinator.console.titles import TITLES, title_of
from coordinator.db.session import read
from coordinator.ledger.status import CheckpointState, LedgerStatus, WitnessState, ledger_status
from crypto.checkpoint import parse_checkpoint, parse_note
from policies.contracts.ledger.record_types import RECORD_TYPES

OVERSEERS = {"centre_officer", "centre_approver", "auditor"}


# Who sees what


def pages(made: Ledgered):
    """Return each address with the roles that may have it."""
    return {
        "/console/ledger": OVERSEERS,
        "/console/ledger/entries": OVERSEERS,
        f"/console/ledger/entries?grant={GRANT}": OVERSEERS,
        f"/console/ledger/entries/{made.granted}": OVERSEERS,
        f"/console/ledger/entries/{made.granted}/place": set(ROLES),
        f"/console/ledger/entries/{made.granted}/proof": {"auditor"},
        f"/console/ledger/entries/{made.granted}/sealed": {"auditor"},
        f"/console/ledger/checkpoints/{made.size}": set(ROLES),
        "/console/ledger/terms/1": set(ROLES),
        f"/console/ledger/timestamps/{made.size}": set(ROLES),
    }


@pytest.mark.parametrize("role", ROLES)
def test_each_address_answers_those_whom_the_rules_let_read_it(ledgered, role):
    browser = ledgered.at(role)
    for address, allowed in pages(ledgered).items():
        answer = browser.get(address)
        assert answer.status_code == (200 if role in allowed else 403), (role, address)
        assert ('class="refusal"' in answer.text) is (role not in allowed)


def test_without_a_session_every_address_leads_to_the_sign_in_page(ledgered):
    for address in pages(ledgered):
        answer = Browser(ledgered.world.app).get(address)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/console/sign-in"), address


@pytest.mark.parametrize("role", sorted(OVERSEERS))
def test_what_only_auditors_may_have_is_offered_to_them_alone(ledgered, role):
    shown = ledgered.at(role).get(f"/console/ledger/entries/{ledgered.granted}").text
    for kind in ("proof", "sealed"):
        assert (f'/entries/{ledgered.granted}/{kind}"' in shown) is (role == "auditor")
    assert f'/entries/{ledgered.granted}/place"' in shown
    assert ("sealed to court" in shown) is (role == "auditor")


def test_pages_offer_nothing_that_opens_an_entry(ledgered):
    auditor = ledgered.at("auditor")
    for address in ("/console/ledger", f"/console/ledger/entries/{ledgered.granted}"):
        main = main_of(auditor.get(address))
        assert 'method="post"' not in main
        assert "<input" not in main
        assert "script" not in main


@pytest.mark.parametrize(
    "path",
    [
        "entries?type=nothing",
        "entries?producer=..%2F",
        "entries?grant=abc",
        f"entries?grant={'AB' * 32}",
        "entries?index=-1",
        "entries?index=99999999999999999999",
        "entries?cursor=AAAA",
        "entries/-1",
        "entries/999999",
        "entries/999999/proof",
        "entries/99999999999999999999",
        "entries/one",
        "checkpoints/0",
        "checkpoints/1",
        "checkpoints/x",
        "terms/9",
        "terms/0",
        "timestamps/1",
    ],
)
def test_a_value_that_is_none_gets_a_page_and_never_an_error(ledgered, path):
    answer = ledgered.at("auditor").get(f"/console/ledger/{path}")
    assert answer.status_code in (404, 422)
    assert "<h1>" in answer.text


# The state of the ledger


def test_the_page_says_how_far_the_log_is_and_what_waits(ledgered):
    shown = text_of(ledgered.at("auditor").get("/console/ledger"))
    published = ledgered.size + 2
    assert f"Newest published checkpoint Size {published} entries" in shown
    assert f"Newest witnessed checkpoint Size {ledgered.size} entries" in shown
    assert "For the witnesses 2 entries" in shown
    assert re.search(r"For a place in the log \(outbox\) \d+ batch(es)?, the oldest for", shown)
    assert "Cosignatures 2; 3 are needed" in shown
    assert "Cosignatures 4; 3 are needed" in shown
    with read(ledgered.world.engine) as session:
        note = parse_note(ledgered.at("auditor").get(f"/console/ledger/checkpoints/{ledgered.size}").content)
        root = parse_checkpoint(note.text).root.hex()
        assert ledger_status(session).witnessed.size == ledgered.size
    assert " ".join(root[start : start + 8] for start in range(0, 64, 8)) in shown


def test_the_page_says_which_witnesses_are_behind_in_words_and_in_a_plot(ledgered):
    answer = ledgered.at("auditor").get("/console/ledger")
    shown = text_of(answer)
    assert "3 of 4 cosignatures. Faulty witnesses tolerated: 1." in shown
    assert "2 witnesses have not cosigned the newest checkpoint." in shown
    plot = answer.text.partition('<figure class="plot">')[2].partition("</figure>")[0]
    assert f"{title_of(LANGUAGES['en'], 'party', LATE)}: 2 (last cosigned 132 seconds ago)" in plot
    assert "Civil affairs: 0" in plot
    assert f"{title_of(LANGUAGES['en'], 'party', LATE)} behind {ledgered.size} 2" in shown
    assert f"Civil affairs up to date {ledgered.size + 2} 0" in shown


def test_the_page_names_the_terms_and_the_auditors_with_their_fingerprints(ledgered):
    shown = text_of(ledgered.at("centre_officer").get("/console/ledger"))
    card = ledgered.world.auditor.card
    assert card.fingerprint() in shown
    assert "Number 2" in shown
    assert "Greatest age of a checkpoint for a step 5 minutes" in shown
    assert "3 of 4; faulty witnesses tolerated: 1" in shown


def test_the_page_says_how_auditors_open_the_records(ledgered):
    shown = text_of(ledgered.at("auditor").get("/console/ledger"))
    for command in ("keys", "fetch", "verify", "open", "search", "report", "prove", "check"):
        assert f"doudi audit {command} " in shown
    assert f"--url {ledgered.world.config.public_url} " in shown


def test_every_command_that_the_pages_show_is_one_that_there_is(ledgered):
    from typer.main import get_command

    from auditors.cli import app

    known = get_command(app).commands
    shown = text_of(ledgered.at("auditor").get("/console/ledger"))
    shown += text_of(ledgered.at("auditor").get(f"/console/ledger/entries/{ledgered.granted}"))
    for name, rest in re.findall(r"doudi audit (\w+)((?: [^ ]+)*?)(?= doudi|$| [A-Z])", shown):
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, name


def test_a_ledger_without_witnesses_says_what_to_do(cheap_world, signed_in, person):
    shown = text_of(signed_in(person).get("/console/ledger?lang=en"))
    assert "No department witnesses the ledger yet" in shown
    assert "doudi centre ledger renew-terms" in shown
    assert "No checkpoint is witnessed yet." in shown
    home = text_of(signed_in(person).get("/console?lang=en"))
    assert "No department witnesses the ledger" in home


def test_a_host_with_another_log_key_than_the_terms_name_is_told(ledgered, monkeypatch):
    monkeypatch.setattr(type(ledgered.world.context.ledger.sequencer), "log_key", "ab" * 32)
    shown = text_of(ledgered.at("centre_officer").get("/console/ledger"))
    assert "holds another log key" in shown


def test_the_home_page_says_that_no_quorum_has_come(ledgered):
    before = text_of(ledgered.at("auditor").get("/console"))
    assert f"{ledgered.size} entries are witnessed by the departments." in before
    ledgered.world.now += 3600
    try:
        late = text_of(ledgered.at("auditor").get("/console"))
    finally:
        ledgered.world.now -= 3600
    assert "2 of 4 witnesses are behind, and for 1 hour no quorum has cosigned: steps of runs wait." in late
    assert "witnesses" not in text_of(ledgered.at("department_it").get("/console"))


def test_of_many_witnesses_those_that_are_behind_most_are_shown():
    names = [f"office-{number:04}" for number in range(1000)]
    witnesses = tuple(WitnessState(name, 1000 - number, 5) for number, name in enumerate(names))
    witnesses += (WitnessState("never", None, None),)
    status = LedgerStatus(0, 1000, CheckpointState(1000, 9, None), None, None, witnesses)
    found = witnesses_of(status)
    assert [one.department for one in found.rows[:3]] == ["never", "office-0999", "office-0998"]
    assert (len(found.shown), len(found.behind)) == (MOST_ROWS, 1000)
    bars = bars_of(LANGUAGES["en"], found, 65)
    assert len(bars) == MOST_BARS
    assert (bars[0].value, bars[0].note) == (1000, "(never cosigned)")
    assert (bars[1].value, bars[1].note) == (999, "(last cosigned 1 minute ago)")


# Words


def test_every_type_of_record_has_a_title_in_both_languages():
    assert set(TITLES["event"]) == set(RECORD_TYPES)
    for name in RECORD_TYPES:
        english, chinese = (title_of(LANGUAGES[code], "event", name) for code in ("en", "zh"))
        assert english not in (name, chinese), name


def test_the_pages_are_chinese_throughout(ledgered):
    auditor = ledgered.at("auditor", "zh")
    for address in ("/console/ledger", "/console/ledger/entries", f"/console/ledger/entries/{ledgered.shredded}"):
        answer = auditor.get(address)
        assert answer.headers["content-language"] == "zh-Hans"
        shown = re.sub(r"<code.*?</code>|<svg.*?</svg>", " ", main_of(answer))
        words = set(re.findall(r"[A-Za-z]{4,}", re.sub(r"<[^>]+>", " ", shown)))
        assert words <= {"court", "health", "doudi", "node", "status", "audit", "prove", "card", "json", "cards"}
