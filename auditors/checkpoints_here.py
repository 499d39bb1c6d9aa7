"""The checkpoints of the mirror with their verified signatures: which was the first witnessed one that holds an entry, and
when each department cosigned last. Offline; reads the store.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from auditors.store import CHECKPOINT, WITNESSED, Store
from auditors.terms_chain import TermsChain
from auditors.verification.checkpoints import SeenCheckpoint, verify_note
from auditors.verification.findings import Findings
from crypto.errors import DoudiError


@dataclass(frozen=True)
class WitnessedCheckpoint:
    """A size of the log that a quorum cosigned, and when it had."""

    size: int
    at: int


class CheckpointsHere:
    """`seen`: every checkpoint of the mirror that the log signed; those with a false signature are `verify`'s to report."""

    def __init__(self, store: Store, chain: TermsChain) -> None:
        self.chain = chain
        places = dict.fromkeys([*store.checkpoint_places(), WITNESSED, CHECKPOINT])
        self.seen = list(_seen(store, places, chain))
        found = [(one.size, at) for one in self.seen if (at := one.witnessed_at(chain.newest)) is not None]
        self._witnessed = sorted(dict(sorted(found, reverse=True)).items())

    def first_holding(self, index: int) -> WitnessedCheckpoint | None:
        """Return the smallest witnessed checkpoint of the mirror that holds an entry; `None` if there is none yet."""
        place = bisect_right(self._witnessed, index, key=lambda item: item[0])
        return WitnessedCheckpoint(*self._witnessed[place]) if place < len(self._witnessed) else None

    @property
    def newest_witnessed(self) -> WitnessedCheckpoint | None:
        """The largest witnessed checkpoint of the mirror."""
        return WitnessedCheckpoint(*self._witnessed[-1]) if self._witnessed else None

    def witnesses(self) -> list[dict[str, Any]]:
        """Return for every witness of the newest terms its last cosignature in the mirror: size and time, `None` without one."""
        last: dict[str, tuple[int, int]] = {}
        for one in self.seen:
            for name, at in one.times.items():
                last[name] = max(last.get(name, (0, 0)), (at, one.size))
        rows = []
        for witness in self.chain.newest.witnesses:
            cosigned = last.get(witness.department)
            seen = {"at": cosigned[0], "size": cosigned[1]} if cosigned is not None else {"at": None, "size": None}
            rows.append({"department": witness.department, **seen})
        return rows


def _seen(store: Store, places: Iterable[str], chain: TermsChain) -> Iterable[SeenCheckpoint]:
    for place in places:
        if not store.has(place):
            continue
        try:
            one = verify_note(store.note(place), place, chain, Findings())
        except DoudiError:
            continue
        if one is not None:
            yield one
