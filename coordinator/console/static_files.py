"""The console's static files, served from memory under names that contain their hash, so that browsers may keep them for ever.

A name is one of a list made at start: nothing that a caller sends becomes a path.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from crypto.errors import DoudiError

STATIC_FOLDER = Path(__file__).parent / "static"
STATIC_ADDRESS = "/console/static"
_MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_HASH_CHARACTERS = 16
_KEEP = "public, max-age=31536000, immutable"

router = APIRouter(prefix=STATIC_ADDRESS, include_in_schema=False)


@dataclass(frozen=True)
class _StaticFile:
    content: bytes
    media_type: str


def _load() -> tuple[dict[str, str], dict[str, _StaticFile]]:
    """Return the address of each file, and the files by the last part of their addresses."""
    addresses, files = {}, {}
    for path in sorted(STATIC_FOLDER.iterdir()):
        if path.suffix in _MEDIA_TYPES:
            content = path.read_bytes()
            name = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:_HASH_CHARACTERS]}{path.suffix}"
            addresses[path.name] = f"{STATIC_ADDRESS}/{name}"
            files[name] = _StaticFile(content, _MEDIA_TYPES[path.suffix])
    return addresses, files


_ADDRESSES, _FILES = _load()


def static_address(name: str) -> str:
    """Return the address of a static file. Raises `KeyError` for one that there is not: a page asks only for known ones."""
    return _ADDRESSES[name]


@router.get("/{name}")
async def static_file(name: str) -> Response:
    """Return a static file."""
    file = _FILES.get(name)
    if file is None:
        raise DoudiError("console.no_such_page", "no static file has this name")
    return Response(file.content, media_type=file.media_type, headers={"Cache-Control": _KEEP})
