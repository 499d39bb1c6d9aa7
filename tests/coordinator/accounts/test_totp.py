"""The second factor: `coordinator/accounts/totp.py`."""

import xml.etree.ElementTree as ElementTree

import pyotp
import pytest

from coordinator.accounts.totp import matching_step, new_totp_secret, provisioning_uri, qr_svg, require_totp_secret
from crypto.errors import DoudiError

# RFC 6238, appendix B: the SHA-1 key "12345678901234567890", of whose eight digits the last six are ours.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_VECTORS = [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
NOW = 1_800_000_000
STEP = NOW // 30


@pytest.mark.parametrize(("now", "code"), RFC_VECTORS)
def test_the_published_vectors_are_accepted(now, code):
    assert matching_step(RFC_SECRET, code, now, None) == now // 30


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_code_counts_one_step_early_and_one_step_late(offset):
    code = pyotp.TOTP(RFC_SECRET).at(NOW + 30 * offset)
    assert matching_step(RFC_SECRET, code, NOW, None) == STEP + offset


@pytest.mark.parametrize("offset", [-2, 2, 100])
def test_a_code_further_away_is_refused(offset):
    assert matching_step(RFC_SECRET, pyotp.TOTP(RFC_SECRET).at(NOW + 30 * offset), NOW, None) is None


def test_a_step_that_was_used_and_those_before_it_are_refused():
    code = pyotp.TOTP(RFC_SECRET).at(NOW)
    assert matching_step(RFC_SECRET, code, NOW, STEP - 1) == STEP
    assert matching_step(RFC_SECRET, code, NOW, STEP) is None
    assert matching_step(RFC_SECRET, code, NOW, STEP + 1) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345", "1e5000"])
def test_what_is_no_code_is_refused(code):
    assert matching_step(RFC_SECRET, code, NOW, None) is None


def test_blanks_in_a_code_make_no_difference():
    code = pyotp.TOTP(RFC_SECRET).at(NOW)
    assert matching_step(RFC_SECRET, f"{code[:3]} {code[3:]}", NOW, None) == STEP


def test_secrets_are_fresh_and_have_160_bits():
    secrets = {new_totp_secret() for _ in range(20)}
    assert len(secrets) == 20
    for secret in secrets:
        require_totp_secret(secret)


@pytest.mark.parametrize("secret", ["", "A" * 31, "A" * 33, "a" * 32, "A" * 31 + "1", "A" * 31 + "\n"])
def test_a_malformed_secret_is_refused(secret):
    with pytest.raises(DoudiError) as caught:
        require_totp_secret(secret)
    assert caught.value.code == "account.bad_totp_secret"


def test_the_qr_code_is_svg_without_style_or_script():
    uri = provisioning_uri(RFC_SECRET, "li.wei")
    assert uri == f"otpauth://totp/Doudi:li.wei?secret={RFC_SECRET}&issuer=Doudi"
    root = ElementTree.fromstring(qr_svg(uri))  # noqa: S314 - our own
    assert root.tag == "svg"
    for element in root.iter():
        assert element.tag in ("svg", "g", "path")
        assert not {"style", "class", "href", "onload"} & set(element.attrib)
