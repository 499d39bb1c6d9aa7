"""The difference between two texts, line by line, for pages that show what a change changes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

CONTEXT_LINES = 3


@dataclass(frozen=True)
class DiffLine:
    """One line. `old`, `new`: its number in either text; `gap` stands for `hidden` unchanged lines that are left out."""

    kind: Literal["same", "added", "removed", "gap"]
    text: str = ""
    old: int | None = None
    new: int | None = None
    hidden: int = 0


def diff_lines(old: str, new: str, context_lines: int = CONTEXT_LINES) -> list[DiffLine]:
    """Return what became of the old text, with a few unchanged lines around each change; nothing if the texts are equal."""
    before, after = old.splitlines(), new.splitlines()
    # Without "junk": lines that are frequent, such as brackets, count like all others.
    matcher = SequenceMatcher(a=before, b=after, autojunk=False)
    blocks = matcher.get_opcodes()
    if all(kind == "equal" for kind, *_ in blocks):
        return []
    lines: list[DiffLine] = []
    for position, (kind, start, end, new_start, new_end) in enumerate(blocks):
        if kind == "equal":
            same = [
                DiffLine("same", text, start + number + 1, new_start + number + 1)
                for number, text in enumerate(before[start:end])
            ]
            lines += _trimmed(same, context_lines, first=position == 0, last=position == len(blocks) - 1)
            continue
        lines += [DiffLine("removed", text, old=start + number + 1) for number, text in enumerate(before[start:end])]
        lines += [
            DiffLine("added", text, new=new_start + number + 1) for number, text in enumerate(after[new_start:new_end])
        ]
    return lines


def _trimmed(same: Sequence[DiffLine], context_lines: int, *, first: bool, last: bool) -> list[DiffLine]:
    head = 0 if first else context_lines
    tail = 0 if last else context_lines
    hidden = len(same) - head - tail
    if hidden <= 1:
        return list(same)
    return [*same[:head], DiffLine("gap", hidden=hidden), *same[len(same) - tail :]]
