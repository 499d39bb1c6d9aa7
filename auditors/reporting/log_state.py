"""The state of the log itself: what of it is open here, its producers' numbering, shredded batches, changes of its rules."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from auditors.acts import Act, Acts
from auditors.opened import BatchState, OpenedRecords
from auditors.record_findings import shredding_records
from policies.contracts.ledger.terms import COORDINATOR, LedgerTerms

CHANGE_TYPES = (
    "type LIKE 'policy.%' OR type LIKE 'ledger.%' OR type IN ('standard.changed', 'party.registered', 'party.keys_replaced', "
    "'revocation.published', 'node.revocation.issued', 'node.alarm.acknowledged')"
)


def coverage_of(opened: OpenedRecords) -> dict[str, Any]:
    """Return how many entries of each producer are here and how many of them could be read."""
    rows = opened.connection.execute(
        """SELECT r.producer, count(*) AS entries, sum(r.opened) AS opened, sum(r.fault IS NOT NULL) AS faulty,
           sum(b.state = :shredded) AS shredded, sum(b.state = :others) AS sealed_to_others, min(r.at) AS first,
           max(r.at) AS last FROM records r JOIN batches b ON b.first_index = r.batch GROUP BY r.producer
           ORDER BY r.producer""",
        {"shredded": BatchState.SHREDDED.value, "others": BatchState.OTHERS.value},
    )
    producers = [dict(row) for row in rows]
    names = ("entries", "opened", "faulty", "shredded", "sealed_to_others")
    return {
        "size": opened.size,
        "producers": producers,
        **{name: sum(row[name] for row in producers) for name in names},
    }


def numbering_of(opened: OpenedRecords) -> list[dict[str, Any]]:
    """Return for every key of every department which of its numbers are in the log, with the gaps as [first, last] missing.

    A department numbers its records from 1 for each key, so what it leaves out, or what is left out of it, shows here. The
    coordinator has no numbers of its own: the order of the log is its order.
    """
    found: dict[tuple[str, bytes], dict[str, Any]] = {}
    rows = opened.connection.execute(
        "SELECT * FROM batches WHERE producer <> ? ORDER BY producer, signer, first_sequence", (COORDINATOR,)
    )
    for row in rows:
        key = (row["producer"], row["signer"])
        known = found.setdefault(
            key, {"producer": row["producer"], "key": row["signer"].hex()[:16], "entries": 0, "last": 0, "gaps": []}
        )
        if row["first_sequence"] > known["last"] + 1:
            known["gaps"].append([known["last"] + 1, row["first_sequence"] - 1])
        known["entries"] += row["count"]
        known["last"] = max(known["last"], row["first_sequence"] + row["count"] - 1)
    return list(found.values())


def shredded_of(opened: OpenedRecords) -> list[dict[str, Any]]:
    """Return every batch that is closed here because its wrapped keys were destroyed, with the record that states it."""
    stated = shredding_records(Acts(opened))
    rows = opened.connection.execute(
        "SELECT * FROM batches WHERE state = ? ORDER BY first_index", (BatchState.SHREDDED.value,)
    )
    found = []
    for row in rows:
        act = stated.get(hashlib.sha256(row["batch_id"]).hexdigest())
        found.append(
            {
                "first_index": row["first_index"],
                "entries": row["count"],
                "producer": row["producer"],
                "stated": None if act is None else act.shown(),
            }
        )
    return found


def changes_of(acts: Iterable[Act], at_most: int) -> dict[str, Any]:
    """Return the newest changes of rules, terms, keys, lists and readers, the newest first, and how many there were."""
    found: list[Act] = []
    total = 0
    for act in acts:
        total += 1
        found.append(act)
        if len(found) > 2 * at_most:
            found = found[-at_most:]
    return {"total": total, "newest": [act.shown() for act in reversed(found[-at_most:])]}


def terms_of(terms: Sequence[LedgerTerms]) -> list[dict[str, Any]]:
    """Return each number of the log's terms with the auditors and witnesses that it added and removed; a new key is both."""
    rows = []
    before: LedgerTerms | None = None
    for item in terms:
        auditors = {card.auditor: card.digest() for card in item.auditors}
        witnesses = {witness.department: witness.key for witness in item.witnesses}
        old_auditors = {card.auditor: card.digest() for card in before.auditors} if before else {}
        old_witnesses = {witness.department: witness.key for witness in before.witnesses} if before else {}
        rows.append(
            {
                "number": item.number,
                "issued_at": item.issued_at,
                "auditors": sorted(auditors),
                "witnesses": len(witnesses),
                "quorum": item.quorum if witnesses else 0,
                "tolerated_faulty_witnesses": item.tolerated_faulty_witnesses,
                "auditors_added": _added(old_auditors, auditors),
                "auditors_removed": _added(auditors, old_auditors),
                "witnesses_added": _added(old_witnesses, witnesses),
                "witnesses_removed": _added(witnesses, old_witnesses),
                "new_log_key": before is not None and before.log_key != item.log_key,
            }
        )
        before = item
    return rows


def _added(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Return the names that stand in `new` with a value that they have not in `old`."""
    return sorted(name for name, value in new.items() if old.get(name) != value)
