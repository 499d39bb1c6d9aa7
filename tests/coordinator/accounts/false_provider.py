"""An identity provider that lies: it serves the documents of the protocol, and an ID token that a test makes."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey


@dataclass
class FalseProvider:
    """What a test changes: claims and header of the token, its key, whole documents by path, or raw answers."""

    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "one"})
    documents: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    key: Any = None
    asked: list[str] = field(default_factory=list)
    form: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.published = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self)

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                provider.form = parse_qs(self.rfile.read(length).decode())
                provider.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def discovery(self, **changes: Any) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "code_challenge_methods_supported": ["S256"],
            **changes,
        }

    def id_token(self) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "doudi", "sub": "person-1", "iat": now, "exp": now + 60, **self.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.header["alg"] == "none":
            return jwt.encode(self.header, claims, OctKey.generate_key(), algorithms=["none"])
        return jwt.encode(self.header, claims, self.key or self.published, algorithms=[self.header["alg"]])

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        self.asked.append(path)
        if path in self.raw:
            self.raw[path](handler)
            return
        if path in self.documents:
            document = self.documents[path]
        elif path == "/.well-known/openid-configuration":
            document = self.discovery()
        elif path == "/jwks":
            document = KeySet([self.published]).as_dict(private=False)
        else:
            document = {"access_token": "x", "token_type": "Bearer", "id_token": self.id_token()}
        send(handler, json.dumps(document).encode())


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
