"""The key by which a SuperNode is known to the SuperLink. It opens a door; it signs nothing that Doudi relies on."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


def generate_flower_key() -> tuple[bytes, str]:
    """Return a new private key (OpenSSH file form, not encrypted) and its public line.

    ECDSA P-384, because Flower takes NIST curves only.
    """
    private = ec.generate_private_key(ec.SECP384R1())
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), public.decode("ascii")
