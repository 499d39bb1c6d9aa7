"""Pictures of pages, in a folder that git ignores."""

from pathlib import Path
from typing import Any

ARTEFACTS = Path(__file__).parents[2] / "test-artefacts"


def screenshot(page: Any, name: str) -> None:
    """Keep a picture of the whole page."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)
