"""The auditors' report and a run's lineage in a real browser: both languages, a phone's width, fonts, accessibility."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "auditors"))

from ledger_story import CRASHED, Story
from pictures import screenshot
from typer.testing import CliRunner

from auditors.cli import app

WIDTHS_PX = (360, 1440)
STANDARD = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with report.html and lineage.html, written by the commands."""
    made = tmp_path_factory.mktemp("auditors-pages")
    home = Story(made / "log").opened(made)
    report = CliRunner().invoke(app, ["report", "--home", str(home.path), "--out", str(made)])
    assert report.exit_code == 13, report.output
    lineage = CliRunner().invoke(
        app, ["lineage", CRASHED, "--home", str(home.path), "--html", str(made / "lineage.html")]
    )
    assert lineage.exit_code == 0, lineage.output
    return made


@pytest.fixture
def page_of(chromium: Any, folder: Path) -> Iterator[Any]:
    """Return a function that opens a page at a width in a language; no page may complain, nor ask for anything but its file."""
    complaints: list[str] = []
    contexts = []

    def opened(name: str, language: str, width_px: int) -> Any:
        context = chromium.new_context(viewport={"width": width_px, "height": 900}, java_script_enabled=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("request", lambda request: request.url.startswith("file:") or complaints.append(request.url))
        page.goto((folder / name).as_uri())
        page.locator(f"label[for=choose-{language}]").click()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("name", ["report.html", "lineage.html"])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_a_page_is_readable_at_every_width_in_both_languages(
    page_of: Any, name: str, language: str, width_px: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = page_of(name, language, width_px)
    screenshot(page, f"audit-{name.removesuffix('.html')}-{language}-{width_px}")
    other = {"en": "zh", "zh": "en"}[language]
    assert page.locator(f".part-{language}").is_visible()
    assert not page.locator(f".part-{other}").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width_px
    found = Axe().run(page, options={"runOnly": list(STANDARD)}).response["violations"]
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_of_pictures_stay_within_them_and_do_not_lie_over_each_other(page_of: Any, language: str) -> None:
    page = page_of("report.html", language, 1440)
    faults = page.evaluate(
        """language => {
          const faults = [];
          for (const svg of document.querySelectorAll(`.part-${language} figure svg`)) {
            const frame = svg.getBoundingClientRect();
            const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
            boxes.forEach(([words, box], at) => {
              if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
                faults.push(['outside', svg.getAttribute('aria-labelledby'), words]);
              for (const [other, second] of boxes.slice(at + 1))
                if (box.left < second.right - 1 && second.left < box.right - 1
                    && box.top < second.bottom - 4 && second.top < box.bottom - 4)
                  faults.push(['over', words, other]);
            });
          }
          return faults;
        }""",
        language,
    )
    assert faults == []


def test_chinese_characters_have_a_font_here(page_of: Any) -> None:
    page = page_of("report.html", "zh", 1440)
    # Without a font every character is the same box; with one, two characters are drawn differently.
    widths = page.evaluate(
        """() => {
          const canvas = document.createElement('canvas');
          canvas.width = canvas.height = 40;
          const pen = canvas.getContext('2d', {willReadFrequently: true});
          const drawn = character => {
            pen.clearRect(0, 0, 40, 40);
            pen.font = `30px ${getComputedStyle(document.body).fontFamily}`;
            pen.fillText(character, 2, 32);
            return pen.getImageData(0, 0, 40, 40).data.join();
          };
          return drawn('税') !== drawn('谁');
        }"""
    )
    assert widths
