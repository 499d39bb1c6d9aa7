"""Where the empty Flower bundle lies, and its hash."""

from pathlib import Path

from flwr.cli.build import build_fab_from_disk

from coordinator.federation.flower_engine import require_flower


def shell_bundle() -> Path:
    """Return the folder of the empty bundle. flwr 1.41 wants its name to be letters, digits and hyphens."""
    return Path(__file__).with_name("shell")


def build_bundle(folder: Path) -> bytes:
    """Return the bundle as Flower packs it: fixed dates and order, so the same files give the same bytes."""
    require_flower()
    packed: bytes = build_fab_from_disk(folder)
    return packed
