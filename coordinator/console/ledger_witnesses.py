"""How far each witness of the ledger is behind the newest checkpoint, and its plot. Pure but for the language."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.console.charts import Bar
from coordinator.console.languages import Language
from coordinator.console.titles import title_of
from coordinator.ledger.status import LedgerStatus

# A plot of more bars is no plot; the table below it names more, and the command line all.
MOST_BARS = 12
MOST_ROWS = 40


@dataclass(frozen=True)
class ShownWitness:
    """A witness. `size`, `cosigned_at`: of its newest cosignature, if any. `behind`: entries that it has not cosigned."""

    department: str
    size: int | None
    cosigned_at: int | None
    behind: int

    @property
    def state(self) -> str:
        """One word: current, behind, or never."""
        return "never" if self.size is None else "behind" if self.behind else "current"


@dataclass(frozen=True)
class Witnesses:
    """All witnesses of the terms, those that are behind most first."""

    rows: Sequence[ShownWitness]

    @property
    def behind(self) -> Sequence[ShownWitness]:
        """Those that have not cosigned the newest checkpoint."""
        return [one for one in self.rows if one.behind]

    @property
    def shown(self) -> Sequence[ShownWitness]:
        """As many as a page shows."""
        return self.rows[:MOST_ROWS]


def witnesses_of(status: LedgerStatus) -> Witnesses:
    """Return how far each witness is."""
    newest = status.latest.size if status.latest is not None else 0
    rows = [
        ShownWitness(one.department, one.size, one.cosigned_at, newest - (one.size or 0)) for one in status.witnesses
    ]
    return Witnesses(sorted(rows, key=lambda one: (-one.behind, one.department)))


def bars_of(language: Language, witnesses: Witnesses, now_s: int) -> list[Bar]:
    """Return a bar for each witness that is behind most: how many entries it has not cosigned, and when it last cosigned."""
    return [
        Bar(title_of(language, "party", one.department), one.behind, _last(language, one, now_s))
        for one in witnesses.rows[:MOST_BARS]
    ]


def _last(language: Language, one: ShownWitness, now_s: int) -> str:
    if one.cosigned_at is None:
        return language.gettext("(never cosigned)")
    age = language.duration(max(0, now_s - one.cosigned_at))
    return language.gettext("(last cosigned %(age)s ago)") % {"age": age}
