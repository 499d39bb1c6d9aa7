"""An identity provider that lies or fails: `coordinator/accounts/oidc_provider.py`, `bounded_http.py`."""

import base64
import hmac
import socket
import time

import pytest
from false_provider import FalseProvider, send
from joserfc.jwk import RSAKey

from coordinator.accounts.oidc_provider import OidcProvider, Question
from coordinator.accounts.settings import OidcSettings
from crypto.errors import DoudiError

QUESTION = Question("s" * 43, "n" * 43, "v" * 43)
ANSWER = {"state": QUESTION.state, "code": "code"}
REDIRECT = "https://127.0.0.1:8443/back"
REFUSED, BAD, UNREACHABLE = "account.oidc_refused", "oidc.bad_answer", "oidc.unreachable"
NOW = int(time.time())


@pytest.fixture
def liar():
    made = FalseProvider(claims={"nonce": QUESTION.nonce})
    yield made
    made.close()


@pytest.fixture
def ours(liar):
    made = OidcProvider(OidcSettings(issuer=liar.issuer, client_id="doudi"))
    yield made
    made.close()


def code_of(function, *arguments):
    with pytest.raises(DoudiError) as caught:
        function(*arguments)
    return caught.value.code


def claims(ours, answer=ANSWER):
    return ours.claims(QUESTION, REDIRECT, answer, int(time.time()))


def test_the_double_is_believed_while_it_tells_the_truth(liar, ours):
    assert claims(ours)["sub"] == "person-1"
    assert liar.form["code_verifier"] == [QUESTION.code_verifier]
    assert liar.form["grant_type"] == ["authorization_code"]


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "x" * 43},
        {"nonce": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "neighbour"},
        {"aud": None},
        {"aud": ["doudi", "neighbour"]},
        {"aud": ["doudi", "neighbour"], "azp": "neighbour"},
        {"azp": "neighbour"},
        {"sub": None},
        {"sub": ""},
        {"exp": NOW - 3600},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"iat": NOW + 3600},
        {"nbf": NOW + 3600},
    ],
)
def test_a_token_with_other_claims_is_refused(liar, ours, changes):
    liar.claims |= changes
    assert code_of(claims, ours) == REFUSED


def test_a_token_for_several_readers_of_which_we_are_the_one_is_accepted(liar, ours):
    liar.claims |= {"aud": ["doudi", "neighbour"], "azp": "doudi"}
    assert claims(ours)["sub"] == "person-1"


def test_a_token_signed_by_somebody_else_is_refused(liar, ours):
    liar.key = RSAKey.generate_key(2048, {"kid": "one"})
    assert code_of(claims, ours) == REFUSED


@pytest.mark.filterwarnings("ignore:JWS algorithm")
def test_an_unsigned_token_is_refused(liar, ours):
    liar.header = {"alg": "none"}
    assert code_of(claims, ours) == REFUSED


def test_a_token_signed_with_the_public_key_as_a_password_is_refused(liar, ours):
    """The classic confusion: the provider's public key, known to all, used as the key of an HMAC."""

    def encoded(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims_part = liar.id_token().split(".")[1].encode()
    signed = encoded(b'{"alg":"HS256","kid":"one"}') + b"." + claims_part
    key = liar.published.as_pem(private=False)
    forged = signed + b"." + encoded(hmac.digest(key, signed, "sha256"))
    liar.documents["/token"] = {"access_token": "x", "token_type": "Bearer", "id_token": forged.decode()}
    assert code_of(claims, ours) == REFUSED


def test_new_keys_of_the_provider_are_fetched_but_not_for_every_bad_token(liar):
    now = [0.0]
    ours = OidcProvider(OidcSettings(issuer=liar.issuer, client_id="doudi"), monotonic=lambda: now[0])
    claims(ours)
    liar.published = RSAKey.generate_key(2048, {"kid": "two", "use": "sig", "alg": "RS256"})
    liar.header = {"alg": "RS256", "kid": "two"}
    assert code_of(claims, ours) == REFUSED
    assert liar.asked.count("/jwks") == 1
    now[0] = 61.0
    assert claims(ours)["sub"] == "person-1"
    assert liar.asked.count("/jwks") == 2
    ours.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://elsewhere.example"},
        {"issuer": None},
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": None},
        {"token_endpoint": None},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"token_endpoint": "file:///etc/hostname"},
        {"jwks_uri": 7},
    ],
)
def test_a_discovery_document_that_is_not_sound_is_refused(liar, ours, changes):
    liar.documents["/.well-known/openid-configuration"] = liar.discovery(**changes)
    assert code_of(claims, ours) == BAD


def test_an_https_issuer_cannot_name_a_plain_endpoint_on_this_host(liar):
    settings = OidcSettings(issuer="https://provider.example", client_id="doudi")
    ours = OidcProvider(settings)
    ours._metadata = (time.monotonic(), {"token_endpoint": "http://127.0.0.1:1/token"})
    assert code_of(ours._endpoint, "token_endpoint") == BAD
    ours.close()


@pytest.mark.parametrize(
    ("path", "document", "expected"),
    [
        ("/.well-known/openid-configuration", [], BAD),
        ("/jwks", [], BAD),
        ("/jwks", {"keys": "x"}, BAD),
        ("/jwks", {"keys": [{"kty": "x"}]}, BAD),
        ("/token", [], BAD),
        ("/token", {}, BAD),
        ("/token", {"id_token": 7}, BAD),
        ("/token", {"id_token": "x"}, REFUSED),
        ("/token", {"id_token": "a.b.c"}, REFUSED),
        ("/token", {"error": "invalid_grant"}, REFUSED),
    ],
)
def test_malformed_documents_are_refused(liar, ours, path, document, expected):
    liar.documents[path] = document
    assert code_of(claims, ours) == expected


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token"])
def test_answers_without_end_and_compressed_ones_are_cut_off(liar, ours, path):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"[" * 65536)
        except OSError:
            return

    liar.raw[path] = endless
    assert code_of(claims, ours) == UNREACHABLE
    liar.raw[path] = lambda handler: send(handler, b"x" * 100, Content_Encoding="gzip")
    assert code_of(claims, ours) == UNREACHABLE


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500])
def test_no_redirect_is_followed_and_no_error_page_is_read(liar, ours, status):
    def elsewhere(handler):
        send(handler, b"{}", status, Location=f"{liar.issuer}/elsewhere")

    liar.raw["/jwks"] = elsewhere
    assert code_of(claims, ours) == BAD
    assert "/elsewhere" not in liar.asked


def test_a_provider_that_does_not_answer_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    ours = OidcProvider(OidcSettings(issuer=f"http://127.0.0.1:{port}", client_id="doudi"))
    assert code_of(claims, ours) == UNREACHABLE
    ours.close()


def test_the_environments_proxy_is_not_used(liar, ours, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    fresh = OidcProvider(OidcSettings(issuer=liar.issuer, client_id="doudi"))
    assert claims(fresh)["sub"] == "person-1"
    fresh.close()
