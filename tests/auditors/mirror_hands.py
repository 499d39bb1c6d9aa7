"""What tests do to an auditor's mirror, and what a full verification of it finds."""

import dataclasses
from itertools import islice
from pathlib import Path

from ledger_world import START

from auditors.verification.findings import Severity
from auditors.verification.verifier import verify_store
from crypto.checkpoint import Note
from crypto.ledger_entries import Plain
from policies.contracts.ledger.placed import pack_page, parse_page
from policies.contracts.ledger.terms import COORDINATOR


def found(home, **options):
    """Return the codes of what a full verification finds, notices left out."""
    result = verify_store(home, full=True, **options)
    return {one.code for one in result.findings if one.severity is not Severity.NOTICE}


def places(home, code):
    return {one.place for one in verify_store(home, full=True).findings if one.code == code}


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def edit_page(home, change) -> None:
    """Let `change` edit the batches of the only, partial page."""
    (path,) = (home.store.folder / "batches" / "0.p").iterdir()
    page = parse_page(path.read_bytes(), int(path.name))
    change(page)
    path.write_bytes(pack_page(page))


def edited(page, number, **values):
    page[number] = dataclasses.replace(page[number], **values)


def write_note(home, note: Note, *names: str) -> None:
    for name in names or ("checkpoint", "witnessed", "checkpoints/300"):
        (home.store.folder / name).write_bytes(note.to_bytes())


def next_records(world, count, producer=COORDINATOR):
    return list(islice(world.records(producer), count))


def plain_event():
    return Plain("account.signed_in", 1, START, b'{"account":1}')
