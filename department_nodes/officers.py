"""What a department's officers do: draft a grant, preview it, sign it, schedule a run. Each act is recorded."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.extract import ExtractCache
from department_nodes.home import APPROVAL_KEY, SCHEDULING_KEY, NodeHome
from department_nodes.program import program_hash
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.session import transaction
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.grant import (
    EvidenceTerms,
    Grant,
    LabelTerms,
    LinkageTerms,
    Operation,
    Participant,
    Scheduler,
    SignedGrant,
    sign_grant,
)
from policies.contracts.manifest import (
    KeyOffer,
    Manifest,
    Mode,
    SignedManifest,
    sign_manifest,
    verify_offers,
)
from policies.standards.loader import load_dataset_standard

DAY_S = 24 * 3600


@dataclass(frozen=True)
class GrantTerms:
    """What the lead's officer decides when drafting a grant."""

    project_id: str
    purpose: str
    target: str
    label_period: str
    epsilon_milli: int
    days: int = 365
    runs_allowed: int = 5
    min_key_holders: int = 3
    bits_per_person_and_year: int = 60
    modes: tuple[Literal["evidence", "sum_only"], ...] = ("evidence", "sum_only")
    # Whether the released bits may train the departments' lines, and a line's model may be the start of training here.
    lines: bool = False


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
        scheduling_key=keys.scheduling_key,
        flower_key=flower_public_key,
        dataset=config.dataset,
        standard_version=config.standard_version,
        standard_hash=standard.standard_hash(),
        people=extract.people,
        columns=tuple(columns),
        program_hash=program_hash(),
    )


def draft_grant(home: NodeHome, own_card: DepartmentCard, departments: Sequence[str], terms: GrantTerms) -> Grant:
    """Return a grant that this department leads, with the cards that it has pinned of the supporting departments."""
    centre, cards = pinned_cards(home, own_card, departments)
    now_s = int(time.time())
    attempts = 3
    participants = tuple(_participant(card, card.department == own_card.department, terms, attempts) for card in cards)
    return Grant(
        grant_id=f"grant-{secrets.token_hex(8)}",
        project_id=terms.project_id,
        purpose=terms.purpose,
        region=home.config.region,
        not_before=now_s,
        expires_at=now_s + terms.days * DAY_S,
        program_hash=program_hash(),
        participants=participants,
        linkage=LinkageTerms(
            project_id=terms.project_id,
            nonce=secrets.token_hex(32),
            participants=tuple(card.department for card in cards),
            min_key_holders=terms.min_key_holders,
        ),
        label=LabelTerms(target=terms.target, label_period=terms.label_period, epsilon_milli=terms.epsilon_milli),
        evidence=EvidenceTerms(
            levels=32,
            # The union is at most the sum of the lists; a tenth more leaves room for the coordinator's padding slots.
            max_slots=sum(card.people for card in cards) * 11 // 10 + 100,
            bits_per_person_and_year=terms.bits_per_person_and_year,
        ),
        modes=terms.modes,
        runs_allowed=terms.runs_allowed,
        attempts_allowed=attempts,
        scheduler=Scheduler(department=own_card.department, key=own_card.scheduling_key),
        centre_key=centre.approval_key,
    )


def _participant(card: DepartmentCard, lead: bool, terms: GrantTerms, attempts: int) -> Participant:
    supporting = [Operation.LINK, Operation.TRAIN]
    supporting += [Operation.EVIDENCE] if "evidence" in terms.modes else []
    supporting += [Operation.SUM_ONLY] if "sum_only" in terms.modes else []
    operations = [Operation.LINK, Operation.RELEASE, Operation.COMBINE] if lead else supporting
    operations += [Operation.LINE] if terms.lines else []
    share = share_of_card(card, lead, card.columns, operations)
    return Participant(**share, evaluation_limit=max(card.people, 1) * terms.runs_allowed * attempts)


def pinned_cards(
    home: NodeHome, own_card: DepartmentCard, departments: Sequence[str]
) -> tuple[CentreCard, list[DepartmentCard]]:
    """Return the pinned cards of the centre and of a grant's departments, the own one first. Raises `trust.unknown_party`."""
    trust = home.trust
    if trust.centre is None:
        raise DoudiError("trust.unknown_party", "the centre's card is not pinned", "Run `doudi node trust CARD`.")
    others = [trust.department(name) for name in departments if name != own_card.department]
    return trust.centre, [own_card, *others]


def share_of_card(
    card: DepartmentCard, lead: bool, columns: Sequence[str], operations: Sequence[Operation]
) -> dict[str, Any]:
    """Return the fields of a department's share in any grant (`grant_terms.Share`), as its card has them."""
    return {
        "department": card.department,
        "role": "lead" if lead else "supporting",
        "dataset": card.dataset,
        "standard_version": card.standard_version,
        "standard_hash": card.standard_hash,
        "columns": tuple(columns),
        "operations": tuple(operations),
        "declared_people": max(card.people, 1),
        "identity_key": card.identity_key,
        "approval_key": card.approval_key,
    }


def sign_as_owner(engine: NodeEngine, signed: SignedGrant) -> SignedGrant:
    """Return the grant with this department's signature added, and record the act."""
    home = engine.home
    me = signed.grant.share(home.config.department)
    role: Literal["lead", "owner"] = "lead" if me.role == "lead" else "owner"
    signature = sign_grant(signed.grant, me.department, role, home.officer_key(APPROVAL_KEY))
    others = [item for item in signed.signatures if (item.party, item.role) != (me.department, role)]
    with transaction(engine.db) as session:
        event = Event(
            EventType.GRANT_SIGNED,
            int(engine.clock()),
            project_id=signed.grant.project_id,
            grant_hash=signed.grant_hash,
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
    """Return the signed manifest of a run whose offers this scheduler has verified against the grant's pinned keys."""
    grant = signed.grant
    manifest = Manifest(
        grant_hash=signed.grant_hash,
        run_id=run["run_id"],
        run_number=run["run_number"],
        attempt=run["attempt"],
        mode=mode,
        created_at=now_s,
        expires_at=min(now_s + valid_s, grant.expires_at),
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
        )
        record(session, event)
