"""From an account to the principal that the rules see. Pure."""

from coordinator.accounts.models import AccountRow
from coordinator.authorization.principals import Principal


def principal_of(account: AccountRow, *, two_factor: bool, scopes: frozenset[str] | None = None) -> Principal:
    """Return the account as a principal. Its roles are those of this moment, not those of its sign-in."""
    return Principal(
        kind="account",
        party=account.party,
        number=account.number,
        roles=frozenset(account.roles),
        two_factor=two_factor,
        scopes=scopes,
        active=account.state == "active",
    )
