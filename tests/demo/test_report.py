"""The report: what must be in it, what must never be, and that the page needs nothing but itself."""

import base64
import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from crypto.errors import DoudiError
from demo.report import ReportSettings, build_document, summary_table, write_report
from demo.report.page import render_page

REQUIRED = {"auc_joined", "auc_sum_only", "auc_departments", "auc_pooled_reference", "epsilon_label"}
REQUIRED |= {"persons", "households", "seconds", "bytes_sent", "messages"}
SETTINGS = ReportSettings(
    region="kentucky",
    state="21",
    mode="both",
    split_seed=7,
    generated_at="2026-03-01T09:00:00Z",
    machine={"cores": 2},
    versions={"python": "3.11"},
)
REFERENCE = {"departments": {"civil_affairs": 0.79, "tax": 0.85, "housing": 0.74}, "pooled": 0.9}
HOSTILE = '<img src=x onerror="alert(1)">&[bold]'
SVG = re.compile(r"<svg .*?</svg>", re.DOTALL)


def cell(top: float, recall: float | None) -> dict[str, Any]:
    return {"top": top, "recall": recall, "interval": None if recall is None else [recall - 0.02, recall + 0.02]}


def group(name: str, recall: float | None) -> dict[str, Any]:
    count = None if recall is None else 77
    return {"group": name, "households": count, "positives": count, "recall": [cell(0.1, None), cell(0.2, recall)]}


def figures(auc: float) -> dict[str, Any]:
    return {
        "households": 400,
        "positives": 120,
        "auc": auc,
        "auc_interval": [auc - 0.02, auc + 0.02],
        "average_precision": 0.8,
        "brier": 0.13,
        "calibration": [{"predicted": 0.1, "observed": 0.12, "households": 200}],
        "recall": [cell(0.1, 0.25), cell(0.2, 0.45)],
        "subgroups": {
            "household_type": [group("married couple", 0.4), group("man living alone", None)],
            "area": [group(f"21{number:05}", None) for number in range(20)],
        },
        "contributions": {"tax": 0.8, "housing": 0.2, "own_columns": 0.5},
    }


def sent(step: str, receiver: str, kind: str, items: int, size: int) -> dict[str, Any]:
    return {"attempt": 1, "step": step, "receiver": receiver, "kind": kind, "items": items, "bytes": size}


def column(name: str, finding: dict[str, Any] | None, correlation: float | None) -> dict[str, Any]:
    reading = {"largest_share": finding, "most_telling": finding, "rank_correlation": correlation}
    return {"column": name, "kind": "number", **reading}


def supporting(people: int) -> dict[str, Any]:
    finding = {"value": "missing", "share": 1.0, "base_share": 0.3, "level": 3, "level_people": 60}
    reading = {
        "people": people,
        "levels": 16,
        "levels_before_merging": 32,
        "cap": {"max_share": 0.95, "max_rank_correlation": 1.0},
        "columns": [column("FINCP", finding, 0.8), column("VALP", None, None)],
    }
    training = {"people": people, "train_people": people * 8 // 10, "encoded_columns": 4, "seconds": 1.0}
    rows = [
        sent("blind", "civil_affairs", "blinded list", people, 40 * people),
        sent("finish", "coordinator", "pseudonyms", people, 32 * people),
        sent("train", "civil_affairs", "evidence levels", 1000, 17_000),
        sent("train", "civil_affairs", "masked sum vector", 1000, 18_000),
    ]
    return {"sent": rows, "reports": {"disclosure": reading, "training": training}}


def run_of() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return results and nodes of an invented run of both modes."""
    lists = {"civil_affairs": 900, "housing": 800, "tax": 500}
    lead = [
        sent("release", "coordinator", "sealed label bits", 1000, 17_000),
        sent("release", "tax", "key of the label bits", 1, 1400),
        sent("combine", "coordinator", "metrics", 600, 9_000),
    ]
    results = {
        "metrics": {
            "target": "public_coverage",
            "epsilon_milli": 1000,
            "households": 600,
            "persons": 900,
            "evidence": figures(0.88),
            "sum_only": figures(0.86),
        },
        "run": {
            "mode": "both",
            "persons": 900,
            "slots": 1000,
            "lists": lists,
            "departments": sorted(lists),
            "missing": {},
            "seconds": {"link": 20.0, "release": 0.5, "train": 1.0, "evidence": 2.0, "combine": 9.0, "total": 33.0},
            "bytes_sent": {"civil_affairs": 90_000, "housing": 80_000, "tax": 70_000, "coordinator": 210_000},
            "messages": 13,
        },
    }
    return results, {
        "civil_affairs": {"sent": lead, "reports": {}},
        "housing": supporting(800),
        "tax": supporting(500),
    }


def document_of(mode: str = "both", reference: Mapping[str, Any] | None = REFERENCE) -> dict[str, Any]:
    results, nodes = run_of()
    for name in {"evidence", "sum_only"} - {mode} if mode != "both" else set():
        del results["metrics"][name]
    if mode == "sum_only":
        for node in nodes.values():
            node["reports"].pop("disclosure", None)
    return build_document(replace(SETTINGS, mode=mode), results, nodes, reference, 61.0)


@pytest.fixture(scope="module")
def page() -> str:
    """Return the page of a run of both modes."""
    return render_page(document_of())


@pytest.fixture(scope="module")
def hostile_page() -> str:
    """Return the page of a sum-only run without reference, in which a department has a hostile name and one is missing."""
    results, nodes = run_of()
    del results["metrics"]["evidence"]
    results["metrics"]["sum_only"]["contributions"] = {HOSTILE: 0.8}
    run = results["run"]
    run["lists"][HOSTILE] = run["lists"].pop("tax")
    run["bytes_sent"][HOSTILE] = run["bytes_sent"].pop("tax")
    run["missing"] = {"housing": "node.timeout"}
    nodes[HOSTILE] = nodes.pop("tax")
    nodes[HOSTILE]["sent"][0]["kind"] = HOSTILE
    return render_page(build_document(replace(SETTINGS, mode="sum_only"), results, nodes, None, 61.0))


def text_of(page: str) -> str:
    return re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))


def test_every_required_key_exists_and_is_json() -> None:
    document = document_of()
    assert document.keys() >= REQUIRED
    assert " ".join(document["seconds"]) == "link release train evidence combine total"
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_figures_are_those_of_the_run() -> None:
    document = document_of()
    assert (document["auc_joined"], document["auc_sum_only"]) == (0.88, 0.86)
    assert document["auc_departments"] == REFERENCE["departments"]
    assert (document["best_department"], document["gain_over_best_department"]) == ("tax", 0.03)
    assert document["payload_bits_per_person"] == 8 * 450_000 / 900
    assert (document["epsilon_label"], document["persons"], document["households"]) == (1.0, 900, 600)


@pytest.mark.parametrize(
    ("mode", "null", "kept"), [("evidence", "auc_sum_only", "auc_joined"), ("sum_only", "auc_joined", "auc_sum_only")]
)
def test_a_mode_that_was_not_run_is_null(mode: str, null: str, kept: str) -> None:
    document = document_of(mode)
    assert document[null] is None
    assert document[kept] is not None
    assert [name for name, found in document["modes"].items() if found is not None] == [mode]
    assert (document["gain_over_best_department"] is None) == (mode == "sum_only")


def test_without_a_reference_nothing_is_invented() -> None:
    document = document_of(reference=None)
    assert document["auc_departments"] == {}
    assert document["auc_pooled_reference"] is None
    assert document["gain_over_best_department"] is None


def test_the_command_lines_spelling_of_a_mode_is_understood() -> None:
    results, nodes = run_of()
    settings = ReportSettings("kentucky", "21", "sum-only", "a published rule", epsilon=1.0)
    document = build_document(settings, results, nodes, None, 1.0)
    assert (document["mode"], document["split_seed"]) == ("sum_only", "a published rule")
    assert document["machine"]["cores"] >= 1
    assert document["generated_at"].endswith("+00:00")


def test_suppressed_cells_stay_null() -> None:
    rows = document_of()["modes"]["evidence"]["subgroups"]["household_type"]
    assert rows[1]["households"] is None
    assert all(found["recall"] is None and found["interval"] is None for found in rows[1]["recall"])


def test_a_run_without_metrics_is_no_report() -> None:
    results, nodes = run_of()
    with pytest.raises(DoudiError, match="no metrics"):
        build_document(SETTINGS, {"metrics": None, "run": results["run"]}, nodes, None, 1.0)


def test_the_lead_is_credited_with_its_register_only() -> None:
    lead = document_of()["learned"][0]
    received = {part["kind"]: part for part in lead["received"]}
    # Two departments sealed 1,000 slots of 17 bytes each; the cells of 900 people were passed on.
    assert received["evidence levels"]["bytes"] == 2 * 17 * 900
    assert received["union of pseudonyms"]["bytes"] == 32 * 1000
    assert lead["bytes_received"] == sum(part["bytes"] for part in lead["received"])
    assert "at most 8 bits per person" in lead["learned"][0]["en"]


def test_a_department_is_credited_with_the_cells_of_its_own_people() -> None:
    tax = next(entry for entry in document_of()["learned"] if entry["party"] == "tax")
    received = {part["kind"]: part["bytes"] for part in tax["received"]}
    assert received == {"key of the label bits": 1400, "slot numbers": 4 * 500, "sealed label bits": 17 * 500}


def test_every_collusion_of_the_trust_table_is_told() -> None:
    told = {entry["party"]: " ".join(text["en"] for text in entry["learned"]) for entry in document_of()["learned"]}
    assert "the randomised bit and the held-out flag" in told["coordinator_with_one_department"]
    assert "outside the lead's register" in told["coordinator_with_lead"]
    assert "blinding, sums and pseudonyms" in told["all_other_parties"]


def test_a_department_lost_before_the_release_learned_no_bits() -> None:
    housing = next(entry for entry in document_of()["learned"] if entry["party"] == "housing")
    assert housing["received"] == []
    assert "randomised bit" not in " ".join(text["en"] for text in housing["learned"])


def test_the_levels_of_a_lost_department_are_not_counted() -> None:
    results, nodes = run_of()
    results["run"]["missing"] = {"housing": "node.timeout"}
    document = build_document(SETTINGS, results, nodes, None, 1.0)
    assert "at most 4 bits per person" in document["learned"][0]["learned"][0]["en"]
    assert any("missing" in text["en"] for text in document["limits"])


def test_a_sum_only_run_tells_of_no_levels() -> None:
    document = document_of("sum_only")
    lead = document["learned"][0]
    assert "level" not in " ".join(text["en"] for text in lead["learned"])
    assert "evidence levels" not in {part["kind"] for part in lead["received"]}
    assert set(document["disclosure"].values()) == {None}


def test_what_was_sent_is_added_up_by_kind_and_receiver() -> None:
    results, nodes = run_of()
    nodes["tax"]["sent"].append(copy.deepcopy(nodes["tax"]["sent"][0]))
    rows = build_document(SETTINGS, results, nodes, None, 1.0)["sent"]["tax"]
    assert (rows[0]["kind"], rows[0]["items"], rows[0]["bytes"]) == ("blinded list", 1000, 40_000)


class Outline(HTMLParser):
    """Collects what a page could load or run, its ids, its links and its headings by language."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.headings: dict[str, int] = {}
        self._language = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "article":
            self._language = dict(attrs)["lang"] or ""
        if tag in ("h1", "h2", "h3"):
            self.headings[self._language] = self.headings.get(self._language, 0) + 1


def outline(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    return parsed


def test_the_page_loads_and_runs_nothing(page: str) -> None:
    parsed = outline(page)
    assert not parsed.tags & {"script", "iframe", "object", "embed", "link", "img", "form", "audio", "video"}
    for name, value in parsed.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "srcset", "action", "style", "xlink:href")
        if name == "href":
            assert value.startswith("#")
    assert not re.search(r"url\((?!#)", page)


def test_the_policy_allows_the_pages_own_style_and_nothing_else(page: str) -> None:
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert style is not None
    assert policy is not None
    allowed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1] == f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"


def test_every_link_has_its_target_and_ids_are_unique(page: str) -> None:
    parsed = outline(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {value[1:] for name, value in parsed.attributes if name == "href"} <= set(parsed.ids)


def test_every_picture_is_xml_with_title_and_description(page: str, hostile_page: str) -> None:
    pictures = SVG.findall(page) + SVG.findall(hostile_page)
    assert len(pictures) >= 30
    for picture in pictures:
        root = ElementTree.fromstring(picture)  # noqa: S314 - our own output
        texts = {child.tag.rpartition("}")[2]: child.text for child in root}
        assert texts["title"]
        assert texts["desc"]
        assert root.get("role") == "img"


def test_both_languages_say_the_same_things(page: str) -> None:
    headings = outline(page).headings
    assert set(headings) == {"en", "zh-Hans"}
    assert headings["en"] == headings["zh-Hans"] > 15
    assert "What each party learned" in page
    assert "各方得知了什么" in page
    english = page[page.index('<article class="part-en"') : page.index('<article class="part-zh"')]
    assert not re.search("[\u4e00-\u9fff]", text_of(english))


def test_suppressed_cells_never_become_numbers(page: str) -> None:
    text = text_of(page)
    assert "too few" in text
    assert "过少" in text
    assert not re.search(r"\b(null|nan|NaN|undefined)\b|\bNone\b(?! of them)", text)
    row = re.search(r">man living alone</th>(.*?)</tr>", page, re.DOTALL)
    assert row is not None
    assert not re.search(r"\d", text_of(row[1]))


def test_a_partition_of_which_nothing_is_shown_has_no_picture(page: str) -> None:
    assert "Found in the first 20%, by household type" in page
    assert "Found in the first 20%, by area" not in page
    assert "Every group is too small to show" in page


def test_names_are_escaped(hostile_page: str) -> None:
    assert "<img" not in hostile_page
    assert "&lt;img src=x" in hostile_page
    assert "img" not in outline(hostile_page).tags


def test_missing_departments_and_modes_are_said(hostile_page: str) -> None:
    assert "node.timeout" in hostile_page
    assert "The run finished without: Housing" in hostile_page
    assert "not run" in hostile_page
    assert "No reference was computed" in hostile_page


# --- files and terminal


def test_the_report_replaces_the_old_one_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setattr("demo.report.render_page", lambda document: page)
    folder = tmp_path / "demo-out"
    json_path, html_path = write_report(folder, document_of())
    assert json.loads(json_path.read_text("utf-8"))["auc_joined"] == 0.88
    assert html_path.read_text("utf-8") == page
    before = json_path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_report(folder, document_of() | {"auc_joined": float("nan")})
    assert json_path.read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize("mode", ["both", "sum_only"])
def test_the_terminal_table_is_narrow_and_bilingual(mode: str) -> None:
    document = document_of(mode)
    document["missing"] = {"housing": "node.timeout"}
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - closed with the process
    console.print(summary_table(document))
    shown = console.export_text()
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 100
    assert "仅税务" in shown
    assert "0.860" in shown
    assert "node.timeout" in shown
    assert ("not run 未运行" in shown) == (mode == "sum_only")
