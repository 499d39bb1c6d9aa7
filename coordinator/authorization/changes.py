"""Changing the rules: one person of the centre proposes, two others approve, and the second approval puts the change in force.

States: proposed → active → replaced; proposed → refused when another change comes into force first, since what was proposed is a
difference from rules that are no more; proposed → withdrawn by its proposer. Only rules change: schema and invariants come with
the program. Called within a transaction that the caller opens.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.authorization.differences import Hunk, difference
from coordinator.authorization.models import PolicyApprovalRow, PolicyVersionRow
from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import policy_change_resource, system_resource
from coordinator.authorization.services import authorise
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.events import COORDINATOR, Event, EventType, record
from coordinator.paging import Order, PageRequest, Slice, page_of
from crypto.errors import DoudiError
from policies.authorization.coordinator_rules import parse_version, shipped_engine

APPROVALS_NEEDED = 2
MAXIMUM_OPEN_CHANGES = 10
NEWEST_FIRST = Order("policy_changes", (PolicyVersionRow.number,), newest_first=True)


def propose(session: Session, context: AppContext, principal: Principal, text: str) -> tuple[PolicyVersionRow, bool]:
    """Return the proposed version, and whether it is new: the same text of the same person finds the open one.

    Raises `authorization.denied`, `policy.invalid`, `policy.breaks_invariant` (its message names the rule or case),
    `policy.unchanged`, `policy.already_proposed`, `policy.too_many_changes`.
    """
    authorise(session, context, principal, "policy.propose", system_resource())
    engine = parse_version(text)
    base = context.rules.engine(session)
    if engine.policy_hash == base.policy_hash:
        raise DoudiError("policy.unchanged", "these rules are in force already")
    proposer = _number(principal)
    waiting = open_changes(session)
    for row in waiting:
        if row.policy_hash == engine.policy_hash:
            if row.proposer != proposer:
                raise DoudiError(
                    "policy.already_proposed", "somebody else proposed these rules", "Approve that change."
                )
            return row, False
    if len(waiting) >= MAXIMUM_OPEN_CHANGES:
        raise DoudiError("policy.too_many_changes", "too many changes are open", "Decide on them or withdraw some.")
    row = PolicyVersionRow(
        policy_hash=engine.policy_hash,
        base_hash=base.policy_hash,
        rules=engine.text,
        state="proposed",
        proposer=proposer,
        proposed_at=now_s(session),
    )
    session.add(row)
    session.flush()
    _record(session, EventType.POLICY_PROPOSED, principal, row)
    return row, True


def approve(session: Session, context: AppContext, principal: Principal, policy_hash: str) -> PolicyVersionRow:
    """Return the version with this person's approval; with the second one it is in force.

    Raises `policy.unknown_change`, `authorization.denied`, `policy.not_proposed`, or as `parse_version`.
    """
    row = get_change(session, policy_hash)
    before = approvers(session, row)
    resource = policy_change_resource(policy_hash, proposer=row.proposer, approvers=before)
    authorise(session, context, principal, "policy.approve", resource)
    _require_proposed(row)
    now = now_s(session)
    session.add(PolicyApprovalRow(version=row.number, account=_number(principal), at=now))
    session.flush()
    _record(session, EventType.POLICY_APPROVED, principal, row)
    # Counted from the table and not from what this transaction knows.
    counted = select(func.count()).where(
        PolicyApprovalRow.version == row.number, PolicyApprovalRow.account != row.proposer
    )
    if (session.scalar(counted) or 0) >= APPROVALS_NEEDED:
        _put_in_force(session, context, principal, row, now)
    return row


def withdraw(session: Session, context: AppContext, principal: Principal, policy_hash: str) -> PolicyVersionRow:
    """Return the version, taken back by its proposer.

    Raises `policy.unknown_change`, `authorization.denied`, `policy.not_proposed`.
    """
    row = get_change(session, policy_hash)
    resource = policy_change_resource(policy_hash, proposer=row.proposer, approvers=approvers(session, row))
    authorise(session, context, principal, "policy.withdraw", resource)
    _require_proposed(row)
    row.state, row.ended_at = "withdrawn", now_s(session)
    _record(session, EventType.POLICY_WITHDRAWN, principal, row)
    return row


def return_to_shipped_rules(session: Session) -> bool:
    """Put the shipped rules in force, and return whether others were. For the host's command line alone.

    The way out when an upgrade brings a schema that the approved rules do not fit: nothing could be decided, nor changed.
    """
    active = session.scalar(select(PolicyVersionRow).where(PolicyVersionRow.state == "active"))
    if active is None:
        return False
    active.state, active.ended_at = "replaced", now_s(session)
    record(session, _event(EventType.POLICY_RESET, COORDINATOR, None, active))
    _refuse_open_changes(session, COORDINATOR)
    return True


def get_change(session: Session, policy_hash: str) -> PolicyVersionRow:
    """Return the newest version with this hash. Raises `policy.unknown_change`."""
    query = select(PolicyVersionRow).where(PolicyVersionRow.policy_hash == policy_hash)
    row = session.scalars(query.order_by(PolicyVersionRow.number.desc()).limit(1)).first()
    if row is None:
        raise DoudiError("policy.unknown_change", "no change of the rules has this hash", "List the changes.")
    return row


def active_version(session: Session) -> PolicyVersionRow | None:
    """Return the approved version that is in force, or None: then the shipped rules are."""
    return session.scalar(select(PolicyVersionRow).where(PolicyVersionRow.state == "active"))


def approvers(session: Session, row: PolicyVersionRow) -> Sequence[int]:
    """Return the accounts that approved a version, in the order of their approvals."""
    query = select(PolicyApprovalRow.account).where(PolicyApprovalRow.version == row.number)
    return session.scalars(query.order_by(PolicyApprovalRow.at, PolicyApprovalRow.account)).all()


def approvals_of(session: Session, rows: Sequence[PolicyVersionRow]) -> Mapping[int, list[int]]:
    """Return the accounts that approved each of some versions, in the order of their approvals: one query for a page."""
    found: dict[int, list[int]] = {row.number: [] for row in rows}
    query = select(PolicyApprovalRow).where(PolicyApprovalRow.version.in_(found))
    for approval in session.scalars(query.order_by(PolicyApprovalRow.at, PolicyApprovalRow.account)):
        found[approval.version].append(approval.account)
    return found


def open_changes(session: Session) -> Sequence[PolicyVersionRow]:
    """Return the versions that wait for approvals, the oldest first; there are never many."""
    query = select(PolicyVersionRow).where(PolicyVersionRow.state == "proposed")
    return session.scalars(query.order_by(PolicyVersionRow.number)).all()


def list_changes(session: Session, wanted: PageRequest) -> Slice[PolicyVersionRow]:
    """Return a page of the versions that were ever proposed, newest first."""
    return page_of(session, select(PolicyVersionRow), NEWEST_FIRST, wanted)


def change_difference(session: Session, context: AppContext, row: PolicyVersionRow) -> tuple[Hunk, ...]:
    """Return how a version differs from the rules it would replace; of one that is in force, from those that it changed."""
    if row.state == "proposed":
        return difference(context.rules.engine(session).text, row.rules)
    return difference(_text_of(session, row.base_hash), row.rules)


def _put_in_force(session: Session, context: AppContext, principal: Principal, row: PolicyVersionRow, now: int) -> None:
    # Once more: the program may be another one than when it was proposed.
    parse_version(row.rules)
    if context.rules.engine(session).policy_hash != row.base_hash:
        raise _not_proposed()
    before = active_version(session)
    if before is not None:
        before.state, before.ended_at = "replaced", now
        # The index allows one active version at every moment, so the old one leaves first.
        session.flush()
    row.state, row.activated_at = "active", now
    session.flush()
    _record(session, EventType.POLICY_ACTIVATED, principal, row)
    _refuse_open_changes(session, principal.party, principal.number)


def _refuse_open_changes(session: Session, actor: str, account: int | None = None) -> None:
    for other in open_changes(session):
        other.state, other.ended_at = "refused", now_s(session)
        record(session, _event(EventType.POLICY_REFUSED, actor, account, other))


def _require_proposed(row: PolicyVersionRow) -> None:
    if row.state != "proposed":
        raise _not_proposed()


def _not_proposed() -> DoudiError:
    return DoudiError(
        "policy.not_proposed", "the change is not open any more", "Propose it again if it is still wanted."
    )


def _number(principal: Principal) -> int:
    if principal.number is None:
        # The rules let only people act here; without a person there is nobody to ask for reasons.
        raise DoudiError("authorization.denied", "only a person changes the rules")
    return principal.number


def _record(session: Session, kind: EventType, principal: Principal, row: PolicyVersionRow) -> None:
    record(session, _event(kind, principal.party, principal.number, row))


def _event(kind: EventType, actor: str, account: int | None, row: PolicyVersionRow) -> Event:
    return Event(kind, actor, account=account, counts={"version": row.number}, hashes={"rules": row.policy_hash})


def _text_of(session: Session, policy_hash: str) -> str:
    if policy_hash == shipped_engine().policy_hash:
        return shipped_engine().text
    return get_change(session, policy_hash).rules
