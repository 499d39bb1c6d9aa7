"""What every use of Flower's internals on the coordinator rests on: the exact version, and clients with bounds."""

import ssl
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import httpx

from coordinator.federation.exchange import LinkAway
from crypto.errors import DoudiError

FLOWER_VERSION = "1.41.0"
REQUEST_TIMEOUT_S = 15.0


def require_flower() -> None:
    """Raise `flower.unexpected_version` unless exactly the Flower whose internals were studied is installed."""
    try:
        found = version("flwr")
    except PackageNotFoundError:
        found = "none"
    if found != FLOWER_VERSION:
        raise DoudiError(
            "flower.unexpected_version",
            f"flwr {found} is installed, expected {FLOWER_VERSION}",
            f"Install flwr=={FLOWER_VERSION}: Doudi uses internals that change between versions.",
        )


def bounded_client(client_type: Any, address: str, ca_file: Path, interceptors: Sequence[Any]) -> Any:
    """Return a client of Flower's HTTP interfaces without retries.

    flwr 1.41's own factory of retries never gives up, and on HTTP 401 sends SIGINT to its own process. Its version
    interceptor ends the process too, so it is left out: `require_flower` has compared versions already.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError):
        raise DoudiError("flower.bad_ca", "the CA certificate of the SuperLink cannot be read") from None
    return client_type(
        f"https://{address}",
        interceptors=tuple(interceptors),
        verify=context,
        timeout=REQUEST_TIMEOUT_S,
        retry_invoker=None,
    )


def call(method: Callable[[Any], Any], request: Any, denied_code: str) -> Any:
    """Return the response of one request.

    Raises `LinkAway` when it may be repeated, `denied_code` for 401 and 403, `flower.refused` for any other refusal. The
    text of a refusal stays here: Flower puts identifiers into it.
    """
    try:
        return method(request)
    except httpx.TransportError:
        raise LinkAway from None
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise DoudiError(denied_code, f"the SuperLink answered {status}") from None
        # 500 is what a busy database looks like from outside; it passes.
        if status >= 500:
            raise LinkAway from None
        raise DoudiError("flower.refused", f"the SuperLink answered {status}") from None
    except ValueError:
        raise DoudiError("flower.refused", "the SuperLink's answer cannot be read") from None
