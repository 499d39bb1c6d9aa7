"""The server of the API: uvicorn, ending without waiting for those who wait for the log."""

import socket
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

_STARTUP_FAILED = 3


class ReleasingServer(uvicorn.Server):
    """Answers everybody who waits for the log when it is to end: they ask again of whoever serves then."""

    def __init__(self, config: uvicorn.Config, api: FastAPI) -> None:
        super().__init__(config)
        self._api = api

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is served. Called by the server's own loop."""
        # Before the connections are waited for, and so before the application's own end.
        self._api.state.context.ledger.notifier.close()
        await super().shutdown(sockets)


def serve(api: FastAPI, **settings: object) -> int:
    """Serve an application until a signal ends it; return the exit code. `settings`: of `uvicorn.Config`."""
    server = ReleasingServer(uvicorn.Config(api, **settings), api)  # type: ignore[arg-type]
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else _STARTUP_FAILED
