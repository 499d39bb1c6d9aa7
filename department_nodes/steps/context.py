"""What a step is given and what it gives back. A step computes; the engine alone stores, records and sends."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crypto.canonical import canonical_json
from crypto.envelope import EnvelopeHeader, open_envelope, seal_envelope
from crypto.errors import DoudiError
from department_nodes.config import NodeConfig
from department_nodes.extract import ExtractCache
from department_nodes.guard import Request
from department_nodes.steps.accounts import Accounts
from department_nodes.store.journal import Event, EventType

if TYPE_CHECKING:
    from department_nodes.lines.start import StartingModel


def distinct_names(value: object, allowed: Set[str], otherwise: str) -> list[str]:
    """Return an untrusted list of names, each allowed and none twice. Raises `request.malformed`."""
    if not isinstance(value, list) or not all(isinstance(name, str) and name in allowed for name in value):
        raise DoudiError("request.malformed", otherwise)
    if len(set(value)) != len(value):
        raise DoudiError("request.malformed", otherwise)
    return value


@dataclass(frozen=True)
class RunKeys:
    """The private halves of the keys that this node offered for the attempt."""

    sealing: bytes
    mask: bytes


@dataclass(frozen=True)
class Sent:
    """One thing that leaves the node. `kind` is from the fixed list in `docs` of `doudi node show`."""

    receiver: str
    kind: str
    items: int
    size_bytes: int


@dataclass(frozen=True)
class AdoptedModel:
    """A line's final model: a sum over regions, differentially private, kept as the start of this node's own training."""

    digest: str
    document: bytes


@dataclass
class StepResult:
    """What a step hands to the engine, which makes all of it durable in one transaction before anything is sent."""

    facts: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, bytes] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    values: dict[str, bytes] = field(default_factory=dict)
    reports: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    forget: list[str] = field(default_factory=list)
    line_model: AdoptedModel | None = None

    def send(self, part: str, data: bytes, receiver: str, kind: str, items: int) -> None:
        """Add a part to the reply together with its line in the account of what was sent."""
        self.parts[part] = data
        self.sent.append(Sent(receiver, kind, items, len(data)))


@dataclass(frozen=True)
class StepContext:
    """A verified request with this node's means to answer it."""

    request: Request
    config: NodeConfig
    extract: ExtractCache
    keys: RunKeys
    identity_private: bytes
    accounts: Accounts
    value: Callable[[str], bytes]
    now_s: int
    # The newest model of this node's line for (dataset, standard version, target, columns), or None.
    start: Callable[[str, int, str, tuple[str, ...]], "StartingModel | None"]

    @property
    def others(self) -> tuple[str, ...]:
        """The other departments of this run."""
        return tuple(name for name in self.request.manifest.departments if name != self.config.department)

    def header(self, step: str, sender: str, receiver: str, count: int) -> EnvelopeHeader:
        """Return the header that an envelope of this attempt must carry."""
        manifest = self.request.manifest
        return EnvelopeHeader(self.request.grant_hash, manifest.run_id, manifest.attempt, step, sender, receiver, count)

    def seal(self, step: str, receiver: str, count: int, payload: bytes) -> bytes:
        """Return a payload sealed to a department's run key and signed with this node's identity key."""
        header = self.header(step, self.config.department, receiver, count)
        receiver_key = bytes.fromhex(self.request.manifest.offer(receiver).sealing_key)
        return seal_envelope(header, payload, receiver_key, self.identity_private)

    def open(self, step: str, sender: str, count: int, envelope: bytes) -> bytes:
        """Return the payload of an envelope that this sender made for this step. Raises the envelope's codes."""
        header = self.header(step, sender, self.config.department, count)
        sender_key = bytes.fromhex(self.request.grant.participant(sender).identity_key)
        return open_envelope(envelope, header, self.keys.sealing, sender_key)

    def event(
        self, kind: EventType, counts: Mapping[str, int], hashes: Mapping[str, str] | None = None, **more: Any
    ) -> Event:
        """Return an event of this step, to be recorded with the reply."""
        manifest = self.request.manifest
        return Event(
            kind,
            self.now_s,
            project_id=self.request.project_id,
            run_id=manifest.run_id,
            attempt=manifest.attempt,
            step=self.request.step.value,
            grant_hash=self.request.grant_hash,
            counts=counts,
            hashes=hashes or {},
            **more,
        )

    def binding(self, what: str) -> bytes:
        """Return the bytes that bind cells and masks to this attempt and to their use."""
        manifest = self.request.manifest
        return canonical_json(
            {"grant": self.request.grant_hash, "run": manifest.run_id, "attempt": manifest.attempt, "use": what}
        )
