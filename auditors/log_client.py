"""The way to a log's files under `/log/`: TLS with the centre's own authority, an API token. The only network of the auditors.

Everything that comes back is untrusted: it is bounded here, stored by `fetching` and judged by `verification`.
"""

import ssl
from pathlib import Path

import httpx

from crypto.errors import DoudiError

PREFIX = "/log/"
_NOT_FOUND = 404
_BUSY = (429, 503)
_MAXIMUM_PROBLEM_BYTES = 64 * 1024


class LogClient:
    """The coordinator's `/log/` over HTTPS.

    Raises `coordinator.unreachable`, `coordinator.busy`, `log.bad_answer`, or the coordinator's code with its message.
    """

    def __init__(self, url: str, ca_file: Path, token: str, timeout_s: float = 30) -> None:
        """Raise `audit.not_https` for another scheme (the token would travel in clear), `file.no_certificate`."""
        if not url.startswith("https://"):
            raise DoudiError("audit.not_https", "the log's address does not begin with https://", "Check --url.")
        try:
            context = ssl.create_default_context(cafile=str(ca_file))
        except (OSError, ssl.SSLError):
            raise DoudiError(
                "file.no_certificate", f"{ca_file.name} is no certificate", "Copy the centre's ca.crt here."
            ) from None
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            verify=context,
            timeout=timeout_s,
            trust_env=False,
            headers={"Authorization": f"Bearer {token}"},
        )

    def get(self, path: str, at_most: int) -> bytes | None:
        """As `fetching.LogSource.get`."""
        try:
            with self._http.stream("GET", PREFIX + path) as response:
                if response.status_code == _NOT_FOUND:
                    return None
                if response.status_code in _BUSY:
                    raise DoudiError("coordinator.busy", "the coordinator asks to come later", "Run it again later.")
                if response.status_code != httpx.codes.OK:
                    raise _problem(response.status_code, _read(response, _MAXIMUM_PROBLEM_BYTES))
                return _read(response, at_most)
        except httpx.HTTPError as error:
            raise DoudiError(
                "coordinator.unreachable",
                f"the coordinator does not answer ({type(error).__name__})",
                "Check --url, --ca and the network; `fetch` goes on where it ended.",
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> "LogClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_token(path: Path) -> str:
    """Return the API token in a file. Raises `key.missing`, or `key.permissions` when others may read it."""
    if not path.is_file():
        raise DoudiError("key.missing", f"{path.name} is not there", "Ask the centre for an auditor's token.")
    if path.stat().st_mode & 0o077:
        raise DoudiError("key.permissions", f"{path.name} can be read by others", f"Run `chmod 600` on {path.name}.")
    token = path.read_bytes()[:1_000].decode("ascii", errors="replace").strip()
    if not token or not token.isascii() or any(character.isspace() for character in token):
        raise DoudiError("key.malformed", f"{path.name} holds no token", "Ask the centre for an auditor's token.")
    return token


def _read(response: httpx.Response, at_most: int) -> bytes:
    data = bytearray()
    for part in response.iter_bytes():
        data += part
        if len(data) > at_most:
            raise DoudiError("log.bad_answer", "the log's answer is longer than anything of its kind")
    return bytes(data)


def _problem(status: int, body: bytes) -> DoudiError:
    """Return the coordinator's problem document (RFC 9457) as an error."""
    try:
        document = httpx.Response(status, content=body).json()
        code = str(document["type"]).removeprefix("urn:doudi:")[:80]
        return DoudiError(code, str(document.get("detail", ""))[:500], str(document.get("next_step", ""))[:500])
    except (ValueError, KeyError, TypeError, AttributeError):
        return DoudiError("log.bad_answer", f"the log answered with status {status}", "Check --url.")
