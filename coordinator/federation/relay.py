"""What carries requests to departments and brings replies back: bytes in, bytes out. Imports nothing of Flower."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

NODE_UNREACHABLE = "node.unreachable"
NODE_TIMEOUT = "node.timeout"
NODE_FAILED = "node.failed"


@dataclass(frozen=True)
class Lost:
    """A department gave no reply. `code` is one of `node.unreachable`, `node.timeout`, `node.failed`.

    It may have acted on the request all the same: only an unanswered request is known, never an unread one.
    """

    code: str


OnReply = Callable[[str, bytes | Lost], None]


class Relay(Protocol):
    """Carries one request to each of several departments."""

    @property
    def messages_pushed(self) -> int:
        """How many messages were sent so far, repeats included."""

    def exchange(
        self, requests: Mapping[str, bytes], timeout_s: float, on_reply: OnReply | None = None
    ) -> dict[str, bytes | Lost]:
        """Return every department's reply, or why there is none; keys are department names.

        `on_reply` is called in this thread, once per department, as soon as its outcome is known. The same request may
        reach a department more than once, byte for byte: departments answer a repeat from their store. Raises
        `DoudiError` when the relay itself fails: then no department is to be blamed.
        """
