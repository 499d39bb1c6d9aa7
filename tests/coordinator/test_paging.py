"""Lists in pages: `coordinator/paging.py`, and how clients follow them: `command_line/paging.py`."""

import base64
import json

import pytest
from coordinator_world import DEPARTMENTS, PROJECT

from command_line.paging import MAXIMUM_PAGES, every_item
from coordinator.paging import HIGHEST_LIMIT, PageRequest
from coordinator.parties.services import list_parties
from coordinator.runs.scheduling import list_runs
from crypto.errors import DoudiError

LISTS = ["/v1/parties", "/v1/projects", "/v1/runs", "/v1/decisions"]


@pytest.fixture
def full(world):
    """A coordinator with several rows in every list; the runs began in the same second."""
    world.agree()
    for number in range(3):
        world.open_project(f"project-{number}")
    for _ in range(2):
        world.start_run()
    return world


def page(world, path, party="centre"):
    return world.send(party, "GET", path).json()


def in_pages(world, path, limit, party="centre"):
    items, cursor = [], ""
    while True:
        found = page(world, f"{path}?limit={limit}{cursor}", party)
        items += found["items"]
        assert len(found["items"]) <= limit
        if found["next_cursor"] is None:
            return items
        cursor = f"&cursor={found['next_cursor']}"


def written(*values):
    text = json.dumps(list(values), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_together_are_the_whole_list_once(full, path, limit):
    whole = page(full, path)
    assert whole["next_cursor"] is None
    assert len(whole["items"]) >= 2
    # Parties carry when they were last seen, which each request moves.
    shown = [{**item, "last_seen_at": None} for item in in_pages(full, path, limit)]
    assert shown == [{**item, "last_seen_at": None} for item in whole["items"]]


@pytest.mark.parametrize("path", LISTS[:3])
def test_a_page_that_ends_the_list_exactly_names_no_other(full, path):
    count = len(page(full, path)["items"])
    assert page(full, f"{path}?limit={count}")["next_cursor"] is None
    assert page(full, f"{path}?limit={count - 1}")["next_cursor"] is not None


def test_a_row_that_comes_in_between_is_neither_a_gap_nor_a_double(full):
    names = [item["project_id"] for item in page(full, "/v1/projects")["items"]]
    first = page(full, "/v1/projects?limit=2")
    full.open_project("a-new-one")
    rest = page(full, f"/v1/projects?cursor={first['next_cursor']}")
    assert [item["project_id"] for item in first["items"] + rest["items"]] == names
    newest = page(full, "/v1/runs?limit=1")
    full.now += 1
    with full.begin() as session:
        assert len(list_runs(session, None, None, None, PageRequest(1)).rows) == 1
    older = page(full, f"/v1/runs?cursor={newest['next_cursor']}")
    assert {item["run_number"] for item in newest["items"] + older["items"]} == {1, 2}


def test_a_cursor_shows_nothing_that_the_list_would_not_show(full):
    full.send("centre", "POST", "/v1/parties", full.card("tax").to_bytes())
    cursor = page(full, "/v1/projects?limit=1")["next_cursor"]
    assert [item["project_id"] for item in page(full, f"/v1/projects?cursor={cursor}", "tax")["items"]] == [PROJECT]


@pytest.mark.parametrize("path", [*LISTS, "/v1/ledger/entries"])
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "%00",
        "!!!!",
        "a",
        "bm90IEpTT04",
        written(),
        written(1),
        written(2, "parties", "tax"),
        written(1, "other", "tax"),
        written(1, "parties", "tax", "more"),
        written(1, "parties", 1),
        written(1, "parties", None),
        written(1, "parties", "a\0b"),
        written(1, "parties", "x" * 129),
        written(1, "projects", ["p"]),
        written(1, "decisions", "1"),
        written(1, "decisions", True),
        written(1, "decisions", -1),
        written(1, "decisions", 1.0),
        written(1, "decisions", 2**53 + 1),
        written(1, "ledger_entries", -1),
        written(1, "ledger_entries", "1"),
        written(1, "runs", 1),
        written(1, "runs", "run-1", 1),
        written(1, "parties", "tax") + "=",
        written(1, "parties", "tax") + "A",
        base64.urlsafe_b64encode(b'[1, "parties", "tax"]').decode().rstrip("="),
        base64.urlsafe_b64encode(b"[" * 300).decode().rstrip("="),
    ],
)
def test_a_cursor_that_no_list_gave_is_refused(world, code, path, cursor):
    answer = world.send("centre", "GET", f"{path}?cursor={cursor}")
    assert (answer.status_code, code(answer)) == (422, "request.bad_cursor")


def test_a_cursor_serves_only_the_list_that_gave_it(full, code):
    cursor = page(full, "/v1/parties?limit=1")["next_cursor"]
    assert code(full.send("centre", "GET", f"/v1/projects?cursor={cursor}")) == "request.bad_cursor"
    assert len(page(full, f"/v1/parties?cursor={cursor}")["items"]) == len(DEPARTMENTS)


@pytest.mark.parametrize("limit", ["0", "-1", str(HIGHEST_LIMIT + 1), "many", "", "1.5"])
def test_a_limit_out_of_range_is_refused(world, code, limit):
    assert code(world.send("centre", "GET", f"/v1/parties?limit={limit}")) == "request.malformed"


def test_a_cursor_that_is_too_long_is_refused(world, code):
    assert code(world.send("centre", "GET", f"/v1/parties?cursor={'A' * 513}")) == "request.malformed"


def test_no_page_is_longer_than_the_coordinator_allows(full):
    limits = full.config.limits.model_copy(update={"max_listed_rows": 2})
    object.__setattr__(full.app.state.context, "config", full.config.model_copy(update={"limits": limits}))
    assert len(page(full, f"/v1/parties?limit={HIGHEST_LIMIT}")["items"]) == 2
    assert len(full.listed("centre", "/v1/parties")) == len(DEPARTMENTS) + 1


@pytest.mark.parametrize("path", LISTS)
def test_a_page_is_read_through_an_index(full, path):
    """No list is sorted: a page costs what it holds, however long the list is."""
    from sqlalchemy import event

    statements = []

    def remember(_connection, _cursor, statement, parameters, *_):
        if " LIMIT " in statement.replace("\n", " "):
            statements.append((statement, parameters))

    cursor = page(full, f"{path}?limit=1")["next_cursor"]
    event.listen(full.app.state.context.engine, "before_cursor_execute", remember)
    page(full, f"{path}?limit=1&cursor={cursor}")
    ((statement, parameters),) = statements
    assert "OFFSET" not in statement or parameters[-1] == 0
    with full.engine.connect() as connection:
        plan = " ".join(
            str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        )
    assert "SEARCH" in plan
    assert "TEMP B-TREE" not in plan


def test_the_last_party_of_a_page_is_the_one_that_the_cursor_names(full):
    with full.begin() as session:
        found = list_parties(session, PageRequest(2))
    assert found.next_cursor == written(1, "parties", found.rows[-1].name)


def test_a_client_follows_every_cursor_and_keeps_the_filters():
    asked = []

    def get(path):
        asked.append(path)
        return {"items": [len(asked)], "next_cursor": None if len(asked) == 3 else f"c{len(asked)}"}

    assert list(every_item(get, "/v1/runs?state=running")) == [1, 2, 3]
    assert asked == [f"/v1/runs?state=running&limit=500{more}" for more in ("", "&cursor=c1", "&cursor=c2")]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"items": {}},
        {"items": [], "next_cursor": 1},
        {"items": [], "next_cursor": ""},
        {"items": [], "next_cursor": "x&state=other"},
        {"items": [], "next_cursor": "x" * 513},
    ],
)
def test_a_client_refuses_a_page_of_the_wrong_form(answer):
    with pytest.raises(DoudiError) as caught:
        list(every_item(lambda _: answer, "/v1/runs"))
    assert caught.value.code == "coordinator.bad_answer"


def test_a_client_does_not_follow_a_list_that_never_ends():
    asked = []

    def get(path):
        asked.append(path)
        return {"items": [], "next_cursor": "x"}

    with pytest.raises(DoudiError) as caught:
        list(every_item(get, "/v1/runs"))
    assert (caught.value.code, len(asked)) == ("coordinator.bad_answer", MAXIMUM_PAGES)
