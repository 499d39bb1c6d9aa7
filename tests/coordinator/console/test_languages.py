"""The console's languages: `languages.py`, `messages.py`, and that the Chinese catalogues are whole."""

import re
import shutil

import pytest
from babel.messages.pofile import read_po
from starlette.requests import Request

from coordinator.console.languages import CHINESE, DOMAINS, ENGLISH, LANGUAGES, LOCALE_FOLDER, choose_language
from coordinator.console.messages import missing_messages, unused_messages, used_messages
from coordinator.console.titles import TITLES, title_of

NOON_S = 1_772_366_400  # 2026-03-01 12:00 UTC


def asked(*, query="", cookie="", accept=""):
    headers = [(b"accept-language", accept.encode()), (b"cookie", cookie.encode())]
    return choose_language(Request({"type": "http", "query_string": query.encode(), "headers": headers})).code


# The catalogues


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_text_has_a_chinese_translation_that_is_not_fuzzy(domain):
    assert [message.id for message in missing_messages(domain, "zh")] == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_catalogue_translates_what_nobody_says(domain):
    assert unused_messages(domain, "zh") == []


def test_the_extractor_finds_texts_of_templates_and_of_code():
    used = used_messages("console")
    assert "Sign in" in used  # a template
    assert "Centre officer" in used  # a table in code
    assert ("%(count)s day", "%(count)s days") in [message.id for message in used]


def test_a_text_that_is_missing_fuzzy_or_empty_is_found(tmp_path):
    """The search above finds nothing; this one has something to find."""
    folder = tmp_path / "zh" / "LC_MESSAGES"
    shutil.copytree(LOCALE_FOLDER / "zh" / "LC_MESSAGES", folder)
    whole = (folder / "console.po").read_text(encoding="utf-8")
    assert "Sign in" not in missing_of(tmp_path)
    for spoilt in (
        whole.replace('msgid "Sign in"\nmsgstr "登录"', 'msgid "Sign in"\nmsgstr ""'),
        whole.replace('msgid "Sign in"\nmsgstr "登录"', '#, fuzzy\nmsgid "Sign in"\nmsgstr "登录"'),
        whole.replace('msgid "Sign in"\nmsgstr "登录"', ""),
    ):
        assert spoilt != whole
        (folder / "console.po").write_text(spoilt, encoding="utf-8")
        assert "Sign in" in missing_of(tmp_path)


def missing_of(folder):
    return [message.id for message in missing_messages("console", "zh", folder)]


@pytest.mark.parametrize("path", sorted(LOCALE_FOLDER.rglob("*.po")), ids=lambda path: path.name)
def test_translations_keep_the_names_of_what_is_put_in(path):
    with path.open("rb") as source:
        for message in read_po(source, locale="zh"):
            if message.id:
                singular = message.id if isinstance(message.id, str) else message.id[-1]
                translated = message.string if isinstance(message.string, str) else message.string[0]
                names = set(re.findall(r"%\((\w+)\)s", singular))
                assert set(re.findall(r"%\((\w+)\)s", translated)) == names, singular


@pytest.mark.parametrize("path", sorted(LOCALE_FOLDER.rglob("*.po")), ids=lambda path: path.name)
def test_chinese_sentences_use_chinese_punctuation(path):
    with path.open("rb") as source:
        for message in read_po(source, locale="zh"):
            text = message.string if isinstance(message.string, str) else message.string[0]
            if message.id:
                assert not re.search(r"[一-鿿][,;:?!]", text), text
                assert not re.search(r"[一-鿿]\.$", text), text


def test_every_title_is_chinese_in_chinese():
    for kind, titles in TITLES.items():
        for name in titles:
            assert re.search(r"[一-鿿]", title_of(CHINESE, kind, name)), (kind, name)
    assert title_of(CHINESE, "party", "<b>") == "<b>"


# Which language


def test_the_address_goes_before_the_cookie_and_the_cookie_before_the_browser():
    everything = {"query": "lang=en", "cookie": "doudi-lang=zh", "accept": "zh-CN"}
    assert asked(**everything) == "en"
    assert asked(**{**everything, "query": ""}) == "zh"
    assert asked(accept="zh-CN") == "zh"
    assert asked() == "en"


def test_a_language_that_there_is_not_is_passed_over():
    assert asked(query="lang=fr", cookie="doudi-lang=xx", accept="fr, zh;q=0.5") == "zh"
    assert asked(query="lang=<script>", accept="fr") == "en"


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("zh-TW", "zh"),
        ("zh-Hans-CN", "zh"),
        ("fr-FR, en;q=0.3, zh;q=0.4", "zh"),
        ("zh;q=0, en", "en"),
        ("zh;q=9", "en"),
        ("zh;q=x, *", "en"),
        (",;,;q=," * 200, "en"),
    ],
)
def test_the_browsers_best_language_counts(accept, code):
    assert asked(accept=accept) == code


# Dates and numbers


def test_times_are_utc_and_say_so():
    assert ENGLISH.time(NOON_S) == '<time datetime="2026-03-01T12:00:00Z">1 Mar 2026, 12:00 UTC</time>'
    assert CHINESE.time(NOON_S) == '<time datetime="2026-03-01T12:00:00Z">2026年3月1日 12:00 UTC</time>'
    assert CHINESE.date(NOON_S) == '<time datetime="2026-03-01">2026年3月1日</time>'


def test_numbers_keep_their_digits_so_that_columns_align():
    assert ENGLISH.number(12345) == "12,345"
    assert ENGLISH.number(0.8, 3) == "0.800"
    assert (ENGLISH.percent(0.125), CHINESE.percent(0.125)) == ("12.5\u00a0%", "12.5%")
    assert (ENGLISH.size(999), ENGLISH.size(1_500), ENGLISH.size(2_500_000)) == ("999 B", "1.5 kB", "2.5 MB")


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (1, "1 second", "1 秒"),
        (59, "59 seconds", "59 秒"),
        (60, "1 minute", "1 分钟"),
        (90, "90 seconds", "90 秒"),
        (900, "15 minutes", "15 分钟"),
        (7200, "2 hours", "2 小时"),
        (180 * 86400, "180 days", "180 天"),
    ],
)
def test_lengths_of_time_are_in_one_unit(seconds, en, zh):
    assert (ENGLISH.duration(seconds), CHINESE.duration(seconds)) == (en, zh)


def test_both_languages_are_offered():
    assert [language.own_name for language in LANGUAGES.values()] == ["中文", "English"]
