"""What every use of Flower's internals at the node rests on: the exact version."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from crypto.errors import DoudiError

FLOWER_VERSION = "1.41.0"


def require_flower(attributes: tuple[tuple[Any, str], ...] = ()) -> None:
    """Raise `flower.unexpected_version` unless exactly the studied Flower is installed, with these attributes."""
    try:
        found = version("flwr")
    except PackageNotFoundError:
        found = "none"
    absent = [name for owner, name in attributes if not hasattr(owner, name)]
    if found != FLOWER_VERSION or absent:
        raise DoudiError(
            "flower.unexpected_version",
            f"flwr {found} is installed, expected {FLOWER_VERSION}; absent: {', '.join(absent) or 'nothing'}",
            f"Install flwr=={FLOWER_VERSION}: Doudi uses internals that change between versions.",
        )
