"""What the coordinator keeps of one attempt of a run, so that a killed process goes on where it was.

Requests are stored before they are sent and replies as they come: after a crash the same bytes are asked again, and the
nodes give their stored replies byte for byte. All of it is ciphertext, pseudonyms and public metadata; who takes this folder
learns what the coordinator learns (README: which departments share which pseudonyms, and nothing about what they hold).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from command_line.documents import write_atomically
from crypto.errors import DoudiError
from policies.contracts.base import Slug
from policies.contracts.steps import Step


class RunFolder:
    """Files of one attempt: `<step>/<department>.request`, `.reply`, and `<step>/done.json`."""

    def __init__(self, runs: Path, run_id: Slug, attempt: int) -> None:
        self.path = runs / run_id / str(attempt)
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save_request(self, step: Step, department: str, data: bytes) -> bytes:
        """Store a request unless one is stored; return the stored one, which is what must be sent."""
        path = self._file(step, department, "request")
        if not path.is_file():
            write_atomically(path, data)
        return path.read_bytes()

    def save_reply(self, step: Step, department: str, data: bytes) -> None:
        """Store a verified reply."""
        write_atomically(self._file(step, department, "reply"), data)

    def reply(self, step: Step, department: str) -> bytes | None:
        """Return a stored reply, or None."""
        path = self._file(step, department, "reply")
        return path.read_bytes() if path.is_file() else None

    def request(self, step: Step, department: str) -> bytes | None:
        """Return a stored request, or None."""
        path = self._file(step, department, "request")
        return path.read_bytes() if path.is_file() else None

    def save_done(self, step: Step, outcome: Mapping[str, Any]) -> None:
        """Store the outcome of a step: from here it is never asked again in this attempt."""
        write_atomically(self.path / step.value / "done.json", json.dumps(dict(outcome), sort_keys=True).encode())

    def done(self, step: Step) -> dict[str, Any] | None:
        """Return the outcome of a finished step, or None."""
        path = self.path / step.value / "done.json"
        return dict(json.loads(path.read_text())) if path.is_file() else None

    def save_once(self, name: str, data: bytes) -> bytes:
        """Store a file unless it exists, and return what is stored: a random choice is made once per attempt."""
        path = self.path / name
        if not path.is_file():
            write_atomically(path, data)
        return path.read_bytes()

    def _file(self, step: Step, department: str, suffix: str) -> Path:
        if "/" in department or department.startswith("."):
            raise DoudiError("run.bad_name", "a department's name is not a file name")
        return self.path / step.value / f"{department}.{suffix}"
