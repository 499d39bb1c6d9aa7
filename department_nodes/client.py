"""The node's way to the coordinator's API: signed requests over TLS. The coordinator's answers are untrusted input."""

import contextlib
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.requests import sign_request

HEADER_KEY = "Idempotency-Key"
_CODE = re.compile(r"(?=.{1,80}$)[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
NOTHING: Mapping[str, str] = {}


class CoordinatorClient:
    """Calls the coordinator as one party. Raises `coordinator.unreachable`, or the coordinator's code with its message."""

    def __init__(self, url: str, ca_file: Path, party: str, private: bytes, timeout_s: float = 30) -> None:
        import ssl

        if not ca_file.is_file():
            raise DoudiError(
                "coordinator.no_certificate", f"{ca_file.name} is missing", "Copy the centre's ca.crt here."
            )
        context = ssl.create_default_context(cafile=str(ca_file))
        self._http = httpx.Client(base_url=url, verify=context, timeout=timeout_s, trust_env=False)
        self._party = party
        self._private = private
        self._sockets: list[socket.socket] = []

    def get(self, path: str) -> Any:
        """Return the JSON answer of a GET."""
        return self._call("GET", path, b"")

    def get_bytes(self, path: str) -> bytes:
        """Return the raw answer of a GET, for signed documents."""
        return self._send("GET", path, b"").content

    def post(self, path: str, document: Any, key: str | None = None) -> Any:
        """Return the JSON answer of a POST. Under the same `key` the coordinator acts once and gives the same answer again."""
        return self._call("POST", path, canonical_json(document), {HEADER_KEY: key} if key else {})

    def post_bytes(self, path: str, body: bytes) -> Any:
        """Return the JSON answer of a POST of bytes that are no JSON."""
        return self._call("POST", path, body, {"Content-Type": "application/octet-stream"})

    def put_bytes(self, path: str, body: bytes) -> Any:
        """Return the JSON answer of a PUT of a signed document."""
        return self._call("PUT", path, body)

    def interrupt(self) -> None:
        """End the call that another thread is waiting in: it raises `coordinator.unreachable`."""
        for each in self._sockets:
            # Closing would leave the other thread waiting; a connection that has ended wakes it.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _connected(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            found = info["return_value"].get_extra_info("socket")
            self._sockets = [each for each in self._sockets if each.fileno() >= 0] + [found]

    def _call(self, method: str, path: str, body: bytes, more: Mapping[str, str] = NOTHING) -> Any:
        response = self._send(method, path, body, more)
        try:
            return response.json()
        except ValueError:
            raise DoudiError("coordinator.bad_answer", "the coordinator's answer is not JSON") from None

    def _send(self, method: str, path: str, body: bytes, more: Mapping[str, str] = NOTHING) -> httpx.Response:
        headers = {**more, **sign_request(self._private, self._party, method, path, body, int(time.time()))}
        if body:
            headers.setdefault("Content-Type", "application/json")
        try:
            # The transport tells of each new connection (httpcore's trace), so that `interrupt` can end it.
            response = self._http.request(
                method, path, content=body, headers=headers, extensions={"trace": self._connected}
            )
        except httpx.HTTPError as error:
            raise DoudiError(
                "coordinator.unreachable",
                f"the coordinator does not answer ({type(error).__name__})",
                "Check the address in node.toml and the network.",
            ) from error
        if response.status_code >= 400:
            raise _problem(response)
        return response


def _problem(response: httpx.Response) -> DoudiError:
    """Return the coordinator's problem document (RFC 9457) as an error."""
    try:
        document = response.json()
        code = str(document["type"]).removeprefix("urn:doudi:")
        if not _CODE.fullmatch(code):
            # A code goes into this node's journal, which has no room for anybody's text.
            raise ValueError
        return DoudiError(code, str(document.get("detail", ""))[:500], str(document.get("next_step", ""))[:500])
    except (ValueError, KeyError, TypeError, AttributeError):
        return DoudiError("coordinator.bad_answer", f"the coordinator answered with status {response.status_code}")
