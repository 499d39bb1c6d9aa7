"""The outermost layer of the API: bounds bodies before anybody reads them, and lets no exception's text out.

It stands inside no other handler of ours, so it is the one place that catches every exception; it logs the type only,
because messages and tracebacks can quote what a party sent.
"""

import logging
from collections.abc import Callable

from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.problems import INTERNAL_ERROR, problem_response

logger = logging.getLogger(__name__)


class Border:
    """ASGI middleware. `max_body_bytes`: a longer body is refused as soon as it is longer, whatever its header says.

    `refusal` makes the answer of a code where that is not a problem document everywhere.
    """

    def __init__(
        self, app: ASGIApp, max_body_bytes: int, refusal: Callable[[Request, str], Response] | None = None
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._refusal = refusal or (lambda _request, code: problem_response(code))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other kinds of traffic pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await self._bounded_body(scope, receive)
        if body is None:
            await self._refusal(Request(scope), "request.body_too_large")(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, _replay(body, receive), watched_send)
        except OperationalError:
            logger.error("a request found the database unavailable")
            code = "coordinator.busy"
        except Exception as error:  # noqa: BLE001 - the outermost border: it logs the type and answers 500
            logger.error("a request failed with %s", type(error).__name__)
            code = INTERNAL_ERROR
        else:
            return
        if not started:
            await self._refusal(Request(scope), code)(scope, receive, send)

    async def _bounded_body(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the whole body, or `None` when it is too long."""
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value[:20]) > self._max_body_bytes):
                return None
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, then goes on with what follows it."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
