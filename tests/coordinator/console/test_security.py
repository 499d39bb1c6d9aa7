"""What protects the console: headers on every answer, cookies, forms that others forged, addresses that lead elsewhere."""

import pytest
from console_people import PASSWORD, session_token

from coordinator.accounts.models import SessionRow
from coordinator.accounts.sessions import ROTATION_S
from coordinator.console import mounting
from coordinator.console.addresses import safe_back, with_query
from coordinator.console.security import HEADERS, require_csrf, require_visitor_csrf

CODE = "<code>{}</code>"
ADDRESSES = (
    "/",
    "/console",
    "/console/sign-in",
    "/console/enrol",
    "/console/nowhere",
    "/console/language/zh",
    "/console/language/fr",
    "/console/standards/tiers/core/99999999999999999999",
    "/console/static/console.css",
)


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_every_answer_bears_the_headers(browser, method, path):
    answer = browser.ask(method, path)
    assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
    assert answer.headers["cache-control"] == "no-store"
    assert "'unsafe" not in answer.headers["content-security-policy"]


def test_the_api_keeps_its_problem_documents(browser, code):
    assert code(browser.get("/v1/nowhere")) == "request.not_found"
    assert "content-security-policy" not in browser.get("/v1/nowhere").headers
    # Only what is below the folder is the console's.
    assert code(browser.get("/consoles")) == "request.not_found"


def test_a_refusal_is_a_page_with_what_happened_and_the_next_step(browser):
    answer = browser.get("/console/nowhere", **{"accept-language": "en"})
    assert answer.status_code == 404
    assert CODE.format("console.no_such_page") in answer.text
    assert "The console has no page at this address" in answer.text
    assert "Check the address, or start from the home page." in answer.text


def test_an_exception_ends_in_a_page_without_its_text(cheap_world, browser, person, signed_in):
    secret = "110101190001010019"

    def broken():
        raise RuntimeError(secret)

    cheap_world.app.router.routes.insert(0, _route("/console/broken", broken))
    answer = signed_in(person).get("/console/broken")
    assert answer.status_code == 500
    assert CODE.format("coordinator.internal_error") in answer.text
    assert secret not in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


def test_a_form_that_is_too_long_is_refused_with_a_page(browser):
    answer = browser.ask("POST", "/console/sign-in", data={"login_name": "x" * 2_000_000})
    assert answer.status_code == 413
    assert CODE.format("request.body_too_large") in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


def test_head_is_get_without_the_body(browser, signed_in, person):
    home = signed_in(person)
    assert home.ask("HEAD", "/console").status_code == 200
    assert home.ask("HEAD", "/console").content == b""
    assert browser.ask("HEAD", "/console/nowhere").status_code == 404
    assert browser.ask("HEAD", "/console").status_code == 303


def test_other_methods_are_refused_with_a_page(browser):
    for method, path in (("DELETE", "/console"), ("POST", "/console/standards"), ("GET", "/console/sign-out")):
        answer = browser.ask(method, path)
        assert answer.status_code in (404, 405)
        assert "<h1>" in answer.text


def test_without_a_session_pages_lead_to_the_sign_in_page_and_back(browser):
    answer = browser.get("/console/standards/tiers/core/1?x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/sign-in?back=%2Fconsole%2Fstandards%2Ftiers%2Fcore%2F1%3Fx%3D1"
    assert browser.post("/console/sign-out").headers["location"] == "/console/sign-in"


# Forged forms


def test_a_form_of_this_session_is_accepted(signed_in, person):
    home = signed_in(person)
    home.get("/console")
    answer = home.post(
        "/console/sign-out", **{"sec-fetch-site": "same-origin", "origin": "https://coordinator.example"}
    )
    assert answer.status_code == 303
    assert home.get("/console").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://elsewhere.example"},
        {"origin": "http://coordinator.example"},
        {"origin": "https://coordinator.example.elsewhere.example"},
    ],
)
def test_a_form_from_another_site_is_refused_even_with_the_secret(signed_in, person, headers):
    home = signed_in(person)
    home.get("/console")
    answer = home.post("/console/sign-out", **headers)
    assert answer.status_code == 403
    assert CODE.format("console.foreign_form") in answer.text
    assert home.get("/console").status_code == 200


@pytest.mark.parametrize("secret", ["", "x", "ä" * 43, None])
def test_a_form_without_the_secret_of_the_session_is_refused(signed_in, person, secret):
    home = signed_in(person)
    answer = home.ask("POST", "/console/sign-out", data={} if secret is None else {"csrf": secret})
    assert (answer.status_code, home.get("/console").status_code) == (403, 200)


def test_the_secret_of_another_session_is_refused(signed_in, person):
    mine, other = signed_in(person), signed_in(person)
    other.get("/console")
    mine.seen = other.seen
    assert mine.post("/console/sign-out").status_code == 403


def test_a_visitors_form_needs_the_secret_too(browser):
    fields = {"login_name": "li-na", "password": PASSWORD}
    browser.get("/console/sign-in")
    page = browser.seen
    browser.ask("POST", "/console/sign-in", data=fields)
    assert "form does not belong" in browser.seen
    browser.seen = page
    browser.post("/console/sign-in", fields)
    assert "Name, password or code are not right" in browser.seen
    # Another browser has another secret.
    browser.cookies.clear()
    browser.seen = page
    browser.post("/console/sign-in", fields)
    assert "form does not belong" in browser.seen


def test_every_form_is_checked(cheap_world):
    """No address of the console takes a form without asking for its secret."""
    unchecked = []
    for view in mounting._VIEWS:
        for route in view.router.routes:
            if "POST" in route.methods:
                asked = {dependency.call for dependency in _all_dependencies(route.dependant)}
                if not asked & {require_csrf, require_visitor_csrf}:
                    unchecked.append(route.path)
    assert unchecked == []


@pytest.mark.parametrize("body", [b"csrf=a&csrf=b", b"csrf=%ff", b"\xff\xfe", b"csrf=" + b"x" * 5000])
def test_a_malformed_form_is_refused_and_harms_nobody(signed_in, person, body):
    home = signed_in(person)
    kind = "application/x-www-form-urlencoded"
    answer = home.ask("POST", "/console/sign-out", content=body, headers={"content-type": kind})
    assert answer.status_code in (403, 422)
    assert home.get("/console").status_code == 200


def test_a_file_in_a_form_is_refused(signed_in, person):
    answer = signed_in(person).ask("POST", "/console/sign-out", files={"csrf": ("x.txt", b"x")})
    assert (answer.status_code, CODE.format("console.bad_form") in answer.text) == (422, True)


# Cookies


def test_the_sessions_cookie_is_for_this_host_over_tls_and_not_for_scripts(browser, context, person):
    browser.get("/console/sign-in")
    answer = browser.post("/console/sign-in", {"login_name": person.login_name, "password": PASSWORD})
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("__Host-doudi="))
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= parts
    assert not any(part.startswith("domain") for part in parts)


def test_an_older_sessions_token_changes_with_the_next_answer(cheap_world, context, person, signed_in):
    home = signed_in(person)
    before = home.cookies["__Host-doudi"]
    home.get("/console")
    assert home.cookies["__Host-doudi"] == before
    cheap_world.now += ROTATION_S
    # Also a refusal hands the new token out.
    assert home.get("/console/nowhere").status_code == 404
    after = home.cookies["__Host-doudi"]
    assert after != before
    cheap_world.now += 60
    assert home.get("/console").status_code == 200
    home.cookies.set("__Host-doudi", before, domain="coordinator.example", path="/")
    assert home.get("/console").status_code == 303


def test_signing_out_ends_the_session_here_and_in_the_browser(context, person, signed_in):
    home = signed_in(person)
    token = home.cookies["__Host-doudi"]
    home.get("/console")
    answer = home.post("/console/sign-out")
    assert answer.headers["location"] == "/console/sign-in?signed_out=1"
    assert "__Host-doudi" not in home.cookies
    with context.read() as session:
        assert session.query(SessionRow).count() == 1  # that of the enrolment
    home.cookies.set("__Host-doudi", token, domain="coordinator.example", path="/")
    assert home.get("/console").status_code == 303


def test_a_token_that_is_none_signs_nobody_in(browser, context, person):
    for token in ("x", "x" * 64, session_token(context, person)[:-1]):
        browser.cookies.set("__Host-doudi", token, domain="coordinator.example", path="/")
        assert browser.get("/console").status_code == 303


# Addresses that lead elsewhere

HOSTILE = (
    "https://elsewhere.example",
    "//elsewhere.example",
    "/\\elsewhere.example",
    "/console//elsewhere.example",
    "/console/\\elsewhere.example",
    "/console/../../elsewhere",
    "/consoles",
    "/v1/parties",
    "/console\nSet-Cookie: a=b",
    "/console?next=javascript:alert(1)<",
    "javascript:alert(1)",
    "/console/" + "x" * 600,
    "",
)


@pytest.mark.parametrize("wanted", HOSTILE)
def test_nobody_is_led_out_of_the_console(browser, wanted):
    assert safe_back(wanted) == "/console"
    answer = browser.ask("GET", "/console/language/zh", params={"back": wanted})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


@pytest.mark.parametrize(
    "wanted", ["/console", "/console?a=1", "/console/requests/12?after=x%3D", "/console/a-b_c.d~e"]
)
def test_within_the_console_one_is_led_back(wanted):
    assert safe_back(wanted) == wanted


def test_the_same_page_with_another_query():
    assert with_query("/console?a=1&b=2", b=None, c="x y") == "/console?a=1&c=x+y"


def test_signing_in_does_not_lead_elsewhere(browser, context, person, cheap_world):
    browser.get("/console/sign-in?back=https://elsewhere.example")
    fields = {"login_name": person.login_name, "password": PASSWORD, "back": "//elsewhere.example"}
    assert browser.post("/console/sign-in", fields).headers["location"] == "/console/sign-in/code"


# What was typed is text


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ('"><img src=x onerror=alert(1)>', "&#34;&gt;&lt;img src=x onerror=alert(1)&gt;"),
        ("{{ 7*7 }}", "{{ 7*7 }}"),
        ("%(x)s", "%(x)s"),
        ("' autofocus onfocus=alert(1) '", "&#39; autofocus onfocus=alert(1) &#39;"),
    ],
)
def test_what_was_typed_comes_back_as_text(browser, typed, shown):
    browser.get("/console/sign-in")
    answer = browser.post("/console/sign-in", {"login_name": typed, "password": "x"})
    assert answer.status_code == 403
    assert f'value="{shown}"' in answer.text


def test_an_address_is_never_quoted_as_markup(browser):
    for path in (
        "/console/<script>alert(1)</script>",
        "/console/sign-in?back=/console/<script>",
        "/console/x?<script>",
    ):
        assert "<script>" not in browser.get(path).text.replace("<script src=", "")


def test_static_files_are_served_by_the_name_that_the_pages_use(browser):
    page = browser.get("/console/sign-in").text
    for kind in ("console", "live", "icon"):
        start = page.index(f"/console/static/{kind}.")
        address = page[start : page.index('"', start)]
        answer = browser.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("console.0000000000000000.css", "..%2frendering.py", "%2e%2e/rendering.py", "console.css"):
        assert browser.get(f"/console/static/{name}").status_code == 404


def _all_dependencies(dependant):
    for dependency in dependant.dependencies:
        yield dependency
        yield from _all_dependencies(dependency)


def _route(path, endpoint):
    from fastapi.routing import APIRoute

    return APIRoute(path, endpoint)
