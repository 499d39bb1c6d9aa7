"""Files that pages offer: sent as an attachment, whose name this program makes, and never shown in the page's place."""

from fastapi import Response

TEXT, JSON, BINARY = "text/plain; charset=utf-8", "application/json", "application/octet-stream"


def attachment(content: bytes, kind: str, name: str) -> Response:
    """Return a file to keep. `name`: letters, digits, dots and hyphens."""
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
