"""Watching a log: visit, verify, open, and what is newly found. What was told before is not told again while it stays.

`watch.json` in the auditor's folder keeps what stands now; what went away is told again when it comes back.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from auditors.home import Home
from auditors.keys import all_keys, has_keys
from auditors.opened import OpenedRecords
from auditors.opening import OwnKeys
from auditors.opening_home import findings_of_records, open_home_log
from auditors.verification.findings import Finding, Findings
from auditors.verification.state import load_state
from auditors.verification.verifier import Verification, verify_store
from command_line.documents import write_atomically
from crypto.errors import DoudiError

WATCH_FILE = "watch.json"
_MAXIMUM_FILE_BYTES = 64 * 1024 * 1024
# The record that states it is more than the wraps that are missing.
_SAID_BETTER = frozenset({"batch.wraps_destroyed"})


@dataclass(frozen=True)
class Seen:
    """`new`: what stands now and did not at the last look. `opened`: entries opened now; `None` without keys or terms."""

    verification: Verification
    standing: tuple[Finding, ...]
    new: Findings
    opened: int | None


def look(home: Home, fetch: Callable[[], object]) -> Seen:
    """Visit, verify, open, and return what stands and what is new. `fetch`: brings the mirror up to date.

    Call `keep` once it is told: a crash in between tells it twice, never not at all. Raises as `fetch`, `verify_store` and
    `open_home_log`.
    """
    fetch()
    verification = verify_store(home)
    found = list(verification.findings)
    opened: int | None = None
    if has_keys(home) and verification.chain is not None and load_state(home) is not None:
        opened = open_home_log(home).portion.entries
        own = OwnKeys(all_keys(home)).ids
        with OpenedRecords.read(home.opened_file) as records:
            found = [one for one in found if one.code not in _SAID_BETTER]
            found += findings_of_records(records, verification.chain.terms, own)
    known = _known(home)
    new = Findings(one for one in found if _name(one) not in known)
    return Seen(verification, tuple(found), new, opened)


def keep(home: Home, seen: Seen) -> None:
    """Keep what stands as told. Raises `file.unwritable`."""
    data = json.dumps({"format_version": 1, "standing": sorted({_name(one) for one in seen.standing})})
    try:
        write_atomically(home.path / WATCH_FILE, data.encode())
    except OSError:
        raise DoudiError(
            "file.unwritable", f"{WATCH_FILE} cannot be written", "Check the disk and its rights."
        ) from None


def _known(home: Home) -> frozenset[str]:
    """Return what was told before; nothing for a file that is missing or damaged: rather told twice than not."""
    try:
        with (home.path / WATCH_FILE).open("rb") as file:
            document = json.loads(file.read(_MAXIMUM_FILE_BYTES))
        return frozenset(str(name) for name in document["standing"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _name(finding: Finding) -> str:
    return f"{finding.code} {finding.place}"
