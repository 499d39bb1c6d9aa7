"""What departments can reach of the SuperLink: the Fleet interface and the health check, and nothing else.

The same application also serves Control and Runtime, without authentication; whoever reaches those can start runs. So
this is an allow-list over the exact bytes of the request line: no decoding, no normalising, one form per path. Pure ASGI.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

FLEET_PATH = re.compile(r"/v1/fleet/[a-z]+(-[a-z]+)*")
HEALTH_PATH = "/health"
HOST = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
# Flower sends objects in pieces of 5 MiB; a node that is not authenticated yet must not make the SuperLink read more.
MAXIMUM_BODY_BYTES = 8 * 1024 * 1024


class FleetBorder:
    """Passes Fleet requests on; everything else gets 404 without a word."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event stream."""
        if scope["type"] == "http" and is_fleet_request(scope):
            await self._application(scope, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        elif scope["type"] == "websocket":
            # Before the handshake is accepted this is an HTTP 403 to the client.
            await receive()
            await send({"type": "websocket.close", "code": 1008})


def is_fleet_request(scope: Scope) -> bool:
    """Return whether a request is one that departments may make.

    1. The decoded and the raw path are the same, so nothing was percent-encoded.
    2. The path is exactly one Fleet call by POST, or the health check by GET.
    3. No prefix was taken off by a proxy, and the host is a plain one: Flower's node authentication looks at the URL that
       is built from it.
    4. The body's length is announced and within bounds.
    """
    path, raw_path = scope.get("path", ""), scope.get("raw_path")
    if not path.isascii() or raw_path is None or bytes(raw_path).split(b"?")[0] != path.encode():
        return False
    if not (
        (scope["method"] == "POST" and FLEET_PATH.fullmatch(path)) or (scope["method"] == "GET" and path == HEALTH_PATH)
    ):
        return False
    if scope.get("root_path"):
        return False
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        return False
    if path == HEALTH_PATH:
        return True
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) < 12 and int(lengths[0]) <= MAXIMUM_BODY_BYTES
