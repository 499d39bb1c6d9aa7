"""Registering data assets and finding them. What an asset is stands in the document that its owner's node signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import case, delete, select, tuple_
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import asset_resource
from coordinator.authorization.services import authorise
from coordinator.catalogue.models import AssetPurposeRow, AssetRevisionRow, AssetRow
from coordinator.catalogue.publication import require_published
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.events import Event, EventType, record
from coordinator.paging import Order, PageRequest, Slice, page_of
from coordinator.parties.models import PartyRow
from crypto.errors import DoudiError
from policies.contracts.assets import AssetRegistration, SignedAsset
from policies.contracts.requests import CLOCK_TOLERANCE_S

BY_OWNER = Order("assets", (AssetRow.owner, AssetRow.dataset))


@dataclass(frozen=True)
class AssetFilter:
    """Which assets are wanted; `None` is no restriction. `dataset`: a part of the data set's name."""

    owner: str | None = None
    region: str | None = None
    tier: str | None = None
    purpose: str | None = None
    dataset: str | None = None


def register_asset(
    session: Session, context: AppContext, principal: Principal, owner: str, dataset: str, signed: SignedAsset
) -> tuple[AssetRow, bool]:
    """Store a revision of an asset; return the asset and whether anything changed.

    (1) The rules let this principal register this owner's asset. (2) Address, document and sender name one owner. (3) The
    owner's node signed the document. (4) Its standard, columns, tier and purposes are published here, with the same hashes.
    (5) The revision is newer than the newest that this same key signed: what a former key signed, or who took it, orders
    nothing. The newest one again changes nothing.

    Raises `authorization.denied`, `asset.wrong_owner`, `asset.bad_signature`, `asset.from_the_future`,
    `asset.unknown_standard`, `asset.unknown_column`, `asset.unknown_tier`, `asset.unknown_purpose`, `asset.rollback`.
    """
    asset = signed.asset
    # (1)
    action = "asset.withdraw" if asset.withdrawn else "asset.register"
    authorise(session, context, principal, action, asset_resource(owner, asset_name(owner, dataset)))
    # (2)
    if (asset.owner, asset.dataset, asset.owner) != (owner, dataset, principal.party):
        raise DoudiError("asset.wrong_owner", "address, document and sender name different owners or data sets")
    # (3)
    key = session.get_one(PartyRow, owner).identity_key
    signed.verify(key)
    now = now_s(session)
    if asset.registered_at > now + CLOCK_TOLERANCE_S:
        raise DoudiError("asset.from_the_future", "the registration's time lies in the future")
    # (4)
    require_published(asset)
    # (5)
    row, document = session.get(AssetRow, (owner, dataset)), signed.to_bytes()
    newest = _newest_under(session, owner, dataset, key)
    if newest is not None and asset.revision <= newest.revision:
        if newest.document != document:
            raise DoudiError("asset.rollback", "a newer revision of the asset is registered")
        if row is not None and row.identity_key == key:
            return row, False
        # The owner went back to an earlier card: its newest registration counts again, and is stored already.
    else:
        session.add(
            AssetRevisionRow(
                owner=owner,
                dataset=dataset,
                identity_key=key,
                revision=asset.revision,
                document=document,
                stored_at=now,
            )
        )
    return _store(session, principal, row, asset, key, now), True


def withdraw_asset(session: Session, context: AppContext, principal: Principal, owner: str, dataset: str) -> AssetRow:
    """Take an asset out of the catalogue without its node, until its node registers the next revision. Only narrows.

    Raises `asset.unknown` or `authorization.denied`.
    """
    row = get_asset(session, owner, dataset)
    authorise(session, context, principal, "asset.withdraw", asset_resource(owner, asset_name(owner, dataset)))
    if not row.withdrawn:
        row.withdrawn = True
        _record(session, EventType.ASSET_WITHDRAWN, principal, row)
    return row


def get_asset(session: Session, owner: str, dataset: str) -> AssetRow:
    """Return an asset as its newest registration has it. Raises `asset.unknown`."""
    row = session.get(AssetRow, (owner, dataset))
    if row is None:
        raise DoudiError("asset.unknown", "nobody registered such an asset", "List the catalogue.")
    return row


def load_asset(session: Session, row: AssetRow) -> SignedAsset:
    """Return the newest registration of an asset, as its owner's node signed it."""
    return SignedAsset.parse(_document(session, row))


def list_revisions(session: Session, owner: str, dataset: str) -> list[SignedAsset]:
    """Return every registration of an asset, the newest first; those that a former key signed come last."""
    same = (AssetRow.owner == AssetRevisionRow.owner) & (AssetRow.dataset == AssetRevisionRow.dataset)
    formerly = case((AssetRevisionRow.identity_key == AssetRow.identity_key, 0), else_=1)
    query = (
        select(AssetRevisionRow.document)
        .join(AssetRow, same)
        .where(AssetRevisionRow.owner == owner, AssetRevisionRow.dataset == dataset)
        .order_by(formerly, AssetRevisionRow.stored_at.desc(), AssetRevisionRow.revision.desc())
    )
    return [SignedAsset.parse(document) for document in session.scalars(query)]


def list_assets(session: Session, wanted: PageRequest, only: AssetFilter | None = None) -> Slice[AssetRow]:
    """Return a page of the assets, by owner and data set."""
    chosen, query = only or AssetFilter(), select(AssetRow)
    for column, value in (
        (AssetRow.owner, chosen.owner),
        (AssetRow.region, chosen.region),
        (AssetRow.tier, chosen.tier),
    ):
        if value is not None:
            query = query.where(column == value)
    if chosen.purpose is not None:
        # Joined, so that the index of purposes begins at the cursor. What serves the purpose behind it is still sorted for each
        # page: some milliseconds for thousands.
        same = (AssetPurposeRow.owner == AssetRow.owner) & (AssetPurposeRow.dataset == AssetRow.dataset)
        query = query.join(AssetPurposeRow, same).where(AssetPurposeRow.purpose == chosen.purpose)
    if chosen.dataset is not None:
        # What was typed is text to look for, never a pattern.
        query = query.where(AssetRow.dataset.contains(chosen.dataset, autoescape=True))
    return page_of(session, query, BY_OWNER, wanted)


def list_regions(session: Session) -> list[str]:
    """Return every region that has an asset, sorted."""
    return list(session.scalars(select(AssetRow.region).distinct().order_by(AssetRow.region)))


def purposes_of(session: Session, rows: Sequence[AssetRow]) -> Mapping[tuple[str, str], list[str]]:
    """Return the allowed purposes of assets, sorted, by owner and data set: one query for a page."""
    names = [(row.owner, row.dataset) for row in rows]
    query = (
        select(AssetPurposeRow)
        .where(tuple_(AssetPurposeRow.owner, AssetPurposeRow.dataset).in_(names))
        .order_by(AssetPurposeRow.purpose)
    )
    found: dict[tuple[str, str], list[str]] = {name: [] for name in names}
    for purpose in session.scalars(query) if names else ():
        found[purpose.owner, purpose.dataset].append(purpose.purpose)
    return found


def asset_name(owner: str, dataset: str) -> str:
    """Return how records name an asset."""
    return f"{owner}/{dataset}"


def _document(session: Session, row: AssetRow) -> bytes:
    return session.get_one(AssetRevisionRow, (row.owner, row.dataset, row.identity_key, row.revision)).document


def _newest_under(session: Session, owner: str, dataset: str, key: str) -> AssetRevisionRow | None:
    query = select(AssetRevisionRow).where(
        AssetRevisionRow.owner == owner, AssetRevisionRow.dataset == dataset, AssetRevisionRow.identity_key == key
    )
    return session.scalar(query.order_by(AssetRevisionRow.revision.desc()).limit(1))


def _store(
    session: Session, principal: Principal, row: AssetRow | None, asset: AssetRegistration, key: str, now: int
) -> AssetRow:
    was_withdrawn = row is not None and row.withdrawn
    if row is None:
        row = AssetRow(owner=asset.owner, dataset=asset.dataset)
        session.add(row)
    row.identity_key = key
    row.revision, row.region, row.standard_version = asset.revision, asset.region, asset.standard_version
    row.tier, row.tier_version, row.people = asset.tier, asset.tier_version, asset.people
    row.columns, row.steward, row.withdrawn = len(asset.columns), asset.steward, asset.withdrawn
    row.registered_at, row.stored_at = asset.registered_at, now
    session.flush()
    mine = (AssetPurposeRow.owner == asset.owner, AssetPurposeRow.dataset == asset.dataset)
    session.execute(delete(AssetPurposeRow).where(*mine))
    for purpose in asset.allowed_purposes:
        session.add(AssetPurposeRow(owner=asset.owner, dataset=asset.dataset, purpose=purpose))
    withdrawn_now = asset.withdrawn and not was_withdrawn
    _record(session, EventType.ASSET_WITHDRAWN if withdrawn_now else EventType.ASSET_REGISTERED, principal, row)
    return row


def _record(session: Session, kind: EventType, principal: Principal, row: AssetRow) -> None:
    event = Event(
        kind,
        principal.party,
        subject=row.owner,
        assets=(f"{row.owner}/{row.dataset}",),
        counts={"revision": row.revision, "people": row.people, "columns": row.columns},
        hashes={"asset": load_asset(session, row).asset.digest()},
        account=principal.number,
    )
    record(session, event)
