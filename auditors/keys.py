"""An auditor's own keys: what records are sealed to, what it signs with, and the card that shows both.

| in `keys/` | |
| --- | --- |
| sealing.key | X-Wing: opens the records of the ledger; readable by the auditor alone |
| signing.key | Ed25519: signs wraps for a later auditor; readable by the auditor alone |
| card.json | `AuditorCard`, for the centre's officer, who compares the fingerprint by telephone |
| former/<id>/ | pairs that were replaced: what was sealed to them opens with nothing else |

A pair is written whole into `next/`, its card last, and then moved into its place, the card last again: a crash leaves the old
pair or a move that the next reading ends. No key is ever overwritten. May import crypto, policies.contracts, command_line.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from auditors.home import Home, read_secret
from command_line.documents import read_document_bytes, write_atomically
from crypto import ledger_entries, sealing, signing
from crypto.errors import DoudiError
from policies.contracts.ledger.terms import AuditorCard

SEALING_KEY_FILE = "sealing.key"
SIGNING_KEY_FILE = "signing.key"
CARD_FILE = "card.json"
_FORMER, _NEXT = "former", "next"
# The card is the last, when a pair is written and when it is moved: where it is, the rest is.
_FILES = (SEALING_KEY_FILE, SIGNING_KEY_FILE, CARD_FILE)


@dataclass(frozen=True)
class AuditorKeys:
    """One pair of keys with its card."""

    card: AuditorCard
    sealing: bytes = field(repr=False)
    signing: bytes = field(repr=False)

    @property
    def auditor_id(self) -> bytes:
        """The 8 bytes that name the sealing key among the wraps of a batch."""
        return ledger_entries.auditor_id(bytes.fromhex(self.card.sealing_key))


def make_keys(home: Home, name: str) -> AuditorKeys:
    """Make an auditor's first pair of keys. Raises `key.exists` where there is one already."""
    folder = _settled(home)
    if any((folder / file).exists() for file in _FILES):
        raise DoudiError(
            "key.exists",
            "there are keys already; they are never overwritten, for what is sealed to them opens with nothing else",
            "Use `doudi audit keys --rotate` for a new pair, or another --home.",
        )
    return _place_new(folder, name)


def rotate_keys(home: Home) -> AuditorKeys:
    """Put a new pair into the present one's place, which is kept for opening what was sealed to it."""
    folder = _settled(home)
    present = _read(folder)
    former = folder / _FORMER / present.auditor_id.hex()
    for name in _FILES:
        _write(former / name, (folder / name).read_bytes())
    # The old pair is durable in its new place from here; a crash below leaves it in both.
    return _place_new(folder, present.card.auditor)


def load_keys(home: Home) -> AuditorKeys:
    """Return the present pair. Raises `key.missing`, `key.permissions`, `key.mismatch`, `document.malformed`."""
    return _read(_settled(home))


def all_keys(home: Home) -> list[AuditorKeys]:
    """Return the present pair and the former ones. Raises as `load_keys`."""
    folder = _settled(home)
    former = folder / _FORMER
    return [_read(folder), *(_read(path) for path in sorted(former.iterdir() if former.is_dir() else ()))]


def has_keys(home: Home) -> bool:
    """Return whether this auditor has keys, so that records can be opened here."""
    return (_settled(home) / CARD_FILE).is_file()


def _place_new(folder: Path, name: str) -> AuditorKeys:
    private, signer = sealing.generate_sealing_key(), signing.generate_signing_key()
    card = AuditorCard(
        auditor=name,
        sealing_key=sealing.sealing_public_key(private).hex(),
        signing_key=signing.signing_public_key(signer).hex(),
    )
    # One after the other: `parents=True` would give the rights to the last one only.
    for part in (folder.parent, folder):
        part.mkdir(mode=0o700, exist_ok=True)
    coming = folder / _NEXT
    for file, data in zip(_FILES, (private, signer, card.to_bytes()), strict=True):
        _write(coming / file, data)
    # The new pair is complete from here: whoever reads the keys next ends the move.
    _settle(folder)
    return AuditorKeys(card, private, signer)


def _settled(home: Home) -> Path:
    folder = home.keys
    coming = folder / _NEXT
    if (coming / CARD_FILE).is_file():
        _settle(folder)
    elif coming.is_dir():
        # A pair whose card was not written yet: nobody has seen it.
        shutil.rmtree(coming)
    return folder


def _settle(folder: Path) -> None:
    coming = folder / _NEXT
    for name in _FILES:
        if (coming / name).is_file():
            os.replace(coming / name, folder / name)
    coming.rmdir()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data, 0o644 if path.name == CARD_FILE else 0o600)
    except OSError:
        raise DoudiError(
            "file.unwritable", f"{path.name} cannot be written", "Check the folder and its rights."
        ) from None


def _read(folder: Path) -> AuditorKeys:
    if not (folder / CARD_FILE).is_file():
        raise DoudiError("key.missing", "this auditor has no keys yet", "Run `doudi audit keys --name NAME` first.")
    card = AuditorCard.parse(read_document_bytes(folder / CARD_FILE))
    keys = AuditorKeys(card, read_secret(folder / SEALING_KEY_FILE), read_secret(folder / SIGNING_KEY_FILE))
    shown = (sealing.sealing_public_key(keys.sealing).hex(), signing.signing_public_key(keys.signing).hex())
    if shown != (card.sealing_key, card.signing_key):
        raise DoudiError(
            "key.mismatch", "the auditor's keys are not those on its card", "Restore the folder from a backup."
        )
    return keys
