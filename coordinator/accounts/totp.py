"""The second factor: time-based one-time passwords (RFC 6238: SHA-1, 6 digits, 30 s), as every authenticator app has them.

Pure but for the randomness of new secrets. May import pyotp and segno.
"""

import re
from hmac import compare_digest

import pyotp
import segno

from crypto.errors import DoudiError

STEP_S = 30
SECRET_CHARACTERS = 32  # 160 bits, the length of a SHA-1 key
# One step to either side: clocks differ, and people type slowly.
TOLERATED_STEPS = 1
_ISSUER = "Doudi"
_CODE = re.compile(r"[0-9]{6}")
_SECRET = re.compile(r"[A-Z2-7]{32}")


def new_totp_secret() -> str:
    """Return a fresh secret of 160 bits in base 32."""
    return pyotp.random_base32(SECRET_CHARACTERS)


def require_totp_secret(secret: str) -> None:
    """Raise `account.bad_totp_secret` unless this has the form of a secret of ours: it comes back in a form."""
    if not _SECRET.fullmatch(secret):
        raise DoudiError("account.bad_totp_secret", "the secret of the second factor is malformed")


def provisioning_uri(secret: str, login_name: str) -> str:
    """Return the address that an authenticator app reads."""
    return pyotp.TOTP(secret, name=login_name, issuer=_ISSUER).provisioning_uri()


def qr_svg(uri: str) -> str:
    """Return the address as a QR code: an SVG element without style and without script."""
    code = segno.make(uri, error="m", micro=False)
    svg: str = code.svg_inline(scale=4, border=4, dark="#000", light="#fff", svgclass=None, lineclass=None)
    return svg


def matching_step(secret: str, code: str, now_s: int, last_step: int | None) -> int | None:
    """Return the time step whose code this is, or `None`.

    Only steps after `last_step` count: a code that somebody looked at is worth nothing once it was used. All candidates are
    compared, so that the time does not say which one it was.
    """
    digits = code.replace(" ", "")
    if not _CODE.fullmatch(digits):
        return None
    totp, present, found = pyotp.TOTP(secret), now_s // STEP_S, None
    for step in range(present - TOLERATED_STEPS, present + TOLERATED_STEPS + 1):
        is_code = compare_digest(totp.generate_otp(step).encode(), digits.encode())
        if is_code and step > (-1 if last_step is None else last_step):
            found = step
    return found
