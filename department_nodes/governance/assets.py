"""Registering this department's data asset: signed with the node's identity key, so that nobody else can register it.

The newest registration lies in the node's folder. Its revision grows with every change and is never used for two contents.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from command_line.documents import write_atomically
from command_line.paging import every_item
from crypto.errors import DoudiError
from department_nodes.client import CoordinatorClient
from department_nodes.engine import NodeEngine
from department_nodes.home import ASSET_FILE, IDENTITY_KEY, NodeHome
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.session import transaction
from policies.contracts.assets import AssetRegistration, SignedAsset, sign_asset
from policies.contracts.base import Slug
from policies.standards.loader import load_dataset_standard
from policies.standards.tier_loader import load_tier

ASSETS_PATH = "/v1/assets"
LOCK_FILE = "asset.lock"


def register(engine: NodeEngine, client: CoordinatorClient, *, withdrawn: bool = False) -> SignedAsset:
    """Register the asset, or its changes, in the catalogue, and return what is registered. Raises the coordinator's code."""
    signed = sign_registration(engine, withdrawn=withdrawn)
    try:
        answer = client.put_bytes(asset_path(signed.asset), signed.to_bytes())
    except DoudiError as error:
        if error.code != "asset.rollback":
            raise
        # This node was restored from a backup that is older than its registration: it counts on from there.
        above = _registered_by_this_node(engine.home, client, signed.asset).asset.revision
        signed = sign_registration(engine, withdrawn=withdrawn, anew=True, above=above)
        answer = client.put_bytes(asset_path(signed.asset), signed.to_bytes())
    # An operator may have withdrawn it at the console, which this node was not told: only a new revision brings it back.
    if not withdrawn and isinstance(answer, dict) and answer.get("withdrawn") is True:
        signed = sign_registration(engine, anew=True)
        client.put_bytes(asset_path(signed.asset), signed.to_bytes())
    return signed


def sign_registration(
    engine: NodeEngine, *, withdrawn: bool = False, anew: bool = False, above: int = 0
) -> SignedAsset:
    """Return the asset as configuration and extract have it now, signed: the stored registration where nothing changed.

    `withdrawn`: no request may name it any more. `anew`: with a new revision in any case, higher than `above`. Raises
    `extract.faults`, for a registration says how many people there are.
    """
    home, now_s = engine.home, int(engine.clock())
    # The running node registers, and an operator does: two contents with one revision would leave one of them refused for ever.
    with _exclusively(home):
        known = known_registration(home)
        revision = max(known.asset.revision if known is not None else 0, above) + 1
        asset = _present_asset(engine, revision, now_s, withdrawn)
        if known is not None and not anew and _same_content(known.asset, asset):
            return known
        signed = sign_asset(asset, home.key(IDENTITY_KEY))
        # Before it is sent: from here the revision is taken, and a crash sends these bytes again, no others with its number.
        write_atomically(home.path / ASSET_FILE, signed.to_bytes(), 0o644)
        with transaction(engine.db) as session:
            counts = {"revision": revision, "people": asset.people, "withdrawn": int(withdrawn)}
            named = (f"{asset.owner}/{asset.dataset}",)
            record(session, Event(EventType.ASSET_SIGNED, now_s, counts=counts, assets=named))
        return signed


def known_registration(home: NodeHome) -> SignedAsset | None:
    """Return the newest registration of this node. Raises `document.malformed` for a file that somebody damaged."""
    path = home.path / ASSET_FILE
    return SignedAsset.parse(path.read_bytes()) if path.is_file() else None


class AssetRow(BaseModel):
    """An asset in the coordinator's catalogue. Untrusted, so every field has its form."""

    model_config = ConfigDict(extra="ignore")

    owner: Slug
    dataset: Slug
    region: Slug
    people: Annotated[int, Field(ge=0)]
    tier: Slug
    steward: Slug
    allowed_purposes: tuple[Slug, ...]
    revision: Annotated[int, Field(ge=1)]
    withdrawn: bool = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def state(self) -> str:
        """Whether requests may name it."""
        return "withdrawn" if self.withdrawn else "registered"


def list_assets(client: CoordinatorClient) -> Iterator[AssetRow]:
    """Yield the catalogue as the coordinator tells it. Raises `coordinator.bad_answer`."""
    for item in every_item(client.get, ASSETS_PATH):
        try:
            yield AssetRow.model_validate(item)
        except ValidationError:
            raise DoudiError("coordinator.bad_answer", "the coordinator's catalogue has the wrong form") from None


def asset_path(asset: AssetRegistration) -> str:
    """Return the address of the asset in the coordinator's catalogue."""
    return f"{ASSETS_PATH}/{asset.owner}/{asset.dataset}"


@contextmanager
def _exclusively(home: NodeHome) -> Iterator[None]:
    """Hold the node's registration, against its other processes and threads."""
    with (home.path / LOCK_FILE).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _registered_by_this_node(home: NodeHome, client: CoordinatorClient, asset: AssetRegistration) -> SignedAsset:
    """Return the registration that the coordinator has, if this node's key signed it: no other number is believed.

    An invented one could use up every revision at once. Raises `coordinator.bad_answer`.
    """
    answer = client.get(asset_path(asset))
    try:
        found = SignedAsset.model_validate(answer.get("signed") if isinstance(answer, dict) else None)
        found.verify(home.public_keys.identity_key)
    except (ValidationError, DoudiError):
        found = None
    if found is None or (found.asset.owner, found.asset.dataset) != (asset.owner, asset.dataset):
        raise DoudiError(
            "coordinator.bad_answer", "the coordinator refuses a revision and shows no newer one of this node"
        )
    return found


def _present_asset(engine: NodeEngine, revision: int, now_s: int, withdrawn: bool) -> AssetRegistration:
    config = engine.home.config
    standard = load_dataset_standard(config.dataset, config.standard_version)
    return AssetRegistration(
        owner=config.department,
        region=config.region,
        dataset=config.dataset,
        standard_version=config.standard_version,
        standard_hash=standard.standard_hash(),
        people=engine.extract.load().people,
        columns=tuple(name for name in standard.feature_names if name not in config.policy.excluded_columns),
        tier=config.tier,
        tier_version=config.tier_version,
        tier_hash=load_tier(config.tier, config.tier_version).standard_hash(),
        steward=config.steward,
        allowed_purposes=config.allowed_purposes,
        revision=revision,
        registered_at=now_s,
        withdrawn=withdrawn,
    )


def _same_content(one: AssetRegistration, other: AssetRegistration) -> bool:
    when = {"revision": one.revision, "registered_at": one.registered_at}
    return one == other.model_copy(update=when)
