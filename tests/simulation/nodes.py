"""Nodes in one process, joined by a relay without Flower: what a region and a line have in common.

What the tests change (drop, tamper, another clock) goes in through arguments; nothing internal is patched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from open_gate import UnsafeOpenGate

from coordinator.federation.relay import Lost
from coordinator.federation.run_folder import RunFolder
from coordinator.federation.union import Numbering
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.config import write_config
from department_nodes.engine import NodeEngine
from department_nodes.guard import parse_request
from department_nodes.home import OFFICERS_FOLDER, NodeHome
from department_nodes.offers import make_offer
from department_nodes.officers import make_card, make_manifest, sign_as_owner
from department_nodes.revocations import accept_list, issue_list, known_lists
from department_nodes.trust import flower_public_key, pin
from policies.contracts.cards import CentreCard
from policies.contracts.framing import parse_frame
from policies.contracts.grant import Grant, LineGrant, SignedGrant, sign_grant
from policies.contracts.manifest import Mode, SignedManifest
from policies.contracts.revocations import RevocationList, RevokedGrant, SignedRevocationList, sign_revocations
from policies.contracts.steps import Step


class Interrupted(Exception):
    """The coordinator's process ends here."""


def interrupt_before(step: Step, answers: int = 0) -> Callable[[Step, str, bytes], bytes | None]:
    """Return an `alter` that ends the coordinator in a step, when so many departments have answered."""
    passed: list[str] = []

    def alter(asked: Step, name: str, data: bytes) -> bytes | None:
        if asked is step:
            if len(passed) == answers:
                raise Interrupted
            passed.append(name)
        return data

    return alter


def lose(department: str, step: Step) -> Callable[[Step, str, bytes], bytes | None]:
    """Return an `alter` that loses one department in one step."""
    return lambda asked, name, data: None if (asked, name) == (step, department) else data


def code_of(reply: bytes) -> str:
    """Return the refusal's code in a reply, or `ok`."""
    header = parse_frame(reply[64:]).header
    return str(header["code"]) if header["status"] == "refused" else "ok"


def parts_of(reply: bytes) -> Mapping[str, bytes]:
    """Return the parts of a good reply."""
    assert code_of(reply) == "ok", code_of(reply)
    return parse_frame(reply[64:]).parts


@dataclass
class Marks:
    """Remembers what the schedule marked."""

    rows: list[tuple[str, str, str, Any]] = field(default_factory=list)
    announced: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    numberings: list[Numbering] = field(default_factory=list)

    def announce(self, step: Step, sizes: Mapping[str, int]) -> None:
        self.announced.append((step.value, frozenset(sizes)))

    def numbered(self, numbering: Numbering) -> None:
        self.numberings.append(numbering)

    def sent(self, step: Step, department: str, size_bytes: int) -> None:
        self.rows.append(("sent", step.value, department, size_bytes))

    def answered(self, step: Step, department: str, size_bytes: int) -> None:
        self.rows.append(("answered", step.value, department, size_bytes))

    def refused(self, step: Step, department: str, code: str) -> None:
        self.rows.append(("refused", step.value, department, code))

    def lost(self, step: Step, department: str, code: str) -> None:
        self.rows.append(("lost", step.value, department, code))


class EngineRelay:
    """Carries requests to engines in this process.

    `alter` may change a request, or return None to lose the department; `alter_reply` may change a reply, or return None to lose
    it after the department has acted.
    """

    def __init__(
        self,
        engines: Mapping[str, NodeEngine],
        alter: Callable[[Step, str, bytes], bytes | None] = lambda _step, _name, data: data,
        alter_reply: Callable[[Step, str, bytes], bytes | None] = lambda _step, _name, data: data,
    ) -> None:
        self._engines = engines
        self._alter, self._alter_reply = alter, alter_reply
        self.messages_pushed = 0
        self.seen: list[tuple[str, bytes, bytes]] = []

    def exchange(
        self,
        requests: Mapping[str, bytes],
        timeout_s: float,
        on_reply: Callable[[str, bytes | Lost], None] | None = None,
    ) -> dict[str, bytes | Lost]:
        answers: dict[str, bytes | Lost] = {}
        for name, data in requests.items():
            self.messages_pushed += 1
            step = parse_request(data).step
            altered = self._alter(step, name, data)
            reply = None
            if altered is not None:
                answer = self._engines[name].answer(altered)
                self.seen.append((name, altered, answer))
                reply = self._alter_reply(step, name, answer)
            answers[name] = Lost("node.unreachable") if reply is None else reply
            if on_reply is not None:
                on_reply(name, answers[name])
        return answers


class Engines(dict[str, NodeEngine]):
    """The nodes' engines, each started when it is first asked for."""

    def __init__(self, homes: Mapping[str, NodeHome], clock: Callable[[], float]) -> None:
        super().__init__()
        self._homes, self._clock = homes, clock

    def __missing__(self, name: str) -> NodeEngine:
        self[name] = NodeEngine(self._homes[name], self._clock, gate=UnsafeOpenGate())
        return self[name]


class Nodes:
    """Nodes that trust each other, and their officers' acts; `meet` makes them known to each other."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self.folder, self.clock = folder, clock
        self.departments: tuple[str, ...] = ()
        self.centre_key = generate_signing_key()
        # Of a second person at the centre: stricter tiers ask for two.
        self.centre_co_key = generate_signing_key()
        self.centre_revocation_key = generate_signing_key()

    def meet(self, homes: Mapping[str, NodeHome]) -> None:
        """Pin the centre's card and everybody's at every node."""
        centre = CentreCard(
            approval_key=signing_public_key(self.centre_key).hex(),
            co_approval_keys=(signing_public_key(self.centre_co_key).hex(),),
            revocation_key=signing_public_key(self.centre_revocation_key).hex(),
            api_key=signing_public_key(generate_signing_key()).hex(),
            url="https://127.0.0.1:1",
            superlink="127.0.0.1:2",
        )
        self.homes, self.departments = dict(homes), tuple(homes)
        self.cards = {name: make_card(home, flower_public_key(home)) for name, home in homes.items()}
        for home in homes.values():
            pin(home, centre)
            for card in self.cards.values():
                pin(home, card)
        self.engines = Engines(self.homes, self.clock)
        self.publish_revocations()

    def publish_revocations(self, *revoked: RevokedGrant, by: str = "centre") -> None:
        """Have every party issue its next revocation list, that of `by` with these grants, and every node accept all of them."""
        now_s = int(self.clock())
        for party in ("centre", *self.departments):
            self.deliver(self.next_list(party, now_s, revoked if party == by else ()))

    def next_list(self, party: str, now_s: int, revoked: Sequence[RevokedGrant] = ()) -> SignedRevocationList:
        """Return a party's next revocation list, signed with its own key, known to nobody yet but itself."""
        if party != "centre":
            signed = issue_list(self.homes[party], now_s)
            for entry in revoked:
                signed = issue_list(self.homes[party], now_s, entry)
            return signed
        known = known_lists(self.homes[self.departments[0]]).get("centre")
        content = known.content if known is not None else RevocationList(party="centre", number=1, issued_at=now_s)
        for entry in revoked or (None,):
            content = content.following(now_s, entry)
        return sign_revocations(content, self.centre_revocation_key)

    def deliver(self, signed: SignedRevocationList) -> None:
        """Have every node accept a list."""
        for home in self.homes.values():
            accept_list(home, signed, int(self.clock()))

    def close(self) -> None:
        """Stop every node."""
        for name in list(self.engines):
            self.stop(name)

    def stop(self, name: str) -> None:
        """End a node's process; it is started again, over the same folder, when it is next asked."""
        engine = self.engines.pop(name, None)
        if engine is not None:
            engine.db.dispose()
        self.homes[name] = NodeHome(self.folder / name)

    def restart(self, name: str) -> NodeEngine:
        """Return a new engine over a node's folder, as after a restart of its process."""
        self.stop(name)
        return self.engines[name]

    def set_policy(self, name: str, **changes: Any) -> None:
        """Let a department change its site policy, and restart it."""
        config = self.homes[name].config
        write_config(self.folder / name, config.model_copy(update={"policy": config.policy.model_copy(update=changes)}))
        self.stop(name)

    def sign(self, grant: Grant | LineGrant) -> SignedGrant:
        """Return the grant with the signatures of the centre and of every department: all people who may approve."""
        centre = tuple(sign_grant(grant, "centre", "centre", key) for key in (self.centre_key, self.centre_co_key))
        signed = SignedGrant(grant=grant, signatures=centre)
        for name in self.departments:
            signed = sign_as_owner(self.engines[name], signed)
            role: Any = "lead" if grant.share(name).role == "lead" else "owner"
            further = [sign_grant(grant, name, role, key) for key in self.further_approvers(name)]
            signed = SignedGrant(grant=grant, signatures=(*signed.signatures, *further))
        return signed

    def further_approvers(self, name: str) -> list[bytes]:
        """Return the approval keys of a department's further people, where its node was made with some."""
        return [path.read_bytes() for path in sorted((self.folder / name / OFFICERS_FOLDER).glob("*/approval.key"))]

    def scheduled(
        self,
        scheduler: str,
        signed: SignedGrant,
        run: tuple[str, int, int],
        mode: Mode,
        departments: tuple[str, ...] | None,
    ) -> SignedManifest:
        """Return the manifest of a run (name, number, attempt) over fresh keys of all departments, or of these."""
        run_id, run_number, attempt = run
        offers = [make_offer(self.engines[name], signed, run_id, attempt) for name in departments or self.departments]
        facts = {"run_id": run_id, "run_number": run_number, "attempt": attempt}
        return make_manifest(self.homes[scheduler], signed, facts, offers, mode, int(self.clock()))

    def run_folder(self, manifest: SignedManifest) -> RunFolder:
        """Return what the coordinator keeps of an attempt."""
        return RunFolder(self.folder / "coordinator", manifest.manifest.run_id, manifest.manifest.attempt)
