"""What signed-in people do with accounts and with their own tokens; the rules are asked before each act.

Called within a transaction that the caller opens. Raises `authorization.denied` besides what each function names.
"""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.accounts import register, tokens
from coordinator.accounts.models import AccountRow, ApiTokenRow
from coordinator.accounts.records import actor_of, record_act
from coordinator.accounts.register import NewAccount
from coordinator.accounts.sign_in import confirm_presence
from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import account_resource, system_resource
from coordinator.authorization.services import authorise
from coordinator.context import AppContext
from coordinator.events import EventType
from coordinator.paging import Order, PageRequest, Slice, page_of
from crypto.errors import DoudiError
from policies.authorization.engine import Entity

BY_NUMBER = Order("accounts", (AccountRow.number,))
NEWEST_TOKENS = Order("tokens", (ApiTokenRow.number,), newest_first=True)


def list_accounts(
    session: Session, context: AppContext, principal: Principal, wanted: PageRequest
) -> Slice[AccountRow]:
    """Return a page of all accounts, also those that ended: their numbers stand in records."""
    authorise(session, context, principal, "account.read", system_resource())
    return page_of(session, select(AccountRow), BY_NUMBER, wanted)


def get_account(session: Session, context: AppContext, principal: Principal, number: int) -> AccountRow:
    """Return an account: one's own, or any for who administers them. Raises `account.unknown`."""
    return _allowed(session, context, principal, "account.read", number)


def create_account(
    session: Session,
    context: AppContext,
    principal: Principal,
    login_name: str,
    party: str,
    roles: Collection[str],
    *,
    at_provider: bool = False,
    subject: str | None = None,
) -> tuple[AccountRow, str | None]:
    """Return a new account and its one-time code, which is shown this once.

    `at_provider`: the person signs in at the identity provider, and there is no code. Raises as `register.add_account`, or
    `oidc.not_configured`.
    """
    wanted = account_resource(None, party, roles)
    authorise(session, context, principal, "account.create", wanted, values={"new_roles": frozenset(roles)})
    issuer = _issuer(context) if at_provider else None
    return register.add_account(session, actor_of(principal), NewAccount(login_name, party, roles, issuer, subject))


def change_roles(
    session: Session, context: AppContext, principal: Principal, number: int, roles: Collection[str]
) -> AccountRow:
    """Give an account other roles, which ends its sessions. Raises as `register.set_roles`, or `account.unknown`."""
    account = _found(session, context, principal, number)
    values = {"new_roles": frozenset(roles)}
    authorise(session, context, principal, "account.change_roles", _resource(account), values=values)
    register.set_roles(session, actor_of(principal), account, roles)
    return account


def disable_account(session: Session, context: AppContext, principal: Principal, number: int) -> AccountRow:
    """End an account for good, with its sessions and tokens. Raises `account.unknown`."""
    account = _allowed(session, context, principal, "account.disable", number)
    register.disable_account(session, actor_of(principal), account)
    return account


def reset_account(
    session: Session, context: AppContext, principal: Principal, number: int
) -> tuple[AccountRow, str | None]:
    """Return the account and a one-time code for new factors; the old ones, sessions and tokens are void.

    Raises `account.unknown` or `account.disabled`.
    """
    account = _allowed(session, context, principal, "account.reset", number)
    return account, register.reset_account(session, actor_of(principal), account)


def create_token(
    session: Session,
    context: AppContext,
    principal: Principal,
    label: str,
    scopes: Collection[str],
    days: int,
    code: str,
) -> tuple[str, ApiTokenRow] | None:
    """Return a new token of one's own, which is shown this once, and its row; `None` if the second factor is wrong.

    `code`: a second factor, so that neither a stolen session nor a stolen token makes itself a token that lives on. Of somebody
    whom the identity provider signs in, the session stands in its place. The caller commits in either case: a wrong code
    counts as a failed sign-in. Raises `token.needs_session`, or as `tokens.make_token`.
    """
    account = _own_account(session, context, principal, "token.create")
    if account.oidc_issuer is not None:
        if principal.scopes is not None:
            raise DoudiError("token.needs_session", "a token cannot make a token for this account")
    elif not confirm_presence(session, context, account, code):
        return None
    made = tokens.make_token(session, account, label, scopes, days, two_factor=principal.two_factor)
    record_act(session, EventType.TOKEN_CREATED, actor_of(principal), account)
    return made


def list_tokens(session: Session, context: AppContext, principal: Principal, wanted: PageRequest) -> Slice[ApiTokenRow]:
    """Return a page of one's own tokens, newest first, also those that are void."""
    account = _own_account(session, context, principal, "account.read")
    return page_of(session, select(ApiTokenRow).where(ApiTokenRow.account == account.number), NEWEST_TOKENS, wanted)


def revoke_token(session: Session, context: AppContext, principal: Principal, number: int) -> ApiTokenRow:
    """Make one's own token void. Repeating it changes nothing. Raises `token.unknown`."""
    account = _own_account(session, context, principal, "token.revoke")
    if tokens.revoke_token(session, account.number, number):
        record_act(session, EventType.TOKEN_REVOKED, actor_of(principal), account)
    return session.get_one(ApiTokenRow, number)


def _found(session: Session, context: AppContext, principal: Principal, number: int) -> AccountRow:
    account = session.get(AccountRow, number)
    if account is None:
        # Whoever may not read accounts learns no number from the difference between two refusals.
        authorise(session, context, principal, "account.read", system_resource())
        return register.get_account(session, number)
    return account


def _allowed(session: Session, context: AppContext, principal: Principal, action: str, number: int) -> AccountRow:
    account = _found(session, context, principal, number)
    authorise(session, context, principal, action, _resource(account))
    return account


def _own_account(session: Session, context: AppContext, principal: Principal, action: str) -> AccountRow:
    """Return the account of the principal; a node and the centre's device have none, which the rules refuse."""
    resource = account_resource(principal.number, principal.party, principal.roles)
    authorise(session, context, principal, action, resource)
    return register.get_account(session, principal.number or 0)


def _resource(account: AccountRow) -> Entity:
    return account_resource(account.number, account.party, account.roles)


def _issuer(context: AppContext) -> str:
    provider = context.accounts.provider
    if provider is None:
        raise DoudiError("oidc.not_configured", "there is no identity provider", "Let the person enrol here.")
    return provider.settings.issuer
