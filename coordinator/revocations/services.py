"""Storing revocation lists and stopping what they take back.

The coordinator relays lists; it is trusted for neither their contents nor for relaying them: each is signed with its party's
revocation key, and a node that gets none refuses to work when the newest it has is too old.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import party_resource
from coordinator.authorization.services import authorise
from coordinator.config import CoordinatorConfig
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.events import Event, EventType, record
from coordinator.paging import Order, PageRequest, Slice, page_of
from coordinator.parties.models import PartyRow
from coordinator.parties.services import CENTRE
from coordinator.requests.models import AccessRequestRow, RequestPartyRow
from coordinator.requests.progress import REVOKED_CODE, move
from coordinator.requests.reading import grant_of
from coordinator.requests.services import grant_resource_of
from coordinator.requests.states import LEGAL, RequestState
from coordinator.revocations.models import RevocationListRow, RevokedGrantRow
from crypto.errors import DoudiError
from policies.contracts.cards import DepartmentCard
from policies.contracts.requests import CLOCK_TOLERANCE_S
from policies.contracts.revocations import RevokedGrant, SignedRevocationList, require_successor

# One row of each party: no two rows of the list have the same party.
BY_PARTY = Order("revocations", (RevocationListRow.party,))


def put_list(
    session: Session, context: AppContext, principal: Principal, party: str, signed: SignedRevocationList
) -> bool:
    """Store a party's list; return whether it is new. What it names is revoked in the same transaction.

    (1) The rules let this principal publish this party's list. (2) The party's revocation key signed it. (3)
    It follows the newest that this same key signed: what a former key signed, or who took it, orders nothing. (4) Each
    grant that it newly names ends, with its runs.

    Raises `authorization.denied`, `revocation.wrong_party`, `revocation.bad_signature`, `revocation.from_the_future`,
    `revocation.rollback`, `revocation.fork`, `revocation.dropped`.
    """
    content = signed.content
    # (1)
    authorise(session, context, principal, "revocation.publish", party_resource(party))
    # (2)
    if content.party != party:
        raise DoudiError("revocation.wrong_party", "the list and its address name different parties")
    key = _revocation_key(session, context.config, party)
    signed.verify(key)
    now = now_s(session)
    if content.issued_at > now + CLOCK_TOLERANCE_S:
        raise DoudiError("revocation.from_the_future", "the list's time lies in the future")
    # (3)
    if not require_successor(_newest_under(session, party, key), signed):
        return False
    session.add(
        RevocationListRow(
            party=party,
            revocation_key=key,
            number=content.number,
            document=signed.to_bytes(),
            issued_at=content.issued_at,
            stored_at=now,
        )
    )
    counts = {"number": content.number, "grants": len(content.revoked)}
    hashes = {"list": content.digest()}
    event = Event(EventType.REVOCATIONS_PUBLISHED, principal.party, subject=party, counts=counts, hashes=hashes)
    record(session, event)
    # (4)
    revoked = set(session.scalars(select(RevokedGrantRow.grant_hash).where(RevokedGrantRow.party == party)))
    for entry in content.revoked:
        if entry.grant_hash not in revoked:
            _revoke(session, context, principal, party, entry, content.number)
    return True


def newest_list(session: Session, party: str) -> SignedRevocationList | None:
    """Return a party's newest list: the one stored last. Until a new key's first list comes it is the former key's."""
    query = select(RevocationListRow.document).where(RevocationListRow.party == party)
    document = session.scalar(query.order_by(RevocationListRow.sequence.desc()).limit(1))
    return SignedRevocationList.parse(document) if document is not None else None


def list_newest(session: Session, wanted: PageRequest) -> Slice[RevocationListRow]:
    """Return a page of the newest lists, one per party, by party."""
    newest = select(func.max(RevocationListRow.sequence)).group_by(RevocationListRow.party)
    query = select(RevocationListRow).where(RevocationListRow.sequence.in_(newest))
    return page_of(session, query, BY_PARTY, wanted)


def revocations_of(session: Session, grant_hash: str) -> list[RevokedGrantRow]:
    """Return which parties revoked a grant, and why, by party."""
    query = select(RevokedGrantRow).where(RevokedGrantRow.grant_hash == grant_hash).order_by(RevokedGrantRow.party)
    return list(session.scalars(query))


def _newest_under(session: Session, party: str, key: str) -> SignedRevocationList | None:
    """Return the newest list that one key of a party signed; each was verified with that key when it came."""
    query = select(RevocationListRow.document).where(
        RevocationListRow.party == party, RevocationListRow.revocation_key == key
    )
    document = session.scalar(query.order_by(RevocationListRow.number.desc()).limit(1))
    return SignedRevocationList.parse(document) if document is not None else None


def _revoke(
    session: Session, context: AppContext, principal: Principal, party: str, entry: RevokedGrant, list_number: int
) -> None:
    session.add(
        RevokedGrantRow(
            party=party,
            grant_hash=entry.grant_hash,
            reason=entry.reason,
            revoked_at=entry.revoked_at,
            list_number=list_number,
        )
    )
    row = session.scalar(select(AccessRequestRow).where(AccessRequestRow.grant_hash == entry.grant_hash))
    if row is None or session.get(RequestPartyRow, (row.number, party)) is None:
        # Unknown here, or somebody else's grant: the list is still its party's word, and without effect.
        return
    authorise(session, context, principal, "grant.revoke", grant_resource_of(row, grant_of(row)))
    if RequestState.REVOKED in LEGAL[RequestState(row.state)]:
        move(session, row, RequestState.REVOKED, principal, code=REVOKED_CODE, reason=entry.reason)


def _revocation_key(session: Session, config: CoordinatorConfig, party: str) -> str:
    # The centre's key comes from the configuration alone, as for its requests.
    if party == CENTRE:
        return config.centre_revocation_key
    row = session.get_one(PartyRow, party)
    if row.card is None:
        raise DoudiError("revocation.bad_signature", "the party has no card")
    return DepartmentCard.parse(row.card).revocation_key
