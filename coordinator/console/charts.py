"""The console's plots: SVG made on the server, with role, title and description, in text of full size at every width.

Positions along the width are percentages and there is no `viewBox`, so a narrow screen makes a plot narrower and never its
letters smaller. Looks are attributes and classes of `console.css`; there is no `style` attribute, which the pages' policy would
refuse. Why not altair, as in the demo's report: a chart there takes 44 to 106 ms, and a whole page has 150 ms. Pure: no clock, no
network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from coordinator.console.languages import Language

__all__ = ["Bar", "Budget", "Series", "bar_chart", "budget_chart", "line_chart"]

_ROW_PX = 42
_LABEL_Y_PX = 15
_BAR_Y_PX = 22
_BAR_PX = 12
_PLOT_PX = 200
_TOP_PX = 22
# Lines begin beside the numbers of the axis and not under them.
_LEFT = 0.1
_MAX_LABEL_CHARACTERS = 34
_FIRST_WIDE = 0x2E80
_MAX_MARKED_POINTS = 40
_TICKS = 4
# Told apart by dashes as well as by colour.
_DASHES = ("none", "8 4", "2 3", "10 3 2 3")
_MAX_SERIES = len(_DASHES)


@dataclass(frozen=True)
class Bar:
    """One bar. `note`: a word after the value, for example a range."""

    label: str
    value: float
    note: str = ""


@dataclass(frozen=True)
class Budget:
    """One account. `with_reserved` is what is spent if all that is reserved is used, composed and not added; at least `spent`."""

    label: str
    spent: float
    with_reserved: float
    cap: float


@dataclass(frozen=True)
class Series:
    """One line. `points`: x ascending, and y."""

    label: str
    points: Sequence[tuple[float, float]]


def bar_chart(
    language: Language,
    name: str,
    title: str,
    bars: Sequence[Bar],
    *,
    digits: int = 0,
    unit: str = "",
    maximum: float = 0,
) -> Markup:
    """Return horizontal bars with their values. `name`: unique on the page; `maximum`: what the full width means, at least."""
    values = [bar.value for bar in bars]
    low, high = min(0, *values, 0), max(maximum, *values, 0)
    span = (high - low) or 1
    zero = -low / span
    parts, told = [], []
    for number, bar in enumerate(bars):
        top = number * _ROW_PX
        shown = _joined(language.number(bar.value, digits), unit, bar.note)
        start = zero if bar.value >= 0 else zero + bar.value / span
        kind = "bar" if bar.value >= 0 else "bar negative"
        parts += [_label(top, bar.label, shown), _track(top), _piece(kind, start, abs(bar.value) / span, top)]
        if low < 0:
            parts.append(_upright("zero", zero, top + _BAR_Y_PX - 2, _BAR_PX + 4))
        told.append(f"{bar.label}: {shown}")
    return _chart(name, title, "; ".join(told), len(bars) * _ROW_PX, parts)


def budget_chart(
    language: Language, name: str, title: str, budgets: Sequence[Budget], *, digits: int = 2, unit: str = "ε"
) -> Markup:
    """Return one bar per account: spent, reserved, free, and the cap as an upright mark at its end.

    Each bar has its own scale. What is beyond the cap, because a cap was lowered, is drawn beyond the mark.
    """
    parts, told = [], []
    for number, budget in enumerate(budgets):
        top = number * _ROW_PX
        scale = max(budget.cap, budget.with_reserved) or 1
        spent, reserved = budget.spent / scale, (budget.with_reserved - budget.spent) / scale
        used = language.number(budget.with_reserved, digits)
        shown = _joined(f"{used} / {language.number(budget.cap, digits)}", unit)
        beyond = " beyond" if budget.with_reserved > budget.cap else ""
        parts += [
            _label(top, budget.label, shown),
            _track(top, budget.cap / scale),
            _piece(f"spent{beyond}", 0, spent, top),
            _piece(f"reserved{beyond}", spent, reserved, top),
            _upright("cap", budget.cap / scale, top + _BAR_Y_PX - 2, _BAR_PX + 4),
        ]
        told.append(
            language.gettext("%(label)s: spent %(spent)s, with what is reserved %(reserved)s, cap %(cap)s")
            % {
                "label": budget.label,
                "spent": language.number(budget.spent, digits),
                "reserved": used,
                "cap": language.number(budget.cap, digits),
            }
        )
    return _chart(name, title, "; ".join(told), len(budgets) * _ROW_PX, parts)


def line_chart(
    language: Language,
    name: str,
    title: str,
    series: Sequence[Series],
    *,
    digits: int = 2,
    x_title: str = "",
    unit: str = "",
) -> Markup:
    """Return at most four lines over one axis, for example of rounds. Without any point there is only the frame."""
    shown = [line for line in series[:_MAX_SERIES] if line.points]
    points = [point for line in shown for point in line.points]
    first, last = min((x for x, _ in points), default=0), max((x for x, _ in points), default=1)
    ticks = _ticks([y for _, y in points] or [0, 1])
    low, high = ticks[0], ticks[-1]
    legend_px = 20 * len(shown) if len(shown) > 1 else 0
    top = legend_px + _TOP_PX

    def across(x: float) -> float:
        return _LEFT + (1 - _LEFT) * (x - first) / ((last - first) or 1)

    def down(y: float) -> float:
        return (high - y) / ((high - low) or 1)

    parts, labels, told = [], [], []
    for tick in ticks:
        y = top + down(tick) * _PLOT_PX
        parts.append(Markup('<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>').format(y))
        labels.append(_text("0", y - 4, _joined(language.number(tick, digits), unit), "tick"))
    for number, line in enumerate(shown):
        kind = f"line-{number + 1}"
        if legend_px:
            parts.append(_legend(number, kind, line.label))
        path = " ".join(f"{1000 * across(x):.1f},{1000 * down(y):.1f}" for x, y in line.points)
        # A box of its own, stretched to the width: only its line is distorted, and the line's thickness is told not to be.
        parts.append(
            Markup(
                '<svg x="0" y="{}" width="100%" height="{}" viewBox="0 0 1000 1000" preserveAspectRatio="none" '
                'overflow="visible"><polyline class="line {}" points="{}" fill="none" stroke-dasharray="{}" '
                'vector-effect="non-scaling-stroke"/></svg>'
            ).format(top, _PLOT_PX, kind, path, _DASHES[number])
        )
        if len(line.points) <= _MAX_MARKED_POINTS:
            parts += [
                Markup('<circle class="point {}" cx="{:.2f}%" cy="{:.1f}" r="3"/>').format(
                    kind, 100 * across(x), top + down(y) * _PLOT_PX
                )
                for x, y in line.points
            ]
        told.append(_told_line(language, line, digits))
    bottom = top + _PLOT_PX + 20
    parts += labels
    parts.append(_text(f"{100 * _LEFT}%", bottom, language.number(first), "tick"))
    parts.append(_text("100%", bottom, _joined(x_title, language.number(last)), "tick", "end"))
    return _chart(name, title, "; ".join(told), bottom + 6, parts)


def _told_line(language: Language, line: Series, digits: int) -> str:
    values = [y for _, y in line.points]
    text = language.gettext("%(label)s: from %(first)s to %(last)s, lowest %(low)s, highest %(high)s")
    numbers = {"first": values[0], "last": values[-1], "low": min(values), "high": max(values)}
    return text % {"label": line.label, **{key: language.number(value, digits) for key, value in numbers.items()}}


def _ticks(values: Sequence[float]) -> list[float]:
    """Return a few round numbers from below the smallest value to above the largest."""
    low, high = min(values), max(values)
    rough = ((high - low) or abs(high) or 1) / _TICKS
    scale = 10.0 ** math.floor(math.log10(rough))
    step = scale * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * scale >= rough * (1 - 1e-9))
    start = step * (low // step)
    ticks = [start]
    while ticks[-1] < high - step / 1e6:
        ticks.append(start + step * len(ticks))
    return ticks if len(ticks) > 1 else [start, start + step]


def _chart(name: str, title: str, description: str, height_px: float, parts: Sequence[Markup]) -> Markup:
    head = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-labelledby="{0}-title {0}-desc" '
        'width="100%" height="{1:.0f}">'
        '<title id="{0}-title">{2}</title><desc id="{0}-desc">{3}</desc>'
    ).format(name, height_px, title, description)
    return Markup("").join([head, *parts, Markup("</svg>")])


def _label(top: float, label: str, value: str) -> Markup:
    return _text("0", top + _LABEL_Y_PX, _shortened(label), "label") + _text(
        "100%", top + _LABEL_Y_PX, value, "value", "end"
    )


def _text(x: str, y: float, text: str, kind: str, anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, text)


def _track(top: float, width: float = 1) -> Markup:
    return Markup('<rect class="track" x="0" y="{}" width="{:.2f}%" height="{}"/>').format(
        top + _BAR_Y_PX, 100 * width, _BAR_PX
    )


def _piece(kind: str, start: float, width: float, top: float) -> Markup:
    return Markup('<rect class="{}" x="{:.2f}%" y="{}" width="{:.2f}%" height="{}"/>').format(
        kind, 100 * start, top + _BAR_Y_PX, 100 * width, _BAR_PX
    )


def _upright(kind: str, across: float, top: float, height: float) -> Markup:
    return Markup('<line class="{}" x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>').format(
        kind, 100 * across, 100 * across, top, top + height
    )


def _legend(number: int, kind: str, label: str) -> Markup:
    y = 20 * number + 10
    line = Markup('<line class="line {0}" x1="0" x2="28" y1="{1}" y2="{1}" stroke-dasharray="{2}"/>').format(
        kind, y, _DASHES[number]
    )
    return line + _text("36", y + 5, label, "label")


def _shortened(label: str) -> str:
    """Return the label, cut where it would run into the value on a narrow screen; a Chinese character is as wide as two."""
    width = 0
    for position, character in enumerate(label):
        width += 2 if ord(character) >= _FIRST_WIDE else 1
        if width > _MAX_LABEL_CHARACTERS:
            return f"{label[: position - 1]}…"
    return label


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)
