"""Tables of the catalogue: every registration as its owner signed it, and the newest of each asset in columns to search by."""

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, UnixSeconds


class AssetRow(Base):
    """An asset as its newest registration has it. Made of the document, which is what counts."""

    __tablename__ = "assets"
    __table_args__ = (
        CheckConstraint("revision >= 1", name="revision"),
        CheckConstraint("people >= 0 AND columns >= 0", name="counts"),
        # Lists go by owner and data set, which the primary key serves; these serve the filters, in the same order.
        Index("ix_assets_region_owner_dataset", "region", "owner", "dataset"),
        Index("ix_assets_tier_owner_dataset", "tier", "owner", "dataset"),
    )

    # Ownership (归属权): only a registered department owns anything.
    owner: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), primary_key=True, comment="owner")
    dataset: Mapped[str] = mapped_column(String(63), primary_key=True, comment="data set, by its standard's name")
    identity_key: Mapped[str] = mapped_column(String(64), comment="key that signed the newest, hex")
    revision: Mapped[int] = mapped_column(Integer, comment="newest revision")
    region: Mapped[str] = mapped_column(String(63), comment="region of the data")
    standard_version: Mapped[int] = mapped_column(Integer, comment="version of the data standard")
    tier: Mapped[str] = mapped_column(String(63), comment="tier's name")
    tier_version: Mapped[int] = mapped_column(Integer, comment="version of the tier's file")
    people: Mapped[int] = mapped_column(Integer, comment="rows: one person each")
    columns: Mapped[int] = mapped_column(Integer, comment="how many columns it offers")
    steward: Mapped[str] = mapped_column(String(63), comment="office that answers for the data")
    withdrawn: Mapped[bool] = mapped_column(Boolean, comment="no request may name it any more")
    registered_at: Mapped[int] = mapped_column(UnixSeconds, comment="time in the registration, by the owner's clock")
    stored_at: Mapped[int] = mapped_column(UnixSeconds, comment="when the newest revision came")


class AssetPurposeRow(Base):
    """A purpose that the owner allows for an asset, so that "what may serve this purpose" is a query."""

    __tablename__ = "asset_purposes"
    __table_args__ = (
        ForeignKeyConstraint(["owner", "dataset"], ["assets.owner", "assets.dataset"]),
        Index("ix_asset_purposes_purpose_owner_dataset", "purpose", "owner", "dataset"),
    )

    owner: Mapped[str] = mapped_column(String(63), primary_key=True, comment="the asset's owner")
    dataset: Mapped[str] = mapped_column(String(63), primary_key=True, comment="the asset's data set")
    purpose: Mapped[str] = mapped_column(String(63), primary_key=True, comment="a published purpose")


class AssetRevisionRow(Base):
    """One registration as it was signed. Only ever added (triggers), so that what was asked about once can be looked up."""

    __tablename__ = "asset_revisions"
    __table_args__ = (CheckConstraint("revision >= 1", name="revision"),)

    # The primary key is what refuses a second document with a revision's number. The key is part of it: a new node of the owner
    # has a new one and begins at 1 again, whatever the old one, or who took it, had come to.
    owner: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), primary_key=True, comment="owner")
    dataset: Mapped[str] = mapped_column(String(63), primary_key=True, comment="data set")
    identity_key: Mapped[str] = mapped_column(
        String(64), primary_key=True, comment="the owner's key that signed it, hex"
    )
    revision: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False, comment="grows, for each key")
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="SignedAsset, canonical JSON")
    stored_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
