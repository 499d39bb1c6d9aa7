"""Which rules decide now: the shipped ones, or the newest version that was approved. Made once in `app.create_app`.

What is in force stands in the database and is looked up in the transaction of every decision, so that two processes never decide
by different rules and a change counts from its commit on. Parsed rules are kept by their hash, so the look-up is all it costs.
"""

import threading

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.authorization.models import PolicyVersionRow
from crypto.errors import DoudiError
from policies.authorization.coordinator_rules import parse_version, shipped_engine
from policies.authorization.engine import PolicyEngine

_KEPT = 8
# Made once: it is asked at every decision.
_ACTIVE_HASH = select(PolicyVersionRow.policy_hash).where(PolicyVersionRow.state == "active")


class RulesInForce:
    """The rules that this process has parsed. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parsed: dict[str, PolicyEngine] = {}
        self._newest = shipped_engine()

    @property
    def newest(self) -> PolicyEngine:
        """The rules of the last decision of this process, without a look-up: for what only decorates a page."""
        return self._newest

    def engine(self, session: Session) -> PolicyEngine:
        """Return the rules that are in force in the session's transaction. Raises `policy.not_loadable`."""
        active = session.scalar(_ACTIVE_HASH)
        engine = shipped_engine() if active is None else self._parsed.get(active) or self._load(session, active)
        self._newest = engine
        return engine

    def _load(self, session: Session, policy_hash: str) -> PolicyEngine:
        """Parse the active version and check it as if it were proposed anew: the database is not trusted for the rules."""
        text = session.scalars(select(PolicyVersionRow.rules).where(PolicyVersionRow.state == "active")).one()
        try:
            engine = parse_version(text)
        except DoudiError as error:
            # Also after an upgrade whose invariants or schema the approved rules do not meet any more.
            raise _not_loadable(error.message) from None
        if engine.policy_hash != policy_hash:
            raise _not_loadable("text and hash differ")
        with self._lock:
            if len(self._parsed) >= _KEPT:
                self._parsed.clear()
            self._parsed[policy_hash] = engine
        return engine


def _not_loadable(why: str) -> DoudiError:
    return DoudiError(
        "policy.not_loadable",
        f"the approved rules in the database cannot be used ({why})",
        "Run `doudi centre shipped-rules` on the coordinator's host, then propose the change again.",
    )
