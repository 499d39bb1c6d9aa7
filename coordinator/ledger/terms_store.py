"""The terms of the ledger in the database: every number that was ever in force, each stored once and never changed."""

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.db.session import now_s
from coordinator.ledger.models import TERMS, LedgerTermsRow
from crypto.errors import DoudiError
from policies.contracts.ledger.terms import LedgerTerms, SignedLedgerTerms, require_next_terms

_KEPT_DOCUMENTS = 64
# Every act reads the terms in force; thousands of witnesses cost milliseconds to parse. The key is the content's hash.
_PARSED: dict[str, SignedLedgerTerms] = {}
_NEWEST = select(TERMS.c.number, TERMS.c.digest).order_by(TERMS.c.number.desc()).limit(1)


def newest_terms(session: Session) -> LedgerTerms:
    """Return the terms in force. Raises `ledger.not_set_up` when there are none: then nothing can be recorded or done."""
    return newest_signed_terms(session).terms


def newest_signed_terms(session: Session) -> SignedLedgerTerms:
    """Return the terms in force with their signature. Raises `ledger.not_set_up`."""
    found = session.connection().execute(_NEWEST).one_or_none()
    if found is None:
        raise not_set_up()
    return _document(session, found.number, found.digest)


def terms_by_number(session: Session, number: int) -> SignedLedgerTerms:
    """Return the terms of one number. Raises `terms.unknown`."""
    digest = session.scalar(select(LedgerTermsRow.digest).where(LedgerTermsRow.number == number))
    if digest is None:
        raise DoudiError("terms.unknown", "the ledger has no terms of this number")
    return _document(session, number, digest)


def has_terms(session: Session) -> bool:
    """Return whether any terms were ever stored."""
    return session.scalar(select(LedgerTermsRow.number).limit(1)) is not None


def store_terms(session: Session, signed: SignedLedgerTerms) -> bool:
    """Store terms whose signature the caller has verified; return whether they are new.

    Numbers follow without a gap from the first stored one. Raises `terms.rollback`, `terms.fork`, `terms.other_log`,
    `terms.gap`.
    """
    known = newest_terms(session) if has_terms(session) else None
    if not require_next_terms(known, signed.terms):
        return False
    if known is not None and signed.terms.number != known.number + 1:
        raise DoudiError("terms.gap", "the ledger's terms must be numbered one above those in force")
    document = signed.to_bytes()
    row = LedgerTermsRow(
        number=signed.terms.number,
        digest=hashlib.sha256(document).hexdigest(),
        document=document,
        accepted_at=now_s(session),
    )
    session.add(row)
    session.flush()
    return True


def not_set_up() -> DoudiError:
    """Return the error for a coordinator whose ledger was never founded: it refuses every act."""
    return DoudiError(
        "ledger.not_set_up",
        "the audit ledger has no terms, so nothing can be recorded and nothing is done",
        "Found it with `doudi centre ledger found` on the officer's device.",
    )


def _document(session: Session, number: int, digest: str) -> SignedLedgerTerms:
    found = _PARSED.get(digest)
    if found is None:
        document = session.scalars(select(LedgerTermsRow.document).where(LedgerTermsRow.number == number)).one()
        found = SignedLedgerTerms.parse(document)
        if len(_PARSED) >= _KEPT_DOCUMENTS:
            _PARSED.clear()
        _PARSED[digest] = found
    return found
