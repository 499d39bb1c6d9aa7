"""Exchanging revocation lists through the coordinator, which can withhold or repeat them, and nothing else.

What comes is verified with pinned keys, so a forged or older list changes nothing; what does not come makes the known lists too
old, and then this node stops (`department_nodes/revocations.py`). Bad lists are recorded, the good ones of the same answer kept.
"""

import logging
from collections.abc import Iterable
from itertools import islice
from typing import Any, Protocol

from pydantic import ValidationError

from command_line.paging import every_item
from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.home import CENTRE, NodeHome
from department_nodes.retention import end_grants
from department_nodes.revocations import accept_list, is_due, issue_list, known_lists
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.session import transaction
from policies.contracts.grant_terms import GrantBase
from policies.contracts.revocations import RevokedGrant, SignedRevocationList

log = logging.getLogger("doudi.node")

LISTS_PATH = "/v1/revocations"
# More parties than any centre has; a longer answer is read no further.
MOST_LISTS = 5_000
PAUSE_S = 5.0


class Lists(Protocol):
    """The two calls of the coordinator that lists pass through."""

    def get(self, path: str) -> Any:
        """Return the JSON answer of a GET."""

    def put_bytes(self, path: str, body: bytes) -> Any:
        """Return the JSON answer of a PUT of a signed document."""


class RevocationExchange:
    """Keeps this node's lists recent: takes those of the others, renews and hands in its own."""

    def __init__(self, engine: NodeEngine, client: Lists) -> None:
        self._engine = engine
        self._client = client
        # What was told once is not told again every half minute, nor can a coordinator fill the journal with new numbers.
        self._told: set[tuple[str, str]] = set()
        self._asked_at = 0.0

    def exchange(self) -> bool:
        """Take every party's newest list and hand in the own one; return whether a list came that was newer.

        Raises `coordinator.unreachable`, `coordinator.bad_answer`, or the coordinator's code; known lists stay then.
        """
        home, now_s = self._engine.home, int(self._engine.clock())
        offered = _readable(every_item(self._client.get, LISTS_PATH))
        newer = [item for item in offered if self._accept(item, now_s)]
        if newer:
            # What another party took back is destroyed at once, not at the next look for ended grants.
            end_grants(self._engine)
        own = home.config.department
        # After the others' lists: a node restored from a backup finds its own newer list among them, and counts on from there.
        self._renew(now_s)
        mine = known_lists(home).get(own)
        # A list by another key is a former node's, or the coordinator's invention: its number says nothing about this node's.
        theirs = next((item for item in offered if item.content.party == own and _is_own(home, item)), None)
        if mine is not None and (theirs is None or theirs.content.number < mine.content.number):
            self._client.put_bytes(f"{LISTS_PATH}/{own}", mine.to_bytes())
        return bool(newer)

    def exchange_if_lacking(self, grant: GrantBase) -> None:
        """Exchange lists, if one that a run of this grant needs is missing or too old; not again within a few seconds."""
        if self._is_lacking(grant) and self._engine.clock() - self._asked_at >= PAUSE_S:
            self._asked_at = self._engine.clock()
            self.exchange()

    def _is_lacking(self, grant: GrantBase) -> bool:
        home, now_s = self._engine.home, int(self._engine.clock())
        lists, limit_s = known_lists(home), home.config.policy.max_revocation_age_hours * 3600
        needed = {CENTRE, *grant.departments} - {home.config.department}
        return any(party not in lists or now_s - lists[party].content.issued_at > limit_s for party in needed)

    def _accept(self, offered: SignedRevocationList, now_s: int) -> bool:
        try:
            newer = accept_list(self._engine.home, offered, now_s)
        except DoudiError as error:
            # A party that is not pinned here is none of this node's: its grants cannot be used here anyway.
            if error.code != "trust.unknown_party":
                self._tell(offered, error.code, now_s)
            return False
        if newer:
            _record(self._engine, EventType.REVOCATIONS_ACCEPTED, offered, now_s)
        return newer

    def _renew(self, now_s: int) -> None:
        if not is_due(self._engine.home, now_s):
            return
        try:
            issue(self._engine)
        except DoudiError as error:
            if error.code != "key.missing":
                raise
            # The key is on an officer's device: that person renews the list, with `doudi node publish-revocations`.
            told = (self._engine.home.config.department, error.code)
            if told not in self._told:
                self._told.add(told)
                log.warning("this department's revocation list is not renewed here: %s", error.code)

    def _tell(self, offered: SignedRevocationList, code: str, now_s: int) -> None:
        known = (offered.content.party, code)
        if known in self._told:
            return
        self._told.add(known)
        log.warning("revocation list of %s refused: %s", offered.content.party, code)
        _record(self._engine, EventType.REVOCATIONS_REFUSED, offered, now_s, code)


def _is_own(home: NodeHome, listed: SignedRevocationList) -> bool:
    try:
        listed.verify(home.public_keys.revocation_key)
    except DoudiError:
        return False
    return True


def issue(engine: NodeEngine, revoked: RevokedGrant | None = None) -> SignedRevocationList:
    """Return this department's next list, stored and recorded. Raises `key.missing`."""
    now_s = int(engine.clock())
    signed = issue_list(engine.home, now_s, revoked)
    _record(engine, EventType.REVOCATIONS_ISSUED, signed, now_s)
    return signed


def _record(engine: NodeEngine, kind: EventType, signed: SignedRevocationList, now_s: int, code: str = "") -> None:
    counts = {"number": signed.content.number, "revoked": len(signed.content.revoked)}
    with transaction(engine.db) as session:
        record(session, Event(kind, now_s, party=signed.content.party, code=code, counts=counts))


def _readable(items: Iterable[Any]) -> list[SignedRevocationList]:
    """Return the lists of an untrusted answer; one that cannot be read is left out, as if it had been withheld."""
    found = []
    for item in islice(items, MOST_LISTS):
        try:
            found.append(SignedRevocationList.model_validate(item))
        except ValidationError:
            log.warning("a revocation list has the wrong form")
    return found
