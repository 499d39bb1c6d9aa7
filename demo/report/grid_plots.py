"""The pictures of the grid's page: AUC by region, each line's rounds, budgets, and the canary audit.

Every figure's numbers stand in a table of the page as well. Pure but for the renderer in this process.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from demo.report.charts import BLUE, GREY, ORANGE, bar_chart, round_chart, span_chart
from demo.report.svg import Figure, render_svg
from demo.report.words import Text, say

__all__ = ["draw_grid_figures"]

_CHANCE = 0.5

View = Mapping[str, Any]
Drawn = tuple[Figure | None, Text]


def draw_grid_figures(view: View, language: str) -> dict[str, str]:
    """Return the SVG of each figure by name; a figure without any number is absent.

    Names: auc, budget, canary, and norm_<number> and seconds_<number> of the line with that number, from 0.
    """
    charts: dict[str, Drawn] = {
        "auc": (
            _auc(view["regions"], language),
            say("AUC per region, alone and from its lines", "各地区 AUC：独立与以条线为起点"),
        ),
        "budget": (_budget(view["budgets"], language), say("Privacy budget of every node", "各节点的隐私预算")),
        "canary": (
            _canary(view["canary"], language),
            say("ε proven by the attack, and accounted", "攻击证明的 ε 与记账的 ε"),
        ),
    }
    for number, line in enumerate(view["lines"]):
        title = line["title"]
        charts[f"norm_{number}"] = (
            _norm(line["rounds"], language),
            say(f"Norm of the average in each round, {title['en']}", f"{title['zh']}：每轮平均值的范数"),
        )
        charts[f"seconds_{number}"] = (
            _seconds(line["rounds"], language),
            say(f"Seconds of each round, {title['en']}", f"{title['zh']}：每轮用时"),
        )
    same = {"en": "The same numbers stand in a table of this page.", "zh": "本页表格列有相同数字。"}[language]
    return {
        name: render_svg(chart, f"{language}-grid-{number}", title[language], same)
        for number, (name, (chart, title)) in enumerate(charts.items(), start=1)
        if chart is not None
    }


def _auc(regions: Sequence[View], language: str) -> Figure | None:
    alone, joined = say("alone", "独立")[language], say("from its lines", "以条线为起点")[language]
    pairs = [(row, kind, row[key]) for row in regions for kind, key in ((alone, "alone"), (joined, "joined"))]
    found = [(row["title"][language], kind, value) for row, kind, value in pairs if value is not None]
    if not found:
        return None
    ground = _CHANCE if min(value for _, _, value in found) >= _CHANCE else 0.0
    rows = [
        {"label": label, "kind": kind, "start": ground, "end": value, "number": f"{value:.3f}"}
        for label, kind, value in found
    ]
    title = say("AUC; bars begin at 0.5, which is chance", "AUC；条形从 0.5（随机）开始")
    title = title if ground else say("AUC; 0.5 is chance", "AUC；0.5 为随机")
    return span_chart(rows, {alone: GREY, joined: BLUE}, alone, title[language], (ground, 1.0))


def _norm(rounds: Sequence[View], language: str) -> Figure | None:
    rows = [{"round": row["round"], "value": row["norm"], "aborted": bool(row["code"])} for row in rounds]
    return _rounds_chart(rows, say("norm", "范数")[language], language, as_bars=False)


def _seconds(rounds: Sequence[View], language: str) -> Figure | None:
    rows = [{"round": row["round"], "value": row["seconds"], "aborted": bool(row["code"])} for row in rounds]
    return _rounds_chart(rows, say("seconds", "秒")[language], language, as_bars=True)


def _rounds_chart(rows: list[dict[str, Any]], y_title: str, language: str, *, as_bars: bool) -> Figure | None:
    if not any(row["value"] is not None for row in rows):
        return None
    return round_chart(rows, say("round", "轮次")[language], y_title, as_bars=as_bars)


def _budget(budgets: Sequence[View], language: str) -> Figure | None:
    if not budgets:
        return None
    spent, reserved = say("spent", "已用")[language], say("still reserved", "仍预留")[language]
    rows = []
    for row in budgets:
        label, number = row["title"][language], f"{row['reserved']:.2f}"
        held = row["reserved"] > row["spent"]
        rows.append(
            {"label": label, "kind": spent, "start": 0, "end": row["spent"], "number": "" if held else number},
        )
        if held:
            rows.append(
                {"label": label, "kind": reserved, "start": row["spent"], "end": row["reserved"], "number": number}
            )
    caps = [{"label": row["title"][language], "value": row["cap"]} for row in budgets]
    largest = max(*(row["cap"] for row in budgets), *(row["reserved"] for row in budgets), 0.1)
    title = say("ε per person; upright mark: cap", "每人 ε；竖线：上限")[language]
    return span_chart(rows, {spent: BLUE, reserved: ORANGE}, reserved, title, (0, 1.15 * largest), caps)


def _canary(canary: View | None, language: str) -> Figure | None:
    if canary is None:
        return None
    titles = {
        "lower_bound": say("proven by the attack", "攻击所证明")[language],
        "accounted": say("accounted", "记账值")[language],
    }
    rows = [{"label": title, "value": canary[key], "number": f"{canary[key]:.2f}"} for key, title in titles.items()]
    return bar_chart(rows, "ε")
