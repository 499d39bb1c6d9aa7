"""The outermost layer of the API: bounds bodies before anybody reads them, and lets no exception's text out.

It stands inside no other handler of ours, so it is the one place that catches every exception; it logs the type only,
because messages and tracebacks can quote what a party sent.
"""

import logging
from collections.abc import Callable, Mapping

from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.problems import INTERNAL_ERROR, problem_response

# Bodies are read before anybody knows whose they are, so only so many may grow beyond the common bound at once.
MOST_LARGER = 8
TOO_LARGE = "request.body_too_large"
BUSY = "coordinator.busy"

logger = logging.getLogger(__name__)


class Border:
    """ASGI middleware. `max_body_bytes`: a longer body is refused as soon as it is longer, whatever its header says.

    `larger`: the bounds of single addresses, by method and path; at most `most_larger` such bodies are read at once. `refusal`
    makes the answer of a code where that is not a problem document everywhere.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_body_bytes: int,
        refusal: Callable[[Request, str], Response] | None = None,
        larger: Mapping[tuple[str, str], int] | None = None,
        most_larger: int = MOST_LARGER,
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._larger = dict(larger or {})
        self._most_larger = most_larger
        # Counted in the event loop alone.
        self._larger_at_once = 0
        self._refusal = refusal or (lambda _request, code: problem_response(code))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other kinds of traffic pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await self._bounded_body(scope, receive)
        if isinstance(body, str):
            await self._refusal(Request(scope), body)(scope, receive, send)
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
            code = BUSY
        except Exception as error:  # noqa: BLE001 - the outermost border: it logs the type and answers 500
            logger.error("a request failed with %s", type(error).__name__)
            code = INTERNAL_ERROR
        else:
            return
        if not started:
            await self._refusal(Request(scope), code)(scope, receive, send)

    async def _bounded_body(self, scope: Scope, receive: Receive) -> bytes | str:
        """Return the whole body, or the code of the refusal."""
        own = self._larger.get((scope["method"], scope["path"]), 0) if self._larger else 0
        most = max(own, self._max_body_bytes)
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value[:20]) > most):
                return TOO_LARGE
        body = bytearray()
        counted = False
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return bytes(body)
                body += message.get("body", b"")
                if len(body) > most:
                    return TOO_LARGE
                if len(body) > self._max_body_bytes and not counted:
                    if self._larger_at_once >= self._most_larger:
                        return BUSY
                    self._larger_at_once += 1
                    counted = True
                if not message.get("more_body", False):
                    return bytes(body)
        finally:
            self._larger_at_once -= counted


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
