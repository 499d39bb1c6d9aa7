"""What a department's officers do: draft a grant, preview it, sign it, schedule a run. Each act is recorded."""

import time
from collections.abc import Sequence
from typing import Any, Literal

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.extract import ExtractCache
from department_nodes.home import APPROVAL_KEY, SCHEDULING_KEY, NodeHome
from department_nodes.program import program_hash
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.session import transaction
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.drafting import DAY_S, GrantTerms, draft_region_grant
from policies.contracts.grant import Grant, SignedGrant, sign_grant
from policies.contracts.manifest import (
    KeyOffer,
    Manifest,
    Mode,
    SignedManifest,
    sign_manifest,
    verify_offers,
)
from policies.contracts.run_windows import next_opening
from policies.standards.loader import load_dataset_standard
from policies.standards.tier_loader import load_tier


def make_card(home: NodeHome, flower_public_key: str) -> DepartmentCard:
    """Return this department's card; the extract is checked, for the card states how many people it holds."""
    config = home.config
    standard = load_dataset_standard(config.dataset, config.standard_version)
    extract, keys = ExtractCache(home).load(), home.public_keys
    columns = [name for name in standard.feature_names if name not in config.policy.excluded_columns]
    return DepartmentCard(
        department=config.department,
        region=config.region,
        identity_key=keys.identity_key,
        approval_key=keys.approval_key,
        co_approval_keys=keys.co_approval_keys,
        scheduling_key=keys.scheduling_key,
        revocation_key=keys.revocation_key,
        flower_key=flower_public_key,
        dataset=config.dataset,
        standard_version=config.standard_version,
        standard_hash=standard.standard_hash(),
        people=extract.people,
        columns=tuple(columns),
        tier=config.tier,
        tier_version=config.tier_version,
        tier_hash=load_tier(config.tier, config.tier_version).standard_hash(),
        allowed_purposes=config.allowed_purposes,
        program_hash=program_hash(),
    )


def draft_grant(home: NodeHome, own_card: DepartmentCard, departments: Sequence[str], terms: GrantTerms) -> Grant:
    """Return a grant that this department leads, with the cards that it has pinned of the supporting departments."""
    centre, cards = pinned_cards(home, own_card, departments)
    return draft_region_grant(centre, own_card, cards[1:], terms, int(time.time()))


def pinned_cards(
    home: NodeHome, own_card: DepartmentCard, departments: Sequence[str]
) -> tuple[CentreCard, list[DepartmentCard]]:
    """Return the pinned cards of the centre and of a grant's departments, the own one first. Raises `trust.unknown_party`."""
    trust = home.trust
    if trust.centre is None:
        raise DoudiError("trust.unknown_party", "the centre's card is not pinned", "Run `doudi node trust CARD`.")
    others = [trust.department(name) for name in departments if name != own_card.department]
    return trust.centre, [own_card, *others]


def sign_as_owner(engine: NodeEngine, signed: SignedGrant) -> SignedGrant:
    """Return the grant with this department's signature added, and record the act."""
    home = engine.home
    me = signed.grant.share(home.config.department)
    role: Literal["lead", "owner"] = "lead" if me.role == "lead" else "owner"
    signature = sign_grant(signed.grant, me.department, role, home.officer_key(APPROVAL_KEY))
    if signature.key not in me.approval_keys:
        raise DoudiError(
            "grant.wrong_key",
            "the approval key in use is not one of those that the grant names for this department",
            "Set DOUDI_OFFICER_KEYS to the folder of a registered approver's key.",
        )
    same = (me.department, role, signature.key)
    others = [item for item in signed.signatures if (item.party, item.role, item.key) != same]
    with transaction(engine.db) as session:
        event = Event(
            EventType.GRANT_SIGNED,
            int(engine.clock()),
            project_id=signed.grant.project_id,
            grant_hash=signed.grant_hash,
            purpose=signed.grant.purpose,
            assets=(f"{me.department}/{me.dataset}",),
        )
        record(session, event)
    return SignedGrant(grant=signed.grant, signatures=(*others, signature))


def make_manifest(
    home: NodeHome,
    signed: SignedGrant,
    run: dict[str, Any],
    offers: Sequence[KeyOffer],
    mode: Mode,
    now_s: int,
    valid_s: int = DAY_S,
) -> SignedManifest:
    """Return the signed manifest of a run whose offers this scheduler has verified against the grant's pinned keys.

    It is valid for `valid_s` from the moment at which the grant's windows next allow a run.
    """
    grant = signed.grant
    manifest = Manifest(
        grant_hash=signed.grant_hash,
        run_id=run["run_id"],
        run_number=run["run_number"],
        attempt=run["attempt"],
        mode=mode,
        created_at=now_s,
        expires_at=min(next_opening(grant.windows, now_s) + valid_s, grant.expires_at),
        offers=tuple(sorted(offers, key=lambda offer: offer.department)),
    )
    verify_offers(grant, manifest)
    return sign_manifest(manifest, home.officer_key(SCHEDULING_KEY))


def record_schedule(engine: NodeEngine, manifest: Manifest, project_id: str) -> None:
    """Record that this department's scheduler signed a manifest."""
    with transaction(engine.db) as session:
        event = Event(
            EventType.RUN_SCHEDULED,
            int(engine.clock()),
            project_id=project_id,
            run_id=manifest.run_id,
            attempt=manifest.attempt,
            grant_hash=manifest.grant_hash,
            counts={"departments": len(manifest.offers)},
            hashes={"manifest": manifest.digest()},
        )
        record(session, event)
