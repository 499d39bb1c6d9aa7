"""HTTP answers bounded in size and time, for an outside service whose answers nobody here vouches for. May import httpx."""

import time
from collections.abc import Iterator

import httpx

MAXIMUM_ANSWER_BYTES = 256 * 1024
ANSWER_TIMEOUT_S = 15.0


class BoundedTransport(httpx.BaseTransport):
    """A transport whose answers are bounded: whoever answers slowly or without end must not keep a thread or the memory."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its answer, whose body raises `httpx.ReadError` where it becomes too long."""
        # Compressed bytes could grow beyond every bound when they are unpacked.
        request.headers["Accept-Encoding"] = "identity"
        answer = self._inner.handle_request(request)
        if answer.headers.get("content-encoding", "identity") != "identity" or not isinstance(
            answer.stream, httpx.SyncByteStream
        ):
            answer.close()
            raise httpx.ReadError("a compressed answer was not asked for", request=request)
        bounded = _BoundedStream(answer.stream, request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=bounded, extensions=answer.extensions)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, request: httpx.Request) -> None:
        self._inner = inner
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        size, end = 0, time.monotonic() + ANSWER_TIMEOUT_S
        for piece in self._inner:
            size += len(piece)
            if size > MAXIMUM_ANSWER_BYTES or time.monotonic() > end:
                raise httpx.ReadError("the answer is too long", request=self._request)
            yield piece

    def close(self) -> None:
        self._inner.close()
