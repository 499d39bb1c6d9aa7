"""The node's counters: points evaluated, label ε, evidence bits. Each is charged before the act and never refunded.

Every charge has a key (run and attempt, or project, target and period), so that a step that is computed again after a crash
does not charge twice, and a crash between charge and send keeps the charge: what may have left counts as left.
"""

from collections.abc import Sequence

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from crypto.errors import DoudiError
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import EvaluationChargeRow, EvidenceChargeRow, LabelChargeRow, SumSetRow
from department_nodes.store.session import transaction

YEAR_S = 365 * 24 * 3600


class Accounts:
    """The counters of one node, for one attempt of one run."""

    def __init__(self, engine: Engine, project_id: str, grant_hash: str, run_id: str, attempt: int, now_s: int) -> None:
        self._engine = engine
        self._project_id = project_id
        self._grant_hash = grant_hash
        self._run_id = run_id
        self._attempt = attempt
        self._now_s = now_s

    def charge_evaluations(self, owner: str, points: int, limit: int) -> None:
        """Count the points of an owner's list. Raises `linkage.limit_reached` above the grant's cumulative limit."""
        with transaction(self._engine) as session:
            row = session.get(EvaluationChargeRow, (self._run_id, self._attempt, owner))
            already = row.points if row is not None else 0
            if points <= already:
                return
            so_far = session.scalar(
                select(func.coalesce(func.sum(EvaluationChargeRow.points), 0)).where(
                    EvaluationChargeRow.project_id == self._project_id, EvaluationChargeRow.owner == owner
                )
            )
            if int(so_far or 0) + points - already > limit:
                raise DoudiError(
                    "linkage.limit_reached",
                    f"the points evaluated for {owner} over the whole project would pass the grant's limit",
                    "Ask for a new grant if more runs are needed.",
                )
            if row is not None:
                # The attempt was charged for a shorter list and then refused: the longer one costs the difference.
                row.points = points
                return
            session.add(
                EvaluationChargeRow(
                    run_id=self._run_id,
                    attempt=self._attempt,
                    owner=owner,
                    project_id=self._project_id,
                    points=points,
                    charged_at=self._now_s,
                )
            )

    def charge_label(self, target: str, period: str, epsilon_milli: int, cap_milli_per_year: int) -> None:
        """Charge ε to the label asset, once per project, target and period.

        Raises `label.epsilon_changed` when the period was released with another ε, and `label.budget_exhausted`.
        """
        with transaction(self._engine) as session:
            row = session.get(LabelChargeRow, (self._project_id, target, period))
            if row is not None:
                if row.epsilon_milli != epsilon_milli:
                    raise DoudiError("label.epsilon_changed", "this period was released with another ε")
                return
            spent = session.scalar(
                select(func.coalesce(func.sum(LabelChargeRow.epsilon_milli), 0)).where(
                    LabelChargeRow.charged_at > self._now_s - YEAR_S
                )
            )
            if int(spent or 0) + epsilon_milli > cap_milli_per_year:
                raise DoudiError(
                    "label.budget_exhausted",
                    "the label asset's ε of the last year does not cover this release",
                    "See `doudi node status`; the cap is the department's own, in node.toml.",
                )
            session.add(
                LabelChargeRow(
                    project_id=self._project_id,
                    target=target,
                    period=period,
                    epsilon_milli=epsilon_milli,
                    charged_at=self._now_s,
                )
            )
            counts = {"epsilon_milli": epsilon_milli, "cap_milli": cap_milli_per_year}
            self._record(session, EventType.LABELS_CHARGED, "release", counts)

    def charge_evidence(self, bits_per_person: int, cap_bits_per_year: int) -> None:
        """Charge evidence bits, over all targets and runs. Raises `evidence.budget_exhausted`."""
        with transaction(self._engine) as session:
            if session.get(EvidenceChargeRow, (self._run_id, self._attempt)) is not None:
                return
            spent = session.scalar(
                select(func.coalesce(func.sum(EvidenceChargeRow.bits_per_person), 0)).where(
                    EvidenceChargeRow.charged_at > self._now_s - YEAR_S
                )
            )
            if int(spent or 0) + bits_per_person > cap_bits_per_year:
                raise DoudiError(
                    "evidence.budget_exhausted",
                    "the evidence bits per person of the last year do not cover this run",
                    "Ask for a grant with a higher yearly cap, or wait.",
                )
            session.add(
                EvidenceChargeRow(
                    run_id=self._run_id,
                    attempt=self._attempt,
                    grant_hash=self._grant_hash,
                    bits_per_person=bits_per_person,
                    charged_at=self._now_s,
                )
            )
            counts = {"bits_per_person": bits_per_person, "cap_bits_per_person": cap_bits_per_year}
            self._record(session, EventType.EVIDENCE_CHARGED, "train", counts)

    def bind_sum_set(self, target: str, period: str, departments: Sequence[str]) -> None:
        """Fix the set of departments that sums of this target and period are taken over.

        Raises `sum_only.other_set` for another set: the difference of two sums would be one department's evidence.
        """
        named = ",".join(sorted(departments))
        with transaction(self._engine) as session:
            row = session.get(SumSetRow, (self._project_id, target, period))
            if row is None:
                session.add(SumSetRow(project_id=self._project_id, target=target, period=period, departments=named))
            elif row.departments != named:
                raise DoudiError(
                    "sum_only.other_set",
                    "sums of this target and period were taken over another set of departments",
                    "A new set needs a new label period.",
                )

    def _record(self, session: Session, event: EventType, step: str, counts: dict[str, int]) -> None:
        record(
            session,
            Event(
                type=event,
                at=self._now_s,
                project_id=self._project_id,
                run_id=self._run_id,
                attempt=self._attempt,
                step=step,
                grant_hash=self._grant_hash,
                counts=counts,
            ),
        )
