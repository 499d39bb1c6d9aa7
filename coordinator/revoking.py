"""The centre's own revocation list, on the officer's device: it is signed there, and its number never decreases.

The folder holds the newest list. A list is stored before it is sent: what was signed once counts, also when sending fails.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from command_line.documents import write_atomically
from coordinator.installation import REVOCATION_KEY_FILE
from coordinator.officer import BAD_ANSWER, UNREACHABLE, Officer, read_file
from coordinator.parties.services import CENTRE
from crypto.errors import DoudiError
from policies.contracts.grant import SignedGrant
from policies.contracts.revocations import (
    RevocationList,
    RevocationReason,
    RevokedGrant,
    SignedRevocationList,
    sign_revocations,
)

LIST_FILE = "revocations.json"
LOCK_FILE = "revocations.lock"
RETRY_S = 60.0
_PASSES_BY = frozenset({UNREACHABLE, BAD_ANSWER, "coordinator.busy", "coordinator.internal_error"})


def newest_list(officer: Officer) -> SignedRevocationList | None:
    """Return the newest list in the officer's folder. Raises `document.malformed` for a damaged file."""
    path = officer.home / LIST_FILE
    return SignedRevocationList.parse(read_file(path)) if path.is_file() else None


def issue_list(officer: Officer, revoked: RevokedGrant | None = None) -> SignedRevocationList:
    """Return the centre's next list, stored: with one more grant, or only with a new time. Raises `file.unreadable`."""
    private = officer.private_key(REVOCATION_KEY_FILE)
    # One process renews the list while the officer revokes in another: two lists with one number would be a fork, and one lost.
    with _exclusively(officer):
        now_s, known = int(officer.clock()), newest_list(officer)
        content = RevocationList(party=CENTRE, number=1, issued_at=now_s) if known is None else known.content
        if known is not None or revoked is not None:
            content = content.following(now_s, revoked)
        signed = sign_revocations(content, private)
        signed.verify(officer.centre_card.revocation_key)
        write_atomically(officer.home / LIST_FILE, signed.to_bytes())
        return signed


@contextmanager
def _exclusively(officer: Officer) -> Iterator[None]:
    with (officer.home / LOCK_FILE).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def publish(officer: Officer, signed: SignedRevocationList) -> None:
    """Send the list to the coordinator, from where every node fetches it. Sending it again changes nothing."""
    officer.request("PUT", f"/v1/revocations/{CENTRE}", signed.to_bytes())


def entry_of(signed: SignedGrant, reason: RevocationReason, now_s: int) -> RevokedGrant:
    """Return the entry by which the centre takes a grant back."""
    return RevokedGrant(
        grant_hash=signed.grant_hash, reason=reason, revoked_at=now_s, expires_at=signed.grant.expires_at
    )


def keep_publishing(
    officer: Officer,
    every_s: float,
    wait: Callable[[float], None],
    times: int | None = None,
    not_sent: Callable[[DoudiError, float], None] | None = None,
) -> int:
    """Renew and send the list again and again; return how often. `wait`: sleeps. `times`: None is for ever.

    `not_sent` is told of a coordinator that does not answer, and in how many seconds it is tried again; without it that ends the
    work. Every other refusal ends it: it needs the officer.
    """
    done = 0
    while times is None or done < times:
        pause_s = every_s
        try:
            publish(officer, issue_list(officer))
        except DoudiError as error:
            if not_sent is None or error.code not in _PASSES_BY:
                raise
            # An old list stops work at every node, so a short absence must not cost a whole interval.
            pause_s = min(every_s, RETRY_S)
            not_sent(error, pause_s)
        done += 1
        if times is None or done < times:
            wait(pause_s)
    return done
