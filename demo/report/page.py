"""report.html: one self-contained page in English and Chinese, without script, network or any file beside it.

Both languages stand in the page; two radio buttons choose with CSS alone. The content security policy allows one thing, this
page's own style sheet, by its hash. Texts from a run (names of departments, codes) are escaped by the template engine. Marked
safe in the templates are only the pictures, whose texts the renderer escaped, and the style sheet.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from demo.report.opening import headline, opening_sentences
from demo.report.plots import SHOWN_TOP, draw_figures, main_figures, modes_run
from demo.report.words import LANGUAGES, MODE_TITLES, MODES, PHASES, partition_title, phase_title

__all__ = ["LANGUAGE_TAGS", "page_environment", "render_page", "style_facts"]

LANGUAGE_TAGS = {"en": "en", "zh": "zh-Hans"}
_KILO = 1000


def render_page(document: Mapping[str, Any]) -> str:
    """Return the page of a document that `build_document` made."""
    environment = page_environment()
    return environment.get_template("report.html.j2").render(
        document=document,
        figures={language: draw_figures(document, language) for language in LANGUAGES},
        headline=headline(document),
        languages=LANGUAGE_TAGS,
        mode_titles=MODE_TITLES,
        modes=MODES,
        modes_run=modes_run(document),
        main=main_figures(document),
        opening=opening_sentences(document),
        partition_title=partition_title,
        phases=[(phase, phase_title(phase)) for phase in PHASES],
        sent={name: _by_kind(rows) for name, rows in document["sent"].items()},
        shown_top=SHOWN_TOP,
        **style_facts(environment),
    )


def style_facts(environment: Environment) -> dict[str, str]:
    """Return the style sheet of a page and its hash, which the page's content security policy names."""
    style = environment.get_template("report.css").render()
    return {"style": style, "style_hash": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}


def page_environment() -> Environment:
    """Return the template engine of all pages, with their filters. Templates take `language` from what includes them."""
    environment = Environment(
        loader=PackageLoader("demo.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["say"] = _say
    environment.filters.update(
        t=_translated, auc=_auc, share=_share, span=_span, count=_count, size=_size, seconds=_seconds, bits=_bits
    )
    return environment


@pass_context
def _say(context: Context, en: str, zh: str) -> str:
    """Return the text in the language of the part of the page that is being written."""
    return {"en": en, "zh": zh}[context["language"]]


@pass_context
def _translated(context: Context, text: Mapping[str, str]) -> str:
    return text[context["language"]]


@pass_context
def _few(context: Context) -> Markup:
    """Return the sign for a cell that is suppressed: words, so that nobody reads it as zero."""
    words = {"en": "too few", "zh": "过少"}[context["language"]]
    return Markup('<span class="few">{}</span>').format(words)


@pass_context
def _auc(context: Context, value: float | None) -> str | Markup:
    few: Markup = _few(context)
    return few if value is None else f"{value:.3f}"


@pass_context
def _share(context: Context, value: float | None, digits: int = 1) -> str | Markup:
    few: Markup = _few(context)
    return few if value is None else f"{value:.{digits}%}"


@pass_context
def _count(context: Context, value: int | None) -> str | Markup:
    few: Markup = _few(context)
    return few if value is None else f"{value:,}"


def _span(interval: Sequence[float] | None, percent: bool = True) -> str:
    """Return "12.5–16.0%" or "0.840–0.907"; nothing for no interval."""
    if interval is None:
        return ""
    low, high = interval
    return f"{100 * low:.1f}–{100 * high:.1f}%" if percent else f"{low:.3f}–{high:.3f}"


def _size(value: int | None) -> str:
    """Return bytes in the unit that reads best, of 1,000 each."""
    if value is None:
        return "–"
    for unit, scale in (("MB", _KILO**2), ("kB", _KILO)):
        if value >= scale:
            return f"{value / scale:,.1f} {unit}"
    return f"{value} B"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} s"


def _bits(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _by_kind(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what a department sent, one entry per kind, with all its receivers."""
    totals: dict[str, dict[str, Any]] = {}
    for row in rows:
        empty = {"title": row["kind_title"], "receivers": [], "items": 0, "bytes": 0}
        entry = totals.setdefault(row["kind"], empty)
        if row["receiver_title"] not in entry["receivers"]:
            entry["receivers"].append(row["receiver_title"])
        entry["items"] += row["items"]
        entry["bytes"] += row["bytes"]
    return list(totals.values())
