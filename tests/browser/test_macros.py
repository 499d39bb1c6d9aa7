"""Every macro of `templates/` on one page: accessible, as wide as the screen, and without a word of style."""

import time

from jinja2 import ChoiceLoader, DictLoader
from markupsafe import Markup
from playwright.sync_api import expect

from coordinator.console.charts import Bar, Budget, Series
from coordinator.console.diffs import diff_lines
from coordinator.console.rendering import ENVIRONMENTS
from coordinator.console.security import HEADERS

GALLERY = """
{% extends "base.html.j2" %}
{% import "ui.html.j2" as ui with context %}
{% import "forms.html.j2" as forms with context %}
{% import "figures.html.j2" as figures with context %}
{% block title %}Gallery{% endblock %}
{% block content %}
{% call ui.head("Request 12", "Social assistance", ui.badge("waiting", "awaits the owner"), back=("/console", "Requests")) %}
{% call forms.confirm("approve", "/console/x", "Approve", "Approve the request", kind="primary") %}<p>Two sign.</p>{% endcall %}
{% call forms.confirm("refuse", "/console/x", "Refuse", "Refuse the request", reason="Reason") %}<p>Read by all.</p>{% endcall %}
{% endcall %}
{% for kind in ("info", "good", "warning", "bad") %}{{ ui.notice(kind, "Notice of the kind " ~ kind) }}{% endfor %}
<p>{% for kind in ("neutral", "waiting", "good", "warning", "bad") %}{{ ui.badge(kind, kind) }} {% endfor %}</p>
{% call ui.part("Plots", "plots") %}
{{ figures.bar_plot("auc", "AUC of each department", bars, "Department", "AUC", digits=3, maximum=1, note="1 is perfect.") }}
{{ figures.budget_plot("epsilon", "Privacy budgets", budgets, "Asset", note="Composed, never added.") }}
{{ figures.line_plot("norm", "Norm of the average", series, "Round", digits=2) }}
{% endcall %}
{% call ui.part("States", "states") %}
{{ figures.timeline("History", steps) }}{{ ui.progress("Steps", 3, 6, live="steps") }}
{{ ui.facts([("Hash", ui.fingerprint("4efe2d33d22b6184" * 4))]) }}
{% endcall %}
{% call ui.part("Change", "change") %}{{ figures.diff("Change of the rules", lines) }}{% endcall %}
{% call ui.part("Form", "form") %}
{% call forms.form("/console/x", "Save", cancel="/console") %}
{{ forms.line("title", "Title", hint="For people.") }}{{ forms.text("why", "Why", required=false) }}
{{ forms.select("tier", "Tier", [("a", "General data, level 4"), ("b", "Core data")]) }}
{{ forms.choices("operations", "Operations", [("link", "Link", ""), ("train", "Train", "Stays local.")], several=true) }}
{% endcall %}{% endcall %}
{% call ui.part("Empty", "empty") %}{% call ui.empty("Nothing waits for you.") %}<p>Requests appear here.</p>{% endcall %}
{{ ui.pager("b", "a") }}{% endcall %}
{% endblock %}
"""


def gallery():
    environment = ENVIRONMENTS["en"]
    overlay = environment.overlay(loader=ChoiceLoader([DictLoader({"gallery": GALLERY}), environment.loader]))
    now = int(time.time())
    return overlay.get_template("gallery").render(
        user=None,
        menu=[],
        menu_path="",
        here="/console",
        csrf_field=Markup('<input type="hidden" name="csrf" value="x">'),
        errors={"title": "Give a title."},
        given={"title": "x"},
        bars=[
            Bar("Tax", 0.812),
            Bar("Human resources and social security, employment", 0.774),
            Bar("Less", -0.2, "(lost)"),
        ],
        budgets=[Budget("tax-2026", 1.2, 3.4, 8), Budget("health-2026", 8.4, 9.1, 8), Budget("housing-2026", 0, 0, 8)],
        series=[
            Series(name, [(x, 1 / (x + shift)) for x in range(1, 31)]) for shift, name in enumerate(("Tax", "Health"))
        ],
        steps=[
            ("done", "Drafted", now, "account 12"),
            ("failed", "Refused", now, "Purpose unclear"),
            ("current", "Now", None, ""),
        ],
        lines=diff_lines("\n".join(f"permit {number};" for number in range(20)), "permit 0;\nforbid 1;\npermit 2;"),
    )


def test_every_macro_is_accessible(open_page, check_accessible):
    page = open_page("/console/sign-in")
    shown = gallery()
    assert "style=" not in shown
    page.route(
        "**/console/gallery", lambda route: route.fulfill(content_type="text/html", body=shown, headers=dict(HEADERS))
    )
    page.goto("/console/gallery")
    check_accessible(page, "macros", here=True)
    for question in page.locator("details > summary").all():
        question.click()
    expect(page.locator("details:not([open])")).to_have_count(0)
    check_accessible(page, "macros-open", here=True)
