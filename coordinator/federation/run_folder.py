"""What the coordinator keeps of one attempt of a run, so that a killed process goes on where it was.

Requests are stored before they are sent and replies as they come: after a crash the same bytes are asked again, and the
nodes give their stored replies byte for byte. All of it is ciphertext, pseudonyms and public metadata; who takes this folder
learns what the coordinator learns (README: which departments share which pseudonyms, and nothing about what they hold; of a
line the sums' models, and with a robust method the updates of the round that is being played).
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from command_line.documents import write_atomically
from crypto.errors import DoudiError
from policies.contracts.base import Slug
from policies.contracts.steps import Step

CHECKPOINT_FILE = "checkpoint.bin"
ROUNDS_FOLDER = "rounds"


class StepFiles:
    """Files of the steps in one folder: `<step>/<department>.request`, `.reply`, and `<step>/done.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path
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

    def sizes(self) -> tuple[dict[str, int], dict[str, int], int]:
        """Return bytes of requests and of replies by department, and the number of requests, over all steps here."""
        requests: dict[str, int] = {}
        replies: dict[str, int] = {}
        count = 0
        for path in self.path.glob("*/*.re*"):
            if path.name.startswith("."):
                continue
            totals = requests if path.suffix == ".request" else replies
            totals[path.stem] = totals.get(path.stem, 0) + path.stat().st_size
            count += path.suffix == ".request"
        return requests, replies, count

    def _file(self, step: Step, department: str, suffix: str) -> Path:
        if "/" in department or department.startswith("."):
            raise DoudiError("run.bad_name", "a department's name is not a file name")
        return self.path / step.value / f"{department}.{suffix}"


class RunFolder(StepFiles):
    """Files of one attempt. The steps of a line lie in a folder per round, `rounds/<number>`."""

    def __init__(self, runs: Path, run_id: Slug, attempt: int) -> None:
        super().__init__(runs / run_id / str(attempt))
        self._attempt = attempt

    def save_once(self, name: str, data: bytes) -> bytes:
        """Store a file unless it exists, and return what is stored: a random choice is made once per attempt."""
        path = self.path / name
        if not path.is_file():
            write_atomically(path, data)
        return path.read_bytes()

    def read(self, name: str) -> bytes | None:
        """Return what `save_once` stored, or None."""
        path = self.path / name
        return path.read_bytes() if path.is_file() else None

    def round(self, number: int) -> StepFiles:
        """Return the files of one round of a line."""
        rounds = self.path / ROUNDS_FOLDER
        rounds.mkdir(exist_ok=True, mode=0o700)
        return StepFiles(rounds / f"{number:03d}")

    def save_checkpoint(self, data: bytes) -> None:
        """Store a line's state in the place of the former one: from here the rounds that it closes are never played again."""
        write_atomically(self.path / CHECKPOINT_FILE, data)

    def checkpoint(self) -> bytes | None:
        """Return this attempt's newest state of the line, or None."""
        path = self.path / CHECKPOINT_FILE
        return path.read_bytes() if path.is_file() else None

    def former_checkpoint(self) -> bytes | None:
        """Return the state that the newest former attempt of the same run came to, or None."""
        for attempt in range(self._attempt - 1, 0, -1):
            path = self.path.parent / str(attempt) / CHECKPOINT_FILE
            if path.is_file():
                return path.read_bytes()
        return None

    def forget_rounds(self, last: int) -> None:
        """Delete the files of the rounds up to this number: their sum is in the checkpoint, and models are large."""
        for path in sorted((self.path / ROUNDS_FOLDER).glob("[0-9][0-9][0-9]")):
            if int(path.name) <= last:
                shutil.rmtree(path, ignore_errors=True)
