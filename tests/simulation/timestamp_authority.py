"""A real time stamping authority for tests: OpenSSL's `ts`, with a root, a certificate for time stamping, and keys of its own."""

import subprocess
from pathlib import Path

_CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {certificates}
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""
_EXTENSIONS = (
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"
)


class TimestampAuthority:
    """`root`: PEM of the certificate that auditors trust. `answer` stamps a query."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        key = ("-newkey", "rsa:2048", "-nodes")
        self._run(
            "req", "-x509", *key, "-keyout", "root.key", "-out", "root.pem", "-days", "30", "-subj", f"/CN={name} root"
        )
        self._run("req", *key, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", f"/CN={name} stamp")
        (self._folder / "extensions").write_text(_EXTENSIONS)
        signing = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "30", "-extfile", "extensions")
        self._run("x509", "-req", "-in", "tsa.csr", "-out", "tsa.pem", *signing)
        (self._folder / "serial").write_text("01\n")
        config = _CONFIG.format(folder=self._folder, certificates=self._folder / "tsa.pem")
        (self._folder / "config").write_text(config)
        self.root = (self._folder / "root.pem").read_bytes()

    def answer(self, query: bytes) -> bytes:
        """Return the answer to a query, both DER."""
        (self._folder / "query").write_bytes(query)
        self._run("ts", "-reply", "-queryfile", "query", "-config", "config", "-section", "here", "-out", "answer")
        return (self._folder / "answer").read_bytes()

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)
