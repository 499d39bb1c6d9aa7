"""Private linkage: blind the own list, evaluate the others', finish the own pseudonyms.

Who learns what. The other departments: the length of this list. The coordinator: after `finish`, this department's pseudonyms,
in byte order. Nobody but this node: which pseudonym belongs to which row. The pseudonym of an ID is `H(id)^(k1 + … + kH)`; one
missing scalar makes it another point, so no coalition without this node can compute it for an ID it guesses.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from crypto import pseudonyms as oprf
from crypto.errors import DoudiError
from department_nodes.extract import Extract
from department_nodes.lines.released_bits import ROWS_VALUE
from department_nodes.steps.context import StepContext, StepResult
from department_nodes.store.journal import EventType
from policies.contracts.steps import Step

LINKAGE_VALUE = "linkage"
LIST_SALT_VALUE = "list-salt"
PSEUDONYMS_VALUE = "pseudonyms"
POINT_BYTES = oprf.POINT_BYTES
UInt32Array = np.ndarray[Any, np.dtype[np.uint32]]


def blind(context: StepContext) -> StepResult:
    """Shuffle and blind the own list once and seal it to every other key holder."""
    extract = context.extract.load()
    me = context.config.department
    if extract.people != context.request.manifest.offer(me).people:
        raise DoudiError(
            "extract.changed", "the extract's length changed after the keys were offered", "Start a new run."
        )
    order = _secret_order(extract.people)
    domain = oprf.linkage_domain(context.request.grant.linkage.domain())
    threads = context.config.threads
    hashed = oprf.hash_to_group([extract.resident_ids[row] for row in order], domain, threads)
    scalar = oprf.random_scalar()
    blinded = oprf.blind(hashed, scalar, threads)
    result = StepResult(facts={"people": extract.people})
    result.values[LINKAGE_VALUE] = scalar + order.tobytes() + blinded
    result.values[ROWS_VALUE] = rows_digest(extract)
    for holder in context.others:
        envelope = context.seal(Step.BLIND, holder, extract.people, blinded)
        result.send(f"blinded/{holder}", envelope, holder, "blinded list", extract.people)
    return result


def evaluate(context: StepContext, scalar: bytes) -> StepResult:
    """Multiply the others' blinded lists by the own scalar; the points are counted, for good, before the first is evaluated."""
    result = StepResult()
    lists: dict[str, bytes] = {}
    for part in context.request.parts:
        prefix, _, owner = part.partition("/")
        if prefix != "blinded":
            continue
        if owner not in context.others:
            raise DoudiError("linkage.unknown_owner", "a list comes from a department that is not in this run")
        people = context.request.manifest.offer(owner).people
        points = context.open(Step.BLIND, owner, people, context.request.part(part))
        oprf.check_points(points, people)
        lists[owner] = points
    # All lists are checked before one is evaluated: a refusal leaves nothing half-done.
    for owner, points in lists.items():
        limit = context.request.grant.participant(owner).evaluation_limit
        context.accounts.charge_evaluations(owner, len(points) // POINT_BYTES, limit)
    for owner, points in lists.items():
        evaluated = oprf.multiply(points, scalar, context.config.threads)
        count = len(points) // POINT_BYTES
        result.send(
            f"evaluated/{owner}", context.seal(Step.EVALUATE, owner, count, evaluated), owner, "evaluated list", count
        )
    return result


def finish(context: StepContext, scalar: bytes) -> StepResult:
    """Add the holders' answers and the own one, unblind, and give the coordinator the pseudonyms in byte order."""
    me = context.config.department
    holders = _verified_holders(context)
    people = context.request.manifest.offer(me).people
    stored = context.value(LINKAGE_VALUE)
    blinding, order = stored[:32], np.frombuffer(stored[32 : 32 + 4 * people], np.uint32)
    blinded = stored[32 + 4 * people :]
    answers = [oprf.multiply(blinded, scalar, context.config.threads)]
    for holder in holders:
        if holder == me:
            continue
        points = context.open(Step.EVALUATE, holder, people, context.request.part(f"evaluated/{holder}"))
        oprf.check_points(points, people)
        answers.append(points)
    points = oprf.unblind(oprf.add(answers), blinding, context.config.threads)
    oprf.check_points(points, people)
    in_byte_order, permutation = oprf.sort_points(points)
    rows = order[np.asarray(permutation, np.int64)]
    result = StepResult(facts={"people": people, "holders": len(holders)})
    result.values[PSEUDONYMS_VALUE] = in_byte_order + rows.astype(np.uint32).tobytes()
    # Kept sealed beside the list for as long as the list is: with both, the department can show what it sent.
    result.values[LIST_SALT_VALUE] = salt = os.urandom(32)
    commitment = list_commitment(salt, in_byte_order)
    result.events.append(context.event(EventType.LIST_COMMITTED, {"people": people}, {"list": commitment}))
    result.send("pseudonyms", in_byte_order, "coordinator", "pseudonyms", people)
    return result


def own_pseudonyms(context: StepContext) -> tuple[bytes, UInt32Array]:
    """Return the own pseudonyms in byte order and the row of the extract behind each."""
    people = context.request.manifest.offer(context.config.department).people
    stored = context.value(PSEUDONYMS_VALUE)
    return stored[: POINT_BYTES * people], np.frombuffer(stored[POINT_BYTES * people :], np.uint32)


def linked_extract(context: StepContext) -> Extract:
    """Return the extract, with the people of the linkage still in the rows where they were.

    Raises `extract.changed`: a row that now holds another person would give that person somebody else's label or evidence.
    """
    extract = context.extract.load()
    if rows_digest(extract) != context.value(ROWS_VALUE):
        raise DoudiError("extract.changed", "the extract's people changed after the linkage", "Start a new run.")
    return extract


def list_commitment(salt: bytes, pseudonyms: bytes) -> str:
    """Return the commitment to a list of pseudonyms in byte order, hexadecimal; without the salt it says nothing about them."""
    return hashlib.sha256(b"doudi-list-v1\x00" + salt + pseudonyms).hexdigest()


def rows_digest(extract: Extract) -> bytes:
    """Return a digest of who is in which row; it is kept sealed, for it could be tested against guessed lists."""
    return hashlib.sha256(b"doudi-rows-v1\x00" + b"".join(extract.resident_ids)).digest()


def _verified_holders(context: StepContext) -> Sequence[str]:
    """Return the key holders whose scalars make the pseudonyms of this attempt: enough of them, and this node among them."""
    holders = context.request.terms.get("holders")
    if not isinstance(holders, list) or not all(isinstance(name, str) for name in holders):
        raise DoudiError("request.malformed", "the request does not name the key holders")
    if len(set(holders)) != len(holders) or not set(holders) <= set(context.request.manifest.departments):
        raise DoudiError("linkage.wrong_holders", "the key holders are not departments of this run")
    needed = max(context.request.grant.linkage.min_key_holders, context.config.policy.min_key_holders)
    if len(holders) < needed:
        raise DoudiError("linkage.too_few_key_holders", "fewer key holders remain than the grant or the site asks for")
    # Without the own scalar the others together could compute this department's pseudonyms from guessed IDs.
    if context.config.department not in holders:
        raise DoudiError("linkage.own_share_left_out", "this department's own scalar is left out")
    return holders


def _secret_order(count: int) -> UInt32Array:
    """Return a permutation of 0 … count−1 from the operating system's randomness: sorting 64-bit random words."""
    return np.argsort(np.frombuffer(os.urandom(8 * count), np.uint64), kind="stable").astype(np.uint32)
