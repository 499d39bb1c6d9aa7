"""What the administrator of the coordinator's host may do to accounts: make one for the centre's officer, and reset any.

Whoever can write the database file can do the same by hand; as commands it is recorded, and there is never a default password.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from coordinator.accounts.parts import open_keys
from coordinator.accounts.records import HOST
from coordinator.accounts.register import NewAccount, add_account, get_account, reset_account
from coordinator.accounts.roles import CENTRE, Role
from coordinator.config import CoordinatorConfig
from coordinator.db.session import Clock, begin, open_engine, require_known_schema
from coordinator.parties.services import ensure_centre
from crypto.errors import DoudiError


def add_administrator(config: CoordinatorConfig, login_name: str, clock: Clock = time.time) -> tuple[int, str]:
    """Return number and one-time code of a new account with the role `centre_officer`.

    Raises as `add_account`, or `db.unknown_schema`.
    """
    with _transaction(config, clock) as session:
        ensure_centre(session, config.centre_api_key)
        account, code = add_account(session, HOST, NewAccount(login_name, CENTRE, [Role.CENTRE_OFFICER]))
        return account.number, _code(code)


def reset_on_host(config: CoordinatorConfig, number: int, clock: Clock = time.time) -> str:
    """Return a one-time code with which the person of an account sets new factors. Ends sessions and tokens.

    Raises `account.unknown`, `account.disabled`, `account.signs_in_elsewhere` or `db.unknown_schema`.
    """
    with _transaction(config, clock) as session:
        return _code(reset_account(session, HOST, get_account(session, number)))


@contextmanager
def _transaction(config: CoordinatorConfig, clock: Clock) -> Iterator[Session]:
    engine = open_engine(config.resolved_database_url)
    try:
        require_known_schema(engine)
        # An installation of an earlier version has no key file yet; once there is an account, none is made any more.
        open_keys(config.home, config.accounts, engine)
        with begin(engine, clock) as session:
            yield session
    finally:
        engine.dispose()


def _code(code: str | None) -> str:
    if code is None:
        raise DoudiError(
            "account.signs_in_elsewhere",
            "the identity provider signs this account in, so there is nothing to reset here",
            "Reset the person's factors at the identity provider.",
        )
    return code
