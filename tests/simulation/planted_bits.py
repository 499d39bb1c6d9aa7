"""Released bits at a node, planted as a run of its region's main job would have left them."""

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

from department_nodes.engine import NodeEngine
from department_nodes.lines.released_bits import BITS_VALUE, ROWS_VALUE, pack_bits
from department_nodes.steps.linkage import rows_digest
from department_nodes.store.models import GrantRow, RunKeyRow
from department_nodes.store.session import transaction
from policies.contracts.cards import DepartmentCard
from policies.contracts.grant import (
    EvidenceTerms,
    Grant,
    LabelTerms,
    LinkageTerms,
    Operation,
    Participant,
    Scheduler,
    SignedGrant,
)

TARGET, PERIOD = "public_coverage", "2026"
WITH_LINE = (Operation.LINK, Operation.LINE)


def plant_bits(engine: NodeEngine, card: DepartmentCard, operations: tuple[Operation, ...] = WITH_LINE) -> None:
    """Leave bits and flags of every person of the node's extract, under a region's grant of one project."""
    extract = engine.extract.load()
    random = np.random.default_rng(extract.people)
    bits, flags = (random.random(extract.people) < 0.4).astype(np.uint8), np.zeros(extract.people, np.uint8)
    flags[::5] = 1
    now_s = int(engine.clock())
    grant = region_grant(card, operations, now_s)
    signed = SignedGrant(grant=grant)
    run_id = f"run-{secrets.token_hex(4)}"
    with transaction(engine.db) as session:
        engine.vault.join(session, grant.project_id, now_s)
        names: Mapping[str, Any] = {"grant_hash": signed.grant_hash, "project_id": grant.project_id}
        session.add(GrantRow(**names, document=signed.to_bytes(), first_seen_at=now_s))
        session.flush()
        keys: Mapping[str, Any] = {"run_id": run_id, "attempt": 1, "grant_hash": signed.grant_hash}
        session.add(RunKeyRow(**keys, sealed=b"", offer=b"", created_at=now_s))
        for value, data in ((BITS_VALUE, pack_bits(bits, flags)), (ROWS_VALUE, rows_digest(extract))):
            engine.vault.put(session, grant.project_id, signed.grant_hash, run_id, 1, value, data)


def region_grant(card: DepartmentCard, operations: tuple[Operation, ...], now_s: int) -> Grant:
    """Return a region's grant that names this department with these operations."""
    project = f"support-{secrets.token_hex(4)}"
    fields: Mapping[str, Any] = {
        "dataset": card.dataset,
        "standard_version": card.standard_version,
        "standard_hash": card.standard_hash,
        "columns": card.columns,
        "operations": operations,
        "declared_people": card.people,
        "evaluation_limit": card.people,
        "tier": card.tier,
        "tier_version": card.tier_version,
        "tier_hash": card.tier_hash,
        "identity_key": card.identity_key,
        "approval_key": card.approval_key,
        "revocation_key": card.revocation_key,
    }
    lead = Participant(department="lead", role="lead", **fields)
    own = Participant(department=card.department, role="supporting", **fields)
    return Grant(
        grant_id=f"grant-{secrets.token_hex(4)}",
        project_id=project,
        purpose="social_assistance",
        region=card.region,
        not_before=now_s,
        expires_at=now_s + 10_000_000,
        program_hash=card.program_hash,
        participants=(lead, own),
        linkage=LinkageTerms(
            project_id=project,
            nonce=secrets.token_hex(32),
            participants=("lead", card.department),
            min_key_holders=2,
        ),
        label=LabelTerms(target=TARGET, label_period=PERIOD, epsilon_milli=1000),
        evidence=EvidenceTerms(levels=32, max_slots=1000, bits_per_person_and_year=60),
        modes=("evidence",),
        runs_allowed=1,
        scheduler=Scheduler(department="lead", key="0" * 64),
        centre_key="0" * 64,
        centre_revocation_key="0" * 64,
    )
