"""The pages as text: self-contained, escaped, in both languages, with pictures that are sound SVG."""

import base64
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from copy import deepcopy
from zoneinfo import ZoneInfo

import pytest
from ledger_story import FINISHED, MONDAY, Story

from auditors.checkpoints_here import CheckpointsHere
from auditors.keys import all_keys
from auditors.lineage import lineage_document
from auditors.opened import OpenedRecords
from auditors.opening import OwnKeys
from auditors.opening_home import verified_terms
from auditors.reporting.document import Sources, build_document
from auditors.reporting.page import render_lineage, render_report
from auditors.reporting.period import Period
from auditors.reporting.plots import draw_plots
from auditors.reporting.svg import shortened, text_width
from auditors.verification.state import load_state

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    home = Story(folder / "log").opened(folder)
    with OpenedRecords.read(home.opened_file) as opened:
        checkpoints = CheckpointsHere(home.store, verified_terms(home))
        sources = Sources(opened, checkpoints, load_state(home), OwnKeys(all_keys(home)).ids)
        return build_document(sources, Period(SHANGHAI), MONDAY), lineage_document(opened, checkpoints, FINISHED)


@pytest.fixture(scope="module")
def pages(documents):
    return render_report(documents[0], SHANGHAI), render_lineage(documents[1], SHANGHAI)


def test_a_page_loads_nothing_and_runs_nothing(pages):
    for page in pages:
        assert "<script" not in page
        assert not re.search(r'(?:src|href)="(?!#)', page)
        assert not re.search(r"url\((?!#)", page)
        assert "@import" not in page
        (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
        (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        assert " style=" not in page


def test_both_languages_stand_in_the_page_and_none_is_left_out(pages):
    for page in pages:
        _, english, chinese = page.split("<article")
        assert not re.search(r"[\u4e00-\u9fff]", english)
        for words in ("Entry", "Time", "finished", "Results"):
            assert f">{words}<" not in chinese
        assert "数据管理中心" in chinese


def test_ids_and_links_within_a_page_are_sound(pages):
    for page in pages:
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert {target for target in re.findall(r'href="#([^"]+)"', page)} <= set(ids)
        assert {name for names in re.findall(r'aria-labelledby="([^"]+)"', page) for name in names.split()} <= set(ids)


def test_every_picture_is_sound_svg_with_title_and_words_in_its_language(documents):
    for language in ("en", "zh"):
        drawn = draw_plots(documents[0], language)
        assert set(drawn) == {"uses", "runs", "steps", "epsilon", "bits", "refusals", "numbering", "hours"}
        for picture in drawn.values():
            root = ElementTree.fromstring(picture)  # noqa: S314 - a picture of our own
            texts = ["".join(node.itertext()) for node in root]
            assert root.attrib["role"] == "img"
            assert all(texts[:2])
            width, height = (float(root.attrib[name]) for name in ("width", "height"))
            for shape in root.iter("{http://www.w3.org/2000/svg}rect"):
                x, y, w, h = (float(shape.attrib[name]) for name in ("x", "y", "width", "height"))
                assert 0 <= x <= x + w <= width + 1
                assert 0 <= y <= y + h <= height
    assert "税务" in draw_plots(documents[0], "zh")["numbering"]


def test_every_number_of_a_picture_stands_in_a_table(documents, pages):
    page = re.sub(r"<svg.*?</svg>", "", pages[0], flags=re.DOTALL)
    cells = set(re.findall(r">([\d.,]+)<", page))
    for name in ("uses", "runs", "steps", "bits", "refusals"):
        for words in re.findall(r"<text [^>]*>([^<]*)</text>", draw_plots(documents[0], "en")[name]):
            for number in re.findall(r"(?<![\w.#-])\d+(?![\w.-])", words):
                assert number in cells, (name, words)


def test_what_a_record_says_is_escaped_everywhere(documents):
    report, lineage = deepcopy(documents)
    report["uses"][0]["asset"] = report["uses"][0]["who"] = report["uses"][0]["purpose"] = HOSTILE
    report["uses"][0]["runs"] = 1
    report["refusals"][0]["code"] = report["refusals"][0]["who"] = HOSTILE
    report["runs"]["newest"][0]["run"] = report["runs"]["newest"][0]["code"] = HOSTILE
    report["budgets"][0]["department"] = report["numbering"][0]["producer"] = HOSTILE
    report["findings"][0]["detail"]["producer"] = HOSTILE
    report["findings"][0]["place"] = HOSTILE
    report["hours"]["newest_unusual"][0]["code"] = HOSTILE
    for acts in lineage["parts"].values():
        acts[0]["code"] = acts[0]["who"] = acts[0]["step"] = HOSTILE
        acts[0]["hashes"] = {HOSTILE: HOSTILE}
        acts[0]["counts"] = {HOSTILE: 1}
    lineage["run"] = lineage["project"] = HOSTILE
    for page in (render_report(report, SHANGHAI), render_lineage(lineage, SHANGHAI)):
        assert "<script" not in page
        assert "&lt;script&gt;" in page


def test_entries_that_were_not_verified_are_called_so(documents):
    document = {**documents[0], "verified_size": 100}
    page = render_report(document, SHANGHAI)
    assert "Not verified:" in page
    assert "未经核验" in page
    assert "Not verified:" not in render_report(documents[0], SHANGHAI)


def test_a_report_of_nothing_has_no_picture_and_says_so(documents):
    document = deepcopy(documents[0])
    document |= {"uses": [], "budgets": [], "refusals": [], "numbering": [], "findings": [], "steps_by_department": []}
    document |= {"witnesses": [], "shredded": []}
    document["runs"] = {"total": 0, "by_state": {}, "without_result": 0, "unknown_steps": 0, "newest": []}
    document["hours"] = {**document["hours"], "by_weekday_and_hour": [[0] * 24 for _ in range(7)], "newest_unusual": []}
    document["sign_ins"] = {"accounts": [], "changes": []}
    document["changes"] = {"total": 0, "newest": []}
    assert draw_plots(document, "en") == {}
    page = render_report(document, SHANGHAI)
    for words in ("Nothing was found.", "No use of data is recorded.", "No run is recorded.", "Nothing was refused."):
        assert words in page
    assert "nobody but the coordinator vouches for the log" in page


def test_long_lists_are_cut_and_say_how_many_there_are(documents):
    document = deepcopy(documents[0])
    document["findings"] = document["findings"][:1] * 250
    document["runs"]["newest"] = document["runs"]["newest"][:1] * 300
    document["runs"]["total"] = 4_321
    page = render_report(document, SHANGHAI)
    assert page.count("batch.shredded") == 2 * 100
    assert "4,321" in page


@pytest.mark.parametrize(
    "words", ["short", "a code.that_is_much_longer_than_any_label_may_be", "很长的中文标签会被截断的", ""]
)
def test_a_label_is_cut_to_its_width(words):
    cut = shortened(words, 120)
    assert text_width(cut) <= 120
    assert cut == words or (cut.endswith("…") and words.startswith(cut[:-1]))
