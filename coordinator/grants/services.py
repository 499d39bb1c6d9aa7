"""Storing grants and gathering their signatures. This verifies to refuse early; every node verifies for itself."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.config import CoordinatorConfig
from coordinator.db.session import now_s
from coordinator.events import Event, EventType, record
from coordinator.grants.keys import compare_keys, merge_signatures, verify_each_signature
from coordinator.grants.models import GrantPartyRow, GrantRow
from coordinator.parties.services import department_cards
from coordinator.projects.models import ProjectRow
from coordinator.projects.services import get_project
from crypto.errors import DoudiError
from policies.contracts.grant import Grant, LineGrant, SignedGrant, verify_grant_signatures
from policies.contracts.grant_terms import GrantBase


def put_grant(
    session: Session, config: CoordinatorConfig, principal: Principal, project_id: str, signed: SignedGrant
) -> tuple[GrantRow, bool]:
    """Store a grant or add its signatures to the stored ones; return it and whether anything changed.

    (1) The principal is of the centre or of a party named in the grant. (2) The grant belongs to the project. (3) Its keys
    are those on the registered cards. (4) Each signature is needed and verifies. (5) Signatures are merged under the same
    grant hash.

    Raises `grant.not_a_participant`, `project.unknown`, `project.closed`, `grant.other_project`, `party.unknown`,
    `grant.key_mismatch`, `grant.unsigned`, `grant.bad_signature`, `grant.expired`, `grant.too_many_drafts`.
    """
    grant = signed.grant
    # (1)
    if not principal.is_centre:
        grant.share(principal.party)
    # (2)
    _require_same_project(get_project(session, project_id), grant)
    # (3)
    compare_keys(grant, department_cards(session), config.centre_keys)
    # (4)
    verify_each_signature(signed)
    # (5)
    row = session.get(GrantRow, signed.grant_hash)
    if row is None:
        if grant.expires_at <= now_s(session):
            raise DoudiError("grant.expired", "the grant has expired")
        row = _store_draft(session, config, principal, merge_signatures(signed, signed))
    else:
        stored = SignedGrant.parse(row.document)
        merged = merge_signatures(stored, signed)
        added = len(merged.signatures) - len(stored.signatures)
        if not added:
            return row, False
        row.document = merged.to_bytes()
        _record(session, EventType.GRANT_SIGNATURES_ADDED, principal, row, {"added": added})
    if not row.fully_signed and _is_fully_signed(SignedGrant.parse(row.document)):
        row.fully_signed = True
        _record(session, EventType.GRANT_FULLY_SIGNED, principal, row, {})
    return row, True


def find_grant(session: Session, project_id: str, grant_hash: str | None = None) -> GrantRow:
    """Return the grant that counts: the named one, else the newest fully signed one, else the newest draft.

    A newer fully signed grant replaces an older one: the same parties agreed to it. Raises `grant.unknown`.
    """
    query = select(GrantRow).where(GrantRow.project_id == project_id)
    if grant_hash is not None:
        query = query.where(GrantRow.grant_hash == grant_hash)
    query = query.order_by(GrantRow.fully_signed.desc(), GrantRow.stored_at.desc(), GrantRow.grant_hash)
    row = session.scalars(query.limit(1)).first()
    if row is None:
        raise DoudiError("grant.unknown", "the project has no such grant", "Have a party send the grant.")
    return row


def require_in_force(row: GrantRow, now: int) -> Grant | LineGrant:
    """Return the grant if every party signed it and it is valid now.

    Raises `grant.signature_missing`, `grant.bad_signature`, `grant.not_yet_valid` or `grant.expired`.
    """
    signed = SignedGrant.parse(row.document)
    # Verified again from the document: a column that says "signed" is no signature.
    verify_grant_signatures(signed)
    if now < signed.grant.not_before:
        raise DoudiError("grant.not_yet_valid", "the grant is not valid yet")
    if now >= signed.grant.expires_at:
        raise DoudiError("grant.expired", "the grant has expired")
    return signed.grant


def _require_same_project(project: ProjectRow, grant: GrantBase) -> None:
    if project.state != "open":
        raise DoudiError("project.closed", "the project is closed")
    # A line's region is the area that it spans; its lead is the department that leads it, in whatever region.
    named = (grant.project_id, grant.purpose, grant.region, grant.lead_department)
    if named != (project.project_id, project.purpose, project.region, project.lead):
        raise DoudiError("grant.other_project", "project, purpose, region or lead differ from the project's")


def _store_draft(session: Session, config: CoordinatorConfig, principal: Principal, signed: SignedGrant) -> GrantRow:
    project_id = signed.grant.project_id
    drafts = select(func.count()).where(GrantRow.project_id == project_id, GrantRow.fully_signed.is_(False))
    if (session.scalar(drafts) or 0) >= config.limits.max_draft_grants_per_project:
        raise DoudiError("grant.too_many_drafts", "the project has too many drafts")
    row = GrantRow(
        grant_hash=signed.grant_hash,
        project_id=project_id,
        document=signed.to_bytes(),
        fully_signed=False,
        stored_at=now_s(session),
    )
    session.add(row)
    session.flush()
    for share in signed.grant.shares:
        session.add(
            GrantPartyRow(
                grant_hash=row.grant_hash,
                department=share.department,
                role=share.role,
                scheduler=share.department == signed.grant.scheduler.department,
            )
        )
    _record(session, EventType.GRANT_STORED, principal, row, {"signatures": len(signed.signatures)})
    return row


def _is_fully_signed(signed: SignedGrant) -> bool:
    try:
        verify_grant_signatures(signed)
    except DoudiError as error:
        if error.code != "grant.signature_missing":
            raise
        return False
    return True


def _record(session: Session, kind: EventType, principal: Principal, row: GrantRow, counts: dict[str, int]) -> None:
    event = Event(
        kind,
        principal.party,
        project_id=row.project_id,
        grant_hash=row.grant_hash,
        counts=counts,
        account=principal.number,
    )
    record(session, event)
