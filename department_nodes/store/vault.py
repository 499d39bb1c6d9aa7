"""Sealed values of a project: each project has a storage key of its own, so that leaving it destroys all of them at once."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from crypto.errors import DoudiError
from crypto.sealing import generate_storage_key, open_at_rest, seal_at_rest
from department_nodes.store.models import ProjectRow, SealedValueRow

RESULTS_VALUE = "results"
OPENING_VALUE = "opening"
# What outlives its grant, at the lead: the list that caseworkers act on, and the opening of its commitment to the labels.
KEPT_VALUES = (RESULTS_VALUE, OPENING_VALUE)


class Vault:
    """Opens and seals a project's values with its key, inside the caller's transaction."""

    def __init__(self, node_key: bytes) -> None:
        self._node_key = node_key

    def join(self, session: Session, project_id: str, now_s: int) -> bool:
        """Make the project's key unless it exists; return whether it is new. Raises `project.left` after leaving."""
        row = session.get(ProjectRow, project_id)
        if row is not None:
            self._project_key(row)
            return False
        sealed = seal_at_rest(self._node_key, b"project-key|" + project_id.encode(), generate_storage_key())
        session.add(ProjectRow(project_id=project_id, sealed_key=sealed, joined_at=now_s))
        session.flush()
        return True

    def _project_key(self, row: ProjectRow | None) -> bytes:
        if row is None:
            raise DoudiError("project.unknown", "this node takes no part in the project")
        if row.left_at is not None or row.sealed_key is None:
            raise DoudiError("project.left", "this department has left the project", "A new project needs a new grant.")
        return open_at_rest(self._node_key, b"project-key|" + row.project_id.encode(), row.sealed_key)

    def seal(self, session: Session, project_id: str, context: str, value: bytes) -> bytes:
        """Return the sealed value; `context` names table, row and column, and must be given again to open it."""
        return seal_at_rest(self._project_key(session.get(ProjectRow, project_id)), context.encode(), value)

    def open(self, session: Session, project_id: str, context: str, sealed: bytes) -> bytes:
        """Return a value that `seal` sealed. Raises `project.left`, or the sealing's error for another context."""
        return open_at_rest(self._project_key(session.get(ProjectRow, project_id)), context.encode(), sealed)

    def put(
        self, session: Session, project_id: str, grant_hash: str, run_id: str, attempt: int, name: str, value: bytes
    ) -> None:
        """Store a value of a run, replacing the one of an interrupted computation of the same step."""
        sealed = self.seal(session, project_id, f"{run_id}|{attempt}|{name}", value)
        session.merge(SealedValueRow(run_id=run_id, attempt=attempt, name=name, grant_hash=grant_hash, sealed=sealed))

    def get(self, session: Session, project_id: str, run_id: str, attempt: int, name: str) -> bytes:
        """Return a value of a run. Raises `run.step_missing` when the step that makes it has not been done."""
        row = session.execute(
            select(SealedValueRow).where(
                SealedValueRow.run_id == run_id, SealedValueRow.attempt == attempt, SealedValueRow.name == name
            )
        ).scalar_one_or_none()
        if row is None:
            raise DoudiError(
                "run.step_missing", f"the value {name} of this run is not there: an earlier step is missing"
            )
        return self.open(session, project_id, f"{run_id}|{attempt}|{name}", row.sealed)
