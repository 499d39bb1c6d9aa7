"""report.html and the pages of runs: one file each, in English and Chinese, without script, network or files beside it.

Both languages stand in the page; two radio buttons choose with CSS alone. The content security policy allows one thing, this
page's own style sheet, by its hash. What comes from records is escaped by the template engine; marked safe in the templates are
only the pictures, whose words are escaped where they are drawn, and the style sheet. Same looks as the demo's pages.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from auditors.reporting.field_titles import count_title, hash_title
from auditors.reporting.period import FIRST_LATE_HOUR, FIRST_USUAL_HOUR, Period
from auditors.reporting.plots import draw_plots
from auditors.reporting.type_titles import type_title
from auditors.reporting.words import (
    ACCOUNTS,
    DAYS,
    LANGUAGES,
    OUTCOMES,
    RUN_STATES,
    SEVERITIES,
    Text,
    asset_title,
    finding_meaning,
    party_title,
    purpose_title,
)

LANGUAGE_TAGS = {"en": "en", "zh": "zh-Hans"}
_CODE = Markup("<code>{}</code>")
_TIME = Markup('<span class="time">{}</span>')
# Rows that a table shows; the rest stands in the JSON.
SHOWN_ROWS = 100


def render_report(document: Mapping[str, Any], zone: ZoneInfo, first_language: str = "en") -> str:
    """Return the page of a document that `build_document` made. Times are shown in the zone; one language is shown first."""
    return _render(
        "report.html.j2",
        zone,
        first_language=first_language,
        document=document,
        figures={language: draw_plots(document, language) for language in LANGUAGES},
        accounts=ACCOUNTS,
        days=DAYS,
        outcomes=OUTCOMES,
        run_states=RUN_STATES,
        severities=SEVERITIES,
        hours=(f"{FIRST_USUAL_HOUR:02d}:00", f"{FIRST_LATE_HOUR:02d}:00"),
    )


def render_lineage(document: Mapping[str, Any], zone: ZoneInfo, first_language: str = "en") -> str:
    """Return the page of a document that `lineage_document` made."""
    return _render("lineage.html.j2", zone, first_language=first_language, document=document, run_states=RUN_STATES)


def _render(template: str, zone: ZoneInfo, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("auditors.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    period = Period(zone)

    def time(seconds: int | None) -> str | Markup:
        local = period.local(seconds) if seconds is not None else None
        return "–" if local is None else _TIME.format(local.strftime("%Y-%m-%d %H:%M"))

    environment.globals["say"] = _say
    environment.filters.update(
        t=_translated,
        time=time,
        count=_count,
        milli=_milli,
        party=_title_of(party_title),
        asset=_title_of(asset_title),
        purpose=_title_of(purpose_title),
        kind=_title_of(type_title),
        count_title=_title_of(count_title),
        hash_title=_title_of(hash_title),
        meaning=_meaning,
    )
    style = environment.get_template("pages.css").render()
    return environment.get_template(template).render(
        languages=LANGUAGE_TAGS,
        shown=SHOWN_ROWS,
        zone=zone.key,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        **values,
    )


@pass_context
def _say(context: Context, en: str, zh: str) -> str:
    """Return the text in the language of the part of the page that is being written."""
    return {"en": en, "zh": zh}[context["language"]]


@pass_context
def _translated(context: Context, text: Mapping[str, str]) -> str:
    return text[context["language"]]


@pass_context
def _meaning(context: Context, finding: Mapping[str, Any]) -> Markup:
    """Return what a finding means; commands in backticks look like commands."""
    parts = finding_meaning(finding)[context["language"]].split("`")
    marked = (_CODE.format(part) if number % 2 else escape(part) for number, part in enumerate(parts))
    return Markup("").join(marked)


def _title_of(find: Callable[[Any], Text]) -> Callable[[Context, Any], str]:
    @pass_context
    def title(context: Context, name: Any) -> str:
        return find(name)[context["language"]]

    return title


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _milli(value: int | None) -> str:
    """Return thousandths as a number of three digits at most."""
    return "–" if value is None else f"{value / 1000:g}"
