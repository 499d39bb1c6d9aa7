"""A coordinator's database as after years of a large centre: 100 parties, 10,000 assets, 5,000 requests, runs, a ledger.

Rows are written directly, with documents that parse: what is measured is reading them. Signatures are not valid, and nobody asks.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from benchmarks.governance.large_ledger import fill_ledger
from coordinator.accounts.models import AccountRow
from coordinator.accounts.sessions import open_session
from coordinator.catalogue.models import AssetPurposeRow, AssetRevisionRow, AssetRow
from coordinator.config import CoordinatorConfig
from coordinator.db import tables as _tables  # noqa: F401 - all tables must be known before the first query
from coordinator.db.session import begin, open_engine
from coordinator.grants.models import GrantPartyRow, GrantRow
from coordinator.installation import APPROVAL_KEY_FILE, Installation, install
from coordinator.parties.models import PartyRow
from coordinator.projects.models import ProjectRow
from coordinator.requests.models import AccessRequestRow, RequestPartyRow, RequestTransitionRow
from coordinator.runs.models import RunRow
from policies.contracts.assets import AssetRegistration, SignedAsset
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.drafting import GrantTerms, draft_region_grant
from policies.contracts.grant import Grant, SignedGrant, required_signatures
from policies.standards.loader import available_standards, load_dataset_standard
from policies.standards.tier_loader import load_tier

PARTIES, ASSETS, REQUESTS, PROJECTS, RUNS = 100, 10_000, 5_000, 50, 400
TIERS = ("general_2", "general_3", "general_4", "important")
STATES = ("submitted", "granted", "active", "expired", "refused")
PEOPLE = {
    "centre_officer": "centre",
    "centre_approver": "centre",
    "auditor": "centre",
    "department_it": "office-000",
    "department_approver": "office-001",
}
NO_SIGNATURE = "00" * 64
DAY_S = 24 * 3600


@dataclass(frozen=True)
class Office:
    """The coordinator's configuration, a session of one person of each role, by role, and how large the ledger is."""

    config: CoordinatorConfig
    sessions: dict[str, str]
    ledger_entries: int


def build(folder: Path, ports: list[int], now_s: int) -> Office:
    """Install a coordinator below a folder and fill its database. `ports`: API, fleet, SuperLink."""
    api_port, fleet_port, superlink_port = ports
    chosen = Installation(
        home=folder / "home",
        officer_home=folder / "officer",
        hosts=["127.0.0.1"],
        listen="127.0.0.1",
        api_port=api_port,
        fleet_port=fleet_port,
        superlink_api_port=superlink_port,
        step_timeout_s=900,
    )
    config = install(chosen, now_s)
    engine = open_engine(config.resolved_database_url)
    cards = [_card(number) for number in range(PARTIES - 1)]
    with begin(engine) as session:
        _add_parties(session, config, cards, now_s)
        _add_assets(session, cards, now_s)
        grants = _add_requests(session, config, cards, now_s)
        _add_runs(session, grants, now_s)
        people = {role: _person(session, role, party, now_s) for role, party in PEOPLE.items()}
    engine.dispose()
    approval = bytes.fromhex((chosen.officer_home / APPROVAL_KEY_FILE).read_text())
    entries = fill_ledger(config, [card.department for card in cards], approval, now_s)
    return Office(config, people, entries)


def _card(number: int) -> DepartmentCard:
    dataset, version = available_standards()[number % len(available_standards())]
    standard, tier = load_dataset_standard(dataset, version), TIERS[number % len(TIERS)]
    keys = {
        name: secrets.token_hex(32) for name in ("identity_key", "approval_key", "scheduling_key", "revocation_key")
    }
    return DepartmentCard(
        department=f"office-{number:03}",
        region=f"region-{number % 20:02}",
        **keys,
        flower_key="ecdsa",
        dataset=dataset,
        standard_version=version,
        standard_hash=standard.standard_hash(),
        people=20_000 + number,
        columns=standard.feature_names,
        tier=tier,
        tier_version=1,
        tier_hash=load_tier(tier).standard_hash(),
        allowed_purposes=("social_assistance", "housing_support"),
        program_hash="ab" * 32,
    )


def _add_parties(session: Session, config: CoordinatorConfig, cards: list[DepartmentCard], now_s: int) -> None:
    rows: list[dict[str, Any]] = [
        {
            "name": card.department,
            "role": "department",
            "card": card.to_bytes(),
            "identity_key": card.identity_key,
            "flower_key": card.flower_key,
            "registered_at": now_s,
            "last_seen_at": now_s,
        }
        for card in cards
    ]
    session.add(PartyRow(name="centre", role="centre", identity_key=config.centre_api_key, registered_at=now_s))
    session.flush()
    session.execute(insert(PartyRow), rows)
    projects = [
        {
            "project_id": f"project-{number:03}",
            "title": f"Households in need {number}",
            "purpose": "social_assistance",
            "region": cards[number].region,
            "lead": cards[number].department,
            "created_at": now_s,
            "state": "open",
        }
        for number in range(PROJECTS)
    ]
    session.execute(insert(ProjectRow), projects)


def _add_assets(session: Session, cards: list[DepartmentCard], now_s: int) -> None:
    assets, revisions, purposes = [], [], []
    for number in range(ASSETS):
        card = cards[number % len(cards)]
        dataset = card.dataset if number < len(cards) else f"{card.dataset}_{number // len(cards):03}"
        found = AssetRegistration(
            owner=card.department,
            dataset=dataset,
            steward="data-office",
            revision=1,
            registered_at=now_s,
            **{
                name: getattr(card, name)
                for name in ("region", "standard_version", "standard_hash", "people", "columns")
            },
            **{name: getattr(card, name) for name in ("tier", "tier_version", "tier_hash", "allowed_purposes")},
        )
        document = SignedAsset(asset=found, signature=NO_SIGNATURE).to_bytes()
        key = {"owner": found.owner, "dataset": found.dataset}
        signer = {"identity_key": card.identity_key}
        revisions.append({**key, **signer, "revision": 1, "document": document, "stored_at": now_s})
        purposes += [{**key, "purpose": purpose} for purpose in found.allowed_purposes]
        assets.append(
            {
                **key,
                **signer,
                "revision": 1,
                "columns": len(found.columns),
                "withdrawn": False,
                "registered_at": now_s,
                "stored_at": now_s,
                **{
                    name: getattr(found, name)
                    for name in ("region", "standard_version", "tier", "tier_version", "people", "steward")
                },
            }
        )
    session.execute(insert(AssetRow), assets)
    session.execute(insert(AssetPurposeRow), purposes)
    session.execute(insert(AssetRevisionRow), revisions)


def _add_requests(
    session: Session, config: CoordinatorConfig, cards: list[DepartmentCard], now_s: int
) -> list[tuple[Grant, str]]:
    centre = CentreCard(
        approval_key=config.centre_approval_key,
        revocation_key=config.centre_revocation_key,
        api_key=config.centre_api_key,
        url=config.public_url,
        superlink="127.0.0.1:1",
    )
    requests, parties, transitions, grants, named, drafted = [], [], [], [], [], []
    for number in range(1, REQUESTS + 1):
        lead = cards[number % PROJECTS]
        others = [cards[PROJECTS + (number + step) % (len(cards) - PROJECTS)] for step in (0, 7, 13)]
        terms = GrantTerms(
            f"project-{number % PROJECTS:03}",
            "social_assistance",
            "public_coverage",
            "2026",
            1000,
            days=180,
            runs_allowed=4,
            modes=("sum_only",),
        )
        grant = draft_region_grant(centre, lead, others, terms, now_s - (number % 90) * DAY_S)
        state = STATES[number % len(STATES)]
        digest = grant.digest()
        drafted.append((grant, state))
        times = {"drafted_at": now_s, "submitted_at": now_s, "changed_at": now_s}
        requests.append(
            {
                "number": number,
                "grant_hash": digest,
                "grant_id": grant.grant_id,
                "kind": "region",
                "project_id": grant.project_id,
                "purpose": grant.purpose,
                "lead": lead.department,
                "state": state,
                "drafter": f"node:{lead.department}",
                "submitter": f"node:{lead.department}",
                "not_before": grant.not_before,
                "expires_at": grant.expires_at,
                "runs_allowed": grant.runs_allowed,
                "document": grant.to_bytes(),
                **times,
            }
        )
        for needed in required_signatures(grant):
            role = {"centre": "centre", "lead": "lead"}.get(needed.role, "supporting")
            parties.append(
                {"number": number, "party": needed.party, "role": role, "needed": needed.count, "gathered": 0}
            )
        for before, after in ((None, "drafted"), ("drafted", "submitted")):
            transitions.append(
                {
                    "number": number,
                    "from_state": before,
                    "to_state": after,
                    "actor": f"node:{lead.department}",
                    "party": lead.department,
                    "account": None,
                    "code": "",
                    "reason": "",
                    "at": now_s,
                }
            )
        document = SignedGrant(grant=grant).to_bytes()
        row = {"grant_hash": digest, "project_id": grant.project_id, "document": document}
        grants.append({**row, "fully_signed": state == "active", "stored_at": now_s})
        for share in grant.shares:
            lead_here = share.department == lead.department
            named.append(
                {"grant_hash": digest, "department": share.department, "role": share.role, "scheduler": lead_here}
            )
    for table, rows in (
        (AccessRequestRow, requests),
        (RequestPartyRow, parties),
        (RequestTransitionRow, transitions),
        (GrantRow, grants),
        (GrantPartyRow, named),
    ):
        session.execute(insert(table), rows)
    return drafted


def _add_runs(session: Session, grants: list[tuple[Grant, str]], now_s: int) -> None:
    active = [grant for grant, state in grants if state == "active"][:RUNS]
    rows = [
        {
            "run_id": f"run-{number:016x}",
            "project_id": grant.project_id,
            "grant_hash": grant.digest(),
            "run_number": 1,
            "mode": "sum_only",
            "attempt": 1,
            "state": "failed",
            "reason_code": "run.keys_missing",
            "created_at": now_s - number,
            "attempt_at": now_s - number,
            "finished_at": now_s,
            "stop_requested": False,
        }
        for number, grant in enumerate(active)
    ]
    session.execute(insert(RunRow), rows)


def _person(session: Session, role: str, party: str, now_s: int) -> str:
    # Nobody signs in with these: the session is opened as after both factors.
    account = AccountRow(
        login_name=role.replace("_", "-"),
        party=party,
        roles=[role],
        state="active",
        password_hash="none",  # noqa: S106 - no password has this hash
        totp_sealed=b"none",
        created_at=now_s,
        changed_at=now_s,
    )
    session.add(account)
    session.flush()
    return open_session(session, account, language="zh", two_factor=True)
