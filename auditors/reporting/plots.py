"""The pictures of the report: who used what, runs and steps, budgets, refusals, numbering, hours. Pure.

Every number of a picture stands in a table of the page as well. A picture without any number is absent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditors.reporting.period import FIRST_LATE_HOUR, FIRST_USUAL_HOUR
from auditors.reporting.svg import (
    BLUE,
    GREY,
    GRID,
    INK,
    LINE_HEIGHT,
    ORANGE,
    SKY,
    SOFT,
    WIDTH,
    Picture,
    shortened,
    text_width,
)
from auditors.reporting.words import DAYS, OUTCOMES, RUN_STATES, Text, asset_title, party_title, purpose_title, say

MAXIMUM_BARS = 24
_MOST_LABEL = 230.0
_BAR_HEIGHT = 16
_CELL = 15

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Segment:
    """A part of a bar: how long, and how it looks."""

    value: float
    fill: str
    stroke: str = "none"


@dataclass(frozen=True)
class Bar:
    """`label` on the left, segments side by side, `number` at the end; without segments a heading. `tick`: an upright mark."""

    label: str
    segments: tuple[Segment, ...] = ()
    number: str = ""
    tick: float | None = None


def draw_plots(document: Document, language: str) -> dict[str, str]:
    """Return the SVG of each picture by name: uses, runs, steps, epsilon, bits, refusals, numbering, hours."""
    makers: dict[str, tuple[Text, Callable[[_Pen, Document], Picture | None]]] = {
        "uses": (say("Runs by who asked, purpose and asset", "按申请方、用途与资产统计的运行"), _uses),
        "runs": (say("How runs ended", "运行如何结束"), _runs),
        "steps": (say("Steps at each department, by outcome", "各部门步骤的结果"), _steps),
        "epsilon": (say("ε charged at each department", "各部门计入的 ε"), _epsilon),
        "bits": (say("Bits of evidence charged at each department", "各部门计入的证据比特"), _bits),
        "refusals": (say("Refusals by code", "按代码统计的拒绝"), _refusals),
        "numbering": (say("Numbers of each department in the log", "各部门记录编号的完整性"), _numbering),
        "hours": (say("Acts of people by weekday and hour", "人员操作的星期与时刻"), _hours),
    }
    drawn = {}
    for name, (title, make) in makers.items():
        picture = make(_Pen(f"{language}-{name}", title[language], language), document)
        if picture is not None:
            drawn[name] = picture.svg()
    return drawn


@dataclass(frozen=True)
class _Pen:
    """What every picture is made with."""

    name: str
    title: str
    language: str

    def say(self, en: str, zh: str) -> str:
        return zh if self.language == "zh" else en

    def picture(self, height: float) -> Picture:
        same = self.say("The same numbers stand in a table of this page.", "本页表格列有相同数字。")
        return Picture(self.name, self.title, same, height)

    def bars(self, bars: Sequence[Bar], legend: Sequence[tuple[str, str, str]] = ()) -> Picture:
        """Return bars under each other, with a legend below."""
        largest = max((max(_length(bar), bar.tick or 0) for bar in bars), default=0) or 1
        labels = [bar for bar in bars if bar.segments]
        left = min(_MOST_LABEL, max((text_width(bar.label) for bar in labels), default=0)) + 10
        # The number stands behind the bar: the longest bar may have the longest number.
        numbers = max((text_width(bar.number) for bar in bars), default=0) + 10
        scale = (WIDTH - left - numbers) / largest
        picture = self.picture(len(bars) * LINE_HEIGHT + (LINE_HEIGHT * 2 if legend else 8))
        for row, bar in enumerate(bars):
            y = row * LINE_HEIGHT
            if not bar.segments:
                picture.text(0, y + 18, shortened(bar.label, WIDTH), bold=True)
                continue
            picture.text(left - 8, y + 17, shortened(bar.label, _MOST_LABEL), anchor="end")
            picture.line(left, y, left, y + LINE_HEIGHT, SOFT)
            x = left
            for segment in bar.segments:
                if segment.value:
                    width = segment.value * scale
                    picture.box(x, y + 5, width, _BAR_HEIGHT, segment.fill, stroke=segment.stroke)
                    x += width
            if bar.tick is not None:
                at = left + bar.tick * scale
                picture.line(at, y + 1, at, y + LINE_HEIGHT - 1, INK, 2.5)
                x = max(x, at)
            picture.text(x + 6, y + 17, bar.number)
        if legend:
            picture.legend(len(bars) * LINE_HEIGHT + 22, list(legend))
        return picture


def _uses(pen: _Pen, document: Document) -> Picture | None:
    rows = [row for row in document["uses"] if row["runs"]]
    if not rows:
        return None
    bars: list[Bar] = []
    heading: tuple[str, str] | None = None
    for row in rows[:MAXIMUM_BARS]:
        if (row["purpose"], row["who"]) != heading:
            heading = (row["purpose"], row["who"])
            asker = party_title(row["who"])[pen.language] if row["who"] else pen.say("nobody recorded", "未记录申请方")
            bars.append(Bar(f"{asker} · {purpose_title(row['purpose'])[pen.language]}"))
        done = row["runs_finished"]
        label = asset_title(row["asset"])[pen.language] if row["asset"] else pen.say("asset not recorded", "未记录资产")
        segments = (Segment(done, BLUE), Segment(row["runs"] - done, "#ffffff", BLUE))
        bars.append(Bar(label, segments, f"{done} / {row['runs']}"))
    legend = [
        (BLUE, "none", pen.say("runs that finished", "完成的运行")),
        ("#ffffff", BLUE, pen.say("runs without a result", "无结果的运行")),
    ]
    return pen.bars(bars, legend)


def _runs(pen: _Pen, document: Document) -> Picture | None:
    states = document["runs"]["by_state"]
    looks = {"finished": (BLUE, "none"), "running": ("#ffffff", BLUE), "waiting": ("#ffffff", GREY)}
    bars = [
        Bar(title[pen.language], (Segment(states[state], *looks.get(state, (ORANGE, "none"))),), f"{states[state]:,}")
        for state, title in RUN_STATES.items()
        if states.get(state)
    ]
    return pen.bars(bars) if bars else None


def _steps(pen: _Pen, document: Document) -> Picture | None:
    looks = {
        "answered": (BLUE, "none"),
        "refused": (SKY, "none"),
        "failed": ("#ffffff", ORANGE),
        "unknown": (ORANGE, "none"),
    }
    bars = []
    for row in document["steps_by_department"]:
        segments = tuple(Segment(row[outcome], *looks[outcome]) for outcome in OUTCOMES)
        wrong = [f"{row[outcome]:,}" for outcome in OUTCOMES if outcome != "answered"]
        bars.append(
            Bar(party_title(row["department"])[pen.language], segments, " · ".join([f"{row['answered']:,}", *wrong]))
        )
    legend = [(*looks[outcome], title[pen.language]) for outcome, title in OUTCOMES.items()]
    return pen.bars(bars, legend) if bars else None


def _epsilon(pen: _Pen, document: Document) -> Picture | None:
    kinds = (
        ("label", pen.say("Labels, ε per household", "标签：每户 ε")),
        ("line", pen.say("Lines, ε per person", "条线：每人 ε")),
    )
    bars: list[Bar] = []
    for account, heading in kinds:
        rows = [row for row in document["budgets"] if row["account"] == account]
        bars += [Bar(heading)] if rows else []
        for row in rows:
            cap = None if row["cap"] is None else row["cap"] / 1000
            number = f"{row['charged'] / 1000:.2f}" + ("" if cap is None else f" / {cap:g}")
            segment = (Segment(row["charged"] / 1000, BLUE),)
            bars.append(Bar(party_title(row["department"])[pen.language], segment, number, cap))
    return pen.bars(bars) if bars else None


def _bits(pen: _Pen, document: Document) -> Picture | None:
    bars = [
        Bar(
            party_title(row["department"])[pen.language],
            (Segment(row["charged"], BLUE),),
            f"{row['charged']:,}" + ("" if row["cap"] is None else f" / {row['cap']:,}"),
            row["cap"],
        )
        for row in document["budgets"]
        if row["account"] == "evidence"
    ]
    return pen.bars(bars) if bars else None


def _refusals(pen: _Pen, document: Document) -> Picture | None:
    times: dict[str, int] = {}
    for row in document["refusals"]:
        code = row["code"] or pen.say("no code", "无代码")
        times[code] = times.get(code, 0) + row["times"]
    ordered = sorted(times.items(), key=lambda item: (-item[1], item[0]))[:MAXIMUM_BARS]
    bars = [Bar(code, (Segment(count, ORANGE),), f"{count:,}") for code, count in ordered]
    return pen.bars(bars) if bars else None


def _numbering(pen: _Pen, document: Document) -> Picture | None:
    rows = document["numbering"][:MAXIMUM_BARS]
    if not rows:
        return None
    bars = []
    for row in rows:
        segments, following = [], 1
        for first, last in row["gaps"]:
            segments += [Segment(first - following, BLUE), Segment(last - first + 1, "#ffffff", ORANGE)]
            following = last + 1
        segments.append(Segment(row["last"] + 1 - following, BLUE))
        missing = sum(last - first + 1 for first, last in row["gaps"])
        number = f"{row['last']:,}" + (f" −{missing:,}" if missing else "")
        bars.append(Bar(party_title(row["producer"])[pen.language], tuple(segments), number))
    legend = [
        (BLUE, "none", pen.say("in the log", "在日志中")),
        ("#ffffff", ORANGE, pen.say("missing", "缺失")),
    ]
    return pen.bars(bars, legend)


def _hours(pen: _Pen, document: Document) -> Picture | None:
    grid = document["hours"]["by_weekday_and_hour"]
    largest = max(max(row) for row in grid)
    if not largest:
        return None
    left, top = 44, 22
    picture = pen.picture(top + len(DAYS) * (_CELL + 4) + 40)
    for hour in range(0, 24, 3):
        picture.text(left + hour * (_CELL + 1), 14, f"{hour:02d}", colour=SOFT, size=12)
    for day, title in enumerate(DAYS):
        y = top + day * (_CELL + 4)
        picture.text(left - 8, y + 13, title[pen.language], anchor="end")
        for hour, count in enumerate(grid[day]):
            x = left + hour * (_CELL + 1)
            picture.box(x, y, _CELL, _CELL, GRID if not count else "#ffffff")
            if count:
                usual = day < 5 and FIRST_USUAL_HOUR <= hour < FIRST_LATE_HOUR
                picture.box(x, y, _CELL, _CELL, BLUE if usual else ORANGE, opacity=0.3 + 0.7 * count / largest)
    frame_x, frame_width = (
        left + FIRST_USUAL_HOUR * (_CELL + 1) - 2,
        (FIRST_LATE_HOUR - FIRST_USUAL_HOUR) * (_CELL + 1) + 2,
    )
    picture.box(frame_x, top - 2, frame_width, 5 * (_CELL + 4), "none", stroke=INK)
    y = top + len(DAYS) * (_CELL + 4) + 20
    usual_words = pen.say("usual hours (framed)", "通常时段（框内）")
    picture.legend(
        y, [(BLUE, "none", usual_words), (ORANGE, "none", pen.say("unusual", "非常时段")), (GRID, "none", "0")]
    )
    return picture


def _length(bar: Bar) -> float:
    return sum(segment.value for segment in bar.segments)
