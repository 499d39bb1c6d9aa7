"""Time stamps by an independent authority. RFC 3161: its signature over a hash says that the data existed at a time.

A log's checkpoint that carries one cannot have been made later, whoever holds the log's key. The authority learns a hash and when
it was asked. The chain is verified to roots that the caller trusts, and to no others. Pure: asking the authority is the caller's.
Imports `cryptography`, `rfc3161-client` (extras `centre` and `audit`), `errors`.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from crypto.errors import CryptoError

MAXIMUM_RESPONSE_BYTES = 64 * 1024


def timestamp_request(data: bytes) -> bytes:
    """Return the query (TimeStampReq, DER) for SHA-256 of the data, with a random nonce; the answer must carry certificates."""
    builder = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256)
    return builder.nonce(nonce=True).cert_request(cert_request=True).build().as_bytes()


def verify_timestamp(response: bytes, data: bytes, roots: Sequence[x509.Certificate]) -> int:
    """Return the time in an untrusted answer (TimeStampResp, DER), in seconds since 1970 UTC.

    (1) It was granted, and signed by a certificate for time stamping whose chain ends at one of `roots`. (2) It is about SHA-256
    of this data. Which query it answers is not asked: an older stamp of the same data says more, not less. Whether a certificate
    was revoked since is not asked either: there is no network here. Raises `CryptoError` "timestamp.malformed",
    "timestamp.bad_signature", "timestamp.other_data", "timestamp.no_root".
    """
    if not roots:
        raise CryptoError("timestamp.no_root", "no certificate of a time stamping authority is trusted here")
    if len(response) > MAXIMUM_RESPONSE_BYTES:
        raise _malformed()
    try:
        answer = decode_timestamp_response(response)
        info = answer.tst_info
        imprint, at = info.message_imprint, info.gen_time
    except (ValueError, AttributeError, TypeError):
        raise _malformed() from None
    verifier = VerifierBuilder(roots=list(roots)).build()
    try:
        # (1) The library compares the message last, so that what it refuses for another reason is refused here as such.
        verifier.verify(answer, imprint.message)
    except (VerificationError, ValueError):
        raise CryptoError(
            "timestamp.bad_signature",
            "the time stamp is not signed by an authority whose certificate is trusted here",
            "Compare the authority's certificate; an old stamp needs the root of its time.",
        ) from None
    # (2)
    if imprint.hash_algorithm.dotted_string != _SHA256 or imprint.message != hashlib.sha256(data).digest():
        raise CryptoError("timestamp.other_data", "the time stamp is about other data")
    return int(at.replace(tzinfo=UTC).timestamp() if at.tzinfo is None else at.timestamp())


def load_roots(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates in a PEM file. Raises `CryptoError` "timestamp.no_root" where there is none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise CryptoError("timestamp.no_root", "the file holds no certificate in PEM form") from None


_SHA256 = "2.16.840.1.101.3.4.2.1"


def _malformed() -> CryptoError:
    return CryptoError("timestamp.malformed", "the bytes are no answer of a time stamping authority (RFC 3161)")
