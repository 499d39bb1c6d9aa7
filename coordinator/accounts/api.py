"""/v1/accounts for those who administer accounts, /v1/account/tokens for everybody's own tokens."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from coordinator.accounts import services
from coordinator.accounts.enrolment import CODE_LIVES_S
from coordinator.accounts.models import AccountRow, ApiTokenRow
from coordinator.accounts.sign_in import sign_in_refused
from coordinator.accounts.tokens import LONGEST_DAYS
from coordinator.context import Context
from coordinator.db.session import now_s
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated, parsed
from policies.contracts.base import Document, Slug

router = APIRouter(prefix="/v1", tags=["accounts"])

AccountPath = Annotated[int, Path(ge=1, le=2**53, description="the account's number")]
TokenPath = Annotated[int, Path(ge=1, le=2**53, description="the token's number")]
Roles = Annotated[tuple[Slug, ...], Field(min_length=1, max_length=6)]
LoginName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{2,62}$")]
_ROLES = ("account.unknown_role", "account.role_of_other_party", "account.roles_not_segregated")


class AccountRequest(Document):
    """A new account. `signs_in`: with a password and an app here, or at the identity provider.

    `subject`: the person at the provider; empty lets the first sign-in with this login name count.
    """

    login_name: LoginName
    party: Slug
    roles: Roles
    signs_in: Literal["here", "provider"]
    subject: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{0,255}$")]


class RolesRequest(Document):
    """All roles that an account has from now on."""

    roles: Roles


class TokenRequest(Document):
    """A token for oneself. `code`: a second factor, that is six digits of the app or a recovery code."""

    label: Slug
    scopes: Annotated[tuple[Literal["read", "write"], ...], Field(min_length=1, max_length=2)]
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)]
    code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z -]{0,40}$")]


class AccountView(BaseModel):
    """An account as those see it who administer accounts. `locked_until`: no sign-in before, if it is in the future."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    login_name: str
    party: str
    roles: list[str]
    state: str
    signs_in: str
    locked_until: int | None
    created_at: int
    changed_at: int


class EnrolmentView(BaseModel):
    """An account with its one-time code, which is shown this once; none if the identity provider signs the person in."""

    account: AccountView
    enrolment_code: str | None
    expires_at: int | None


class TokenView(BaseModel):
    """An API token without its secret."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    label: str
    scopes: list[str]
    created_at: int
    expires_at: int
    revoked_at: int | None
    last_used_at: int | None


class NewTokenView(BaseModel):
    """A new token, which is shown this once."""

    token: str
    facts: TokenView


@router.get("/accounts", summary="List the accounts")
def list_accounts(principal: Authenticated, context: Context, wanted: PageQuery) -> Page[AccountView]:
    """Return all accounts by number, also those that ended: records name people by these numbers."""
    with context.read() as session:
        found = services.list_accounts(session, context, principal, wanted)
        return Page(items=[_account_view(row) for row in found.rows], next_cursor=found.next_cursor)


@router.get("/accounts/{number}", summary="Show an account", openapi_extra=operation("account.unknown"))
def get_account(principal: Authenticated, number: AccountPath, context: Context) -> AccountView:
    """Return one account: one's own, or any for those who administer accounts."""
    with context.read() as session:
        return _account_view(services.get_account(session, context, principal, number))


@router.post(
    "/accounts",
    status_code=201,
    summary="Make an account",
    openapi_extra=operation(
        "account.bad_login_name",
        "account.name_in_use",
        "account.bad_subject",
        "account.subject_in_use",
        "oidc.not_configured",
        "party.unknown",
        *_ROLES,
    ),
    response_model=EnrolmentView,
)
def create_account(
    principal: Authenticated,
    once: OnlyOnce,
    wanted: Annotated[AccountRequest, Depends(parsed(AccountRequest))],
    context: Context,
) -> Response:
    """Make an account and show its one-time code. Give the code to the person by another channel than the login name."""
    with context.begin() as session:
        account, code = services.create_account(
            session,
            context,
            principal,
            wanted.login_name,
            wanted.party,
            wanted.roles,
            at_provider=wanted.signs_in == "provider",
            subject=wanted.subject or None,
        )
        view = _enrolment_view(account, code, now_s(session))
        return once.answer(session, view, 201, secret=True)


@router.post(
    "/accounts/{number}/roles",
    summary="Change an account's roles",
    openapi_extra=operation("account.unknown", "account.disabled", *_ROLES),
    response_model=AccountView,
)
def change_roles(
    principal: Authenticated,
    once: OnlyOnce,
    number: AccountPath,
    wanted: Annotated[RolesRequest, Depends(parsed(RolesRequest))],
    context: Context,
) -> Response:
    """Give an account these roles in the place of those that it has. Ends its sessions. Nobody changes their own."""
    with context.begin() as session:
        account = services.change_roles(session, context, principal, number, wanted.roles)
        return once.answer(session, _account_view(account))


@router.post(
    "/accounts/{number}/disable",
    summary="End an account",
    openapi_extra=operation("account.unknown"),
    response_model=AccountView,
)
def disable_account(principal: Authenticated, once: OnlyOnce, number: AccountPath, context: Context) -> Response:
    """End an account for good, with its sessions and tokens. Number and login name are never given again."""
    with context.begin() as session:
        account = services.disable_account(session, context, principal, number)
        return once.answer(session, _account_view(account))


@router.post(
    "/accounts/{number}/reset",
    summary="Reset an account's factors",
    openapi_extra=operation("account.unknown", "account.disabled"),
    response_model=EnrolmentView,
)
def reset_account(principal: Authenticated, once: OnlyOnce, number: AccountPath, context: Context) -> Response:
    """Make password, second factor, sessions and tokens void, and show a one-time code for new factors. Nobody's own."""
    with context.begin() as session:
        account, code = services.reset_account(session, context, principal, number)
        return once.answer(session, _enrolment_view(account, code, now_s(session)), secret=True)


@router.get("/account/tokens", summary="List one's own tokens")
def list_tokens(principal: Authenticated, context: Context, wanted: PageQuery) -> Page[TokenView]:
    """Return one's own API tokens, newest first, also those that are void; never the tokens themselves."""
    with context.read() as session:
        found = services.list_tokens(session, context, principal, wanted)
        return Page(items=[_token_view(row) for row in found.rows], next_cursor=found.next_cursor)


@router.post(
    "/account/tokens",
    status_code=201,
    summary="Make a token for oneself",
    openapi_extra=operation(
        "account.sign_in_refused",
        "account.unknown",
        "token.bad_expiry",
        "token.bad_label",
        "token.bad_scopes",
        "token.needs_session",
        "token.too_many",
    ),
    response_model=NewTokenView,
)
def create_token(
    principal: Authenticated,
    once: OnlyOnce,
    wanted: Annotated[TokenRequest, Depends(parsed(TokenRequest))],
    context: Context,
) -> Response:
    """Make an API token and show it. It asks for a second factor: a token alone makes no other one."""
    with context.begin() as session:
        made = services.create_token(session, context, principal, wanted.label, wanted.scopes, wanted.days, wanted.code)
        if made is not None:
            token, row = made
            return once.answer(session, NewTokenView(token=token, facts=_token_view(row)), 201, secret=True)
    # Here the failure is durable.
    raise sign_in_refused()


@router.post(
    "/account/tokens/{number}/revoke",
    summary="Revoke one's own token",
    openapi_extra=operation("account.unknown", "token.unknown"),
    response_model=TokenView,
)
def revoke_token(principal: Authenticated, once: OnlyOnce, number: TokenPath, context: Context) -> Response:
    """Make a token void from now on. Repeating it changes nothing."""
    with context.begin() as session:
        row = services.revoke_token(session, context, principal, number)
        return once.answer(session, _token_view(row))


def _account_view(row: AccountRow) -> AccountView:
    return AccountView(
        number=row.number,
        login_name=row.login_name,
        party=row.party,
        roles=row.roles,
        state=row.state,
        signs_in="here" if row.oidc_issuer is None else "provider",
        locked_until=row.locked_until,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _enrolment_view(row: AccountRow, code: str | None, now: int) -> EnrolmentView:
    expires_at = now + CODE_LIVES_S if code is not None else None
    return EnrolmentView(account=_account_view(row), enrolment_code=code, expires_at=expires_at)


def _token_view(row: ApiTokenRow) -> TokenView:
    return TokenView(
        number=row.number,
        label=row.label,
        scopes=row.scopes.split(),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
