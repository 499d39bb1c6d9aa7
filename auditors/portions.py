"""Many files written durably at the cost of few: each portion is forced to the disk as a whole, and only then gets its names.

A crash leaves the files of whole portions, and unnamed ones, which the next writing replaces: never half a file under its name.
"""

import os
from pathlib import Path

from crypto.errors import DoudiError

PORTION_FILES = 256


class Portion:
    """Files on their way below a folder. Nothing counts before `settle` returns. Raises `file.unwritable`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[tuple[Path, Path]] = []

    def put(self, place: str, data: bytes) -> None:
        """Take a file; a full portion is settled at once."""
        path = self._folder / place
        waiting = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
        except OSError:
            raise _unwritable(place) from None
        self._waiting.append((waiting, path))
        if len(self._waiting) == PORTION_FILES:
            self.settle()

    def settle(self) -> None:
        """Force what was taken to the disk, and give it its names."""
        folders = dict.fromkeys(path.parent for _, path in self._waiting)
        try:
            for waiting, _ in self._waiting:
                _force(waiting)
            # The contents are durable from here; a crash below leaves some files without a name, to be copied again.
            for waiting, path in self._waiting:
                os.replace(waiting, path)
            for folder in folders:
                _force(folder)
        except OSError:
            raise _unwritable(str(self._folder)) from None
        self._waiting = []


def _force(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(place: str) -> DoudiError:
    return DoudiError("file.unwritable", f"{place} cannot be written", "Check the disk and its rights.")
