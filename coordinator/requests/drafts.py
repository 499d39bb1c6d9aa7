"""Whether a draft may be asked for at all, and drafts made here for the console's form.

The owners' nodes check every clause again with their own files; this refuses early, with the code of what is wrong.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from coordinator.catalogue.models import AssetRevisionRow, AssetRow
from coordinator.config import CoordinatorConfig
from coordinator.db.session import now_s
from coordinator.grants.keys import compare_keys
from coordinator.grants.services import require_same_project
from coordinator.parties.services import department_cards
from coordinator.projects.services import get_project
from coordinator.revocations.models import RevokedGrantRow
from crypto.errors import DoudiError
from policies.contracts.assets import AssetRegistration, SignedAsset
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.drafting import GrantTerms, draft_region_grant
from policies.contracts.grant import Grant, LineGrant
from policies.contracts.grant_terms import GrantBase, Share
from policies.contracts.line_grant import LineShare
from policies.contracts.tier_rules import verify_tier_rules

_CHANGED = "Draft the request again from the present cards and catalogue."


def verify_draft(session: Session, config: CoordinatorConfig, grant: Grant | LineGrant) -> None:
    """Raise unless a draft may be asked for now.

    (1) It belongs to an open project. (2) Its keys are those on the registered cards. (3) It stays within the tiers of its
    assets. (4) Every asset is registered as the draft names it, and its owner allows the purpose. (5) Its time has not
    passed, and nobody revoked it.

    Raises `project.unknown`, `project.closed`, `grant.other_project`, `party.unknown`, `grant.key_mismatch`, the codes of
    `tier_rules.verify_tier_rules` and of `require_registered`, `grant.expired` or `grant.revoked`.
    """
    # (1)
    require_same_project(get_project(session, grant.project_id), grant)
    # (2)
    compare_keys(grant, department_cards(session, grant.departments), config.centre_keys)
    # (3)
    verify_tier_rules(grant)
    # (4)
    require_registered(grant, registered_assets(session, grant))
    # (5)
    if grant.expires_at <= now_s(session):
        raise DoudiError("grant.expired", "the grant has expired", _CHANGED)
    if session.scalar(select(RevokedGrantRow.party).where(RevokedGrantRow.grant_hash == grant.digest()).limit(1)):
        raise DoudiError("grant.revoked", "a party has revoked the grant", _CHANGED)


def registered_assets(session: Session, grant: GrantBase) -> dict[str, AssetRegistration]:
    """Return the newest registration of each asset that a grant names and that its owner has registered, by owner.

    What was withdrawn here without the owner's node is returned as withdrawn.
    """
    names = [(share.department, share.dataset) for share in grant.shares]
    query = (
        select(AssetRow, AssetRevisionRow.document)
        .join(
            AssetRevisionRow,
            (AssetRevisionRow.owner == AssetRow.owner)
            & (AssetRevisionRow.dataset == AssetRow.dataset)
            & (AssetRevisionRow.identity_key == AssetRow.identity_key)
            & (AssetRevisionRow.revision == AssetRow.revision),
        )
        .where(tuple_(AssetRow.owner, AssetRow.dataset).in_(names))
    )
    found = {}
    for row, document in session.execute(query):
        asset = SignedAsset.parse(document).asset
        found[row.owner] = asset.model_copy(update={"withdrawn": row.withdrawn})
    return found


def require_registered(grant: Grant | LineGrant, assets: Mapping[str, AssetRegistration]) -> None:
    """Raise unless every share names its asset as the owner registered it, for a purpose that the owner allows. Pure.

    Raises `request.asset_not_registered`, `request.asset_withdrawn`, `request.purpose_not_allowed`, `request.wrong_tier`,
    `request.wrong_standard`, `request.wrong_region` or `request.column_not_registered`.
    """
    for share in grant.shares:
        asset = assets.get(share.department)
        if asset is None:
            raise _differs("asset_not_registered", share, "are not registered in the catalogue")
        if asset.withdrawn:
            raise _differs("asset_withdrawn", share, "were withdrawn by their owner")
        if grant.purpose not in asset.allowed_purposes:
            raise _differs("purpose_not_allowed", share, "are not for this purpose")
        if (share.tier, share.tier_version, share.tier_hash) != (asset.tier, asset.tier_version, asset.tier_hash):
            raise _differs("wrong_tier", share, "have another tier in the catalogue")
        if (share.standard_version, share.standard_hash) != (asset.standard_version, asset.standard_hash):
            raise _differs("wrong_standard", share, "follow another data standard in the catalogue")
        region = share.region if isinstance(share, LineShare) else grant.region
        if region != asset.region:
            raise _differs("wrong_region", share, "are of another region")
        if not set(share.columns) <= set(asset.columns):
            raise _differs("column_not_registered", share, "are offered without one of these columns")


def draft_from_catalogue(
    session: Session, config: CoordinatorConfig, lead: str, supporting: Sequence[str], terms: GrantTerms
) -> Grant:
    """Return a region's grant, drafted from the registered cards: for the console's form, where no node is at hand.

    Nobody has to believe this draft: every approver compares its keys with the own copies of the cards. Raises `party.unknown`
    or `tier.operation`.
    """
    cards = department_cards(session, [lead, *supporting])
    lead_card, *others = (_card(cards, name) for name in (lead, *supporting))
    return draft_region_grant(centre_card(config), lead_card, others, terms, now_s(session))


def centre_card(config: CoordinatorConfig) -> CentreCard:
    """Return the centre's card as the configuration has it."""
    return CentreCard(
        approval_key=config.centre_approval_key,
        co_approval_keys=config.centre_co_approval_keys,
        revocation_key=config.centre_revocation_key,
        api_key=config.centre_api_key,
        url=config.public_url,
        # Where Flower nodes connect to; a draft names keys only.
        superlink=f"{config.fleet_host}:{config.fleet_port}",
    )


def _card(cards: Mapping[str, DepartmentCard], name: str) -> DepartmentCard:
    if name not in cards:
        raise DoudiError("party.unknown", f"{name} is not registered", "Have the centre register its card.")
    return cards[name]


def _differs(rule: str, share: Share, how: str) -> DoudiError:
    return DoudiError(f"request.{rule}", f"{share.department}'s data {share.dataset} {how}", _CHANGED)
