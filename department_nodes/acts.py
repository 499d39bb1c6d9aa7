"""Acts at the coordinator that must not happen twice: each goes under a key that outlives a lost answer.

The coordinator acts once under a key and answers a repetition with its first answer. So the key is on the disk before the
request leaves, and goes only when the answer is kept. May import crypto and `command_line`.
"""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from command_line.documents import write_atomically
from crypto.canonical import canonical_json
from crypto.errors import DoudiError

KEY_BYTES = 16


@contextmanager
def act_key(folder: Path, path: str, document: Any, occasion: int = 0) -> Iterator[str]:
    """Give the key of an act: the one of an earlier try whose answer was never kept, else a new one.

    `folder`: where keys wait. `occasion`: tells the same request of another time apart, for example an attempt. The key is
    forgotten when the block ends well. When it fails the key stays: a refusal left nothing at the coordinator, and whether
    anything else did, only the coordinator knows. Raises `file.unreadable`.
    """
    name = hashlib.sha256(canonical_json([path, document, occasion])).hexdigest()[:32]
    waiting = folder / f"{name}.key"
    if not waiting.is_file():
        # Durable from here: a crash after it repeats the request under the same key.
        write_atomically(waiting, secrets.token_hex(KEY_BYTES).encode())
    key = waiting.read_text("ascii", errors="replace")
    if len(key) != 2 * KEY_BYTES or not key.isalnum():
        raise DoudiError("file.unreadable", f"{waiting.name} holds no key", "Delete it if the act did not happen.")
    yield key
    waiting.unlink()
