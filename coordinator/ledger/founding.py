"""Founding the ledger: the log's key on the coordinator's host, and the first terms, which the centre's officer signs.

The first terms name the auditors and no witness: departments are added as they are registered. The approval key that signs them
is the officer's and never lies on this host; so whoever takes the host can add neither a reader nor a witness.
"""

import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from coordinator.events import COORDINATOR, Event, EventType, record
from coordinator.grants.keys import CentreKeys
from coordinator.ledger.log_head import read_head
from coordinator.ledger.settings import LedgerSettings
from coordinator.ledger.terms_store import has_terms, not_set_up, store_terms
from coordinator.private_files import make_folder, write_private
from crypto.errors import DoudiError
from crypto.signing import KEY_BYTES, generate_signing_key, signing_public_key
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms, SignedLedgerTerms, sign_terms

_KEY_FILE = re.compile(r"[0-9a-f]{64}\s*")


def new_origin(host: str, port: int) -> str:
    """Return a name for a new log: where it is, and 8 random hexadecimal digits, so that no other log has it."""
    return f"{host.lower()}:{port}/ledger-{secrets.token_hex(4)}"


def found_ledger(
    home: Path,
    settings: LedgerSettings,
    approval_private: bytes,
    auditors: Sequence[AuditorCard],
    origin: str,
    now_s: int,
) -> SignedLedgerTerms:
    """Write a new log key and the first terms, signed with an approval key of the centre, into the coordinator's home folder.

    Raises `install.exists` when there is a log already, `ledger.no_auditor` without an auditor.
    """
    if not auditors:
        raise DoudiError(
            "ledger.no_auditor", "a ledger needs an auditor from its first record on", "Give the card of an auditor."
        )
    log_key = generate_signing_key()
    terms = LedgerTerms(
        number=1,
        issued_at=now_s,
        origin=origin,
        log_key=signing_public_key(log_key).hex(),
        auditors=tuple(auditors),
    )
    signed = sign_terms(terms, approval_private)
    for name, content in (
        (settings.log_key_file, log_key.hex().encode()),
        (settings.terms_file, signed.to_bytes()),
    ):
        make_folder((home / name).parent)
        write_private(home / name, content)
    return signed


def load_log_key(home: Path, settings: LedgerSettings) -> bytes:
    """Return the log's private key. Raises `ledger.not_set_up` without the file, `ledger.bad_key` for other content."""
    try:
        text = (home / settings.log_key_file).read_text(encoding="ascii")
    except FileNotFoundError:
        raise not_set_up() from None
    except (OSError, UnicodeDecodeError):
        text = ""
    if not _KEY_FILE.fullmatch(text):
        raise DoudiError("ledger.bad_key", "the file of the log's key cannot be read or holds no key", "Put it back.")
    key = bytes.fromhex(text.strip())
    if len(key) != KEY_BYTES:
        raise DoudiError("ledger.bad_key", "the file of the log's key holds no key", "Put it back.")
    return key


def import_founding_terms(session: Session, home: Path, settings: LedgerSettings, centre: CentreKeys) -> bool:
    """Store the terms that `found_ledger` wrote if the database has none, and record that the log begins; return whether it did.

    Raises `ledger.not_set_up` without the file, `terms.bad_signature` unless an approver of this centre signed them,
    `document.malformed`.
    """
    if has_terms(session):
        return False
    try:
        data = (home / settings.terms_file).read_bytes()
    except OSError:
        raise not_set_up() from None
    signed = SignedLedgerTerms.parse(data)
    terms = signed.verify(centre.approval_keys)
    store_terms(session, signed)
    head = read_head(session)
    opened = Event(
        EventType.LEDGER_OPENED,
        COORDINATOR,
        counts={"size": head.size, "batches": head.batches},
        hashes={"root": head.root.hex()},
    )
    record(session, opened)
    record(session, terms_changed(terms, COORDINATOR))
    return True


def terms_changed(terms: LedgerTerms, actor: str, account: int | None = None) -> Event:
    """Return the event of new terms."""
    return Event(
        EventType.LEDGER_TERMS_CHANGED,
        actor,
        account=account,
        counts={
            "number": terms.number,
            "auditors": len(terms.auditors),
            "witnesses": len(terms.witnesses),
            "faulty": terms.tolerated_faulty_witnesses,
        },
        hashes={"terms": terms.digest()},
    )
