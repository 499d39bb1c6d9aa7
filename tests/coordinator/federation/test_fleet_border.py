"""What the fleet listener lets through, request line by request line."""

import asyncio
from typing import Any

import pytest

from coordinator.federation.fleet_border import MAXIMUM_BODY_BYTES, FleetBorder, is_fleet_request


def _scope(path: str = "/v1/fleet/pull-messages", method: str = "POST", **changes: Any) -> dict[str, Any]:
    headers = [(b"host", b"centre.example:9443"), (b"content-length", b"12")]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "root_path": ""}
    return {**scope, "headers": headers, "query_string": b"", **changes}


@pytest.mark.parametrize(
    "name", ["activate-node", "confirm-message-received", "get-fab", "pull-object", "send-node-heartbeat"]
)
def test_fleet_calls_pass(name: str) -> None:
    assert is_fleet_request(_scope(f"/v1/fleet/{name}"))


def test_the_health_check_passes() -> None:
    assert is_fleet_request(_scope("/health", "GET", headers=[(b"host", b"[::1]:9443")]))


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/control/start-run", "/v1/runtime/acquire-task", "/", "", "/docs", "/v1/fleet", "/v1/fleet/"),
        *("/v1/fleet/../control/start-run", "//v1/control/start-run", "/v1//fleet/pull-messages", "/V1/fleet/get-run"),
        *("/v1/fleet/pull-messages/", "/v1/fleet/pull-messages\n", "/v1/fleet/pull-messages?x", "/v1/fleet/-", "*"),
        *("/v1/fleet/Pull-messages", "/v1/fleet/pull-messages;x", "/v1/fleet/\u0440ull-messages", "/health/"),
    ],
)
def test_other_paths_do_not(path: str) -> None:
    for method in ["GET", "POST"]:
        assert not is_fleet_request(_scope(path, method))


@pytest.mark.parametrize(
    "changes",
    [
        {"raw_path": b"/v1/fleet/pull%2Dmessages"},
        {"raw_path": b"/v1/control/start-run"},
        {"raw_path": None},
        {"root_path": "/v1"},
        {"method": "GET"},
        {"method": "PUT"},
        {"method": "post"},
        {"headers": []},
        {"headers": [(b"host", b"a/v1?"), (b"content-length", b"1")]},
        {"headers": [(b"host", b"a@b"), (b"content-length", b"1")]},
        {"headers": [(b"host", b"a"), (b"host", b"b"), (b"content-length", b"1")]},
        {"headers": [(b"host", b"a")]},
        {"headers": [(b"host", b"a"), (b"transfer-encoding", b"chunked")]},
        {"headers": [(b"host", b"a"), (b"content-length", b"-1")]},
        {"headers": [(b"host", b"a"), (b"content-length", b"1"), (b"content-length", b"1")]},
        {"headers": [(b"host", b"a"), (b"content-length", str(MAXIMUM_BODY_BYTES + 1).encode())]},
    ],
)
def test_odd_forms_of_a_fleet_call_do_not(changes: dict[str, Any]) -> None:
    assert not is_fleet_request(_scope(**changes))


def test_only_requests_that_pass_reach_the_application() -> None:
    reached: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    async def ask(scope: dict[str, Any]) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(event: Any) -> None:
            sent.append(event)

        await FleetBorder(application)(scope, receive, send)
        return sent

    assert asyncio.run(ask(_scope())) == []
    assert asyncio.run(ask(_scope("/v1/control/start-run")))[0]["status"] == 404
    assert asyncio.run(ask(_scope(type="websocket")))[0]["type"] == "websocket.close"
    assert asyncio.run(ask({"type": "lifespan"})) == []
    assert reached == ["/v1/fleet/pull-messages"]
