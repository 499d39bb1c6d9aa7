"""The table that the demo prints when a run is done: the figures of the report that fit a terminal, in both languages."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from demo.report.words import Text, say

__all__ = ["summary_table"]

_NOT_RUN = "not run 未运行"


def summary_table(document: Mapping[str, Any]) -> Table:
    """Return the table, at most 100 columns wide. Figures are those of report.json, rounded."""
    region, mode = document["region_title"], document["mode"]
    title = f"Doudi 兜底 · {_both(region)} · {mode} · ε = {document['epsilon_label']:g}"
    table = Table(title=title, title_justify="left", show_lines=False)
    table.add_column("AUC of each option 各方案 AUC", overflow="fold", max_width=56)
    table.add_column("AUC", justify="right")
    table.add_column("95% 区间", justify="right")
    for name, auc in sorted(document["auc_departments"].items(), key=lambda item: item[1]):
        title_of = document["titles"][name]
        # Square brackets in a name would be read as rich's markup.
        alone = say(f"{title_of['en']} alone *", f"仅{title_of['zh']}")
        table.add_row(_plain(_both(alone)), _figure(auc), "")
    table.add_section()
    for mode_name, title_of in (
        ("sum_only", say("sum only, with privacy", "仅求和，有隐私保护")),
        ("evidence", say("evidence joined, with privacy", "证据联合，有隐私保护")),
    ):
        figures = document["modes"][mode_name]
        interval = (figures or {}).get("auc_interval")
        shown = _NOT_RUN if figures is None else _figure(figures["auc"])
        table.add_row(_both(title_of), shown, "" if interval is None else f"{interval[0]:.3f}–{interval[1]:.3f}")
    table.add_section()
    table.add_row(_both(say("all pooled *", "全部汇集")), _figure(document["auc_pooled_reference"]), "")
    table.caption = _caption(document)
    table.caption_justify = "left"
    return table


def _caption(document: Mapping[str, Any]) -> str:
    seconds, sent = document["seconds"]["total"], sum(document["bytes_sent"].values())
    lines = [
        "* reference: outside the nodes, no privacy   参考值：在节点之外计算，无隐私保护",
        f"{document['households']:,} households 户, {document['persons']:,} persons 人, {document['messages']} messages 消息, "
        f"{sent / 1e6:.1f} MB, {'–' if seconds is None else f'{seconds:.0f}'} s",
    ]
    gain = document["gain_over_best_department"]
    if gain is not None:
        lines.append(f"gain over the best department 较最佳部门提升: {gain:+.3f}")
    if document["missing"]:
        lines.append("missing 缺席: " + ", ".join(f"{name} ({code})" for name, code in document["missing"].items()))
    return _plain("\n".join(lines))


def _both(text: Text) -> str:
    return text["en"] if text["en"] == text["zh"] else f"{text['en']} {text['zh']}"


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
