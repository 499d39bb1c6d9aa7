"""What witnesses sign under a checkpoint: verified, stored, and counted against the terms in force."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.db.session import now_s
from coordinator.ledger.models import LedgerCheckpointRow, LedgerCosignatureRow
from coordinator.ledger.terms_store import newest_terms
from crypto.checkpoint import Note, Signature, parse_note, verify_cosignature, with_signatures
from crypto.errors import DoudiError
from policies.contracts.ledger.terms import LedgerTerms

MAXIMUM_LINE_CHARACTERS = 512


def store_cosignature(session: Session, department: str, size: int, line: str) -> bool:
    """Store a witness's line under the checkpoint of a size; return whether it is new or later than the known one.

    The checkpoint counts as witnessed from the moment at which a quorum of the terms in force has cosigned. The caller holds the
    head's lock, so that of two lines that make the quorum together each sees the other. Raises `checkpoint.unknown`,
    `ledger.not_a_witness`, and "checkpoint.…" for a line that is not right.
    """
    row = session.get(LedgerCheckpointRow, size)
    if row is None:
        raise DoudiError("checkpoint.unknown", "the log has published no checkpoint of this size")
    terms = newest_terms(session)
    witness = next((item for item in terms.witnesses if item.department == department), None)
    if witness is None:
        raise not_a_witness()
    note = parse_note(row.note)
    signature = _parse_line(note, line)
    time_s = verify_cosignature(Note(note.text, (signature,)), witness.note_key)
    known = session.get(LedgerCosignatureRow, (size, department))
    if known is None:
        session.add(
            LedgerCosignatureRow(size=size, department=department, line=signature.line().rstrip("\n"), time=time_s)
        )
    elif _parse_line(note, known.line).key_hash == signature.key_hash and known.time >= time_s:
        return False
    else:
        known.line, known.time = signature.line().rstrip("\n"), time_s
    session.flush()
    if row.witnessed_at is None and len(cosigners(session, size, terms)) >= terms.quorum:
        row.witnessed_at = now_s(session)
        session.flush()
    return True


def cosigners(session: Session, size: int, terms: LedgerTerms) -> dict[str, int]:
    """Return who of the terms' witnesses cosigned a checkpoint with its key in force, and when by its own clock."""
    keys = {witness.department: witness.note_key.key_hash for witness in terms.witnesses}
    note = cosigned_note(session, size)
    found = session.execute(
        select(LedgerCosignatureRow.department, LedgerCosignatureRow.time).where(LedgerCosignatureRow.size == size)
    )
    times = {department: time_s for department, time_s in found}
    return {
        one.name: times[one.name] for one in note.signatures if one.name in times and keys.get(one.name) == one.key_hash
    }


def quorum_time(session: Session, size: int, terms: LedgerTerms) -> int | None:
    """Return when the quorum of a checkpoint was reached by the witnesses' own clocks; `None` while it is not.

    Of all the times it is the one that is no later than a quorum's: cosigning again makes a checkpoint fresh again.
    """
    times = sorted(cosigners(session, size, terms).values(), reverse=True)
    return times[terms.quorum - 1] if len(times) >= terms.quorum else None


def cosigned_note(session: Session, size: int) -> Note:
    """Return a checkpoint with the cosignatures that it has. Raises `checkpoint.unknown`."""
    row = session.get(LedgerCheckpointRow, size)
    if row is None:
        raise DoudiError("checkpoint.unknown", "the log has published no checkpoint of this size")
    note = parse_note(row.note)
    lines = session.scalars(
        select(LedgerCosignatureRow.line)
        .where(LedgerCosignatureRow.size == size)
        .order_by(LedgerCosignatureRow.department)
    )
    return with_signatures(note, [_parse_line(note, line) for line in lines])


def not_a_witness() -> DoudiError:
    """Return the error for a department that the terms do not name, or name with another key."""
    return DoudiError(
        "ledger.not_a_witness",
        "the ledger's terms do not name this department's key as a witness's",
        "The centre's officer runs `doudi centre ledger renew-terms`.",
    )


def _parse_line(note: Note, line: str) -> Signature:
    """Return the one signature in a line of a note. Raises "checkpoint.malformed" for anything else, also several lines."""
    alone = line.removesuffix("\n")
    if len(alone) > MAXIMUM_LINE_CHARACTERS or "\n" in alone:
        raise _not_a_line()
    found = parse_note(f"{note.text}\n{alone}\n".encode()).signatures
    if len(found) != 1:
        raise _not_a_line()
    return found[0]


def _not_a_line() -> DoudiError:
    return DoudiError(
        "checkpoint.malformed", "a cosignature is one line of a note", "Send the line that `cosign` made."
    )
