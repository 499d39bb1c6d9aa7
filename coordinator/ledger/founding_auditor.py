"""The auditor of the first day: keys in the officer's folder, for as long as no auditor is appointed.

The files are those that `doudi audit keys` makes, so `doudi audit --home` takes the folder. Who runs the centre should not be who
reads over its shoulder: the officer adds an appointed auditor's card and removes this one.
"""

from pathlib import Path

from coordinator.private_files import make_folder, write_private
from crypto.sealing import generate_sealing_key, sealing_public_key
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.terms import AuditorCard

FOLDER = "auditor"
NAME = "founding-auditor"
KEYS, SEALING_KEY_FILE, SIGNING_KEY_FILE, CARD_FILE = "keys", "sealing.key", "signing.key", "card.json"


def make_founding_auditor(officer_home: Path) -> AuditorCard:
    """Write a new auditor's home with its keys into the officer's folder; return its card. Raises `install.exists`."""
    folder = officer_home / FOLDER / KEYS
    sealing_key, signing_key = generate_sealing_key(), generate_signing_key()
    card = AuditorCard(
        auditor=NAME,
        sealing_key=sealing_public_key(sealing_key).hex(),
        signing_key=signing_public_key(signing_key).hex(),
    )
    make_folder(folder)
    for name, data in (
        (SEALING_KEY_FILE, sealing_key),
        (SIGNING_KEY_FILE, signing_key),
        (CARD_FILE, card.to_bytes()),
    ):
        write_private(folder / name, data)
    return card
