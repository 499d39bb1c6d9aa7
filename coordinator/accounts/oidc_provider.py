"""The identity provider as seen from here: OpenID Connect Core 1.0, authorization code flow with PKCE (RFC 7636, S256).

What the provider sends is untrusted until these checks passed, in this order: (1) the answer belongs to the question (state, and
`iss` after RFC 9207); (2) the code is exchanged, with the verifier that only we know; (3) the ID token is signed by a key of the
provider's key set, with an asymmetric algorithm; (4) its claims are for us, for this question and for now. Connections take no
settings from the environment, follow no redirect, and are bounded in time and size. May import authlib, joserfc and httpx.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from coordinator.accounts.bounded_http import ANSWER_TIMEOUT_S, BoundedTransport
from coordinator.accounts.secret_codes import same
from coordinator.accounts.settings import OidcSettings, require_safe_url
from crypto.errors import DoudiError

SCOPES = "openid profile"
CONNECT_TIMEOUT_S = 5.0
DOCUMENTS_KEPT_S = 3600.0
# A key set is asked for again when a signature needs it, but not as often as a stranger can send bad ones.
KEYS_KEPT_AT_LEAST_S = 60.0
CLOCK_TOLERANCE_S = 60
_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
_DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class Question:
    """What is asked of the provider once, and must come back in its answer. All three are random."""

    state: str
    nonce: str
    code_verifier: str


class OidcProvider:
    """One identity provider. Its documents are fetched when they are first needed and kept for an hour."""

    def __init__(
        self,
        settings: OidcSettings,
        client_secret: str | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._secret = client_secret
        self._monotonic = monotonic
        transport = BoundedTransport(httpx.HTTPTransport(verify=tls if tls is not None else True, trust_env=False))
        timeout = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        self._http = httpx.Client(transport=transport, timeout=timeout, trust_env=False)
        self._lock = Lock()
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def authorization_url(self, question: Question, redirect_uri: str) -> str:
        """Return the address where the browser is sent. Raises `oidc.unreachable` or `oidc.bad_answer`."""
        endpoint = self._endpoint("authorization_endpoint")
        url, _ = self._client(redirect_uri).create_authorization_url(
            endpoint, state=question.state, nonce=question.nonce, code_verifier=question.code_verifier
        )
        return str(url)

    def claims(self, question: Question, redirect_uri: str, answer: Mapping[str, str], now_s: int) -> Mapping[str, Any]:
        """Return the verified claims of the ID token that the provider gives for its answer to the question.

        `answer`: the query of the address to which the browser came back. Raises `account.oidc_refused`, `oidc.unreachable` or
        `oidc.bad_answer`.
        """
        # (1)
        self._require_answer(question, answer)
        # (2)
        try:
            token = self._client(redirect_uri).fetch_token(
                self._endpoint("token_endpoint"),
                grant_type="authorization_code",
                code=answer["code"],
                code_verifier=question.code_verifier,
            )
        except httpx.HTTPError:
            raise _unreachable() from None
        except AuthlibBaseError:
            # The provider does not know the code, or has given it out before.
            raise refused("the provider refused the code") from None
        except (ValueError, KeyError, TypeError):
            raise _bad_answer("the token answer is malformed") from None
        id_token, access_token = token.get("id_token"), token.get("access_token")
        if not isinstance(id_token, str):
            raise _bad_answer("there is no ID token")
        # (3)
        signed = self._verified(id_token)
        # (4)
        options = {
            "iss": {"essential": True, "value": self.settings.issuer},
            "aud": {"essential": True, "value": self.settings.client_id},
            "sub": {"essential": True},
            "nonce": {"essential": True, "value": question.nonce},
        }
        params = {"nonce": question.nonce, "client_id": self.settings.client_id, "access_token": access_token}
        try:
            claims = CodeIDToken(signed.claims, signed.header, options, params)
            claims.validate(now=now_s, leeway=CLOCK_TOLERANCE_S)
        except (JoseError, AuthlibBaseError, ValueError, TypeError):
            raise refused("the ID token is not for this sign-in") from None
        return dict(claims)

    def saw_two_factors(self, claims: Mapping[str, Any]) -> bool:
        """Return whether the provider says, or is known, to have seen two factors."""
        methods = claims.get("amr")
        named = set(methods) if isinstance(methods, list) and all(isinstance(name, str) for name in methods) else set()
        return (
            self.settings.counts_as_two_factors
            or claims.get("acr") in self.settings.accepted_acr
            or bool(named & set(self.settings.accepted_amr))
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _require_answer(self, question: Question, answer: Mapping[str, str]) -> None:
        if not same(question.state, answer.get("state", "")):
            raise refused("the answer belongs to another sign-in")
        wanted = self._documents().get("authorization_response_iss_parameter_supported") is True
        issuer = answer.get("iss")
        if issuer != self.settings.issuer and (wanted or issuer is not None):
            raise refused("the answer comes from another provider")
        if "error" in answer or not answer.get("code"):
            raise refused("the provider refused the sign-in")

    def _verified(self, id_token: str) -> jwt.Token:
        try:
            return jwt.decode(id_token, self._key_set(at_most_s=DOCUMENTS_KEPT_S), algorithms=_ALGORITHMS)
        except (JoseError, ValueError, KeyError, TypeError):
            pass
        try:
            # The provider may have new keys since.
            return jwt.decode(id_token, self._key_set(at_most_s=KEYS_KEPT_AT_LEAST_S), algorithms=_ALGORITHMS)
        except (JoseError, ValueError, KeyError, TypeError):
            raise refused("the ID token is not signed by the provider") from None

    def _key_set(self, *, at_most_s: float) -> KeySet:
        endpoint = self._endpoint("jwks_uri")
        with self._lock:
            if self._keys is None or self._monotonic() - self._keys[0] >= at_most_s:
                document = self._fetch(endpoint)
                try:
                    found = KeySet.import_key_set(document)  # type: ignore[arg-type]
                except (JoseError, ValueError, KeyError, TypeError, AttributeError):
                    raise _bad_answer("the key set is malformed") from None
                self._keys = (self._monotonic(), found)
            return self._keys[1]

    def _documents(self) -> Mapping[str, Any]:
        with self._lock:
            if self._metadata is None or self._monotonic() - self._metadata[0] >= DOCUMENTS_KEPT_S:
                document = self._fetch(self.settings.issuer.rstrip("/") + _DISCOVERY)
                if document.get("issuer") != self.settings.issuer:
                    raise _bad_answer("the discovery document is another issuer's")
                methods = document.get("code_challenge_methods_supported")
                if not isinstance(methods, list) or "S256" not in methods:
                    raise _bad_answer("the provider does not say that it checks S256")
                self._metadata = (self._monotonic(), document)
            return self._metadata[1]

    def _endpoint(self, name: str) -> str:
        endpoint = self._documents().get(name)
        try:
            if not isinstance(endpoint, str):
                raise ValueError("not an address")
            require_safe_url(endpoint)
            if self.settings.issuer.startswith("https:") and not endpoint.startswith("https:"):
                raise ValueError("less than the issuer's own address")
        except ValueError:
            raise _bad_answer("an endpoint is no https address") from None
        return endpoint

    def _fetch(self, url: str) -> dict[str, Any]:
        try:
            answer = self._http.get(url, headers={"Accept": "application/json"})
        except (httpx.HTTPError, httpx.InvalidURL):
            raise _unreachable() from None
        try:
            document = answer.json()
        except (ValueError, RecursionError):
            document = None
        if answer.status_code != 200 or not isinstance(document, dict):
            raise _bad_answer("a document is no JSON object")
        return document

    def _client(self, redirect_uri: str) -> "_Client":
        return _Client(
            self._http,
            client_id=self.settings.client_id,
            client_secret=self._secret,
            redirect_uri=redirect_uri,
            scope=SCOPES,
            code_challenge_method="S256",
        )


class _ClientAuth(ClientAuth, httpx.Auth):  # type: ignore[misc]
    """How we say who we are at the token endpoint: authlib's methods, for httpx."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        url, headers, body = self.prepare(request.method, str(request.url), request.headers, request.content)
        fresh = httpx.Request(request.method, url, headers=headers, content=body)
        fresh.extensions = request.extensions
        yield fresh


class _Client(OAuth2Client):  # type: ignore[misc]
    # authlib's own client for httpx takes another package, which is not installed, in its place where it can.
    client_auth_class = _ClientAuth


def refused(message: str) -> DoudiError:
    """Return the one refusal of a sign-in through the provider; the browser learns no more than its code."""
    return DoudiError("account.oidc_refused", message, "Begin the sign-in again.")


def _unreachable() -> DoudiError:
    return DoudiError("oidc.unreachable", "the identity provider does not answer", "Try again, or ask its operator.")


def _bad_answer(message: str) -> DoudiError:
    return DoudiError("oidc.bad_answer", f"the identity provider's answer is unusable: {message}", "Ask its operator.")
