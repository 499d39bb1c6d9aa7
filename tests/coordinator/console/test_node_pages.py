"""The pages of departments, their nodes and the catalogue."""

import re

import pytest
from console_people import enrolled
from coordinator_world import DEPARTMENTS
from operation import Operation, sent_rows

from coordinator.console.languages import ENGLISH
from coordinator.console.node_states import (
    OLD_LIST_S,
    SILENT_S,
    budget_groups,
    budget_history,
    changed_budgets,
    checks_of,
    is_old,
    node_state,
)
from coordinator.parties.models import PartyRow
from coordinator.reports.summaries import BudgetSummary, ReportSummaries, ReportSummary
from coordinator.revocations.ages import ListAge

NOW = 2_000_000_000
PROGRAM = "ab" * 32


def report(**changes):
    values = {
        "department": "tax",
        "number": 1,
        "made_at": NOW,
        "received_at": NOW,
        "program_hash": PROGRAM,
        "people": 2000,
        "faults": 0,
        "active_runs": 0,
        "max_concurrent_runs": 2,
        "refusals": 0,
        "sent": 0,
        "budgets": (BudgetSummary("lines", "epsilon_milli", 1000, 2000, 8000),),
    }
    return ReportSummary(**{**values, **changes})


# States and checks


@pytest.mark.parametrize(
    ("seen", "shown", "state"),
    [
        (None, None, "never"),
        (NOW - SILENT_S - 1, report(), "silent"),
        (NOW - SILENT_S, None, "no_report"),
        (NOW, report(faults=1), "faults"),
        (NOW, report(), "in_order"),
    ],
)
def test_the_state_of_a_node_is_its_worst(seen, shown, state):
    assert node_state(seen, shown, NOW) == state


def test_a_list_is_old_from_the_default_limit_of_nodes_on():
    assert is_old(None, NOW)
    assert is_old(ListAge(1, NOW - OLD_LIST_S - 1), NOW)
    assert not is_old(ListAge(1, NOW - OLD_LIST_S), NOW)


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, []),
        ({"seen": NOW - SILENT_S - 1}, [0]),
        ({"age": None}, [1]),
        ({"report": report(faults=2)}, [2]),
        ({"report": report(program_hash="cd" * 32)}, [3]),
        ({"report": report(budgets=(BudgetSummary("lines", "epsilon_milli", 0, 7201, 8000),))}, [4]),
        ({"report": None, "seen": None}, [0]),
    ],
)
def test_each_check_fails_for_its_own_reason(changes, failed):
    values = {"seen": NOW, "report": report(), "age": ListAge(1, NOW), **changes}
    checks = checks_of(ENGLISH, values["seen"], values["report"], values["age"], PROGRAM, NOW)
    assert [number for number, check in enumerate(checks) if not check.passed] == failed
    assert all(check.next_step for check in checks)


def test_budgets_are_shown_in_their_units():
    bits = BudgetSummary("evidence_in_a_year", "bits_per_person", 10, 20, 120)
    epsilon, other = budget_groups(ENGLISH, [*report().budgets, bits])
    assert (epsilon.unit, epsilon.budgets[0].spent, epsilon.budgets[0].cap) == ("ε", 1.0, 8.0)
    assert (other.unit, other.budgets[0].with_reserved) == ("bits", 20)
    assert budget_groups(ENGLISH, []) == []


def test_the_history_is_in_percent_of_each_cap_and_names_only_what_changed():
    same = [report(number=number) for number in (1, 2)]
    other = report(number=3, budgets=(BudgetSummary("lines", "epsilon_milli", 1000, 4000, 8000),))
    (line,) = budget_history(ENGLISH, [*same, other])
    assert list(line.points) == [(1, 25.0), (2, 25.0), (3, 50.0)]
    assert [one.number for one in changed_budgets([*same, other])] == [3, 1]
    assert budget_history(ENGLISH, same[:1]) == []


# Reports


def test_a_summary_says_what_the_report_says_and_is_read_once(cheap_world):
    operation = Operation(cheap_world)
    cheap_world.register_all()
    for number in (1, 2):
        operation.report("tax", number)
    summaries = ReportSummaries()
    with cheap_world.begin() as session:
        newest = summaries.newest(session, DEPARTMENTS)
        assert set(newest) == {"tax"}
        assert (newest["tax"].number, newest["tax"].faults, newest["tax"].sent, newest["tax"].refusals) == (
            2,
            3,
            120,
            2,
        )
        assert [one.number for one in summaries.history(session, "tax")] == [1, 2]
        assert summaries.newest(session, ["tax"])["tax"] is newest["tax"]
    operation.report("tax", 3, faults=0)
    with cheap_world.begin() as session:
        assert summaries.newest(session, DEPARTMENTS)["tax"].faults == 0


# Pages


def test_the_list_shows_fingerprints_states_and_ages(at_work):
    with at_work.world.begin() as session:
        # Whatever other tests had its node do.
        session.get_one(PartyRow, "housing").last_seen_at = int(at_work.world.now) - SILENT_S - 1
    text = at_work.at("centre_officer").get("/console/parties").text
    for name in DEPARTMENTS:
        assert at_work.world.card(name).fingerprint() in text
    assert "not heard from" in text
    assert "faults in the data" in text
    assert "3 days ago" in text
    assert "Revocation list of the centre:" in text


def test_an_own_node_shows_checks_budgets_and_what_left(at_work):
    text = at_work.at("department_it").get("/console/node").text
    assert "<h1>My node" in text
    assert "See the faults with “doudi node check”" in text
    assert "4.50 / 8.00 ε" in text
    assert "60 / 120 bits" in text
    assert "sum_only.department_missing" in text
    assert "All 120 rows of the newest report" in text
    assert at_work.world.card("tax").fingerprint() in text


def test_the_centre_has_no_node_of_its_own(at_work):
    answer = at_work.at("centre_officer").get("/console/node")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/parties")


def test_what_left_a_node_comes_in_pages_of_one_report(cheap_world, signed_in):
    operation = Operation(cheap_world)
    cheap_world.register_all()
    operation.report("tax", 1)
    page = signed_in(enrolled(cheap_world.context, "our-it", "tax", "department_it"))
    page.cookies.set("doudi-lang", "en", domain="coordinator.example", path="/")
    first = page.get("/console/parties/tax/sent").text
    assert "Rows 1 to 50 of 120" in first
    following = re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")
    # A newer report moves no row of the one that is being read.
    operation.report("tax", 2, sent=sent_rows("run-0000000000000000", int(cheap_world.now), 70))
    assert "Rows 51 to 100 of 120" in page.get(following).text
    assert "Rows 1 to 50 of 70" in page.get("/console/parties/tax/sent").text
    assert "Rows 101 to 120 of 120" in page.get("/console/parties/tax/sent?report=1&row=101").text
    # A report that is no longer kept, and a row that there is not.
    assert "Rows 1 to 50 of 70" in page.get("/console/parties/tax/sent?report=9999&row=60").text
    assert "Nothing has left the node" in page.get("/console/parties/tax/sent?report=1&row=999").text


def test_a_department_that_has_not_reported_is_told_what_to_do(cheap_world, signed_in):
    cheap_world.register_all()
    page = signed_in(enrolled(cheap_world.context, "our-it", "tax", "department_it"))
    page.cookies.set("doudi-lang", "en", domain="coordinator.example", path="/")
    text = page.get("/console/node").text
    assert "The node has not reported yet." in text
    assert "doudi node run" in text
    assert "report_to_centre" in text
    home = page.get("/console").text
    assert "Your node was not heard from" in home
    assert "Your department offers no data asset." in home


def test_without_departments_the_pages_say_how_to_begin(browser, signed_in, person):
    page = signed_in(person)
    page.cookies.set("doudi-lang", "en", domain="coordinator.example", path="/")
    assert "doudi centre register CARD" in page.get("/console/parties").text
    assert "doudi node register-asset" in page.get("/console/catalogue").text
    assert "doudi node create-run" in page.get("/console/runs").text
    assert "doudi node schedule RUN" in page.get("/console/queue").text


# Catalogue


def test_the_catalogue_is_narrowed_by_each_filter(at_work):
    page = at_work.at("auditor")

    def listed(query):
        return re.findall(
            r'<a href="/console/catalogue/([a-z_]+/[a-z_]+)">', page.get(f"/console/catalogue?{query}").text
        )

    everything = listed("limit=100")
    assert len(everything) == 7
    assert set(listed("owner=tax")) == {"tax/tax"}
    assert set(listed("region=region-1")) == {"health/tax"}
    assert listed("tier=general_2") == everything
    assert listed("tier=core") == []
    assert listed("purpose=social_assistance") == everything
    assert set(listed("dataset=housing")) == {"housing/housing"}
    # What is looked for is text and no pattern.
    assert listed("dataset=%25") == []


def test_an_asset_shows_what_follows_from_its_tier_and_its_revisions(at_work):
    text = at_work.at("auditor").get("/console/catalogue/tax/tax").text
    assert 'href="/console/standards/datasets/tax/1"' in text
    assert 'href="/console/standards/tiers/general_2/1"' in text
    assert "1 person of the owner has to sign a grant." in text
    assert "At least 3 departments, at most 50 runs" in text
    assert "data_office" in text
    assert text.count("registered</span>") == 2


def test_the_owners_people_withdraw_an_asset_and_nobody_else(cheap_world, signed_in):
    cheap_world.register_all()
    cheap_world.register_assets()
    address = "/console/catalogue/tax/tax"
    for login_name, party, role in (("officer", "centre", "centre_officer"), ("other", "housing", "department_it")):
        page = signed_in(enrolled(cheap_world.context, login_name, party, role))
        assert f"{address}/withdraw" not in page.get(address).text
        assert page.post(f"{address}/withdraw").status_code == 403
    own = signed_in(enrolled(cheap_world.context, "own", "tax", "department_it"))
    own.cookies.set("doudi-lang", "en", domain="coordinator.example", path="/")
    assert f"{address}/withdraw" in own.get(address).text
    assert own.post(f"{address}/withdraw").headers["location"] == f"{address}?done=withdrawn"
    text = own.get(address).text
    assert "The asset is withdrawn." in text
    assert f"{address}/withdraw" not in text
