"""The fixtures of the tests of accounts."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from identity_provider import IdentityProvider, install
from people import CHEAP, Town

from coordinator.accounts.settings import OidcSettings
from coordinator.config import parse_config

KEYS = {"centre_api_key": "11" * 32, "centre_approval_key": "22" * 32, "centre_revocation_key": "33" * 32}


@pytest.fixture
def town(tmp_path: Path, migrated: Path) -> Iterator[Town]:
    shutil.copy(migrated, tmp_path / "coordinator.db")
    made = Town(parse_config({**KEYS, "accounts": CHEAP.model_dump()}, tmp_path))
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
        towns.append(Town(config, OidcSettings.model_validate(settings), time.time()))
        return towns[-1]

    yield make
    for town in towns:
        town.close()
