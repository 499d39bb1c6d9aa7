"""Signing in through the identity provider: an account that exists already is bound to a person there, once.

The provider says who somebody is; what the person may do is decided here, so it never makes an account. An account is made
with the provider's issuer, and either with the person's subject or only with a login name: then the first sign-in whose token
bears that name in the configured claim binds its subject, and from then on only the subject counts.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.accounts.attempts import Attempt, TooManyAttempts
from coordinator.accounts.models import AccountRow
from coordinator.accounts.oidc_provider import OidcProvider, Question, refused
from coordinator.accounts.records import oneself, record_act
from coordinator.accounts.sessions import open_session
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.events import EventType
from crypto.errors import DoudiError

# How long somebody may take at the provider.
KEPT_S = 10 * 60
_MAXIMUM_SUBJECT_CHARACTERS = 255


def begin_oidc(context: AppContext, redirect_uri: str, *, language: str) -> tuple[str, str]:
    """Return the address at the provider, and what the browser must bring back: keep it in a cookie for ten minutes.

    The cookie has to be `SameSite=Lax`, because the provider's page leads back here. Raises `oidc.not_configured`,
    `oidc.unreachable` or `oidc.bad_answer`.
    """
    provider = _provider(context)
    question = Question(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(64))
    kept = {
        "state": question.state,
        "nonce": question.nonce,
        "code_verifier": question.code_verifier,
        "redirect_uri": redirect_uri,
        "language": language,
        "expires_at": int(context.clock()) + KEPT_S,
    }
    sealed = context.accounts.keys.seal_oidc(json.dumps(kept).encode())
    return provider.authorization_url(question, redirect_uri), base64.urlsafe_b64encode(sealed).decode("ascii")


def finish_oidc(context: AppContext, kept: str, answer: Mapping[str, str], *, address: str) -> str:
    """Return the token of the session in which the person is signed in now.

    `kept`: what `begin_oidc` gave; `answer`: the query of the address to which the provider led back. Raises
    `account.oidc_refused`, `account.second_factor_missing`, `account.too_many_attempts`, `oidc.not_configured`,
    `oidc.unreachable` or `oidc.bad_answer`.
    """
    provider, attempt = _provider(context), Attempt(address)
    with context.begin() as session:
        wait_s = context.accounts.limits.count(session, attempt)
    if wait_s:
        raise TooManyAttempts(wait_s)
    state = _open_kept(context, kept)
    question = Question(state["state"], state["nonce"], state["code_verifier"])
    claims = provider.claims(question, state["redirect_uri"], answer, int(context.clock()))
    if not provider.saw_two_factors(claims):
        raise DoudiError(
            "account.second_factor_missing",
            "the identity provider does not say that it saw two factors",
            "Sign in there with a second factor.",
        )
    with context.begin() as session:
        account = _account_of(session, provider, claims)
        context.accounts.limits.give_back(session, attempt)
        record_act(session, EventType.ACCOUNT_SIGNED_IN, oneself(account), account)
        return open_session(session, account, language=state["language"], two_factor=True)


def _account_of(session: Session, provider: OidcProvider, claims: Mapping[str, Any]) -> AccountRow:
    issuer, subject = provider.settings.issuer, claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= _MAXIMUM_SUBJECT_CHARACTERS:
        raise refused("the subject is malformed")
    mine = select(AccountRow).where(AccountRow.oidc_issuer == issuer)
    account = session.scalar(mine.where(AccountRow.oidc_subject == subject))
    if account is None:
        claim = provider.settings.login_name_claim
        name = claims.get(claim) if claim else None
        if isinstance(name, str):
            account = session.scalar(mine.where(AccountRow.oidc_subject.is_(None), AccountRow.login_name == name))
    if account is None or account.state not in ("invited", "active"):
        raise refused("no account here belongs to this person")
    if account.state == "invited":
        account.oidc_subject, account.state, account.changed_at = subject, "active", now_s(session)
        record_act(session, EventType.ACCOUNT_ENROLLED, oneself(account), account)
    return account


def _open_kept(context: AppContext, kept: str) -> dict[str, str]:
    try:
        state = json.loads(context.accounts.keys.open_oidc(base64.urlsafe_b64decode(kept)))
    except (DoudiError, binascii.Error, ValueError):
        raise refused("the browser brought back nothing of ours") from None
    if int(context.clock()) >= state.pop("expires_at"):
        raise refused("the sign-in took too long")
    found: dict[str, str] = state
    return found


def _provider(context: AppContext) -> OidcProvider:
    provider = context.accounts.provider
    if provider is None:
        raise DoudiError("oidc.not_configured", "there is no identity provider", "Sign in with a password.")
    return provider
