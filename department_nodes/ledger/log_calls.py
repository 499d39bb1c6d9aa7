"""The log's interface as a node calls it. Answers are untrusted: what has the wrong form is `coordinator.bad_answer`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from crypto.checkpoint import Note, parse_note
from crypto.errors import CryptoError, DoudiError
from policies.contracts.ledger.batches import Batch
from policies.contracts.ledger.terms import SignedLedgerTerms

MOST_PROOFS = 500
HASH_CHARACTERS = 64
# A proof has fewer hashes than twice the bits of the largest size.
_MOST_HASHES = 128
_MOST = 2**53
_HEXADECIMAL = frozenset("0123456789abcdef")


class LedgerClient(Protocol):
    """The calls of the coordinator that the ledger passes through; `department_nodes.client.CoordinatorClient` has them."""

    def get(self, path: str) -> Any:
        """Return the JSON answer of a GET."""

    def get_bytes(self, path: str) -> bytes:
        """Return the raw answer of a GET."""

    def post(self, path: str, document: Any) -> Any:
        """Return the JSON answer of a POST."""

    def post_bytes(self, path: str, body: bytes) -> Any:
        """Return the JSON answer of a POST of bytes."""

    def interrupt(self) -> None:
        """End the call that another thread is waiting in."""

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True)
class Newest:
    """What the log says is newest. Nothing of it is verified.

    `growth`: the proof from the size that was asked with to `latest`, which spares a question; None where the log gave none.
    """

    latest: Note | None
    witnessed: Note | None
    terms: int
    growth: list[bytes] | None = None


def newest(client: LedgerClient, seen: int, witnessed: int, terms: int, wait_s: int) -> Newest:
    """Return what is newest as soon as it is newer than these sizes and this number of the terms, or after `wait_s`."""
    query = f"seen={seen}&witnessed={witnessed}&terms={terms}&wait_s={wait_s}"
    answer = _mapping(client.get(f"/v1/ledger/checkpoint?{query}"))
    growth = answer.get("consistency")
    return Newest(
        _note(answer.get("latest")),
        _note(answer.get("witnessed")),
        _number(answer.get("terms")),
        None if growth is None else _hashes(growth),
    )


def newest_witnessed(client: LedgerClient) -> Note:
    """Return the newest checkpoint that a quorum has cosigned, with every cosignature that the log has of it by now."""
    return _parse_note(client.get_bytes("/log/checkpoint/witnessed"))


def newest_terms(client: LedgerClient) -> SignedLedgerTerms:
    """Return the terms that the log says are in force. Raises `document.malformed`."""
    return SignedLedgerTerms.parse(client.get_bytes("/log/terms/newest"))


def consistency(client: LedgerClient, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is the beginning of the tree of `new`."""
    answer = _mapping(client.get(f"/v1/ledger/consistency?old={old}&new={new}"))
    return _hashes(answer.get("hashes"))


def inclusion(client: LedgerClient, size: int, indices: Sequence[int]) -> list[list[bytes]]:
    """Return one proof for each index, at most 500, in the tree of `size` leaves."""
    answer = _mapping(client.post("/v1/ledger/proofs", {"size": size, "indices": list(indices)}))
    proofs = answer.get("proofs")
    if not isinstance(proofs, list) or len(proofs) != len(indices):
        raise _bad()
    return [_hashes(proof) for proof in proofs]


def hand_in(client: LedgerClient, document: bytes, batch: Batch) -> int:
    """Hand in a batch; return the index in the log that it was given."""
    answer = _mapping(client.post_bytes("/v1/ledger/batches", document))
    if _number(answer.get("count")) != len(batch.entries):
        raise _bad()
    return _number(answer.get("first_index"))


def hand_in_cosignature(client: LedgerClient, size: int, line: str) -> None:
    """Hand in the cosignature of the checkpoint of this size."""
    client.post("/v1/ledger/cosignatures", {"size": size, "line": line})


def _mapping(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise _bad()
    return answer


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise _bad()
    return value


def _hashes(value: Any) -> list[bytes]:
    if not isinstance(value, list) or len(value) > _MOST_HASHES or not all(_is_hash(item) for item in value):
        raise _bad()
    return [bytes.fromhex(item) for item in value]


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == HASH_CHARACTERS and set(value) <= _HEXADECIMAL


def _note(value: Any) -> Note | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _bad()
    try:
        return _parse_note(value.encode())
    except UnicodeEncodeError:
        raise _bad() from None


def _parse_note(data: bytes) -> Note:
    try:
        return parse_note(data)
    except CryptoError:
        raise _bad() from None


def _bad() -> DoudiError:
    return DoudiError("coordinator.bad_answer", "the coordinator's answer about the ledger has the wrong form")
