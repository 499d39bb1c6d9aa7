"""One exchange: ask several departments, ask again where a message may have been lost, give up in time.

Pure rules over a `Link`: no Flower, no network; clock and sleep are arguments. One thread, and no call on the link is
long, so a department that uploads slowly or never finishes its upload does not hold up the others.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from coordinator.federation.relay import NODE_FAILED, NODE_TIMEOUT, NODE_UNREACHABLE, Lost, OnReply
from crypto.errors import DoudiError

NODE_REFRESH_S = 1.0


class LinkAway(DoudiError):
    """The link to the SuperLink is broken for the moment; the caller may try again."""

    def __init__(self) -> None:
        super().__init__("relay.superlink_away", "the SuperLink does not answer")


class MessageRefused(DoudiError):
    """The SuperLink takes no message for this node: it was unregistered since the list of nodes was read."""

    def __init__(self) -> None:
        super().__init__("relay.message_refused", "the SuperLink takes no message for this node")


class Trouble(Enum):
    """Why an asked message has no reply: `LOST_ON_THE_WAY` may work when asked again, `FAILED` will not."""

    LOST_ON_THE_WAY = "lost"
    FAILED = "failed"


@dataclass(frozen=True)
class OnlineNode:
    """A node that is online. `activated_at` changes when it restarts, so that work it held is known to be gone."""

    node_id: int
    activated_at: str


class Link(Protocol):
    """What an exchange needs of the transport. Every method may raise `LinkAway`; a repeated call is harmless."""

    def nodes(self) -> Mapping[str, OnlineNode]:
        """Return the nodes that are online, by department."""

    def compose(self, node_id: int, payload: bytes) -> str:
        """Return the id of a new message; nothing is sent yet."""

    def push(self, message_id: str) -> bool:
        """Send one portion; return whether the message is complete. Raises `MessageRefused`."""

    def poll(self, message_ids: Collection[str]) -> tuple[dict[str, bytes | Trouble], bool]:
        """Return the outcomes that are known by now, each once, and whether pieces of others arrived."""

    def forget(self, message_ids: Collection[str]) -> None:
        """Free what is kept for these messages."""


@dataclass(frozen=True)
class Patience:
    """How long and how often. `ask_again_s`: silence after which a message or its reply is taken for lost."""

    poll_s: float = 0.25
    rejoin_s: float = 20.0
    outage_s: float = 30.0
    ask_again_s: float = 60.0
    after_outage_s: float = 10.0
    most_pushes: int = 4


@dataclass
class _Conversation:
    request: bytes
    waiting_since: float | None
    node: OnlineNode | None = None
    outgoing: str | None = None
    asked: set[str] = field(default_factory=set)
    pushes: int = 0
    ask_again_at: float = 0.0


class Exchange:
    """The state of one exchange. `run` may be called once."""

    def __init__(
        self,
        link: Link,
        requests: Mapping[str, bytes],
        timeout_s: float,
        patience: Patience,
        on_reply: OnReply | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._link, self._patience, self._on_reply = link, patience, on_reply
        self._clock, self._sleep = clock, sleep
        self._deadline = clock() + timeout_s
        self._open = {name: _Conversation(request, clock()) for name, request in requests.items()}
        self._done: dict[str, bytes | Lost] = {}
        self._nodes: Mapping[str, OnlineNode] = {}
        self._nodes_seen_at = float("-inf")
        self.pushes = 0

    def run(self) -> dict[str, bytes | Lost]:
        """Return the outcomes. Raises `relay.superlink_lost` when the SuperLink stays away longer than `outage_s`.

        Ends at the latest one call of the link (a request timeout) after the deadline.
        """
        away_since: float | None = None
        while self._open:
            now = self._clock()
            if now >= self._deadline and away_since is None:
                self._time_out()
                break
            try:
                progress = self._round()
            except LinkAway:
                now = self._clock()
                away_since = now if away_since is None else away_since
                if now - away_since >= self._patience.outage_s or now >= self._deadline:
                    raise _superlink_lost() from None
                progress = False
            else:
                if away_since is not None:
                    away_since = None
                    self._after_outage()
            if self._open and not progress:
                self._sleep(self._patience.poll_s)
        return self._done

    def _round(self) -> bool:
        """Return whether anything moved, so that a long message is sent and read without pauses."""
        waiting = any(talk.waiting_since is not None for talk in self._open.values())
        if waiting or self._clock() - self._nodes_seen_at >= NODE_REFRESH_S:
            self._nodes = self._link.nodes()
            self._nodes_seen_at = self._clock()
        progress = False
        for name, talk in list(self._open.items()):
            self._advance(name, talk)
            if talk.outgoing is not None:
                progress |= self._push(talk)
            if self._clock() >= self._deadline:
                return True
        asked = {message_id for talk in self._open.values() for message_id in talk.asked}
        if asked:
            outcomes, pieces = self._link.poll(asked)
            progress |= pieces
            for name, talk in list(self._open.items()):
                for message_id in talk.asked & outcomes.keys():
                    self._hear(name, talk, message_id, outcomes[message_id])
        return progress

    def _advance(self, name: str, talk: _Conversation) -> None:
        now, node = self._clock(), self._nodes.get(name)
        if talk.waiting_since is not None:
            if node is not None:
                self._ask(name, talk, node)
            elif now - talk.waiting_since >= self._patience.rejoin_s:
                self._settle(name, Lost(NODE_UNREACHABLE))
        elif node is not None and node != talk.node:
            # The node restarted: what it had fetched is gone, and Flower does not deliver a message twice.
            self._ask(name, talk, node)
        elif node is not None and self._may_be_lost(talk):
            self._ask(name, talk, node)

    def _may_be_lost(self, talk: _Conversation) -> bool:
        # Flower marks a message as delivered before the node has it; a connection cut in between loses it silently.
        silent = talk.outgoing is None and self._clock() >= talk.ask_again_at
        return silent and talk.pushes < self._patience.most_pushes

    def _ask(self, name: str, talk: _Conversation, node: OnlineNode) -> None:
        if talk.pushes >= self._patience.most_pushes:
            self._settle(name, Lost(NODE_UNREACHABLE))
            return
        talk.node, talk.waiting_since = node, None
        talk.outgoing = self._link.compose(node.node_id, talk.request)
        talk.pushes += 1
        self.pushes += 1
        talk.ask_again_at = self._clock() + self._patience.ask_again_s

    def _push(self, talk: _Conversation) -> bool:
        if talk.outgoing is None:
            return False
        try:
            complete = self._link.push(talk.outgoing)
        except MessageRefused:
            self._link.forget([talk.outgoing])
            talk.outgoing, talk.waiting_since = None, self._clock()
            return False
        if complete:
            talk.asked.add(talk.outgoing)
            talk.outgoing = None
            talk.ask_again_at = self._clock() + self._patience.ask_again_s
        return not complete

    def _hear(self, name: str, talk: _Conversation, message_id: str, outcome: bytes | Trouble) -> None:
        if name not in self._open:
            return
        if isinstance(outcome, bytes):
            self._settle(name, outcome)
        elif outcome is Trouble.FAILED:
            self._settle(name, Lost(NODE_FAILED))
        else:
            self._link.forget([message_id])
            talk.asked.discard(message_id)
            if not talk.asked and talk.outgoing is None:
                talk.waiting_since = self._clock()

    def _settle(self, name: str, outcome: bytes | Lost) -> None:
        talk = self._open.pop(name)
        self._link.forget(talk.asked | ({talk.outgoing} if talk.outgoing else set()))
        self._done[name] = outcome
        if self._on_reply is not None:
            self._on_reply(name, outcome)

    def _after_outage(self) -> None:
        # A message that was in flight when the SuperLink died may be marked as delivered and still be lost.
        soon = self._clock() + self._patience.after_outage_s
        for talk in self._open.values():
            talk.ask_again_at = min(talk.ask_again_at, soon)

    def _time_out(self) -> None:
        for name, talk in list(self._open.items()):
            self._settle(name, Lost(NODE_TIMEOUT if talk.waiting_since is None else NODE_UNREACHABLE))


def _superlink_lost() -> DoudiError:
    return DoudiError(
        "relay.superlink_lost",
        "the SuperLink was away for longer than an exchange can wait",
        "See the SuperLink's log; the run can be started again.",
    )
