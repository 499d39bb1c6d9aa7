"""A local certificate authority and the coordinator's server certificate, for departments without a PKI of their own.

Profile after RFC 5280: a CA that may only sign end entities (path length 0), a server certificate for TLS servers alone. May
import `cryptography`; touches no files.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crypto.errors import DoudiError

CA_DAYS = 5 * 365
SERVER_DAYS = 397
# Certificates start an hour early, so that a host whose clock is a little slow accepts them.
_EARLY = timedelta(hours=1)


@dataclass(frozen=True)
class Certificates:
    """PEM bytes. `authority_key` signs further certificates: keep it off the coordinator's host."""

    authority: bytes
    authority_key: bytes
    server: bytes
    server_key: bytes


def issue_certificates(hosts: Sequence[str], now_s: int) -> Certificates:
    """Return a new authority and a certificate for a server with these names and IP addresses.

    Raises `config.bad_host` for one that is neither a DNS name nor an address.
    """
    now = datetime.fromtimestamp(now_s, UTC)
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = _name("Doudi local certificate authority")
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _start(authority_name, authority_name, authority_key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(authority_id, critical=False)
        .sign(authority_key, SHA256())
    )
    server = (
        _start(_name("Doudi coordinator"), authority_name, server_key.public_key(), now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_alternative(host) for host in dict.fromkeys(hosts)]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(server_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id), critical=False)
        .sign(authority_key, SHA256())
    )
    return Certificates(
        authority.public_bytes(Encoding.PEM),
        _private_pem(authority_key),
        server.public_bytes(Encoding.PEM),
        _private_pem(server_key),
    )


def _start(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        if not host or set(host) & set(" /:*@"):
            raise ValueError
        return x509.DNSName(host)
    except ValueError:
        raise DoudiError(
            "config.bad_host", "a host is neither a DNS name nor an IP address", "Give it without scheme and port."
        ) from None


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
