"""Ending: what a node destroys when a department leaves a project, and when a grant has expired.

Charges, the account of what was sent, reports without personal values and the journal stay: what left cannot be called back.
"""

import shutil

from sqlalchemy import delete, func, select

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import (
    GrantRow,
    LineModelRow,
    LinkageScalarRow,
    ProjectRow,
    RunKeyRow,
    SealedValueRow,
    StepRow,
)
from department_nodes.store.session import transaction, truncate_log
from department_nodes.store.vault import KEPT_VALUES
from policies.contracts.grant import SignedGrant


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
        for table in (SealedValueRow, StepRow, RunKeyRow, LinkageScalarRow, LineModelRow):
            session.execute(delete(table).where(table.grant_hash.in_(grants)))
        row.sealed_key, row.left_at = None, now_s
        record(session, Event(EventType.PROJECT_LEFT, now_s, project_id=project_id))
    shutil.rmtree(engine.home.path / "periods" / project_id, ignore_errors=True)
    truncate_log(engine.db)


def end_expired_grants(engine: NodeEngine) -> int:
    """Destroy scalars, run keys, pseudonyms, models (lines' too) and replies of expired grants; return how many grants.

    The lead's results stay, for caseworkers act on them, and the opening of its commitment, for it may be held to its labels.
    """
    now_s = int(engine.clock())
    ended = 0
    with transaction(engine.db) as session:
        for row in session.scalars(select(GrantRow)).all():
            if SignedGrant.parse(row.document).grant.expires_at >= now_s:
                continue
            of_grant = (LinkageScalarRow.grant_hash == row.grant_hash, RunKeyRow.grant_hash == row.grant_hash)
            keys = [session.scalar(select(func.count()).where(condition)) for condition in of_grant]
            if not any(keys):
                continue
            for table in (StepRow, RunKeyRow, LinkageScalarRow, LineModelRow):
                session.execute(delete(table).where(table.grant_hash == row.grant_hash))
            session.execute(
                delete(SealedValueRow).where(
                    SealedValueRow.grant_hash == row.grant_hash, SealedValueRow.name.not_in(KEPT_VALUES)
                )
            )
            event = Event(EventType.GRANT_ENDED, now_s, project_id=row.project_id, grant_hash=row.grant_hash)
            record(session, event)
            ended += 1
    # At every look, not only now: a reader may have kept the log from being truncated the last time.
    truncate_log(engine.db)
    return ended
