"""The key file of the accounts: seals what must be readable again, and hashes what could be guessed.

`accounts.key` lies beside the database and not in it: a copy of the database alone gives no second factor and no address of
anybody. May import crypto.
"""

import hmac
import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from crypto.domains import frame
from crypto.errors import DoudiError
from crypto.sealing import STORAGE_KEY_BYTES, generate_storage_key, open_at_rest, seal_at_rest

_TOTP_PLACE = (b"accounts", b"totp_sealed")
_OIDC_PLACE = (b"oidc", b"kept")


class AccountKeys:
    """What the key file is used for. It gives out no key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._subject_key = hmac.digest(key, b"doudi-attempts\x01", sha256)

    def seal_totp(self, account: int, secret: str) -> bytes:
        """Return a TOTP secret, sealed for this account's row only."""
        return seal_at_rest(self._key, frame(*_TOTP_PLACE, str(account).encode()), secret.encode())

    def open_totp(self, account: int, sealed: bytes) -> str:
        """Return the TOTP secret of an account. Raises `CryptoError` "crypto.cannot_open"."""
        return open_at_rest(self._key, frame(*_TOTP_PLACE, str(account).encode()), sealed).decode()

    def seal_oidc(self, state: bytes) -> bytes:
        """Return the state of a sign-in at the identity provider, sealed for the browser to keep."""
        return seal_at_rest(self._key, frame(*_OIDC_PLACE), state)

    def open_oidc(self, sealed: bytes) -> bytes:
        """Return the state that `seal_oidc` sealed. Raises `CryptoError` "crypto.cannot_open"."""
        return open_at_rest(self._key, frame(*_OIDC_PLACE), sealed)

    def subject_hash(self, kind: str, subject: str) -> str:
        """Return a name or an address as 64 hex characters that only this installation can compute."""
        return hmac.digest(self._subject_key, frame(kind.encode(), subject.encode()), sha256).hex()


def new_account_key() -> bytes:
    """Return the content of a new key file."""
    return generate_storage_key().hex().encode()


def load_account_keys(path: Path) -> AccountKeys:
    """Return the keys in a key file. Raises `config.missing_key` or `config.bad_key`."""
    try:
        data = path.read_bytes()
    except OSError:
        raise _missing_key(path) from None
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != STORAGE_KEY_BYTES:
        raise DoudiError(
            "config.bad_key", f"{path.name} is not a key", "Restore it from the backup of this home folder."
        )
    return AccountKeys(key)


def ensure_account_keys(path: Path, *, accounts_exist: bool) -> AccountKeys:
    """Return the keys in a key file, which is made for an installation that has no account yet.

    Raises `config.missing_key` when accounts exist and their key does not, or `config.bad_key`.
    """
    if not accounts_exist and not path.exists():
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(new_account_key())
        # Of two processes that start at once, one gives the name, and both read a whole file.
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return load_account_keys(path)


def _missing_key(path: Path) -> DoudiError:
    return DoudiError(
        "config.missing_key",
        f"{path.name} cannot be read, and without it no second factor can be checked",
        "Restore it from the backup of this home folder.",
    )
