"""The grid's page: the full case, aborted rounds, what is absent, both languages, and that it needs nothing but itself."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from demo.report.grid_page import render_grid_page, write_grid_page

REGIONS, DEPARTMENTS = ("east", "north", "west"), ("civil_affairs", "tax")
HOSTILE = '<img src=x onerror="alert(1)">&'
SVG = re.compile(r"<svg .*?</svg>", re.DOTALL)


def budget(asset: str, reserved: float = 2.99) -> dict[str, Any]:
    entry = {
        "run_id": "run-0123456789abcdef",
        "attempt": 1,
        "project_id": f"line-{asset}",
        "reserved_at": 1_795_470_969,
        "rounds_charged": 4,
        "rounds_reserved": 5,
        "state": "settled",
        "epsilon_alone": 2.99,
        "epsilon_after": 2.99,
        "per_round": {
            "mechanism": "discrete_gaussian",
            "rho_billionths": 18_473_077,
            "sample_rate_ppm": 1_000_000,
            "sigma_milli": 5203,
            "steps_per_round": 1,
        },
    }
    account = {"asset": asset, "attempts": 1, "cap_epsilon": 8.0, "delta": 1e-6, "history": [entry]}
    account |= {"epsilon_spent": 2.99, "epsilon_reserved": reserved}
    label = 1.0 if asset == "civil_affairs" else 0.0
    return {"lines": account, "labels_in_a_year": {"cap_epsilon": 8.0, "epsilon": label}}


def round_of(number: int, department: str) -> dict[str, Any]:
    return {
        "round": number,
        "attempt": 1,
        "survivors": [f"{region}-{department}" for region in REGIONS],
        "dropped": {},
        "silent": {},
        "seconds": 40.0 + number,
        "norm": 0.25,
        "clipped": False,
        "up": 42_300,
        "down": 244_000,
    }


def grid_document() -> dict[str, Any]:
    """Return the document of an invented grid of three regions and two departments."""
    nodes = [(region, department) for region in REGIONS for department in DEPARTMENTS]
    return {
        "format_version": 1,
        "epsilon": 3.0,
        "placement": "distributed",
        "members": [{"name": f"{region}-{name}", "region": region, "dataset": name} for region, name in nodes],
        "regions": {
            "east": {"people": 1707, "auc_alone": 0.787, "auc_from_lines": 0.806},
            "north": {"people": 1694, "auc_alone": 0.832, "auc_from_lines": 0.824},
            "west": {"people": 1771, "auc_alone": None, "auc_from_lines": 0.842},
        },
        "lines": {
            name: {
                "planned": 5,
                "done": 5,
                "rounds": [round_of(number, name) for number in range(1, 6)],
                "parameters": 225,
                "method": "secure",
                "placement": "distributed",
            }
            for name in DEPARTMENTS
        },
        "starts": {"east-tax": "line", "north-tax": "nothing"},
        "budgets": {f"{region}-{name}": budget(name) for region, name in nodes},
        "canary": {"lower_bound": 0.93, "accounted": 2.99, "canaries": 1000},
        "seconds": 766.0,
    }


def aborted_document() -> dict[str, Any]:
    """Return a grid in which a round of the tax line was aborted, and another was lost late."""
    document = grid_document()
    rounds = document["lines"]["tax"]["rounds"]
    rounds[2] |= {"survivors": rounds[2]["survivors"][:2], "dropped": {"west-tax": "node.timeout"}}
    rounds[2]["code"] = "line.too_few_survivors"
    del rounds[2]["norm"], rounds[2]["clipped"]
    rounds[3] |= {"silent": {"east-tax": "node.late"}, "clipped": True}
    # A long account has numbers in the place of names.
    rounds[4] |= {"survivors": 3, "dropped": 2, "silent": 0}
    document["lines"]["tax"]["done"] = 4
    document["budgets"]["east-tax"]["lines"]["epsilon_reserved"] = 4.4
    return document


@pytest.fixture(scope="module")
def page() -> str:
    """Return the page of the full case."""
    return render_grid_page(grid_document())


@pytest.fixture(scope="module")
def aborted_page() -> str:
    """Return the page of the grid with an aborted round."""
    return render_grid_page(aborted_document())


def part(page: str, language: str) -> str:
    found = re.search(rf'<article class="part-{language}".*?</article>', page, re.DOTALL)
    assert found is not None
    return found[0]


def text_of(page: str) -> str:
    shown = re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))
    return re.sub(r"\s+", " ", unescape(shown))


class Outline(HTMLParser):
    """Collects tags, attributes and ids, and the headings of each article."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.headings: dict[str, int] = {}
        self._language = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "article":
            self._language = dict(attrs)["lang"] or ""
        if tag in ("h1", "h2", "h3"):
            self.headings[self._language] = self.headings.get(self._language, 0) + 1


def test_the_figures_are_those_of_the_document(page: str) -> None:
    text = text_of(part(page, "en"))
    assert "Three regions first ran the main job, each by itself." in text
    assert "The AUC rose in 1 of 2 regions; the changes go from −0.008 to +0.019." in text
    assert "East 1,707 0.787 0.806 +0.019" in text
    assert "West 1,771 too few 0.842 –" in text
    assert "1 3 none 41.0 0.250 14.1 kB" in text
    assert "East, Tax 2.99 2.99 8 10⁻⁶" in text
    assert "discrete Gaussian, shared 5.203 1 4 / 5 2.99 2.99" in text
    assert "East, Tax its line's model" in text
    assert "about 1,700 people" in text


def test_what_epsilon_and_the_audit_mean_is_said(page: str) -> None:
    text = text_of(part(page, "en"))
    assert "composed by the accountant, never added; the ε of the label is another account" in text
    assert "ε is not below 0.93; accounted is 2.99" in text
    assert "a lower bound and no proof of privacy" in text
    assert "Of three departments each can subtract itself" in text
    assert "this attack found no defect" in text


def test_a_bound_above_the_accounted_epsilon_is_an_alarm() -> None:
    document = grid_document()
    document["canary"]["lower_bound"] = 3.5
    page = render_grid_page(document)
    assert '<p class="alert">The bound is above the accounted ε' in page
    assert "found no defect" not in page


def test_both_languages_say_the_same_things(page: str) -> None:
    headings = Outline(page).headings
    assert set(headings) == {"en", "zh-Hans"}
    assert headings["en"] == headings["zh-Hans"] >= 11
    assert len(SVG.findall(part(page, "en"))) == len(SVG.findall(part(page, "zh"))) == 3 + 2 * len(DEPARTMENTS)
    assert not re.search("[\u4e00-\u9fff]", text_of(part(page, "en")))
    for words in ("绝不相加", "不是隐私的证明", "每一方都能减去自身", "东区税务", "中止"):
        assert words in part(page, "zh")


def test_an_aborted_round_has_its_code_and_no_norm(aborted_page: str) -> None:
    text = text_of(part(aborted_page, "en"))
    assert "Round 3: line.too_few_survivors" in text
    assert "3 2 West, Tax : node.timeout" in text.replace("Tax:", "Tax :")
    assert "aborted line.too_few_survivors 43.0 – 14.1 kB" in text
    assert "node.late (after its update)" in text
    assert "5 3 2 45.0 0.250" in text
    assert "4 / 5" in text
    assert "4.40" in text
    assert not re.search(r"\b(None|null|nan|NaN|undefined)\b", text)


def test_a_missing_canary_and_missing_accounts_are_said() -> None:
    document = grid_document()
    for key in ("canary", "starts", "budgets", "seconds"):
        del document[key]
    text = text_of(part(render_grid_page(document), "en"))
    assert "No canary audit was made in this run." in text
    assert "There are no accounts of budgets." in text
    assert "lower bound" not in text


def test_an_empty_grid_and_a_line_without_rounds_render() -> None:
    empty = text_of(render_grid_page({"epsilon": 3.0, "members": [], "regions": {}, "lines": {}, "budgets": {}}))
    assert "No line was run." in empty
    assert "没有运行条线" in empty
    document = grid_document()
    document["lines"] = {"tax": {"planned": 5, "done": 0, "rounds": [], "method": "krum", "placement": "local"}}
    document["budgets"]["east-tax"]["lines"] |= {"history": [], "epsilon_spent": 0.0, "epsilon_reserved": 0.0}
    text = text_of(part(render_grid_page(document), "en"))
    assert "No round was played." in text
    assert "no line so far" in text
    assert "Each department's update, private by its local noise only" in text
    assert "subtract itself" not in text


def test_names_and_codes_are_escaped() -> None:
    document = aborted_document()
    document["lines"]["tax"]["rounds"][2] |= {"code": HOSTILE, "dropped": {HOSTILE: HOSTILE}}
    document["lines"][HOSTILE] = document["lines"].pop("civil_affairs")
    document["regions"][HOSTILE] = document["regions"].pop("east")
    document["budgets"][HOSTILE] = document["budgets"].pop("west-tax")
    document["starts"] = {HOSTILE: HOSTILE}
    page = render_grid_page(document)
    assert "<img" not in page
    assert "&lt;img src=x" in page
    assert "img" not in Outline(page).tags


def test_the_page_needs_nothing_but_itself(page: str, aborted_page: str) -> None:
    for one in (page, aborted_page):
        parsed = Outline(one)
        assert not parsed.tags & {"script", "iframe", "object", "embed", "link", "img", "form", "audio", "video"}
        ids = [value for name, value in parsed.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        for name, value in parsed.attributes:
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "action", "style", "xlink:href")
            if name == "href":
                assert value.startswith("#")
                assert value[1:] in ids
        assert set(re.findall(r"https?://[^\"'\s<]+", one)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
        assert not re.search(r"url\((?!#)", one)
        assert "default-src 'none'" in one


def test_every_picture_is_xml_with_title_and_description(aborted_page: str) -> None:
    for picture in SVG.findall(aborted_page):
        root = ElementTree.fromstring(picture)  # noqa: S314 - our own output
        texts = {child.tag.rpartition("}")[2]: child.text for child in root}
        assert texts["title"]
        assert texts["desc"]
        assert root.get("role") == "img"


def test_the_page_is_written_beside_the_data(tmp_path: Path, page: str) -> None:
    path = write_grid_page(tmp_path / "demo-out", grid_document())
    assert path == tmp_path / "demo-out" / "grid.html"
    assert path.read_text("utf-8") == page
    assert [one.name for one in path.parent.iterdir()] == ["grid.html"]
