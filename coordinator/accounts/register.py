"""The register of accounts: making one, its roles, its end, and new factors for it. Each act is recorded.

Whether somebody may do this is decided before, in `services.py`; the host's commands (`host.py`) need no leave. Called within a
transaction that the caller opens.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.accounts.attempts import forget_failures
from coordinator.accounts.enrolment import issue_code, withdraw_code
from coordinator.accounts.models import AccountRow
from coordinator.accounts.records import Actor, record_act
from coordinator.accounts.roles import require_roles
from coordinator.accounts.second_factor import forget_recovery_codes
from coordinator.accounts.sessions import end_all_sessions
from coordinator.accounts.tokens import revoke_all_tokens
from coordinator.db.session import now_s
from coordinator.events import EventType
from coordinator.parties.models import PartyRow
from crypto.errors import DoudiError

# At least three characters: passwords must not contain the name, which a shorter one would make impossible.
_LOGIN_NAME = re.compile(r"[a-z][a-z0-9._-]{2,62}")
_SUBJECT = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class NewAccount:
    """A wanted account. With an `oidc_issuer` the person signs in there; `oidc_subject`: the person there, if it is known."""

    login_name: str
    party: str
    roles: Collection[str]
    oidc_issuer: str | None = None
    oidc_subject: str | None = None


def add_account(session: Session, actor: Actor, wanted: NewAccount) -> tuple[AccountRow, str | None]:
    """Return a new account, and the one-time code with which its person enrols; none if the identity provider signs in.

    Raises `account.bad_login_name`, `account.name_in_use`, `account.subject_in_use`, `party.unknown`, or as `require_roles`.
    """
    require_login_name(wanted.login_name)
    if session.get(PartyRow, wanted.party) is None:
        raise DoudiError("party.unknown", "the account's party is not registered")
    roles = require_roles(wanted.party, wanted.roles)
    if session.scalar(select(AccountRow.number).where(AccountRow.login_name == wanted.login_name)) is not None:
        # Also the name of a disabled account: a name must not come to mean somebody else.
        raise DoudiError("account.name_in_use", "an account has or had this login name", "Choose another one.")
    _require_free_subject(session, wanted)
    now = now_s(session)
    account = AccountRow(
        login_name=wanted.login_name,
        party=wanted.party,
        roles=roles,
        state="invited",
        oidc_issuer=wanted.oidc_issuer,
        oidc_subject=wanted.oidc_subject,
        created_at=now,
        changed_at=now,
    )
    session.add(account)
    session.flush()
    record_act(session, EventType.ACCOUNT_CREATED, actor, account)
    return account, issue_code(session, account, "enrol") if wanted.oidc_issuer is None else None


def set_roles(session: Session, actor: Actor, account: AccountRow, roles: Collection[str]) -> None:
    """Give an account other roles and end its sessions. The same roles again change nothing.

    Raises `account.disabled`, or as `require_roles`.
    """
    _require_not_disabled(account)
    wanted = require_roles(account.party, roles)
    if wanted == account.roles:
        return
    account.roles, account.changed_at = wanted, now_s(session)
    # Whoever signs in again does so with the new roles in mind, and pages show nothing of the old ones.
    end_all_sessions(session, account.number)
    record_act(session, EventType.ACCOUNT_ROLES_CHANGED, actor, account)


def disable_account(session: Session, actor: Actor, account: AccountRow) -> None:
    """End an account for good: sessions, tokens and open code are void from here. Repeating it changes nothing."""
    if account.state == "disabled":
        return
    account.state, account.changed_at = "disabled", now_s(session)
    _forget_factors(session, account)
    record_act(session, EventType.ACCOUNT_DISABLED, actor, account)


def reset_account(session: Session, actor: Actor, account: AccountRow) -> str | None:
    """Return a one-time code with which the person sets new factors; the old ones, sessions and tokens are void from here.

    The factors of an account that the identity provider signs in are the provider's affair: there is no code. Raises
    `account.disabled`.
    """
    _require_not_disabled(account)
    account.changed_at = now_s(session)
    if account.oidc_issuer is None:
        account.state = "invited"
    _forget_factors(session, account)
    record_act(session, EventType.ACCOUNT_RESET, actor, account)
    return issue_code(session, account, "reset") if account.oidc_issuer is None else None


def require_login_name(name: str) -> None:
    """Raise `account.bad_login_name` for a name that no account can have."""
    if not _LOGIN_NAME.fullmatch(name):
        raise DoudiError(
            "account.bad_login_name",
            "a login name has 3 to 63 small letters, digits, '.', '-' or '_', and begins with a letter",
        )


def get_account(session: Session, number: int) -> AccountRow:
    """Return an account. Raises `account.unknown`."""
    account = session.get(AccountRow, number)
    if account is None:
        raise DoudiError("account.unknown", "there is no such account", "List the accounts.")
    return account


def _forget_factors(session: Session, account: AccountRow) -> None:
    account.password_hash, account.totp_sealed = None, None
    forget_failures(account)
    forget_recovery_codes(session, account)
    withdraw_code(session, account)
    end_all_sessions(session, account.number)
    revoke_all_tokens(session, account.number)
    session.flush()


def _require_free_subject(session: Session, wanted: NewAccount) -> None:
    if wanted.oidc_subject is None:
        return
    if wanted.oidc_issuer is None or not _SUBJECT.fullmatch(wanted.oidc_subject):
        raise DoudiError("account.bad_subject", "a subject is printable ASCII, and belongs to an identity provider")
    query = select(AccountRow.number).where(
        AccountRow.oidc_issuer == wanted.oidc_issuer, AccountRow.oidc_subject == wanted.oidc_subject
    )
    if session.scalar(query) is not None:
        raise DoudiError("account.subject_in_use", "another account belongs to this person at the identity provider")


def _require_not_disabled(account: AccountRow) -> None:
    if account.state == "disabled":
        raise DoudiError("account.disabled", "the account has ended", "Make a new one.")
