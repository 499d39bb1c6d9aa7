"""The auditor's folder: its keys, the cards that it collected, the mirror of the log, what was opened.

| file | what | who may read it |
| --- | --- | --- |
| keys/sealing.key | X-Wing: opens what was sealed to this auditor | the auditor |
| keys/signing.key | Ed25519: signs wraps for a later auditor | the auditor |
| keys/card.json | the public halves, for the centre's officer | everybody |
| cards/*.json | cards of the centre and the departments, each collected from the party itself | the auditor |
| cards/former/*.json | the centre's earlier cards: they vouch for old terms only | the auditor |
| store/ | the mirror of the log (`store`) | whoever may read entries |
| verified.json, verified-batches | how far the log was verified; made by `verify`, taken on trust by nobody else | the auditor |
| opened.db | opened records, 0600 | the auditor |
"""

from dataclasses import dataclass
from pathlib import Path

from auditors.store import Store
from command_line.documents import read_document_bytes
from crypto.errors import DoudiError
from policies.contracts.cards import CentreCard, DepartmentCard, parse_card


@dataclass(frozen=True)
class Cards:
    """`centre`: the card in force; `None` while there is none. `former`: earlier ones of the centre."""

    centre: CentreCard | None
    former: tuple[CentreCard, ...]
    departments: dict[str, DepartmentCard]


@dataclass(frozen=True)
class Home:
    """An auditor's folder."""

    path: Path

    @property
    def keys(self) -> Path:
        """The folder of this auditor's own keys."""
        return self.path / "keys"

    @property
    def sealing_key_file(self) -> Path:
        """The private key that opens what was sealed to this auditor."""
        return self.keys / "sealing.key"

    @property
    def signing_key_file(self) -> Path:
        """The private key that signs what this auditor hands out."""
        return self.keys / "signing.key"

    @property
    def card_file(self) -> Path:
        """This auditor's own card."""
        return self.keys / "card.json"

    @property
    def cards_folder(self) -> Path:
        """The folder of the parties' cards."""
        return self.path / "cards"

    @property
    def store(self) -> Store:
        """The mirror of the log."""
        return Store(self.path / "store")

    @property
    def verified_file(self) -> Path:
        """How far the log was verified."""
        return self.path / "verified.json"

    @property
    def verified_batches_file(self) -> Path:
        """The ids of the verified batches, 16 bytes each."""
        return self.path / "verified-batches"

    @property
    def opened_file(self) -> Path:
        """The database of opened records."""
        return self.path / "opened.db"

    def cards(self) -> Cards:
        """Return the cards that the auditor collected.

        Raises `document.unreadable`, `document.malformed`, `audit.two_cards` for two cards of one party.
        """
        return collected_cards(
            sorted(self.cards_folder.glob("*.json")), sorted(self.cards_folder.glob("former/*.json"))
        )


def collected_cards(paths: list[Path], former: list[Path] | None = None) -> Cards:
    """Return the cards in these files. Raises as `Home.cards`."""
    centre: CentreCard | None = None
    departments: dict[str, DepartmentCard] = {}
    for path in paths:
        card = parse_card(read_document_bytes(path))
        if isinstance(card, CentreCard):
            if centre not in (None, card):
                raise _two_cards("the centre")
            centre = card
        else:
            if departments.get(card.department) not in (None, card):
                raise _two_cards(card.department)
            departments[card.department] = card
    earlier = [parse_card(read_document_bytes(path)) for path in former or []]
    return Cards(centre, tuple(card for card in earlier if isinstance(card, CentreCard)), departments)


def read_secret(path: Path) -> bytes:
    """Return the bytes of a secret file. Raises `key.missing`, or `key.permissions` when others may read it."""
    if not path.is_file():
        raise DoudiError("key.missing", f"{path.name} is not in the auditor's keys", "Run `doudi audit keys` first.")
    if path.stat().st_mode & 0o077:
        raise DoudiError("key.permissions", f"{path.name} can be read by others", f"Run `chmod 600` on {path.name}.")
    return path.read_bytes()


def _two_cards(party: str) -> DoudiError:
    return DoudiError(
        "audit.two_cards",
        f"there are two different cards of {party}",
        "Keep the one whose fingerprint the party confirms; earlier cards of the centre belong into cards/former.",
    )
