"""A text of rules as a page shows it: rule by rule, each with the comment above it; and how a change differs. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from coordinator.authorization.differences import Hunk
from coordinator.console.diffs import DiffLine
from crypto.errors import DoudiError
from policies.authorization.coordinator_rules import parse_version
from policies.authorization.engine import PolicyEngine, Rule

_COMMENT = "//"


@dataclass(frozen=True)
class ShownRule:
    """One rule. `comment`: why it is so, in the words of those who wrote it; `text`: the rule itself."""

    rule: Rule
    comment: str
    text: str


@dataclass(frozen=True)
class Finding:
    """What a check of rules found. `code`: empty when they may be proposed; `where`: the line, rule or case against it."""

    code: str = ""
    where: str = ""


def shown_rules(engine: PolicyEngine) -> list[ShownRule]:
    """Return the rules in their order."""
    lines = engine.text.splitlines()
    starts = [rule.line - 1 for rule in engine.rules]
    leads = [_lead_in(lines, start) for start in starts]
    ends = [*leads[1:], len(lines)]
    return [
        ShownRule(rule, _comment(lines[lead:start]), "\n".join(lines[start:end]).strip())
        for rule, lead, start, end in zip(engine.rules, leads, starts, ends, strict=True)
    ]


@lru_cache(maxsize=16)
def checked(text: str) -> Finding:
    """Return whether rules may be proposed. Kept, because a check asks every case and costs more than a page may."""
    try:
        parse_version(text)
    except DoudiError as error:
        # The sentence names lines, rules and cases of the text that the reader wrote or sees.
        return Finding(error.code, error.message)
    return Finding()


def lines_of(hunks: Iterable[Hunk]) -> list[DiffLine]:
    """Return the lines of a difference, with a gap where lines are left out between two parts."""
    lines: list[DiffLine] = []
    seen = 0
    for hunk in hunks:
        first = next((line.old for line in hunk.lines if line.old is not None), seen + 1)
        if first - seen > 1:
            lines.append(DiffLine("gap", hidden=first - seen - 1))
        for line in hunk.lines:
            lines.append(DiffLine(line.kind, line.text, line.old, line.new))
            seen = line.old if line.old is not None else seen
    return lines


def _lead_in(lines: list[str], start: int) -> int:
    """Return where the comment above a rule begins: comments and blank lines belong to what follows them."""
    while start and (not lines[start - 1].strip() or lines[start - 1].lstrip().startswith(_COMMENT)):
        start -= 1
    return start


def _comment(lines: list[str]) -> str:
    """Return the last paragraph of the lines above a rule as running text; headings of files stand further up."""
    paragraph: list[str] = []
    for line in lines:
        text = line.strip()
        paragraph = [*paragraph, text.removeprefix(_COMMENT).strip()] if text else []
    if not paragraph:
        # A blank line between comment and rule.
        paragraph = [line.strip().removeprefix(_COMMENT).strip() for line in lines if line.strip()][-1:]
    return " ".join(paragraph)
