"""A copy of the log to carry: the static files of `/log/` in a folder, for auditors who are not on this network.

Whoever holds the medium reads the entries' headers and nothing else; what is sealed stays sealed. An auditor verifies the copy as
it verifies a visit, so a copy that somebody changed on the way is found out.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from command_line.documents import write_atomically
from coordinator.ledger import log_reader
from coordinator.ledger.models import LedgerTimestampRow
from coordinator.ledger.terms_store import terms_by_number
from crypto.errors import DoudiError
from crypto.tiles import bundles_of, tiles_of
from policies.contracts.ledger.placed import PAGE_BATCHES, page_path

Progress = Callable[[int, int], None]
"""Gets how many files are written, of about how many."""


def export_log(session: Session, folder: Path, progress: Progress = lambda done, total: None) -> log_reader.Summary:
    """Write the log up to its newest checkpoint into a folder, which may hold an earlier copy; return how far it is.

    Names are those of `/log/`; beside them `checkpoint`, `witnessed`, `summary.json`. Files that a log never changes are not
    written again. Raises `ledger.nothing_published`, `ledger.not_set_up`, `file.unwritable`.
    """
    summary = log_reader.summary(session)
    note = log_reader.checkpoint_note(session)
    if note is None:
        raise DoudiError(
            "ledger.nothing_published", "the log has published no checkpoint yet", "Start the coordinator first."
        )
    total = -(-summary.size // 256) * 2 + -(-summary.batches // PAGE_BATCHES) + summary.terms
    for done, (place, read) in enumerate(_files(session, summary), start=1):
        if not (folder / place).is_file():
            _write(folder / place, read())
        progress(min(done, total), total)
    _write(folder / "terms/newest", terms_by_number(session, summary.terms).to_bytes())
    witnessed = log_reader.checkpoint_note(session, witnessed=True)
    if witnessed is not None:
        _write(folder / "witnessed", witnessed.to_bytes())
    _write(folder / "summary.json", json.dumps(asdict(summary)).encode())
    # Last: until then an earlier copy in this folder is still whole.
    _write(folder / "checkpoint", note.to_bytes())
    return summary


def _files(session: Session, summary: log_reader.Summary) -> Iterator[tuple[str, Callable[[], bytes]]]:
    size, batches = summary.size, summary.batches
    for address in bundles_of(size):
        yield address.path, partial(log_reader.bundle, session, address.index, address.width)
    for address in tiles_of(size):
        yield address.path, partial(log_reader.tile, session, address.level or 0, address.index, address.width)
    for number in range(-(-batches // PAGE_BATCHES)):
        width = min(PAGE_BATCHES, batches - number * PAGE_BATCHES)
        yield page_path(number, width), partial(log_reader.page, session, number, width)
    for number in range(1, summary.terms + 1):
        yield f"terms/{number}", partial(_terms, session, number)
    if summary.timestamped_size:
        stamped = summary.timestamped_size
        yield f"timestamps/{stamped}", partial(_token, session, stamped)
        yield f"checkpoints/{stamped}", partial(_note, session, stamped)


def _token(session: Session, size: int) -> bytes:
    return bytes(session.scalars(select(LedgerTimestampRow.token).where(LedgerTimestampRow.size == size)).one())


def _terms(session: Session, number: int) -> bytes:
    return terms_by_number(session, number).to_bytes()


def _note(session: Session, size: int) -> bytes:
    return log_reader.checkpoint_of_size(session, size).to_bytes()


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError:
        raise DoudiError(
            "file.unwritable", f"{path.name} cannot be written", "Choose another folder or make room."
        ) from None
