"""The parts of the accounts that live as long as the program: keys, the pool for passwords, bounds, the identity provider.

Made once in the composition root, from the configuration and the files that it names.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, select

from coordinator.accounts.attempts import Limits
from coordinator.accounts.keys import AccountKeys, ensure_account_keys
from coordinator.accounts.models import AccountRow
from coordinator.accounts.passwords import PasswordPool
from coordinator.accounts.settings import AccountSettings, OidcSettings
from coordinator.db.session import read
from crypto.errors import DoudiError

if TYPE_CHECKING:
    from coordinator.accounts.oidc_provider import OidcProvider


@dataclass(frozen=True)
class AccountParts:
    """What the services of the accounts need besides a transaction. `provider`: none without `[oidc]`."""

    keys: AccountKeys
    passwords: PasswordPool
    limits: Limits
    provider: "OidcProvider | None"

    def close(self) -> None:
        """End threads and connections."""
        self.passwords.close()
        if self.provider is not None:
            self.provider.close()


def open_parts(home: Path, accounts: AccountSettings, oidc: OidcSettings, engine: Engine) -> AccountParts:
    """Return the parts. Makes the key file of an installation that has no account yet.

    Raises `config.missing_key`, `config.bad_key` or `config.missing_file`.
    """
    keys = open_keys(home, accounts, engine)
    pool = PasswordPool(
        threads=accounts.password_threads,
        queue=accounts.password_queue,
        memory_kib=accounts.password_memory_kib,
        passes=accounts.password_passes,
    )
    provider = _open_provider(home, oidc) if oidc.enabled else None
    return AccountParts(keys, pool, Limits(keys, accounts.attempts_per_address), provider)


def open_keys(home: Path, accounts: AccountSettings, engine: Engine) -> AccountKeys:
    """Return the keys in the key file, which is made if there is no account yet.

    Raises `config.missing_key` or `config.bad_key`.
    """
    with read(engine) as session:
        accounts_exist = session.scalar(select(AccountRow.number).limit(1)) is not None
    return ensure_account_keys(home / accounts.key_file, accounts_exist=accounts_exist)


def _open_provider(home: Path, oidc: OidcSettings) -> "OidcProvider":
    # Imported here: without a provider nothing of its libraries is loaded.
    from coordinator.accounts.oidc_provider import OidcProvider

    secret = None
    try:
        if oidc.client_secret_file:
            secret = (home / oidc.client_secret_file).read_text(encoding="utf-8").strip()
        tls = ssl.create_default_context(cafile=str(home / oidc.ca_file)) if oidc.ca_file else None
    except (OSError, ValueError):
        raise DoudiError(
            "config.missing_file", "a file that [oidc] names cannot be read", "Correct the path or the file's rights."
        ) from None
    return OidcProvider(oidc, secret, tls=tls)
