"""`page`: how every page of the console is made. Jinja2 with escaping on and nothing undefined, one engine per language.

May import jinja2 and starlette. Marked as safe are only texts that this package made: charts, `<time>` elements, QR codes.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import iter_route_contexts
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.routing import Route

from coordinator.accounts.sessions import SignedIn
from coordinator.console import charts
from coordinator.console.addresses import CONSOLE, safe_back, with_query
from coordinator.console.languages import LANGUAGE_COOKIE, LANGUAGE_PARAMETER, LANGUAGES, Language, choose_language
from coordinator.console.navigation import current_path, menu_for
from coordinator.console.problems import NO_SUCH_PAGE
from coordinator.console.security import CSRF_FIELD, FORM_COOKIE, form_token, set_cookie
from coordinator.console.static_files import static_address
from coordinator.console.titles import title_of

_YEAR_S = 365 * 24 * 3600


def page(request: Request, template: str, user: SignedIn | None, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page. `template`: a file of `templates/`; `values`: what it shows, besides what every template has.

    Every template has `language`, `user` (or `None`), `here` (the address that shows this page, for links back to it),
    `csrf_field`, `menu`, `menu_path`, `languages`, `errors` and `given` (of a form: what is wrong, and what was typed), and
    the filters and functions of `_environment`. `here` can be given, for a page that answers a form whose address shows none.
    """
    language = choose_language(request)
    token = form_token(request, user)
    here = values.pop("here", None) or _address_of(request)
    content = (
        ENVIRONMENTS[language.code]
        .get_template(template)
        .render(
            user=user,
            here=here,
            csrf_field=Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, token),
            menu=menu_for(user) if user is not None else [],
            menu_path=current_path(here.partition("?")[0]),
            **{"errors": {}, "given": {}, **values},
        )
    )
    response = HTMLResponse(content, status, headers={"Content-Language": language.tag})
    if user is None and request.cookies.get(FORM_COOKIE) != token:
        set_cookie(response, FORM_COOKIE, token)
    if request.query_params.get(LANGUAGE_PARAMETER) == language.code:
        remember_language(response, language)
    return response


def remember_language(response: Response, language: Language) -> None:
    """Have the browser keep the language; no other cookie outlives the session."""
    set_cookie(response, LANGUAGE_COOKIE, language.code, _YEAR_S)


def own_svg(text: str) -> Markup:
    """Return an SVG that this program made, as it is. For nothing that came from outside."""
    return Markup(text)  # noqa: S704 - see above


def _address_of(request: Request) -> str:
    """Return the address that shows this page again: the request's own, unless it takes forms only."""
    query = request.scope.get("query_string", b"").decode("latin-1")
    own = with_query(f"{request.url.path}?{query}", **{LANGUAGE_PARAMETER: None})
    if request.method == "GET":
        return safe_back(own)
    for context in iter_route_contexts(request.app.routes):
        route = context.original_route
        if isinstance(route, Route) and "GET" in (route.methods or ()) and route.path_regex.match(request.url.path):
            return CONSOLE if route.name == NO_SUCH_PAGE else safe_back(own)
    return CONSOLE


def _environment(language: Language) -> Environment:
    """Return the engine of one language: texts, dates and numbers come out in it without a template saying so."""
    environment = Environment(
        loader=PackageLoader("coordinator.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    # The new style escapes what is put into a translated text, and a translation that lacks a name fails at once.
    environment.install_gettext_callables(language.gettext, language.ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(
        language=language,
        languages=list(LANGUAGES.values()),
        static=static_address,
        title_of=partial(title_of, language),
        bar_chart=partial(charts.bar_chart, language),
        budget_chart=partial(charts.budget_chart, language),
        line_chart=partial(charts.line_chart, language),
        with_query=with_query,
    )
    filters: Mapping[str, Any] = {
        "t": language.gettext,
        "either": language.either,
        "number": language.number,
        "percent": language.percent,
        "size": language.size,
        "duration": language.duration,
        "date": language.date,
        "time": language.time,
    }
    environment.filters.update(filters)
    return environment


ENVIRONMENTS: Mapping[str, Environment] = {code: _environment(language) for code, language in LANGUAGES.items()}
