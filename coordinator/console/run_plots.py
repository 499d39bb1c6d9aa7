"""The plots of a finished run's results: bars and lines as values of the templates' macros. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.console.charts import Bar, Series
from coordinator.console.languages import Language
from coordinator.console.run_results import Results
from coordinator.console.titles import title_of

_BOTH_ENDS = "%s–%s"
_AUC_DIGITS = 3


@dataclass(frozen=True)
class RunPlots:
    """What is drawn; empty where nothing is known. `contributions`: mode and its bars. Lines: x is the number of a round."""

    auc: Sequence[Bar]
    contributions: Sequence[tuple[str, Sequence[Bar]]]
    seconds: Sequence[Bar]
    megabytes: Sequence[Bar]
    survivors: Sequence[Series]
    norms: Sequence[Series]
    round_seconds: Sequence[Series]


def plots_of(language: Language, results: Results) -> RunPlots:
    """Return what is drawn of a run's results."""
    survivors = [(row.number, row.survivors) for row in results.rounds]
    norms = [(row.number, row.norm) for row in results.rounds if row.norm is not None]
    seconds = [(row.number, row.seconds) for row in results.rounds if row.seconds is not None]
    return RunPlots(
        auc=_auc(language, results),
        contributions=[
            (quality.mode, [Bar(_player(language, name), value) for name, value in quality.contributions])
            for quality in results.qualities
            if quality.contributions
        ],
        seconds=[Bar(title_of(language, "phase", phase), value) for phase, value in results.seconds],
        megabytes=[Bar(_player(language, name), size / 1e6) for name, size in results.bytes_sent],
        survivors=_line(language.gettext("Survivors"), survivors),
        norms=_line(language.gettext("Norm of the average"), norms),
        round_seconds=_line(language.gettext("Seconds"), seconds),
    )


def _auc(language: Language, results: Results) -> list[Bar]:
    bars = []
    for quality in results.qualities:
        if quality.auc is None:
            continue
        note = ""
        if quality.low is not None and quality.high is not None:
            ends = (language.number(quality.low, _AUC_DIGITS), language.number(quality.high, _AUC_DIGITS))
            note = f"({_BOTH_ENDS % ends})"
        bars.append(Bar(title_of(language, "mode", quality.mode), quality.auc, note))
    alone = language.gettext("%(department)s alone")
    return bars + [Bar(alone % {"department": title_of(language, "party", name)}, auc) for name, auc in results.alone]


def _player(language: Language, name: str) -> str:
    """Return the title of a department, or of another one that moves a score or sends bytes."""
    title = title_of(language, "player", name)
    return title_of(language, "party", name) if title == name else title


def _line(label: str, points: Sequence[tuple[float, float]]) -> list[Series]:
    # A line through one point shows nothing.
    return [Series(label, points)] if len(points) > 1 else []
