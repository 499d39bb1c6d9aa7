"""Requests for access at the coordinator: drafting, fetching, approving by signature, refusing, withdrawing.

The request's document is the grant itself. What the coordinator tells about a request is used to find it; everything that an
officer sees and signs is decided from the document, which must have the hash that the request names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from command_line.paging import every_item
from crypto.errors import DoudiError
from department_nodes.acts import act_key
from department_nodes.client import CoordinatorClient
from department_nodes.engine import NodeEngine
from department_nodes.officers import sign_as_owner
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.session import transaction
from policies.contracts.base import Hash
from policies.contracts.grant import Grant, LineGrant, RequiredSignatures, SignedGrant, required_signatures
from policies.contracts.grant import verify_grant_signature as verify_signature

PATH = "/v1/requests"
ACTS_FOLDER = "acts"

Number = Annotated[int, Field(ge=1, le=2**53)]
State = Annotated[str, Field(pattern=r"^[a-z_]{1,20}$")]
Name = Annotated[str, Field(max_length=80)]
Answer = TypeVar("Answer", bound=BaseModel)


class RequestAnswer(BaseModel):
    """A request as the coordinator names it. Untrusted, so every field has its form."""

    model_config = ConfigDict(extra="ignore")

    number: Number
    state: State
    grant_hash: Hash


class RequestRow(RequestAnswer):
    """A request in the coordinator's list."""

    project_id: Name = ""
    purpose: Name = ""
    lead: Name = ""


@dataclass(frozen=True)
class FetchedRequest:
    """A request with its document, which has the hash that the request names. Its signatures are not verified."""

    number: int
    state: str
    signed: SignedGrant


@dataclass(frozen=True)
class Gathered:
    """How many people of a party have signed, by signatures that verify, of how many that the tiers ask for."""

    needed: RequiredSignatures
    people: int

    @property
    def missing(self) -> int:
        """How many people must still sign."""
        return max(0, self.needed.count - self.people)


def draft_request(engine: NodeEngine, client: CoordinatorClient, grant: Grant | LineGrant) -> RequestAnswer:
    """Hand in a draft and return the request. Raises the coordinator's code, or `request.not_as_asked`."""
    document = {"grant": grant.model_dump(mode="json")}
    with act_key(engine.home.path / ACTS_FOLDER, PATH, document) as key:
        answer = _parse(RequestAnswer, client.post(PATH, document, key))
    if answer.grant_hash != grant.digest():
        raise DoudiError(
            "request.not_as_asked", "the coordinator made another request than was drafted", "Ask the centre."
        )
    _record(engine, EventType.REQUEST_DRAFTED, answer.number, grant.project_id, answer.grant_hash, grant.purpose)
    return answer


def submit_request(client: CoordinatorClient, number: int) -> RequestAnswer:
    """Ask the owners and the centre to decide."""
    return _parse(RequestAnswer, client.post(f"{PATH}/{number}/submit", {}))


def list_requests(client: CoordinatorClient, state: str = "", waits_for: str = "") -> Iterator[RequestRow]:
    """Yield the requests that name this department, newest first, in a state, or those that wait for a party's people."""
    wanted = urlencode({name: value for name, value in (("state", state), ("waits_for", waits_for)) if value})
    for item in every_item(client.get, f"{PATH}?{wanted}" if wanted else PATH):
        yield _parse(RequestRow, item)


def find_by_grant(client: CoordinatorClient, grant_hash: str) -> int | None:
    """Return the number of the request for a grant, or None."""
    rows = every_item(client.get, f"{PATH}?grant_hash={grant_hash}")
    return next(
        (row.number for row in (_parse(RequestRow, item) for item in rows) if row.grant_hash == grant_hash), None
    )


def fetch_request(client: CoordinatorClient, number: int) -> FetchedRequest:
    """Return a request with its document. Raises `request.not_as_asked` or `grant.wrong_hash`."""
    answer = _parse(RequestAnswer, client.get(f"{PATH}/{number}"))
    if answer.number != number:
        raise DoudiError("request.not_as_asked", "the coordinator gave another request than was asked for")
    signed = SignedGrant.parse(client.get_bytes(f"{PATH}/{number}/grant"))
    if signed.grant_hash != answer.grant_hash:
        raise DoudiError(
            "grant.wrong_hash", "the coordinator delivered another grant than the request names", "Ask the centre."
        )
    return FetchedRequest(number, answer.state, signed)


def gathered_signatures(signed: SignedGrant) -> list[Gathered]:
    """Return what each party's people have signed. A signature that does not verify counts for nobody."""
    return [Gathered(needed, len(_people(signed, needed))) for needed in required_signatures(signed.grant)]


def waits_for(signed: SignedGrant, party: str) -> bool:
    """Return whether people of a party must still sign."""
    return any(item.needed.party == party and item.missing for item in gathered_signatures(signed))


def waiting_requests(client: CoordinatorClient, department: str, most: int = 50) -> list[int]:
    """Return the numbers of the open requests that people of this department must still sign, by their documents."""
    found: list[int] = []
    for row in list_requests(client, waits_for=department):
        if len(found) == most:
            break
        if waits_for(fetch_request(client, row.number).signed, department):
            found.append(row.number)
    return found


def approve_request(engine: NodeEngine, client: CoordinatorClient, fetched: FetchedRequest) -> Gathered:
    """Sign the request's grant with the officer's key, hand the signature in, and return how many people have signed now.

    The caller has verified the grant and asked the officer. Raises `grant.wrong_key`, or the coordinator's code.
    """
    grant = fetched.signed.grant
    # Only this department's own new signature goes: the coordinator has the others', and this node vouches for none of them.
    own = sign_as_owner(engine, SignedGrant(grant=grant))
    client.put_bytes(f"{PATH}/{fetched.number}/signatures", own.to_bytes())
    together = SignedGrant(grant=grant, signatures=(*fetched.signed.signatures, *own.signatures))
    department = engine.home.config.department
    return next(item for item in gathered_signatures(together) if item.needed.party == department)


def refuse_request(
    engine: NodeEngine, client: CoordinatorClient, fetched: FetchedRequest, reason: str
) -> RequestAnswer:
    """Refuse a request for this department, which ends it; the reason goes to the others."""
    answer = client.post(f"{PATH}/{fetched.number}/decisions", {"decision": "refuse", "reason": reason})
    grant = fetched.signed.grant
    grant_hash = fetched.signed.grant_hash
    _record(engine, EventType.REQUEST_REFUSED, fetched.number, grant.project_id, grant_hash, grant.purpose)
    return _parse(RequestAnswer, answer)


def withdraw_request(engine: NodeEngine, client: CoordinatorClient, number: int, reason: str) -> RequestAnswer:
    """Withdraw a request of this department before it is in force."""
    answer = _parse(RequestAnswer, client.post(f"{PATH}/{number}/withdraw", {"reason": reason}))
    _record(engine, EventType.REQUEST_WITHDRAWN, number, "", answer.grant_hash)
    return answer


def _people(signed: SignedGrant, needed: RequiredSignatures) -> set[str]:
    people = set()
    for signature in signed.signatures:
        if (signature.party, signature.role) != (needed.party, needed.role) or signature.key not in needed.keys:
            continue
        try:
            verify_signature(signed.grant, signature)
        except DoudiError:
            continue
        people.add(signature.key)
    return people


def _record(
    engine: NodeEngine, kind: EventType, number: int, project_id: str, grant_hash: str, purpose: str = ""
) -> None:
    with transaction(engine.db) as session:
        event = Event(
            kind,
            int(engine.clock()),
            project_id=project_id,
            grant_hash=grant_hash,
            counts={"request": number},
            purpose=purpose,
        )
        record(session, event)


def _parse(model: type[Answer], answer: Mapping[str, Any] | Any) -> Answer:
    try:
        return model.model_validate(answer)
    except ValidationError:
        raise DoudiError(
            "coordinator.bad_answer", "the coordinator's answer has the wrong form", "Ask the centre."
        ) from None
