"""Ending: what a node destroys when a department leaves a project, and when a grant has expired or was revoked.

Charges, the account of what was sent, reports without personal values and the journal stay: what left cannot be called back.
"""

import shutil
from collections.abc import Mapping

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.home import CENTRE
from department_nodes.revocations import lists_in_clear
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import (
    EndedGrantRow,
    GrantRow,
    LineModelRow,
    LinkageScalarRow,
    ProjectRow,
    RunAttemptRow,
    RunKeyRow,
    SealedValueRow,
    StepRow,
)
from department_nodes.store.session import transaction, truncate_log
from department_nodes.store.vault import KEPT_VALUES
from policies.contracts.grant import Grant, LineGrant, SignedGrant
from policies.contracts.revocations import RevocationList
from policies.contracts.tier_rules import DAY_S, tier_of


def leave_project(engine: NodeEngine, project_id: str) -> None:
    """Destroy a project's keys, models, results and stored replies. Raises `project.left`.

    The project's storage key goes with them, so nothing that remains in this database opens. A copy of the database from
    before, together with the node's storage key, still does: destroy old backups too.
    """
    now_s = int(engine.clock())
    with transaction(engine.db) as session:
        row = session.get(ProjectRow, project_id)
        if row is None:
            # Left before the first run: the node must not join when one starts.
            session.add(ProjectRow(project_id=project_id, sealed_key=None, joined_at=now_s, left_at=now_s))
            record(session, Event(EventType.PROJECT_LEFT, now_s, project_id=project_id))
            return
        if row.left_at is not None:
            raise DoudiError("project.left", "this department has left the project already")
        grants = select(GrantRow.grant_hash).where(GrantRow.project_id == project_id)
        for table in (SealedValueRow, StepRow, RunAttemptRow, RunKeyRow, LinkageScalarRow, LineModelRow):
            session.execute(delete(table).where(table.grant_hash.in_(grants)))
        row.sealed_key, row.left_at = None, now_s
        record(session, Event(EventType.PROJECT_LEFT, now_s, project_id=project_id))
    shutil.rmtree(engine.home.path / "periods" / project_id, ignore_errors=True)
    truncate_log(engine.db)


def end_grants(engine: NodeEngine) -> int:
    """End every grant that has expired or that a party has revoked; return how many ended now.

    Destroyed at the end: scalar, run keys, pseudonyms, models (lines' too) and replies. The lead's results stay for the retention
    time of the strictest of the grant's tiers, for caseworkers act on them, and the opening of its commitment with them, for it
    may be held to its labels; after it they are destroyed too.
    """
    now_s, lists = int(engine.clock()), lists_in_clear(engine.home)
    ended = 0
    with transaction(engine.db) as session:
        for row in session.scalars(select(GrantRow)).all():
            grant = SignedGrant.parse(row.document).grant
            known = session.get(EndedGrantRow, row.grant_hash)
            if known is None:
                revoked = _is_revoked(grant, row.grant_hash, lists)
                if not revoked and grant.expires_at >= now_s:
                    continue
                # From now on for a revoked grant, whatever time its list names: nobody dates the end of a retention time back.
                known = EndedGrantRow(grant_hash=row.grant_hash, ended_at=min(now_s, grant.expires_at))
                session.add(known)
                code = "grant.revoked" if revoked else "grant.expired"
                event = Event(EventType.GRANT_ENDED, now_s, row.project_id, grant_hash=row.grant_hash, code=code)
                record(session, event)
                ended += 1
            # Also at a later look: another process may have answered a step while this one ended the grant.
            _destroy(session, row.grant_hash)
            if known.results_destroyed_at is None and now_s > known.ended_at + _retention_s(grant):
                known.results_destroyed_at = now_s
                _destroy_results(session, row, now_s)
    # At every look, not only now: a reader may have kept the log from being truncated the last time.
    truncate_log(engine.db)
    return ended


def _is_revoked(grant: Grant | LineGrant, grant_hash: str, lists: Mapping[str, RevocationList]) -> bool:
    return any(party in lists and lists[party].names(grant_hash) for party in (CENTRE, *grant.departments))


def _retention_s(grant: Grant | LineGrant) -> int:
    days = []
    for share in grant.shares:
        try:
            days.append(tier_of(share).retention_days)
        except DoudiError:
            # A tier that is no longer installed gives no right to keep anything.
            days.append(0)
    return min(days) * DAY_S


def _destroy(session: Session, grant_hash: str) -> None:
    for table in (StepRow, RunAttemptRow, RunKeyRow, LinkageScalarRow, LineModelRow):
        session.execute(delete(table).where(table.grant_hash == grant_hash))
    session.execute(
        delete(SealedValueRow).where(SealedValueRow.grant_hash == grant_hash, SealedValueRow.name.not_in(KEPT_VALUES))
    )


def _destroy_results(session: Session, row: GrantRow, now_s: int) -> None:
    of_grant = SealedValueRow.grant_hash == row.grant_hash
    kept = session.scalar(select(func.count()).where(of_grant)) or 0
    if kept:
        session.execute(delete(SealedValueRow).where(of_grant))
        event = Event(
            EventType.RESULTS_DESTROYED,
            now_s,
            project_id=row.project_id,
            grant_hash=row.grant_hash,
            counts={"values": kept},
        )
        record(session, event)
