"""A world's log behind TLS on this host, with the addresses of the coordinator's `/log/`; and the same without network."""

import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ledger_world import LedgerWorld

from coordinator.tls import issue_certificates

TOKEN = "doudi_0123456789abcdef"


class WorldLog:
    """A world's log as a `LogSource`. `asked`: the paths so far. `lacking`: those it does not give; `instead`: other bytes."""

    def __init__(self, world: LedgerWorld) -> None:
        self.world = world
        self.asked: list[str] = []
        self.lacking: set[str] = set()
        self.instead: dict[str, bytes] = {}

    def get(self, path: str, at_most: int) -> bytes | None:
        self.asked.append(path)
        if path in self.lacking:
            return None
        if path in self.instead:
            return self.instead[path]
        if path == "summary":
            world = self.world
            summary = {"size": world.published[-1], "batches": world.batches, "terms": len(world.terms)}
            return json.dumps({**summary, "witnessed_size": world.witnessed_size}).encode()
        if path == "terms/newest":
            path = f"terms/{len(self.world.terms)}"
        if path.startswith("checkpoint/"):
            path = path.replace("checkpoint/witnessed", "witnessed").replace("checkpoint/", "checkpoints/")
        file = self.world.folder / path
        return file.read_bytes() if file.is_file() else None


class LogServer:
    """Serves a `WorldLog` to who shows the token, until `close`. Raises nothing; `url` and `ca_file` are for `fetch`."""

    def __init__(self, log: WorldLog, folder: Path) -> None:
        self.log = log
        folder.mkdir(parents=True, exist_ok=True)
        made = issue_certificates(["127.0.0.1"], int(time.time()))
        self.ca_file = folder / "ca.crt"
        self.ca_file.write_bytes(made.authority)
        certificate, key = folder / "server.crt", folder / "server.key"
        certificate.write_bytes(made.server)
        key.write_bytes(made.server_key)
        self.token_file = folder / "token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(TOKEN + "\n")
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(log))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        self._server = server
        self.url = f"https://127.0.0.1:{server.server_address[1]}"
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(log: WorldLog) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                problem = {"type": "urn:doudi:token.unknown", "title": "x", "status": 401, "detail": "unknown token"}
                self._answer(401, json.dumps(problem).encode())
                return
            data = log.get(self.path.removeprefix("/log/"), 1 << 30)
            self._answer(404 if data is None else 200, data or b"{}")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing on stderr."""

    return Handler
