"""The kinds of chart in the reports: points with intervals, bars, spans, rounds, and shaded cells; rows read from top to bottom.

Colours are of Okabe and Ito's palette, safe for colour blindness, and never the only sign: shapes differ too. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from demo.report.svg import FONT_SIZE, WIDTH, Figure, text_width

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "Kind",
    "bar_chart",
    "cell_chart",
    "diagonal_chart",
    "interval_chart",
    "round_chart",
    "span_chart",
]

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#6b7580"
_INK, _SOFT = "#1d2733", "#c9d1d9"
# From this value on white reads better on the shade than black; at it both have a contrast of 4.5.
_DARK_FROM = 0.76
_ROW_HEIGHT = 26
_EXTRA_HEIGHT_PER_KIND = 10
_ROUND_HEIGHT = 110

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """What one legend entry looks like."""

    colour: str
    shape: str


def interval_chart(
    rows: Sequence[Row],
    kinds: Mapping[str, Kind],
    x_title: str,
    domain: tuple[float, float],
    *,
    as_percent: bool = False,
    with_numbers: bool = False,
    line_at: float | None = None,
) -> Figure:
    """Return one point per row with its interval, where it has one.

    `rows`: {label, kind, value, low, high, note}; rows of one label share a line. A row without a value shows its `note` instead
    and nothing that could be read as a number. `line_at`: where a line for all together stands.
    """
    labels = list(dict.fromkeys(row["label"] for row in rows))
    several = len(labels) < len(rows)
    x_axis = alt.Axis(title=x_title, format=".0%" if as_percent else ".2f", tickCount=5)
    scale = alt.Scale(domain=list(domain), zero=False, nice=False)
    names = list(kinds)
    legend = alt.Legend() if len(names) > 1 else None
    colours = alt.Scale(domain=names, range=[kinds[name].colour for name in names])
    shapes = alt.Scale(domain=names, range=[kinds[name].shape for name in names])
    # The interval and the point of one kind stand on one line, and kinds beneath each other.
    offset = {"yOffset": alt.YOffset("kind:N", sort=names)} if several else {}
    encoded: dict[str, Any] = {"y": _row_axis(labels), **offset}
    colour = alt.Color("kind:N", scale=colours, legend=legend, sort=names)
    x = alt.X("value:Q", scale=scale, axis=x_axis)
    layers: list[Any] = []
    if line_at is not None:
        together = alt.Chart(_data([{"value": line_at}]))
        layers.append(together.mark_rule(color=_INK, strokeDash=[4, 3]).encode(x=x))
    layers += [
        alt.Chart(_data([row for row in rows if row.get("low") is not None]))
        .mark_rule(strokeWidth=2.5)
        .encode(x=alt.X("low:Q", scale=scale, axis=x_axis), x2="high:Q", color=colour, **encoded),
        alt.Chart(_data([row for row in rows if row["value"] is not None]))
        .mark_point(filled=True, size=100, opacity=1)
        .encode(x=x, color=colour, shape=alt.Shape("kind:N", scale=shapes, legend=legend, sort=names), **encoded),
    ]
    if with_numbers:
        numbers = [
            {**row, "end": row.get("high") or row["value"], "number": f"{row['value']:.3f}"}
            for row in rows
            if row["value"] is not None
        ]
        layers.append(_text(numbers, "number", 8, _INK).encode(x=alt.X("end:Q", scale=scale, axis=x_axis), **encoded))
    notes = [{**row, "start": domain[0]} for row in rows if row["value"] is None and row.get("note")]
    if notes:
        layers.append(_text(notes, "note", 4, GREY).encode(x=alt.X("start:Q", scale=scale, axis=x_axis), **encoded))
    height = len(labels) * (_ROW_HEIGHT + (_EXTRA_HEIGHT_PER_KIND * (len(names) - 1) if several else 0))
    return _sized(alt.layer(*layers), height)


def bar_chart(rows: Sequence[Row], x_title: str, colour: str = BLUE) -> Figure:
    """Return one bar per row {label, value, number}; `number` is written at its end."""
    largest = max((row["value"] for row in rows), default=0) or 1
    y = _row_axis([row["label"] for row in rows])
    # The number at the end of the longest bar needs room inside the picture.
    x = alt.X(
        "value:Q", scale=alt.Scale(domain=[0, 1.25 * largest], nice=False), axis=alt.Axis(title=x_title, tickCount=5)
    )
    bars = alt.Chart(_data(rows)).mark_bar(color=colour, height={"band": 0.62}).encode(x=x, y=y)
    return _sized(alt.layer(bars, _text(rows, "number", 6, _INK).encode(x=x, y=y)), len(rows) * _ROW_HEIGHT)


def span_chart(
    rows: Sequence[Row],
    kinds: Mapping[str, str],
    hollow: str,
    x_title: str,
    domain: tuple[float, float],
    ticks: Sequence[Row] = (),
) -> Figure:
    """Return bars {label, kind, start, end, number}, `number` written at the end. `kinds`: kind → colour; `hollow` is not filled.

    The kinds of a label stand beneath each other where their spans begin together, else on one line. `ticks`: {label, value} gets
    an upright mark.
    """
    labels, names = list(dict.fromkeys(row["label"] for row in rows)), list(kinds)
    beneath = len({row["start"] for row in rows}) == 1 and len(labels) < len(rows)
    offset = {"yOffset": alt.YOffset("kind:N", sort=names)} if beneath else {}
    scale = alt.Scale(domain=list(domain), nice=False, zero=False)
    axis = alt.Axis(title=x_title, tickCount=5)
    place: dict[str, Any] = {"y": _row_axis(labels), **offset}
    fill = alt.Scale(domain=names, range=["#ffffff" if name == hollow else kinds[name] for name in names])
    stroke = alt.Scale(domain=names, range=list(kinds.values()))
    x = alt.X("start:Q", scale=scale, axis=axis)
    bars = (
        alt.Chart(_data(rows))
        .mark_bar(strokeWidth=2, height={"band": 0.7 if beneath else 0.62})
        .encode(
            x=x,
            x2="end:Q",
            fill=alt.Fill("kind:N", scale=fill, sort=names, legend=alt.Legend(symbolType="square")),
            stroke=alt.Stroke("kind:N", scale=stroke, sort=names),
            **place,
        )
    )
    numbers = _text([row for row in rows if row.get("number")], "number", 6, _INK)
    layers = [bars, numbers.encode(x=alt.X("end:Q", scale=scale, axis=axis), **place)]
    if ticks:
        marks = alt.Chart(_data(ticks)).mark_tick(color=_INK, thickness=3, size=_ROW_HEIGHT - 6)
        layers.append(marks.encode(x=alt.X("value:Q", scale=scale, axis=axis), y=_row_axis(labels)))
    height = len(labels) * (_ROW_HEIGHT + (_EXTRA_HEIGHT_PER_KIND if beneath else 0) * (len(names) - 1))
    return _sized(alt.layer(*layers), height)


def round_chart(rows: Sequence[Row], x_title: str, y_title: str, *, as_bars: bool = False) -> Figure:
    """Return a small picture of one figure over rounds {round, value, aborted}.

    An aborted round has a cross on the ground line, and a hollow bar if it has a value; without a value nothing else is drawn.
    """
    order = [row["round"] for row in rows]
    x = alt.X(
        "round:O",
        sort=order,
        scale=alt.Scale(domain=order),
        axis=alt.Axis(title=x_title, labelAngle=0, labelOverlap=True),
    )
    largest = max((row["value"] for row in rows if row["value"] is not None), default=0) or 1
    scale = alt.Scale(domain=[0, 1.1 * largest], nice=False)
    y = alt.Y("value:Q", scale=scale, axis=alt.Axis(title=y_title, tickCount=4))
    known = alt.Chart(_data([row for row in rows if row["value"] is not None])).encode(x=x, y=y)
    if as_bars:
        fill = alt.condition("datum.aborted", alt.value("#ffffff"), alt.value(GREY))
        layers = [known.mark_bar(stroke=GREY, strokeWidth=2, width={"band": 0.6}).encode(fill=fill)]
    else:
        # The line gets the rounds without a value too, and breaks there.
        line = alt.Chart(_data(rows)).mark_line(color=BLUE, strokeWidth=1.5).encode(x=x, y=y)
        layers = [line, known.mark_point(filled=True, color=BLUE, size=60, opacity=1)]
    crosses = alt.Chart(_data([{**row, "value": 0} for row in rows if row["aborted"]]))
    cross = crosses.mark_point(shape="cross", angle=45, filled=True, color=ORANGE, size=160, opacity=1, yOffset=-8)
    return _sized(alt.layer(*layers, cross.encode(x=x, y=y)), _ROUND_HEIGHT)


def diagonal_chart(
    rows: Sequence[Row], kinds: Mapping[str, Kind], x_title: str, y_title: str, diagonal_title: str
) -> Figure:
    """Return points {x, y, size, kind} in the unit square, with the diagonal on which they ought to lie."""
    names = list(kinds)
    scale = alt.Scale(domain=[0, 1])
    shapes = alt.Scale(domain=names, range=[kinds[name].shape for name in names])
    colours = alt.Scale(domain=names, range=[kinds[name].colour for name in names])
    x = alt.X("x:Q", scale=scale, axis=alt.Axis(title=x_title, format=".0%", tickCount=5))
    y = alt.Y("y:Q", scale=scale, axis=alt.Axis(title=y_title, format=".0%", tickCount=5))
    points = alt.Chart(_data(rows)).encode(x=x, y=y, color=alt.Color("kind:N", scale=colours, sort=names))
    diagonal = alt.Chart(_data([{"x": 0, "y": 0}, {"x": 1, "y": 1}])).mark_line(
        color=GREY, strokeDash=[4, 3], strokeWidth=1.5
    )
    said = alt.Chart(_data([{"x": 0.98, "y": 0.04, "text": diagonal_title}]))
    layers = alt.layer(
        diagonal.encode(x=x, y=y),
        said.mark_text(align="right", baseline="bottom", color=GREY, fontSize=FONT_SIZE - 1).encode(
            x=x, y=y, text="text:N"
        ),
        points.mark_line(strokeWidth=1.5, opacity=0.7),
        points.mark_point(filled=True, size=90, opacity=1).encode(shape=alt.Shape("kind:N", scale=shapes, sort=names)),
    )
    return _sized(layers, 330)


def cell_chart(rows: Sequence[Row], columns: Sequence[str]) -> Figure:
    """Return shaded cells with their number, one row per label.

    `rows`: {label, column, value, number, marked}; a marked cell has a border. A value of None gives an empty cell.
    """
    labels = list(dict.fromkeys(row["label"] for row in rows))
    known = [{**row, "dark": row["value"] > _DARK_FROM} for row in rows if row["value"] is not None]
    x = alt.X(
        "column:N",
        sort=list(columns),
        scale=alt.Scale(domain=list(columns)),
        axis=alt.Axis(
            title=None,
            orient="top",
            labelAngle=0,
            labelPadding=20,
            domain=False,
            ticks=False,
            labelExpr="split(datum.label, '|')",
        ),
    )
    y = _row_axis(labels, share=0.6)
    cells = alt.Chart(_data(known)).encode(x=x, y=y)
    shade = alt.Color("value:Q", scale=alt.Scale(domain=[0, 1], range=["#f2f6fa", "#08519c"]), legend=None)
    border = alt.condition("datum.marked", alt.value(ORANGE), alt.value("#ffffff"))
    ink = alt.condition("datum.dark", alt.value("#ffffff"), alt.value("#000000"))
    boxes = cells.mark_rect(strokeWidth=2).encode(color=shade, stroke=border)
    numbers = cells.mark_text(fontSize=FONT_SIZE - 1).encode(text="number:N", color=ink)
    return _sized(alt.layer(boxes, numbers).resolve_scale(color="independent"), len(labels) * (_ROW_HEIGHT - 3))


def _text(rows: Sequence[Row], column: str, shift: int, colour: str) -> alt.Chart:
    mark = alt.Chart(_data(rows)).mark_text(align="left", dx=shift, color=colour, fontSize=FONT_SIZE - 1)
    labelled: alt.Chart = mark.encode(text=f"{column}:N")
    return labelled


def _row_axis(labels: Sequence[str], share: float = 0.55) -> alt.Y:
    """Return an axis of rows in this order, wide enough for its labels whatever fonts this computer has."""
    wanted = max((text_width(label) for label in labels), default=0) + 14
    extent = min(WIDTH * share, wanted)
    # The renderer cuts a label that is too long, and measures a narrower font than some readers have.
    limit = extent if wanted == extent else 0.85 * extent
    axis = alt.Axis(
        title=None,
        minExtent=extent,
        maxExtent=extent,
        labelLimit=limit,
        labelPadding=8,
        domain=False,
        ticks=False,
    )
    return alt.Y("label:N", sort=list(labels), scale=alt.Scale(domain=list(labels)), axis=axis)


def _data(rows: Sequence[Row]) -> dict[str, Any]:
    return {"values": [dict(row) for row in rows]}


def _sized(chart: Figure, height: int) -> Figure:
    return chart.properties(width=WIDTH, height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
