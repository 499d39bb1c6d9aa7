"""The coordinator's configuration: `coordinator.toml` in its home folder. Unknown keys are refused.

The file is the only source: an environment variable that somebody forgot cannot change where the coordinator listens.
May import crypto and policies.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from coordinator.accounts.settings import AccountSettings, OidcSettings
from coordinator.grants.keys import CentreKeys
from coordinator.ledger.settings import LedgerSettings
from crypto.errors import DoudiError
from policies.contracts.base import KeyHex

CONFIG_FILE = "coordinator.toml"
LOOPBACK = "127.0.0.1"

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1, le=7 * 24 * 3600)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Limits(BaseModel):
    """Bounds on what parties may make the coordinator store or hold in memory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    max_draft_grants_per_project: Annotated[int, Field(ge=1)] = 16
    max_listed_rows: Annotated[int, Field(ge=1, le=10_000)] = 500
    max_connections: Annotated[int, Field(ge=1)] = 256
    # Of one principal: a node asks about once a second, and a program that needs more than this should be looked at.
    max_requests_per_minute: Annotated[int, Field(ge=1)] = 3_000


class CoordinatorConfig(BaseModel):
    """One coordinator. Paths are relative to the home folder; by default every address is on this host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Annotated[int, Field(ge=1, le=1)] = 1
    api_host: str = LOOPBACK
    api_port: Port = 8443
    public_url: str = "https://127.0.0.1:8443"
    # The SuperLink's Control API authenticates nobody, so it has no host setting: it stays on
    # loopback.
    superlink_api_port: Port = 9091
    fleet_host: str = LOOPBACK
    fleet_port: Port = 9092
    tls_certificate_file: str = "tls/server.pem"
    tls_key_file: str = "tls/server.key"
    tls_ca_file: str = "tls/ca.crt"
    database_url: str = ""
    superlink_database_file: str = "superlink.db"
    superlink_log_file: str = "superlink.log"
    superexec_secret_file: str = "superexec.secret"  # noqa: S105 - a file's name, not a secret
    runs_folder: str = "runs"
    step_timeout_s: Seconds = 900
    gathering_timeout_s: Seconds = 3600
    min_padding_percent: Percent = 1
    max_padding_percent: Percent = 3
    centre_api_key: KeyHex
    centre_approval_key: KeyHex
    centre_co_approval_keys: tuple[KeyHex, ...] = ()
    centre_revocation_key: KeyHex
    limits: Limits = Limits()
    accounts: AccountSettings = AccountSettings()
    oidc: OidcSettings = OidcSettings()
    ledger: LedgerSettings = LedgerSettings()

    _home: Path = PrivateAttr(default_factory=Path)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_padding_percent > self.max_padding_percent:
            raise ValueError("min_padding_percent is above max_padding_percent")
        if self.superlink_api_port == self.fleet_port:
            raise ValueError("the fleet port must not be the SuperLink's own port, which answers strangers")
        approvers = (self.centre_approval_key, *self.centre_co_approval_keys)
        keys = (self.centre_api_key, *approvers, self.centre_revocation_key)
        if len(set(keys)) != len(keys):
            raise ValueError("the centre's keys for requests, approvals and revocations must all be different")
        return self

    @property
    def centre_keys(self) -> CentreKeys:
        """The centre's public keys that grants name."""
        approvers = (self.centre_approval_key, *self.centre_co_approval_keys)
        return CentreKeys(approvers, self.centre_revocation_key)

    @property
    def home(self) -> Path:
        """The folder that the relative paths start from."""
        return self._home

    def path(self, name: str) -> Path:
        """Return a configured path, made absolute."""
        return (self._home / name).absolute()

    @property
    def resolved_database_url(self) -> str:
        """The database's address: the configured one, else a SQLite file in the home folder."""
        return self.database_url or f"sqlite:///{self.path('coordinator.db')}"

    def at_home(self, home: Path) -> Self:
        """Return the same configuration for a home folder."""
        copy = self.model_copy()
        copy._home = home.absolute()
        return copy


def parse_config(values: Mapping[str, object], home: Path) -> CoordinatorConfig:
    """Return the configuration in untrusted values. Raises `config.invalid`, which names the key, never its value."""
    try:
        return CoordinatorConfig.model_validate(dict(values)).at_home(home)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DoudiError("config.invalid", f"{CONFIG_FILE}: {where}: {first['msg']}", "Correct the file.") from None


def load_config(home: Path) -> CoordinatorConfig:
    """Return the configuration in a home folder. Raises `config.missing` or `config.invalid`."""
    path = home / CONFIG_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise DoudiError(
            "config.missing", f"{CONFIG_FILE} cannot be read in the home folder", "Run `doudi centre init` first."
        ) from None
    try:
        return parse_config(tomllib.loads(text), home)
    except tomllib.TOMLDecodeError:
        raise DoudiError("config.invalid", f"{CONFIG_FILE} is not TOML", "Correct the file.") from None


def write_config(config: CoordinatorConfig, home: Path) -> None:
    """Write every setting, so that an officer sees what is in force and not only what was changed."""
    values = config.model_dump(mode="json")
    sections = {name: values.pop(name) for name, value in list(values.items()) if isinstance(value, dict)}
    lines = ["# Doudi coordinator. Unknown keys are refused; paths are relative to this folder."]
    lines += [f"{name} = {_toml(value)}" for name, value in values.items()]
    for title, section in sections.items():
        lines += ["", f"[{title}]"] + [f"{name} = {_toml(value)}" for name, value in section.items()]
    (home / CONFIG_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: str | int | list[str]) -> str:
    if isinstance(value, int):
        # A boolean is an int to Python, and a word to TOML.
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
