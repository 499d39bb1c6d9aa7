"""The fixtures of the tests of accounts."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from identity_provider import IdentityProvider, install
from opened_records import Auditor
from people import CHEAP, START_S, Town

from coordinator.accounts.settings import OidcSettings
from coordinator.config import CoordinatorConfig, parse_config
from crypto.signing import generate_signing_key, signing_public_key

APPROVAL_KEY = generate_signing_key()
KEYS = {
    "centre_api_key": "11" * 32,
    "centre_approval_key": signing_public_key(APPROVAL_KEY).hex(),
    "centre_revocation_key": "33" * 32,
}


def founded(config: CoordinatorConfig) -> Auditor:
    """Return the auditor of a ledger that is founded for a coordinator's home."""
    auditor = Auditor()
    auditor.found(config.home, config.ledger, APPROVAL_KEY, START_S)
    return auditor


@pytest.fixture
def town(tmp_path: Path, migrated: Path) -> Iterator[Town]:
    shutil.copy(migrated, tmp_path / "coordinator.db")
    config = parse_config({**KEYS, "accounts": CHEAP.model_dump()}, tmp_path)
    made = Town(config, auditor=founded(config))
    yield made
    made.close()


@pytest.fixture(scope="session")
def identity_provider(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdentityProvider]:
    """A real OpenID Connect provider from npm, on a free port."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("OIDC against a real provider needs npm and node")
    cache = request.config.cache
    folder = cache.mkdir("identity-provider") if cache is not None else tmp_path_factory.mktemp("identity-provider")
    provider = IdentityProvider.start(install(folder))
    yield provider
    provider.stop()


@pytest.fixture
def provided_town(tmp_path: Path, migrated: Path, identity_provider: IdentityProvider) -> Iterator[Callable[..., Town]]:
    """Return towns that the identity provider signs people in to, with settings that a test changes; real time."""
    towns = []

    def make(**changes: object) -> Town:
        home = tmp_path / f"town-{len(towns)}"
        home.mkdir()
        shutil.copy(migrated, home / "coordinator.db")
        (home / "client.secret").write_text("a secret of tests\n")
        config = parse_config({**KEYS, "accounts": CHEAP.model_dump()}, home)
        settings = {"issuer": identity_provider.issuer, "client_id": "doudi", **changes}
        towns.append(Town(config, OidcSettings.model_validate(settings), time.time(), founded(config)))
        return towns[-1]

    yield make
    for town in towns:
        town.close()
