"""How a party signs its HTTP requests to the coordinator: no shared secret exists, so the coordinator cannot act as a party.

The signature covers method, path with query, SHA-256 of the body, party, time and a nonce; the coordinator accepts each nonce
once and times within two minutes. May import crypto.
"""

import hashlib
import secrets
from collections.abc import Mapping

from crypto import signing
from crypto.canonical import canonical_json
from crypto.errors import DoudiError

REQUEST_SIGNATURE_DOMAIN = "http-request"
CLOCK_TOLERANCE_S = 120

HEADER_PARTY = "Doudi-Party"
HEADER_TIME = "Doudi-Time"
HEADER_NONCE = "Doudi-Nonce"
HEADER_SIGNATURE = "Doudi-Signature"


def sign_request(private: bytes, party: str, method: str, path: str, body: bytes, now_s: int) -> dict[str, str]:
    """Return the four headers of a signed request. `path` includes the query."""
    nonce = secrets.token_hex(16)
    message = _signed_bytes(party, method, path, body, now_s, nonce)
    return {
        HEADER_PARTY: party,
        HEADER_TIME: str(now_s),
        HEADER_NONCE: nonce,
        HEADER_SIGNATURE: signing.sign(private, REQUEST_SIGNATURE_DOMAIN, message).hex(),
    }


def verify_request(
    public_key: str, headers: Mapping[str, str], method: str, path: str, body: bytes, now_s: int
) -> tuple[str, str]:
    """Return (party, nonce) of a request that `public_key` signed recently; the caller refuses nonces it has seen.

    Raises `request.unauthenticated` or `request.clock`.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        party, nonce = lowered[HEADER_PARTY.lower()], lowered[HEADER_NONCE.lower()]
        time_s = int(lowered[HEADER_TIME.lower()])
        signature = bytes.fromhex(lowered[HEADER_SIGNATURE.lower()])
    except (KeyError, ValueError):
        raise DoudiError("request.unauthenticated", "the request is not signed", "Use the doudi command.") from None
    if len(nonce) != 32:
        raise DoudiError("request.unauthenticated", "the request's nonce has the wrong form")
    if abs(now_s - time_s) > CLOCK_TOLERANCE_S:
        raise DoudiError("request.clock", "the request's time is off by more than two minutes", "Set the host's clock.")
    try:
        signing.verify(
            bytes.fromhex(public_key),
            REQUEST_SIGNATURE_DOMAIN,
            _signed_bytes(party, method, path, body, time_s, nonce),
            signature,
        )
    except DoudiError as error:
        raise DoudiError("request.unauthenticated", "the request's signature does not verify") from error
    return party, nonce


def _signed_bytes(party: str, method: str, path: str, body: bytes, time_s: int, nonce: str) -> bytes:
    return canonical_json(
        {
            "party": party,
            "method": method.upper(),
            "path": path,
            "body": hashlib.sha256(body).hexdigest(),
            "time": time_s,
            "nonce": nonce,
        }
    )
