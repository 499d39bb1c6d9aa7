"""The report's pictures: what each option reaches, for whom, at what cost in time and bytes, and what levels disclose.

Every figure's numbers stand in a table of the page as well. What is None in the document has no mark that could be read as a
number. Pure but for the renderer in this process.
"""

from collections.abc import Mapping
from typing import Any

from demo.report.charts import BLUE, GREY, ORANGE, Kind, bar_chart, cell_chart, diagonal_chart, interval_chart
from demo.report.svg import Figure, render_svg
from demo.report.words import MODES, PHASES, Text, partition_title, phase_title, say

__all__ = ["SHOWN_TOP", "draw_figures"]

# The share of the list for which subgroups are compared: the largest, for which fewest cells are too small to show.
SHOWN_TOP = 0.2
# A partition of more groups than this draws only those that are shown; the page says how many are not.
_MOST_ROWS_WITH_NOTES = 15

_MODE_TITLES = {
    "evidence": say("evidence of each department", "各部门证据"),
    "sum_only": say("sum of all departments only", "仅各部门之和"),
}
_MODE_KINDS = {"evidence": Kind(BLUE, "circle"), "sum_only": Kind(ORANGE, "square")}

Document = Mapping[str, Any]


def draw_figures(document: Document, language: str) -> dict[str, str]:
    """Return the SVG of each figure by name; a figure without any number is absent.

    Names: auc, recall, calibration, contributions, seconds, bytes, subgroup_<partition> and disclosure_<department>.
    """
    charts: dict[str, tuple[Figure | None, Text, str, str]] = {
        "auc": (
            _auc(document, language),
            say("AUC of every option", "各方案的 AUC"),
            "One point per option, from each department alone to everything pooled, with 95 percent intervals of the run.",
            "每个方案一个点，从单一部门到全部汇集；本次运行附 95% 区间。",
        ),
        "recall": (
            _recall(document, language),
            say("Households in need found at the top of the list", "名单前列找到的困难家庭户"),
            "Share found in the first 5, 10 and 20 percent, with 95 percent intervals.",
            "前 5%、10%、20% 中找到的比例及 95% 区间。",
        ),
        "calibration": (
            _calibration(document, language),
            say("Predicted and observed share in need", "预测与实际的困难比例"),
            "Points on the diagonal mean that a probability can be read as a share.",
            "点落在对角线上，说明概率可当作比例来读。",
        ),
        "contributions": (
            _contributions(document, language),
            say("How much each department moves a score", "各部门对评分的影响"),
            "One bar per department: mean absolute Shapley value in logits.",
            "每部门一条：平均绝对 Shapley 值（对数几率）。",
        ),
        "seconds": (
            _seconds(document, language),
            say("Seconds per phase", "各阶段用时"),
            "One bar per phase of the run.",
            "运行的每个阶段一条。",
        ),
        "bytes": (
            _bytes(document, language),
            say("Bytes sent by each party", "各方发送的字节"),
            "One bar per party, before framing.",
            "每方一条，未计帧头。",
        ),
    }
    for partition in main_figures(document)["subgroups"]:
        title = partition_title(partition)
        charts[f"subgroup_{partition}"] = (
            _subgroup(document, partition, language),
            say(f"Found in the first 20%, by {title['en'].lower()}", f"前 20% 中找到的比例，按{title['zh']}"),
            "A point and a 95 percent interval per group; the dashed line is all households.",
            "每组一个点及 95% 区间；虚线为全部家庭户。",
        )
    for department, reading in document["disclosure"].items():
        if reading is not None:
            title = document["titles"][department]
            charts[f"disclosure_{department}"] = (
                _disclosure(reading, language),
                say(f"What a level of {title['en']} tells about each column", f"{title['zh']}的等级对各列透露多少"),
                "One row per column; a darker cell tells more.",
                "每列一行；颜色越深，透露越多。",
            )
    in_table = {"en": "The same numbers stand in a table of this page.", "zh": "本页表格列有相同数字。"}[language]
    return {
        # Ids are numbered: a name can be a department's, and hold anything.
        name: render_svg(chart, f"{language}-figure-{number}", title[language], f"{say(en, zh)[language]} {in_table}")
        for number, (name, (chart, title, en, zh)) in enumerate(charts.items(), start=1)
        if chart is not None
    }


def main_figures(document: Document) -> Mapping[str, Any]:
    """Return the metrics of the mode that leads the report: evidence, or sum-only when only that was run."""
    figures: Mapping[str, Any] = document["modes"][modes_run(document)[0]]
    return figures


def modes_run(document: Document) -> list[str]:
    """Return the modes that have figures, in the order of the report."""
    return [mode for mode in MODES if document["modes"][mode] is not None]


def _auc(document: Document, language: str) -> Figure | None:
    measured = say("this run, with privacy", "本次运行，有隐私保护")[language]
    reference = say("reference, no privacy", "参考值，无隐私保护")[language]
    alone = sorted(document["auc_departments"].items(), key=lambda item: item[1] if item[1] is not None else 0)
    rows = [
        {"label": _alone(document, name)[language], "kind": reference, "value": auc}
        for name, auc in alone
        if auc is not None
    ]
    options = {
        "sum_only": say("Sum only", "仅求和"),
        "evidence": say("Evidence joined", "证据联合"),
    }
    for mode, title in options.items():
        figures = document["modes"][mode]
        if figures is not None and figures["auc"] is not None:
            low, high = figures["auc_interval"] or (None, None)
            rows.append({"label": title[language], "kind": measured, "value": figures["auc"], "low": low, "high": high})
    if document["auc_pooled_reference"] is not None:
        pooled = say("All pooled", "全部汇集")[language]
        rows.append({"label": pooled, "kind": reference, "value": document["auc_pooled_reference"]})
    if not rows:
        return None
    lowest = min(row["low"] if row.get("low") is not None else row["value"] for row in rows)
    kinds = {measured: Kind(BLUE, "circle"), reference: Kind(GREY, "diamond")}
    present = {name: kind for name, kind in kinds.items() if any(row["kind"] == name for row in rows)}
    domain = (min(0.6, int(lowest * 20) / 20) - 0.02, 1.0)
    return interval_chart(rows, present, "AUC", domain, with_numbers=True)


def _alone(document: Document, department: str) -> Text:
    title = document["titles"][department]
    return say(f"{title['en']} alone", f"仅{title['zh']}")


def _recall(document: Document, language: str) -> Figure | None:
    modes = modes_run(document)
    rows = [
        {
            "label": say(f"first {cell['top']:.0%}", f"前 {cell['top']:.0%}")[language],
            "kind": _MODE_TITLES[mode][language],
            **_recall_of(cell, language),
        }
        for cells in zip(*(document["modes"][mode]["recall"] for mode in modes), strict=True)
        for mode, cell in zip(modes, cells, strict=True)
    ]
    return _recall_chart(rows, {_MODE_TITLES[mode][language]: _MODE_KINDS[mode] for mode in modes}, language, None)


def _subgroup(document: Document, partition: str, language: str) -> Figure | None:
    mode, figures = modes_run(document)[0], main_figures(document)
    kind = _MODE_TITLES[mode][language]
    rows = [
        {"label": row["title"][language], "kind": kind, **_recall_of(_shown(row["recall"]), language)}
        for row in figures["subgroups"][partition]
    ]
    if len(rows) > _MOST_ROWS_WITH_NOTES:
        # Many areas have no order of their own; sorted by what was found, the worst served stand at the end.
        rows = sorted((row for row in rows if row["value"] is not None), key=lambda row: -row["value"])
    overall = _shown(figures["recall"])["recall"]
    return _recall_chart(rows, {kind: _MODE_KINDS[mode]}, language, overall)


def _shown(cells: list[dict[str, Any]]) -> dict[str, Any]:
    return next(cell for cell in cells if cell["top"] == SHOWN_TOP)


def _recall_of(cell: Mapping[str, Any], language: str) -> dict[str, Any]:
    low, high = cell["interval"] or (None, None)
    note = say("too few to show", "数量过少，不显示")[language]
    return {"value": cell["recall"], "low": low, "high": high, "note": note}


def _recall_chart(
    rows: list[dict[str, Any]], kinds: Mapping[str, Kind], language: str, overall: float | None
) -> Figure | None:
    """Return the chart of shares found, or None when every cell is suppressed."""
    shown = [row for row in rows if row["value"] is not None]
    if not shown:
        return None
    highest = max(row["high"] if row["high"] is not None else row["value"] for row in shown)
    title = say("share found of those in need", "找到的困难家庭户比例")[language]
    domain = (0.0, min(1.0, int(highest * 10) / 10 + 0.1))
    return interval_chart(rows, kinds, title, domain, as_percent=True, line_at=overall)


def _calibration(document: Document, language: str) -> Figure | None:
    rows = [
        {"x": point["predicted"], "y": point["observed"], "kind": _MODE_TITLES[mode][language]}
        for mode in modes_run(document)
        for point in document["modes"][mode]["calibration"] or []
    ]
    if not rows:
        return None
    kinds = {_MODE_TITLES[mode][language]: _MODE_KINDS[mode] for mode in modes_run(document)}
    return diagonal_chart(
        rows,
        kinds,
        say("predicted share in need", "预测的困难比例")[language],
        say("observed share in need", "实际的困难比例")[language],
        say("dashed: perfectly calibrated", "虚线：完全校准")[language],
    )


def _contributions(document: Document, language: str) -> Figure | None:
    rows = [
        {"label": row["title"][language], "value": row["mean_absolute"], "number": f"{row['mean_absolute']:.2f}"}
        for row in main_figures(document)["contributions"]
    ]
    return (
        bar_chart(rows, say("mean absolute contribution, logits", "平均绝对贡献（对数几率）")[language])
        if rows
        else None
    )


def _seconds(document: Document, language: str) -> Figure | None:
    rows = [
        {"label": phase_title(phase)[language], "value": value, "number": f"{value:.1f} s"}
        for phase in PHASES
        if (value := document["seconds"][phase]) is not None
    ]
    return bar_chart(rows, say("seconds", "秒")[language], GREY) if rows else None


def _bytes(document: Document, language: str) -> Figure | None:
    ordered = sorted(document["bytes_sent"].items(), key=lambda item: -item[1])
    rows = [
        {"label": document["titles"][party][language], "value": size / 1e6, "number": f"{size / 1e6:.2f} MB"}
        for party, size in ordered
    ]
    return bar_chart(rows, say("megabytes sent", "发送的兆字节")[language], GREY) if rows else None


def _disclosure(reading: Mapping[str, Any], language: str) -> Figure | None:
    """Return one department's meter as shaded cells: share within a level, share of everyone, rank correlation."""
    heads = (
        say("in one|level", "某一|等级内")[language],
        say("of|all", "占|全体")[language],
        say("rank|corr.", "秩|相关")[language],
    )
    cap, rows = reading["cap"], []
    for column in reading["columns"]:
        share = column["largest_share"] or {}
        cells = (
            (share.get("share"), cap["max_share"]),
            (share.get("base_share"), None),
            (column["rank_correlation"], cap["max_rank_correlation"]),
        )
        for head, (value, limit), percent in zip(heads, cells, (True, True, False), strict=True):
            number = "" if value is None else f"{value:.0%}" if percent else f"{value:.2f}"
            # A cap of 1 is none, but a share of 1 still tells a value for certain: both get a border.
            marked = value is not None and limit is not None and value >= limit
            rows.append(
                {"label": column["title"][language], "column": head, "value": value, "number": number, "marked": marked}
            )
    return cell_chart(rows, heads) if rows else None
