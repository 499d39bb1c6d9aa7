"""The console's languages: texts by gettext, dates and numbers by CLDR. English is the source, Chinese a catalogue.

The catalogues are the `.po` files in `locale/`, compiled in memory when this module is loaded, so that no compiled file can be
older than its source. `console` holds what the pages say, `problems` what refusals say. May import babel, starlette
and policies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.dates import format_datetime
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from markupsafe import Markup
from starlette.requests import Request

from policies.standards.loader import BilingualText

LANGUAGE_COOKIE: Final = "doudi-lang"
LANGUAGE_PARAMETER: Final = "lang"
LOCALE_FOLDER = Path(__file__).parent / "locale"
DOMAINS = ("console", "problems")
_KILO = 1000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 24 * 3600
_MAX_ACCEPT_LANGUAGE_CHARACTERS = 500


def N_(text: str) -> str:
    """Return the text as it is, marked so that the extractor finds it; it is translated where it is shown."""
    return text


@dataclass(frozen=True)
class Language:
    """One language. `code`: in addresses and cookies; `tag`: in HTML (BCP 47); `own_name`: for the switch."""

    code: str
    tag: str
    own_name: str
    locale: Locale
    texts: NullTranslations
    problems: NullTranslations
    date_pattern: str
    time_pattern: str

    def gettext(self, text: str) -> str:
        """Return the text in this language."""
        return self.texts.gettext(text) if text else ""

    def ngettext(self, singular: str, plural: str, count: int) -> str:
        """Return the text that fits the count."""
        return self.texts.ngettext(singular, plural, count)

    def problem(self, text: str) -> str:
        """Return a text of the problem table in this language."""
        return self.problems.gettext(text) if text else ""

    def joined(self, sentences: Iterable[str]) -> str:
        """Return sentences as one text; Chinese has no space between them."""
        return ("" if self.code == "zh" else " ").join(sentences)

    def either(self, texts: BilingualText) -> str:
        """Return this language's text of a published pair."""
        return texts.zh if self.code == "zh" else texts.en

    def number(self, value: int | float, digits: int = 0) -> str:
        """Return "12,345" or, with `digits`, "0.891": always that many digits, so that columns align."""
        places = "." + "0" * digits if digits else ""
        return format_decimal(value, format=f"#,##0{places}", locale=self.locale)

    def percent(self, share: float, digits: int = 1) -> str:
        """Return a share of one as "12.5 %", in Chinese without the space."""
        space = "" if self.code == "zh" else "\u00a0"
        return f"{self.number(100 * share, digits)}{space}%"

    def size(self, size_bytes: int) -> str:
        """Return bytes in the unit that reads best, of 1,000 each."""
        for unit, scale in (("GB", _KILO**3), ("MB", _KILO**2), ("kB", _KILO)):
            if size_bytes >= scale:
                return f"{self.number(size_bytes / scale, 1)} {unit}"
        return f"{size_bytes} B"

    def duration(self, seconds: int | float) -> str:
        """Return a length of time in one unit, for example "15 minutes": the largest that divides it well."""
        for unit_s in (_DAY_S, _HOUR_S, _MINUTE_S):
            if seconds >= unit_s and (seconds % unit_s == 0 or seconds >= 3 * unit_s):
                return self._units(unit_s, round(seconds / unit_s))
        return self._units(1, round(seconds))

    def _units(self, unit_s: int, count: int) -> str:
        if unit_s == _DAY_S:
            text = self.ngettext("%(count)s day", "%(count)s days", count)
        elif unit_s == _HOUR_S:
            text = self.ngettext("%(count)s hour", "%(count)s hours", count)
        elif unit_s == _MINUTE_S:
            text = self.ngettext("%(count)s minute", "%(count)s minutes", count)
        else:
            text = self.ngettext("%(count)s second", "%(count)s seconds", count)
        return text % {"count": self.number(count)}

    def date(self, at_s: int) -> Markup:
        """Return a `<time>` element with the day, in UTC."""
        moment = datetime.fromtimestamp(at_s, UTC)
        shown = format_datetime(moment, self.date_pattern, locale=self.locale)
        return Markup('<time datetime="{}">{}</time>').format(moment.strftime("%Y-%m-%d"), shown)

    def time(self, at_s: int) -> Markup:
        """Return a `<time>` element with day and minute, labelled as UTC."""
        moment = datetime.fromtimestamp(at_s, UTC)
        shown = format_datetime(moment, self.time_pattern, locale=self.locale)
        return Markup('<time datetime="{}">{} UTC</time>').format(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), shown)


def read_catalogue(folder: Path, code: str, domain: str) -> Catalog:
    """Return what is written for a domain: `<domain>.po`, and `<domain>-<feature>.po` of features that keep their texts apart."""
    catalogue = Catalog(locale=code, domain=domain)
    for path in sorted((folder / code / "LC_MESSAGES").glob(f"{domain}*.po")):
        with path.open("rb") as source:
            for message in read_po(source, locale=code, domain=domain):
                if message.id:
                    catalogue[message.id] = message
    return catalogue


def compiled(folder: Path, code: str, domain: str) -> NullTranslations:
    """Return the translations of a domain; for English, which is the source, those that change nothing."""
    catalogue = read_catalogue(folder, code, domain)
    if not len(catalogue):
        return NullTranslations()
    binary = BytesIO()
    write_mo(binary, catalogue)
    binary.seek(0)
    return GNUTranslations(binary)


def _language(code: str, tag: str, own_name: str, locale: Locale, date_pattern: str) -> Language:
    texts, problems = (compiled(LOCALE_FOLDER, code, domain) for domain in DOMAINS)
    time_pattern = f"{date_pattern}, HH:mm" if code == "en" else f"{date_pattern} HH:mm"
    return Language(code, tag, own_name, locale, texts, problems, date_pattern, time_pattern)


ENGLISH = _language("en", "en", "English", Locale("en", "GB"), "d MMM y")
CHINESE = _language("zh", "zh-Hans", "中文", Locale("zh", "CN", script="Hans"), "y年M月d日")
LANGUAGES: Mapping[str, Language] = {language.code: language for language in (CHINESE, ENGLISH)}


def choose_language(request: Request) -> Language:
    """Return the language of an answer: what the address asks for, else what was chosen before, else the browser's.

    English when none of them names a language that there is.
    """
    for asked in (request.query_params.get(LANGUAGE_PARAMETER), request.cookies.get(LANGUAGE_COOKIE)):
        if asked is not None and asked in LANGUAGES:
            return LANGUAGES[asked]
    return _accepted(request.headers.get("accept-language", ""))


def _accepted(header: str) -> Language:
    """Return the best language of an `Accept-Language` header (RFC 9110, section 12.5.4)."""
    wishes: list[tuple[float, int, str]] = []
    for position, part in enumerate(header[:_MAX_ACCEPT_LANGUAGE_CHARACTERS].split(",")):
        tag, _, parameters = part.strip().partition(";")
        try:
            quality = float(parameters.strip().removeprefix("q=")) if parameters else 1.0
        except ValueError:
            continue
        if 0 < quality <= 1:
            wishes.append((-quality, position, tag.strip().lower().partition("-")[0]))
    for _, _, primary in sorted(wishes):
        if primary in LANGUAGES:
            return LANGUAGES[primary]
    return ENGLISH
