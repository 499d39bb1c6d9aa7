"""Revocation: each party's signed list of grants that it has taken back, with a number that never decreases and a time.

Every party that approved a grant can revoke it. A node refuses to work under a grant unless it has a *recent* list of the centre
and of every department of the run: who withholds lists stops work, and extends nothing. So a revocation works at the latest when
the newest list that names no revocation has become too old: the node's limit, 24 hours unless the site chose another, and a week
where a run leaves the department out. A list never drops an entry: whoever could date an entry's end could bring a grant back to
life. May import crypto.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from crypto import signing
from crypto.errors import DoudiError
from policies.contracts.base import Document, Hash, SignatureHex, Slug

REVOCATION_SIGNATURE_DOMAIN = "revocation-list"
# Nobody accepts a list from further ahead than this: it would be "recent" for too long.
CLOCK_TOLERANCE_S = 120
DAY_S = 24 * 3600
RevocationReason = Literal["purpose_ended", "consent_withdrawn", "key_taken", "data_wrong", "misuse", "other"]


class RevokedGrant(Document):
    """One grant that a party has taken back. `expires_at`: the grant's own end, for people; nothing rests on it."""

    grant_hash: Hash
    reason: RevocationReason
    revoked_at: int
    expires_at: int


class RevocationList(Document):
    """What one party has revoked, all of it. `party`: a department, or `centre`. Times are seconds since 1970 UTC."""

    format_version: Literal[1] = 1
    party: Slug
    number: Annotated[int, Field(ge=1, le=2**53)]
    issued_at: int
    revoked: Annotated[tuple[RevokedGrant, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "RevocationList":
        hashes = [entry.grant_hash for entry in self.revoked]
        if len(set(hashes)) != len(hashes):
            raise ValueError("a grant is named twice")
        return self

    def names(self, grant_hash: str) -> bool:
        """Return whether the party has revoked this grant."""
        return any(entry.grant_hash == grant_hash for entry in self.revoked)

    def following(self, now_s: int, revoked: RevokedGrant | None = None) -> "RevocationList":
        """Return the party's next list: one number higher, with one more grant if given, without any less.

        A clock that went back makes no list that looks older than the one before. One that was more than a day ahead for a moment
        made a list that nobody accepted: the next has the present time, or nobody would accept any until that date.
        """
        kept = list(self.revoked)
        if revoked is not None and not self.names(revoked.grant_hash):
            kept.append(revoked)
        return RevocationList(
            party=self.party,
            number=self.number + 1,
            issued_at=now_s if self.issued_at > now_s + DAY_S else max(now_s, self.issued_at),
            revoked=tuple(sorted(kept, key=lambda entry: entry.grant_hash)),
        )


class SignedRevocationList(Document):
    """A list and the signature of its party's revocation key."""

    content: RevocationList
    signature: SignatureHex

    def verify(self, revocation_key: str) -> None:
        """Raise `revocation.bad_signature` unless the party's revocation key signed the list."""
        try:
            signing.verify(
                bytes.fromhex(revocation_key),
                REVOCATION_SIGNATURE_DOMAIN,
                self.content.to_bytes(),
                bytes.fromhex(self.signature),
            )
        except DoudiError as error:
            raise DoudiError(
                "revocation.bad_signature",
                f"the revocation list of {self.content.party} is not signed by its revocation key",
                "Ask that party for its list; compare its card's fingerprint.",
            ) from error


def sign_revocations(content: RevocationList, private: bytes) -> SignedRevocationList:
    """Return the list signed with the party's revocation key."""
    signature = signing.sign(private, REVOCATION_SIGNATURE_DOMAIN, content.to_bytes()).hex()
    return SignedRevocationList(content=content, signature=signature)


def require_successor(known: SignedRevocationList | None, offered: SignedRevocationList) -> bool:
    """Return whether an offered list is newer than the known one of the same party; equal bytes are not newer.

    Raises `revocation.rollback` for an older list, `revocation.fork` for another one with the same number, and
    `revocation.dropped` for a newer one that leaves a grant out: a revocation cannot be taken back.
    """
    if known is None:
        return True
    old, new = known.content, offered.content
    if new.number < old.number or (new.number > old.number and new.issued_at < old.issued_at):
        raise DoudiError(
            "revocation.rollback",
            f"the revocation list of {new.party} is older than the one known here",
            "Ask that party directly for its newest list.",
        )
    if new.number == old.number:
        if new != old:
            raise DoudiError(
                "revocation.fork",
                f"{new.party} signed two different revocation lists with one number",
                "Ask that party by telephone; its revocation key may have been copied.",
            )
        return False
    if any(not new.names(entry.grant_hash) for entry in old.revoked):
        raise DoudiError(
            "revocation.dropped",
            f"the newer revocation list of {new.party} leaves out a grant that it had revoked",
            "A revocation cannot be taken back: have the parties sign a new grant.",
        )
    return True
