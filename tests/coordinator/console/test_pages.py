"""The pages that everybody has, and the rules that every template keeps."""

import re

import pytest
from console_people import ROLES, enrolled
from jinja2 import DictLoader, UndefinedError
from markupsafe import Markup

from coordinator.console.charts import Bar, Budget, Series
from coordinator.console.diffs import diff_lines
from coordinator.console.home_cards import HomeCard, HomeContent, cards_for
from coordinator.console.languages import ENGLISH
from coordinator.console.navigation import MENU, Entry, Section, current_path, menu_for
from coordinator.console.rendering import ENVIRONMENTS
from policies.standards.loader import available_standards, load_dataset_standard
from policies.standards.tier_loader import available_tiers, load_tier

EN = {"accept-language": "en"}
ENVIRONMENT = ENVIRONMENTS["en"]
SOURCES = {name: ENVIRONMENT.loader.get_source(ENVIRONMENT, name)[0] for name in ENVIRONMENT.list_templates()}
HOSTILE = "<script>alert(1)</script>\"'"


# Rules of templates


@pytest.mark.parametrize("code", ENVIRONMENTS)
@pytest.mark.parametrize("name", SOURCES)
def test_every_template_is_sound(code, name):
    ENVIRONMENTS[code].get_template(name)


@pytest.mark.parametrize("name", SOURCES)
def test_a_template_holds_nothing_that_the_policy_refuses(name):
    source = SOURCES[name]
    assert not re.search(r"\sstyle\s*=", source)
    assert not re.search(r"<style", source)
    assert not re.search(r"\son[a-z]+\s*=", source)
    assert not re.search(r"<script(?! src=\"\{\{ static)", source)
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", source)
    assert not re.search(r"\|\s*safe\b", source)
    assert "autoescape" not in source


@pytest.mark.parametrize("name", SOURCES)
def test_every_form_that_is_posted_bears_its_secret(name):
    for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", SOURCES[name], re.DOTALL):
        assert "{{ csrf_field }}" in form


def test_what_is_not_given_fails_and_is_never_silently_empty():
    with pytest.raises(UndefinedError):
        ENVIRONMENT.from_string("{{ nothing }}").render()


# Macros

GALLERY = """
{% import "ui.html.j2" as ui with context %}
{% import "forms.html.j2" as forms with context %}
{% import "figures.html.j2" as figures with context %}
{% call ui.head(x, x, ui.badge("good", x), back=("/console", x)) %}{{ x }}{% endcall %}
{% call ui.notice("bad", x) %}{{ x }}{% endcall %}
{% set columns = {"a": {"title": x}, "b": {"title": x, "kind": "number"}} %}
{% call(row) ui.table(x, columns, [x, x]) %}{{ ui.head_cell(columns.a, row) }}{{ ui.cell(columns.b, row) }}{% endcall %}
{{ ui.facts([(x, x)]) }}{% call ui.empty(x) %}{{ x }}{% endcall %}{{ ui.pager(x, x) }}{{ ui.progress(x, 1, 2, live="k") }}
{{ ui.fingerprint(x) }}{{ ui.in_english(x) }}{% call ui.part(x, "p") %}{{ x }}{% endcall %}
{% call forms.form("/console/x", x, cancel="/console") %}
{{ forms.line("a", x, hint=x) }}{{ forms.text("b", x, hint=x) }}{{ forms.select("c", x, [(x, x)]) }}
{{ forms.choices("d", x, [(x, x, x)], several=true) }}
{% endcall %}
{% call forms.confirm("q", "/console/x", x, x, reason=x, hidden={"h": x}) %}{{ x }}{% endcall %}
{{ figures.bar_plot("p1", x, bars, x, x) }}{{ figures.budget_plot("p2", x, budgets, x) }}
{{ figures.line_plot("p3", x, series, x) }}{{ figures.timeline(x, [("current", x, 1, x)]) }}{{ figures.diff(x, lines) }}
"""


@pytest.mark.parametrize("code", ENVIRONMENTS)
def test_no_macro_lets_markup_through(code):
    environment = ENVIRONMENTS[code].overlay(loader=_with_gallery(code))
    values = {name: HOSTILE for name in "abcd"}
    shown = environment.get_template("gallery").render(
        x=HOSTILE,
        here="/console",
        csrf_field=Markup("<input name=csrf>"),
        errors={**values, "": HOSTILE, "reason": HOSTILE},
        given={**values, "d": [HOSTILE], "confirm": "q", "reason": HOSTILE},
        bars=[Bar(HOSTILE, 1, HOSTILE)],
        budgets=[Budget(HOSTILE, 1, 2, 3)],
        series=[Series(HOSTILE, [(1, 2), (2, 3)])],
        lines=diff_lines(HOSTILE, HOSTILE + HOSTILE),
    )
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    # No quote ends an attribute early.
    assert not re.search(r"<[a-z]+ [^>]*alert\(1\)[^>]*=[^\"]", shown.replace("&#39;", "").replace("&#34;", ""))
    assert shown.count("<input name=csrf>") == 2


def test_a_field_shows_what_was_typed_and_what_is_wrong_and_never_a_secret():
    template = ENVIRONMENT.from_string(
        '{% import "forms.html.j2" as forms with context %}{{ forms.line("a", "A") }}'
        '{{ forms.line("b", "B", type="password") }}'
    )
    shown = template.render(errors={"a": "Wrong."}, given={"a": "typed", "b": "secret"}, csrf_field="", here="/console")
    assert 'value="typed" ' in shown
    assert 'aria-describedby="error-a" aria-invalid="true"' in shown
    assert "secret" not in shown


def test_a_long_list_leads_on_and_back():
    template = ENVIRONMENT.from_string('{% import "ui.html.j2" as ui with context %}{{ ui.pager(next, cursor) }}')
    shown = template.render(next="b", cursor="a", here="/console/requests?state=open&cursor=a", errors={}, given={})
    assert 'href="/console/requests?state=open"' in shown
    assert 'href="/console/requests?state=open&amp;cursor=b"' in shown
    assert "<nav" not in template.render(next=None, cursor=None, here="/console", errors={}, given={})


def _with_gallery(code):
    loader = ENVIRONMENTS[code].loader
    names = {name: loader.get_source(ENVIRONMENTS[code], name)[0] for name in ENVIRONMENTS[code].list_templates()}
    return DictLoader({**names, "gallery": GALLERY})


# Home, menu, cards


@pytest.mark.parametrize("role", ROLES)
def test_everybody_has_a_home_page(context, signed_in, role):
    page = signed_in(enrolled(context, role.replace("_", "-"), ROLES[role], role)).get("/console", **EN)
    assert page.status_code == 200
    assert '<a href="/console" aria-current="page">Home</a>' in page.text
    # Whoever has nothing to do with departments hears nothing of them.
    oversees = role in ("centre_officer", "centre_approver", "auditor")
    assert ("<h2>Departments</h2>" in page.text) is oversees


def test_the_first_step_of_an_empty_system_is_told(signed_in, person):
    assert "doudi centre register" in signed_in(person).get("/console", **EN).text


def test_what_waits_stands_first_and_only_before_those_whom_it_concerns(context, person):
    def card(title, waiting, roles=None):
        return HomeCard(title, lambda *_: HomeContent("text", waiting=waiting), roles)

    silent = HomeCard("silent", lambda *_: None)
    cards = [card("a", False), card("b", True), card("c", True, frozenset({"auditor"})), silent]
    with context.read() as session:
        shown = cards_for(session, _user({"centre_officer"}), ENGLISH, cards)
    assert [title for title, _ in shown] == ["b", "a"]


def test_the_menu_shows_what_concerns_a_role():
    menu = (
        Section("one", (Entry("/console/a", "A", frozenset({"auditor"})),)),
        Section("two", (Entry("/console/b", "B"), Entry("/console/c", "C", frozenset({"scheduler"})))),
    )
    shown = menu_for(_user({"scheduler"}), menu)
    assert [(section.label, [entry.label for entry in section.entries]) for section in shown] == [("two", ["B", "C"])]


def test_the_menu_marks_the_page_that_an_address_belongs_to():
    assert current_path("/console") == "/console"
    assert current_path("/console/standards/tiers/core/1") == "/console/standards"
    assert current_path("/console/standardsX") == ""
    assert len({entry.path for section in MENU for entry in section.entries}) == sum(len(one.entries) for one in MENU)


def _user(roles):
    from types import SimpleNamespace

    return SimpleNamespace(principal=SimpleNamespace(roles=frozenset(roles)))


# Standards and tiers


def test_everything_that_is_published_can_be_looked_up(signed_in, person):
    home = signed_in(person)
    overview = home.get("/console/standards", **EN).text
    for name, version in available_standards():
        address = f"/console/standards/datasets/{name}/{version}"
        assert f'href="{address}"' in overview
        page = home.get(address, **EN)
        assert page.status_code == 200
        for column in load_dataset_standard(name, version).columns:
            assert f"<code>{column.name}</code>" in page.text
    for name, version in available_tiers():
        address = f"/console/standards/tiers/{name}/{version}"
        assert f'href="{address}"' in overview
        assert load_tier(name, version).title.en in home.get(address, **EN).text
    assert "social_assistance" in overview


@pytest.mark.parametrize("path", ["datasets/tax/2", "datasets/..%2f..%2fx/1", "datasets/nothing/1", "tiers/core/0"])
def test_what_is_not_published_is_not_found(signed_in, person, path):
    answer = signed_in(person).get(f"/console/standards/{path}")
    assert answer.status_code == 404
    assert "console.no_such_page" in answer.text


def test_the_hash_is_that_of_the_file(signed_in, person):
    page = signed_in(person).get("/console/standards/tiers/core/1").text
    shown = re.sub(r"<[^>]+>", "", re.search(r'class="fingerprint">(.*?)</code>', page)[1])
    assert shown == load_tier("core", 1).standard_hash()


# The language


def test_the_switch_leads_back_to_the_same_page_and_stays(signed_in, person):
    home = signed_in(person)
    page = home.get("/console/standards?x=1", **EN).text
    link = re.search(r'href="(/console/language/zh[^"]*)"', page)[1].replace("&amp;", "&")
    answer = home.get(link)
    assert answer.headers["location"] == "/console/standards?x=1"
    shown = home.get("/console/standards", **EN)
    assert '<html lang="zh-Hans">' in shown.text
    assert shown.headers["content-language"] == "zh-Hans"
    assert "标准与分级" in shown.text


def test_a_form_that_comes_back_is_switched_on_a_page_that_can_be_shown(browser):
    browser.get("/console/enrol")
    page = browser.post("/console/enrol/finish", {"code": "x"}, **EN).text
    assert 'href="/console/language/zh?back=%2Fconsole%2Fenrol"' in page


def test_lang_in_the_address_counts_at_once_and_is_kept(browser):
    assert "登录" in browser.get("/console/sign-in?lang=zh", **EN).text
    assert "登录" in browser.get("/console/sign-in", **EN).text
    # It does not come along in the links of the page.
    assert "lang%3D" not in browser.seen


def test_a_refusal_is_told_in_the_readers_language(browser):
    page = browser.get("/console/nowhere", **{"accept-language": "zh-CN"}).text
    assert "页面不存在" in page
    assert "请检查地址，或从首页重新进入。" in page
