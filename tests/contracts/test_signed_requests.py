"""Signed HTTP requests: what the signature covers. That a nonce is accepted once is the coordinator's to keep."""

import pytest

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.requests import CLOCK_TOLERANCE_S, sign_request, verify_request

KEY = generate_signing_key()
PUBLIC = signing_public_key(KEY).hex()
NOW_S = 1_800_000_000
PATH = "/v1/runs?state=gathering_keys"


def signed() -> dict[str, str]:
    return sign_request(KEY, "tax", "PUT", PATH, b"body", NOW_S)


def refusal(
    headers: dict[str, str],
    method: str = "PUT",
    path: str = PATH,
    body: bytes = b"body",
    now_s: int = NOW_S,
    key: str = PUBLIC,
) -> str:
    with pytest.raises(DoudiError) as caught:
        verify_request(key, headers, method, path, body, now_s)
    return caught.value.code


def test_a_signed_request_is_accepted_and_names_party_and_nonce() -> None:
    headers = signed()
    assert verify_request(PUBLIC, headers, "put", PATH, b"body", NOW_S) == ("tax", headers["Doudi-Nonce"])
    lowered = {name.lower(): value for name, value in headers.items()}
    assert verify_request(PUBLIC, lowered, "PUT", PATH, b"body", NOW_S)[0] == "tax"


def test_each_request_has_a_nonce_of_its_own() -> None:
    assert len({signed()["Doudi-Nonce"] for _ in range(50)}) == 50


def test_another_body_path_query_or_method_is_refused() -> None:
    assert refusal(signed(), body=b"bodY") == "request.unauthenticated"
    assert refusal(signed(), body=b"") == "request.unauthenticated"
    assert refusal(signed(), path="/v1/runs") == "request.unauthenticated"
    assert refusal(signed(), path=PATH + "&department=tax") == "request.unauthenticated"
    assert refusal(signed(), method="GET") == "request.unauthenticated"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Doudi-Party", "housing"),
        ("Doudi-Time", str(NOW_S + 1)),
        ("Doudi-Nonce", "0" * 32),
        ("Doudi-Nonce", "0" * 31),
        ("Doudi-Signature", "00" * 64),
        ("Doudi-Signature", "00"),
        ("Doudi-Signature", "not hex"),
        ("Doudi-Time", "now"),
        ("Doudi-Time", ""),
    ],
)
def test_a_changed_header_is_refused(name: str, value: str) -> None:
    assert refusal(signed() | {name: value}) == "request.unauthenticated"


@pytest.mark.parametrize("name", ["Doudi-Party", "Doudi-Time", "Doudi-Nonce", "Doudi-Signature"])
def test_a_missing_header_is_refused(name: str) -> None:
    headers = signed()
    del headers[name]
    assert refusal(headers) == "request.unauthenticated"


def test_another_partys_key_is_refused() -> None:
    assert refusal(signed(), key=signing_public_key(generate_signing_key()).hex()) == "request.unauthenticated"


@pytest.mark.parametrize("direction", [1, -1])
def test_a_request_out_of_time_is_refused(direction: int) -> None:
    at_the_edge = NOW_S + direction * CLOCK_TOLERANCE_S
    assert verify_request(PUBLIC, signed(), "PUT", PATH, b"body", at_the_edge)
    assert refusal(signed(), now_s=at_the_edge + direction) == "request.clock"
