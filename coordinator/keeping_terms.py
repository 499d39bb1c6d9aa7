"""The ledger's terms on the officer's device: fetched and verified, changed, signed there, and only then sent.

The folder holds the newest terms that this officer signed or saw, so that a coordinator which was put back, or which shows other
terms, is found. Terms are stored before they are sent: what was signed once counts, also when sending fails, and is sent again
before anything new is signed under the same number.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from command_line.documents import write_atomically
from coordinator.ledger.next_terms import Changes, next_terms
from coordinator.officer import Officer, read_file
from crypto.errors import DoudiError
from policies.contracts.ledger.terms import LedgerTerms, SignedLedgerTerms, require_next_terms, sign_terms

TERMS_FILE = "ledger-terms.json"
LOCK_FILE = "ledger-terms.lock"


@dataclass(frozen=True)
class Renewal:
    """The terms in force, and whether they are new."""

    terms: LedgerTerms
    changed: bool


def terms_in_force(officer: Officer) -> LedgerTerms:
    """Return the coordinator's newest terms, verified with the centre's own keys and against what this device has seen.

    Raises `terms.bad_signature`, `terms.rollback`, `terms.fork`, `terms.other_log`, and what requests raise.
    """
    with _exclusively(officer):
        return _terms_in_force(officer)


def former_terms(officer: Officer, number: int) -> LedgerTerms:
    """Return terms of one number, verified with the centre's own keys. Raises `terms.bad_signature`, and what requests raise."""
    return SignedLedgerTerms.parse(officer.document(f"/log/terms/{number}")).verify(officer.centre_keys.approval_keys)


def renew(officer: Officer, decide: Callable[[LedgerTerms], Changes] | None = None) -> Renewal:
    """Sign and send the terms that follow from the registered cards and what the officer decides; return those then in force.

    `decide`: from the terms in force. Raises as `terms_in_force`, `ledger.bad_terms`, and what it raises.
    """
    with _exclusively(officer):
        known = _terms_in_force(officer)
        changes = decide(known) if decide is not None else None
        following = next_terms(known, officer.cards().values(), int(officer.clock()), changes)
        if following is None:
            return Renewal(known, changed=False)
        _require_held(officer, following.log_key)
        signed = sign_terms(following, officer.approval_key())
        signed.verify(officer.centre_keys.approval_keys)
        # Signed and stored: from here these are the terms of this number.
        write_atomically(officer.home / TERMS_FILE, signed.to_bytes())
        _send(officer, signed)
        return Renewal(following, changed=True)


def _terms_in_force(officer: Officer) -> LedgerTerms:
    approvers = officer.centre_keys.approval_keys
    offered = SignedLedgerTerms.parse(officer.document("/log/terms/newest"))
    offered.verify(approvers)
    path = officer.home / TERMS_FILE
    known = SignedLedgerTerms.parse(read_file(path)) if path.is_file() else None
    if known is not None:
        known.verify(approvers)
        if offered.terms.number == known.terms.number - 1 and offered.terms.origin == known.terms.origin:
            # What this device signed last did not arrive.
            _send(officer, known)
            return known.terms
    if require_next_terms(None if known is None else known.terms, offered.terms):
        write_atomically(path, offered.to_bytes())
    return offered.terms


def _require_held(officer: Officer, log_key: str) -> None:
    """Raise `ledger.wrong_log_key` before anything is signed that the coordinator could never put in force.

    Whoever lies here only keeps the officer from signing.
    """
    if officer.get("/v1/ledger/status").get("log_key") != log_key:
        raise DoudiError(
            "ledger.wrong_log_key",
            "the coordinator's host holds another log key than the terms would name",
            "Give the key's file that `doudi centre ledger rotate-key` wrote with --log-key, and restart the coordinator.",
        )


def _send(officer: Officer, signed: SignedLedgerTerms) -> None:
    officer.request("POST", "/v1/ledger/terms", signed.to_bytes())


@contextmanager
def _exclusively(officer: Officer) -> Iterator[None]:
    # Two commands at once must not sign two terms of one number.
    with (officer.home / LOCK_FILE).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
