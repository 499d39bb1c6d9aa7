"""The privacy budget of a data asset: what its lines have spent over its whole life, composed by the accountant.

Reserve, charge, settle. A reservation holds an attempt's whole plan before its first key is made; a charge pays for one round
before the round's first training step; settling releases what was reserved and never charged. A charge is never refunded and
never deleted. ε's are never added: all rounds of all runs are composed as one mechanism, at one δ.

Privacy unit: one person (row) of the asset; neighbouring: one person added or removed. The account protects the people of the
asset from everybody who sees what the lines send; rounds that may have left count as rounds that have left.

Every change of an account holds its asset's row in `privacy_assets` (PostgreSQL: the row; SQLite: BEGIN IMMEDIATE, the whole
database), so that threads and processes cannot overspend together. The accountant takes tenths of a second: it composes
outside, and what it found counts only if the account is still the one that it composed.
"""

import math
from collections import Counter
from collections.abc import Mapping
from threading import RLock

from sqlalchemy import ColumnElement, Engine, func, select, text
from sqlalchemy.orm import Session

from crypto.errors import DoudiError
from department_nodes.privacy.plans import (
    RESERVED,
    SETTLED,
    BudgetState,
    Compose,
    History,
    HistoryEntry,
    Mechanism,
    Plan,
    accountant,
    mechanism_of,
    sorted_history,
)
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import PrivacyChargeRow, PrivacyReservationRow
from department_nodes.store.session import transaction

__all__ = ["BudgetAccount", "BudgetState", "HistoryEntry", "Plan"]

UNIT = "person"
# Threads of this process reserve one after another: racing, each would compose again whenever another one is accepted.
_QUEUE = RLock()
_LOCK = text(
    "INSERT INTO privacy_assets (asset, changes) VALUES (:asset, 1) "
    "ON CONFLICT (asset) DO UPDATE SET changes = privacy_assets.changes + 1"
)


class BudgetAccount:
    """One asset's account at one time. `cap_epsilon` is the department's own cap at `delta`, from its site policy."""

    def __init__(
        self,
        engine: Engine,
        asset: str,
        cap_epsilon: float,
        delta: float,
        now_s: int,
        compose: Compose = accountant,
    ) -> None:
        self._engine = engine
        self._asset = asset
        self._cap = cap_epsilon
        self._delta = delta
        self._now_s = now_s
        self._compose = compose

    def reserve(self, plan: Plan) -> None:
        """Reserve an attempt's whole plan; the same plan again changes nothing. Older attempts of the run are settled.

        Raises `budget.other_plan` when the attempt has another plan, `budget.attempt_passed` when a newer attempt has one, and
        `budget.exhausted` when all charges, all that is outstanding and this plan together pass the cap: then nothing is stored
        but the journal's event.
        """
        with _QUEUE:
            refused = self._reserve(plan)
        if refused is not None:
            spent, together = refused
            raise DoudiError(
                "budget.exhausted",
                f"ε {spent:.3f} of {self._cap:g} at δ {self._delta:g} is spent or reserved for {self._asset}; "
                f"with this run it would be {together:.3f}",
                "See `doudi node budget`; the cap is the department's own, in node.toml.",
            )

    def _reserve(self, plan: Plan) -> tuple[float, float] | None:
        """Reserve the plan; return the asset's ε without and with it if that passes the cap."""
        composed: dict[History, float] = {}
        # Ends: the account changes under this loop only when another process reserves or settles, and the cap bounds both.
        while True:
            with transaction(self._engine) as session:
                self._lock(session)
                if self._is_planned(session, plan):
                    return None
                before = self._history(self._attempts(session), plan)
                together = _with(before, plan)
                if together in composed:
                    # The account is the one that was composed, and stays it until this transaction ends.
                    if composed[together] <= self._cap:
                        self._store(session, plan, composed[together])
                        return None
                    self._record_refusal(session, plan, composed[together])
                    break
            composed[together] = self._epsilon(together)
        return self._epsilon(before), composed[together]

    def is_reserved(self, run_id: str, attempt: int) -> bool:
        """Return whether the attempt has a reservation that is not settled."""
        with transaction(self._engine) as session:
            return self._reserved(session, run_id, attempt) is not None

    def charge(self, run_id: str, attempt: int, round_number: int) -> None:
        """Charge one round; durable when this returns. The same round again changes nothing.

        Raises `budget.not_reserved` without a reservation, after it was settled or has expired, or when all its rounds are
        charged; `budget.round_passed` for a round before the newest charged one.
        """
        with transaction(self._engine) as session:
            self._lock(session)
            row = self._reserved(session, run_id, attempt)
            if row is None or row.expires_at < self._now_s:
                raise DoudiError(
                    "budget.not_reserved",
                    "this attempt of the run holds no reservation of the privacy budget, or no longer",
                    "Start a new attempt.",
                )
            charged = session.scalars(select(PrivacyChargeRow.round).where(*_of(run_id, attempt))).all()
            if round_number in charged:
                return
            if charged and round_number < max(charged):
                raise DoudiError("budget.round_passed", "a later round of this attempt is charged already")
            if round_number < 1 or len(charged) >= row.rounds:
                raise DoudiError("budget.not_reserved", "all rounds that this attempt reserved are charged")
            session.add(PrivacyChargeRow(run_id=run_id, attempt=attempt, round=round_number, charged_at=self._now_s))
            counts = {"round": round_number, "steps": row.steps_per_round}
            self._record(session, EventType.BUDGET_CHARGED, row, counts)
        # The charge is durable from here: a crash after it repeats the training at most, and refunds nothing.

    def settle(self, run_id: str, attempt: int) -> None:
        """Release what the attempt reserved and did not charge. Nothing happens without a reservation, or the second time."""
        with transaction(self._engine) as session:
            self._lock(session)
            row = self._reserved(session, run_id, attempt)
            if row is not None:
                self._settle(session, row)

    def settle_overdue(self) -> int:
        """Release what this asset's reservations that have ended did not charge; return how many there were."""
        with transaction(self._engine) as session:
            self._lock(session)
            overdue = [
                row for row, _ in self._attempts(session) if row.state == RESERVED and row.expires_at < self._now_s
            ]
            for row in overdue:
                self._settle(session, row)
            return len(overdue)

    def state(self, newest: int | None = None) -> BudgetState:
        """Return the account with its `newest` attempts (all without a number), oldest first. Changes nothing."""
        with transaction(self._engine) as session:
            found = self._attempts(session)
        hidden = 0 if newest is None else max(0, len(found) - newest)
        entries: list[HistoryEntry] = []
        charged: Counter[Mechanism] = Counter()
        for place, (row, rounds) in enumerate(found):
            charged[mechanism_of(row)] += rounds
            if place < hidden:
                continue
            entries.append(
                HistoryEntry(
                    run_id=row.run_id,
                    attempt=row.attempt,
                    project_id=row.project_id,
                    per_round=mechanism_of(row),
                    state=SETTLED if self._is_over(row) else RESERVED,
                    reserved_at=row.reserved_at,
                    rounds_reserved=row.rounds,
                    rounds_charged=rounds,
                    epsilon_alone=self._epsilon(sorted_history({mechanism_of(row): rounds})),
                    epsilon_after=self._epsilon(sorted_history(charged)),
                )
            )
        return BudgetState(
            asset=self._asset,
            epsilon_spent=self._epsilon(sorted_history(charged)),
            epsilon_reserved=self._epsilon(self._history(found)),
            cap_epsilon=self._cap,
            delta=self._delta,
            attempts=len(found),
            history=tuple(entries),
        )

    def with_rounds(self, per_round: Mechanism, rounds: int) -> float:
        """Return the asset's ε if so many rounds came on top of all that is charged or reserved. Changes nothing."""
        with transaction(self._engine) as session:
            history = self._history(self._attempts(session))
        return self._epsilon(sorted_history(Counter(dict(history)) + Counter({per_round: rounds})))

    def _lock(self, session: Session) -> None:
        """Hold the asset's account until the transaction ends."""
        session.execute(_LOCK, {"asset": self._asset})

    def _reserved(self, session: Session, run_id: str, attempt: int) -> PrivacyReservationRow | None:
        row = session.get(PrivacyReservationRow, (run_id, attempt))
        return row if row is not None and (row.asset, row.state) == (self._asset, RESERVED) else None

    def _is_planned(self, session: Session, plan: Plan) -> bool:
        row = session.get(PrivacyReservationRow, (plan.run_id, plan.attempt))
        if row is None:
            newest = session.scalar(
                select(func.max(PrivacyReservationRow.attempt)).where(PrivacyReservationRow.run_id == plan.run_id)
            )
            if newest is not None and newest > plan.attempt:
                raise DoudiError("budget.attempt_passed", "a newer attempt of this run has reserved its budget")
            return False
        stored = (row.asset, row.project_id, row.grant_hash, mechanism_of(row), row.rounds, row.expires_at)
        if stored != (
            self._asset,
            plan.project_id,
            plan.grant_hash,
            plan.per_round,
            plan.rounds,
            plan.expires_at,
        ):
            raise DoudiError(
                "budget.other_plan", "this attempt has reserved its budget for another plan", "Start a new attempt."
            )
        return True

    def _attempts(self, session: Session) -> list[tuple[PrivacyReservationRow, int]]:
        """Return the asset's attempts, oldest first, with the rounds each was charged; one statement, one moment."""
        charged = select(func.count()).where(
            PrivacyChargeRow.run_id == PrivacyReservationRow.run_id,
            PrivacyChargeRow.attempt == PrivacyReservationRow.attempt,
        )
        rows = session.execute(
            select(PrivacyReservationRow, charged.correlate(PrivacyReservationRow).scalar_subquery())
            .where(PrivacyReservationRow.asset == self._asset)
            .order_by(PrivacyReservationRow.reserved_at, PrivacyReservationRow.run_id, PrivacyReservationRow.attempt)
        ).all()
        return [(row, int(rounds)) for row, rounds in rows]

    def _is_over(self, row: PrivacyReservationRow, plan: Plan | None = None) -> bool:
        """Whether nothing more is charged to a reservation: settled, past its end, or of an older attempt than `plan`."""
        older = plan is not None and row.run_id == plan.run_id and row.attempt < plan.attempt
        return row.state == SETTLED or row.expires_at < self._now_s or older

    def _history(self, found: list[tuple[PrivacyReservationRow, int]], plan: Plan | None = None) -> History:
        """Return what is spent or may still be: the charged rounds, and all planned rounds of what is not over."""
        rounds: Counter[Mechanism] = Counter()
        for row, charged in found:
            rounds[mechanism_of(row)] += charged if self._is_over(row, plan) else row.rounds
        return sorted_history(rounds)

    def _store(self, session: Session, plan: Plan, epsilon: float) -> None:
        for row, _ in self._attempts(session):
            # What was taken as released is released now, so that nobody charges it after all.
            if row.state == RESERVED and self._is_over(row, plan):
                self._settle(session, row)
        row = PrivacyReservationRow(
            run_id=plan.run_id,
            attempt=plan.attempt,
            asset=self._asset,
            project_id=plan.project_id,
            grant_hash=plan.grant_hash,
            mechanism=plan.mechanism,
            sigma_milli=plan.sigma_milli,
            sample_rate_ppm=plan.sample_rate_ppm,
            steps_per_round=plan.steps_per_round,
            rho_billionths=plan.rho_billionths,
            delta_exponent=round(-math.log10(self._delta)),
            unit=UNIT,
            rounds=plan.rounds,
            state=RESERVED,
            reserved_at=self._now_s,
            expires_at=plan.expires_at,
        )
        session.add(row)
        counts = {"rounds": plan.rounds, "epsilon_milli": _milli(epsilon), "cap_milli": _milli(self._cap)}
        self._record(session, EventType.BUDGET_RESERVED, row, counts)

    def _settle(self, session: Session, row: PrivacyReservationRow) -> None:
        charged = session.scalar(select(func.count()).where(*_of(row.run_id, row.attempt))) or 0
        row.state, row.settled_at = SETTLED, self._now_s
        counts = {"charged": charged, "released": row.rounds - charged}
        self._record(session, EventType.BUDGET_SETTLED, row, counts)

    def _record_refusal(self, session: Session, plan: Plan, epsilon: float) -> None:
        counts = {"rounds": plan.rounds, "epsilon_milli": _milli(epsilon), "cap_milli": _milli(self._cap)}
        self._record(session, EventType.BUDGET_REFUSED, plan, counts, "budget.exhausted")

    def _record(
        self,
        session: Session,
        event: EventType,
        of: PrivacyReservationRow | Plan,
        counts: Mapping[str, int],
        code: str = "",
    ) -> None:
        record(
            session,
            Event(
                type=event,
                at=self._now_s,
                project_id=of.project_id,
                run_id=of.run_id,
                attempt=of.attempt,
                grant_hash=of.grant_hash,
                code=code,
                counts=counts,
            ),
        )

    def _epsilon(self, history: History) -> float:
        return self._compose(history, self._delta) if history else 0.0


def _with(history: History, plan: Plan) -> History:
    return sorted_history(Counter(dict(history)) + Counter({plan.per_round: plan.rounds}))


def _of(run_id: str, attempt: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return PrivacyChargeRow.run_id == run_id, PrivacyChargeRow.attempt == attempt


def _milli(epsilon: float) -> int:
    """Return thousandths, rounded up; a journal counts in integers, so that no ε is larger than 10^6."""
    return math.ceil(1000 * epsilon) if epsilon < 1e6 else 10**9
