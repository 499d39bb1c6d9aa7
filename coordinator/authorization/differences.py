"""The difference between two versions of the rules, in parts that a page can show line by line. Pure."""

import difflib
from dataclasses import dataclass
from typing import Literal

CONTEXT_LINES = 3
Kind = Literal["same", "removed", "added"]


@dataclass(frozen=True)
class DiffLine:
    """One line. `old` and `new`: its number in either text, None where it is not in it."""

    kind: Kind
    old: int | None
    new: int | None
    text: str


@dataclass(frozen=True)
class Hunk:
    """Lines that changed, with the lines around them."""

    lines: tuple[DiffLine, ...]


def difference(old: str, new: str) -> tuple[Hunk, ...]:
    """Return the parts of two texts that differ, in order; none when the texts are the same."""
    before, after = old.splitlines(), new.splitlines()
    # Rules repeat words a lot; without this, difflib would call them noise and show more than changed.
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    hunks: list[Hunk] = []
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        lines: list[DiffLine] = []
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                lines += [
                    DiffLine("same", old_start + offset + 1, new_start + offset + 1, before[old_start + offset])
                    for offset in range(old_end - old_start)
                ]
                continue
            lines += [DiffLine("removed", at + 1, None, before[at]) for at in range(old_start, old_end)]
            lines += [DiffLine("added", None, at + 1, after[at]) for at in range(new_start, new_end)]
        hunks.append(Hunk(tuple(lines)))
    return tuple(hunks)
