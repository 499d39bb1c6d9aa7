"""Files that only this account reads."""

import os
from pathlib import Path

from crypto.errors import DoudiError


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that only this account reads; it never has wider rights, not even for a moment.

    Raises `install.exists` if there is one.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise DoudiError("install.exists", f"the file {path.name} exists", "Choose empty folders.") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def make_folder(path: Path) -> None:
    """Make a folder that only this account enters, if it is not there."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
