"""Revocation at the node: the newest list of each party, and whether a grant may still be used.

A list is verified with the key that this department pinned, when it comes; what lies in the folder was verified. A grant is
refused when a list names it (`grant.revoked`), and when a list that is needed is missing or too old (`revocation.missing`,
`revocation.stale`): who withholds lists stops work, and extends nothing.
"""

import fcntl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from command_line.documents import write_atomically
from crypto.errors import DoudiError
from department_nodes.home import CENTRE, REVOCATION_KEY, REVOCATIONS_FOLDER, NodeHome
from policies.contracts.revocations import (
    CLOCK_TOLERANCE_S,
    RevocationList,
    RevokedGrant,
    SignedRevocationList,
    require_successor,
    sign_revocations,
)

# A department that is left out of a run may be off; but what it revoked must reach the others some day, also if it is withheld.
LEFT_OUT_FACTOR = 7


def known_lists(home: NodeHome) -> dict[str, SignedRevocationList]:
    """Return the newest list of each party. Raises `document.malformed` for a file that somebody damaged."""
    folder = home.path / REVOCATIONS_FOLDER
    found = [SignedRevocationList.parse(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    return {item.content.party: item for item in found}


def accept_list(home: NodeHome, offered: SignedRevocationList, now_s: int) -> bool:
    """Store a party's list if it is newer than the known one; return whether it was.

    Raises `trust.unknown_party`, `revocation.bad_signature`, `revocation.from_the_future`, `revocation.rollback`,
    `revocation.fork` or `revocation.dropped`; the known list stays then.
    """
    party = offered.content.party
    offered.verify(_pinned_key(home, party))
    if offered.content.issued_at > now_s + CLOCK_TOLERANCE_S:
        raise DoudiError(
            "revocation.from_the_future",
            f"the revocation list of {party} is signed with a time that has not come",
            "Set the clocks of both hosts.",
        )
    with _exclusively(home):
        if not require_successor(known_lists(home).get(party), offered):
            return False
        _store(home, offered)
        return True


def issue_list(home: NodeHome, now_s: int, revoked: RevokedGrant | None = None, above: int = 0) -> SignedRevocationList:
    """Return this department's next list, stored: with one more grant, or only with a new time.

    Raises `key.missing` where the revocation key is not on this host.
    """
    department, private = home.config.department, home.officer_key(REVOCATION_KEY)
    # The running node renews the list and an officer revokes: two lists with one number would be a fork, and one of them lost.
    with _exclusively(home):
        known = known_lists(home).get(department)
        before = known.content if known is not None else RevocationList(party=department, number=1, issued_at=now_s)
        content = before.following(now_s, revoked) if known is not None or revoked is not None else before
        signed = sign_revocations(content, private)
        signed.verify(home.public_keys.revocation_key)
        _store(home, signed)
        return signed


def is_due(home: NodeHome, now_s: int) -> bool:
    """Return whether this department's list should be renewed: there is none, or it is older than a quarter of the limit."""
    known = known_lists(home).get(home.config.department)
    limit_s = home.config.policy.max_revocation_age_hours * 3600
    return known is None or 4 * (now_s - known.content.issued_at) > limit_s


def require_not_revoked(
    grant_hash: str,
    departments: Iterable[str],
    lists: Mapping[str, RevocationList],
    fresh: Iterable[str],
    left_out: Iterable[str],
    now_s: int,
    max_age_s: int,
) -> None:
    """Raise unless no known list names the grant and every list that is needed is recent. Pure.

    Lists of `fresh` are at most `max_age_s` old, those of `left_out` (departments of the grant that are not in the run) at most
    seven times that.

    Raises `grant.revoked`, `revocation.missing` or `revocation.stale`.
    """
    for party in (CENTRE, *departments):
        if party in lists and lists[party].names(grant_hash):
            raise DoudiError(
                "grant.revoked", f"{party} has revoked the grant", "Ask that party why; have a new grant signed."
            )
    limits = dict.fromkeys(left_out, LEFT_OUT_FACTOR * max_age_s) | dict.fromkeys(fresh, max_age_s)
    for party, limit_s in limits.items():
        if party not in lists:
            raise DoudiError(
                "revocation.missing",
                f"no revocation list of {party} has come",
                "Start that party's node, or have the centre's officer run `doudi centre publish-revocations`.",
            )
        if now_s - lists[party].issued_at > limit_s:
            raise DoudiError(
                "revocation.stale",
                f"the newest revocation list of {party} is older than {limit_s // 3600} hours",
                "Have that party issue a new list: its running node does, the centre's officer runs `publish-revocations`.",
            )


@contextmanager
def _exclusively(home: NodeHome) -> Iterator[None]:
    """Hold the node's lists, against its other processes and threads."""
    folder = home.path / REVOCATIONS_FOLDER
    folder.mkdir(mode=0o755, exist_ok=True)
    with (folder / ".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _store(home: NodeHome, signed: SignedRevocationList) -> None:
    write_atomically(home.path / REVOCATIONS_FOLDER / f"{signed.content.party}.json", signed.to_bytes(), 0o644)


def _pinned_key(home: NodeHome, party: str) -> str:
    if party == home.config.department:
        return home.public_keys.revocation_key
    if party != CENTRE:
        return home.trust.department(party).revocation_key
    centre = home.trust.centre
    if centre is None:
        raise DoudiError("trust.unknown_party", "the centre's card is not pinned", "Run `doudi node trust CARD`.")
    return centre.revocation_key


def lists_in_clear(home: NodeHome) -> dict[str, RevocationList]:
    """Return what each party's newest list says, for the guard."""
    return {party: item.content for party, item in known_lists(home).items()}
