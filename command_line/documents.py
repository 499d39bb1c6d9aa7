"""Files on this host: documents read in whatever layout, and files written so that a crash leaves the old one or the new one."""

import json
import os
from pathlib import Path

from crypto.canonical import canonical_json
from crypto.errors import DoudiError

MAXIMUM_DOCUMENT_FILE_BYTES = 1024 * 1024


def read_document_bytes(path: Path) -> bytes:
    """Return a document file as canonical bytes, whatever its indentation. Raises `document.unreadable`."""
    try:
        if path.stat().st_size > MAXIMUM_DOCUMENT_FILE_BYTES:
            raise _unreadable(path, "is above 1 MiB")
        return canonical_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        raise _unreadable(path, "is not a document") from None
    except DoudiError as error:
        raise _unreadable(path, "is not a document") from error


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file so that a crash leaves the old or the new one, never a half, and so that it is on the disk on return."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_document(path: Path, data: bytes) -> None:
    """Write a document that others may read. Raises `file.unwritable`."""
    try:
        write_atomically(path, data, 0o644)
    except OSError:
        raise DoudiError(
            "file.unwritable", f"{path.name} cannot be written", "Check the path and its rights."
        ) from None


def _unreadable(path: Path, why: str) -> DoudiError:
    return DoudiError("document.unreadable", f"{path.name} {why}", "Check the file's name.")
