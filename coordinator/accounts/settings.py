"""The sections `[accounts]` and `[oidc]` of `coordinator.toml`. Unknown keys are refused, and so is what would weaken sign-in.

Bounds on guessing, lifetimes of sessions and the second factor are constants beside their code: no setting turns them off.
"""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_LOOPBACKS = frozenset({"127.0.0.1", "localhost", "::1"})
ClaimValue = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]


class AccountSettings(BaseModel):
    """What the host's size decides. The least costs are those that OWASP names for argon2id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key_file: str = "accounts.key"
    password_memory_kib: Annotated[int, Field(ge=19_456, le=4_194_304)] = 65_536
    password_passes: Annotated[int, Field(ge=2, le=100)] = 3
    password_threads: Annotated[int, Field(ge=1, le=16)] = 2
    password_queue: Annotated[int, Field(ge=1, le=256)] = 16
    # Everybody behind one gateway has one address; attempts that succeed are not counted.
    attempts_per_address: Annotated[int, Field(ge=5, le=10_000)] = 100


class OidcSettings(BaseModel):
    """An identity provider that signs people in. Without an `issuer` there is none.

    `login_name_claim`: claim of the ID token that is compared with the login name, when an account signs in for the first time;
    empty: only accounts that were made with a subject. `accepted_acr`, `accepted_amr`: one of these values in the token says
    that the provider saw two factors. `counts_as_two_factors`: every sign-in there is taken for that, which is right only if the
    provider asks everybody for both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Annotated[str, StringConstraints(max_length=200)] = ""
    client_id: Annotated[str, StringConstraints(max_length=200)] = ""
    client_secret_file: str = ""
    ca_file: str = ""
    login_name_claim: Annotated[str, StringConstraints(pattern=r"^[a-z_]{0,40}$")] = "preferred_username"
    accepted_acr: tuple[ClaimValue, ...] = ()
    accepted_amr: tuple[ClaimValue, ...] = ("mfa",)
    counts_as_two_factors: bool = False

    @property
    def enabled(self) -> bool:
        """Whether there is an identity provider."""
        return bool(self.issuer)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.enabled:
            return self
        require_safe_url(self.issuer)
        if not self.client_id:
            raise ValueError("an issuer needs a client_id")
        if not (self.accepted_acr or self.accepted_amr or self.counts_as_two_factors):
            raise ValueError("nothing says when the provider saw two factors, so nobody could sign in")
        return self


def require_safe_url(url: str) -> None:
    """Raise `ValueError` unless this is an https address without query; plain http is for a provider on this host only."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not an address") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACKS):
        raise ValueError("the address must begin with https://")
    if not host or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("the address must be a host with a path, and nothing more")
