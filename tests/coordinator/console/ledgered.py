"""A coordinator with a ledger at work: records of nodes and its own, witnesses of whom some are behind, a destroyed batch."""

import re
from dataclasses import dataclass, field
from typing import Any

import httpx
from console_people import ROLES, Person, enrolled, session_token
from coordinator_world import DEPARTMENTS
from ledger_hands import Hands
from screenless_browser import HOST, Browser

from coordinator.events import Event, EventType, record
from crypto import ledger_entries
from crypto.canonical import canonical_json
from policies.contracts.ledger.batches import sign_batch
from policies.contracts.ledger.record_types import NODE_TYPES
from policies.contracts.ledger.records import Record, to_plain

# It is behind: it has cosigned the checkpoint before the newest one.
LATE = "housing"
GRANT = "ab" * 32
STEPS = ("node.step.started", "node.labels.charged", "node.labels.released", "node.step.answered")


@dataclass
class Ledgered:
    """`world`: of `coordinator_world`, empty. `size`: of the witnessed checkpoint; the published one has two entries more.

    `shredded`: index of an entry whose batch's keys were destroyed. `granted`: of one under a grant. `people`: by role.
    """

    world: Any
    size: int = 0
    shredded: int = 0
    granted: int = 0
    people: dict[str, Person] = field(default_factory=dict)

    def everything(self) -> "Ledgered":
        """Fill the ledger."""
        if not self.world.send("centre", "GET", "/v1/parties").json()["items"][1:]:
            self.world.register_all()
        hands = Hands(self.world)
        hands.name_witnesses()
        self.shredded = self._submitted(hands, hands.sealed("health", 3))
        self.granted = self._submitted(hands, self._steps(hands, "tax"))
        batch = self._batch_of(self.shredded)
        body = canonical_json({"batch": batch, "reason": "retention_over"})
        approver = self.world.token("centre", "centre_approver")
        assert self.world.ask(approver, "POST", "/v1/ledger/shred", body).status_code == 201
        self.size = hands.witness()
        self.world.now += 130
        assert hands.submit(hands.sealed("tax", 2)).status_code == 200
        hands.advance()
        self.cosign_newest()
        return self

    def cosign_newest(self) -> None:
        """Have two of the four witnesses cosign the newest checkpoint: no quorum, and the two others are behind."""
        for department in DEPARTMENTS[:2]:
            assert Hands(self.world).cosign(department).status_code == 200

    def record_waiting(self) -> None:
        """Record something that waits for its place."""
        with self.world.begin() as session:
            record(session, Event(EventType.PROJECT_CREATED, "centre", project_id="winter-aid"))

    def enrol(self) -> "Ledgered":
        """Make one person of each role."""
        for role, party in ROLES.items():
            self.people[role] = enrolled(self.world.context, role.replace("_", "-"), party, role)
        return self

    def at(self, role: str, language: str = "en") -> Browser:
        """Return the browser of the role's person; a new session each time."""
        browser = Browser(self.world.app)
        browser.cookies.set("__Host-doudi", session_token(self.world.context, self.people[role]), domain=HOST, path="/")
        browser.cookies.set("doudi-lang", language, domain=HOST, path="/")
        return browser

    def _submitted(self, hands: Hands, batch: Any) -> int:
        answer = hands.submit(batch)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["first_index"])

    def _steps(self, hands: Hands, department: str) -> Any:
        """Return the batch of a step: intent, charge, release, outcome, under one grant."""
        first = hands.sequences.get(department, 0) + 1
        plains = [to_plain(Record(kind, int(self.world.now), grant_hash=GRANT), NODE_TYPES) for kind in STEPS]
        auditors = [bytes.fromhex(card.sealing_key) for card in hands.terms.auditors]
        sealed = ledger_entries.seal_batch(hands.terms.origin, department, first, plains, auditors)
        return sign_batch(hands.terms.origin, department, first, sealed, self.world.keys[department].identity)

    def _batch_of(self, index: int) -> str:
        Hands(self.world).advance()
        found = self.world.listed("centre", f"/v1/ledger/entries?after={index}")
        return str(found[0]["batch"])


def text_of(answer: httpx.Response) -> str:
    """Return what a page says, without its tags and the menu."""
    assert answer.status_code == 200, answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", main_of(answer)).split())


def main_of(answer: httpx.Response) -> str:
    """Return a page's content without its frame."""
    return answer.text.partition('<main id="content" tabindex="-1">')[2].partition("</main>")[0]
