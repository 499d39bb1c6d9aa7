"""The report's first paragraph: what was asked and what came out, for a reader who reads nothing else. Pure."""

from collections.abc import Mapping
from typing import Any

from demo.report.words import Text, say

__all__ = ["headline", "opening_sentences"]

Document = Mapping[str, Any]

# Of the shares of the list that are evaluated, the one that a caseworker's year is nearest to.
_TOLD_TOP = 0.1


def headline(document: Document) -> Text:
    """Return the heading of the page."""
    region, count = document["region_title"], len(document["lists"].keys() - document["missing"].keys())
    return say(
        f"Who needs help in {region['en']}: what {_spelled(count)} departments found together",
        f"{region['zh']}谁需要帮助：{count} 个部门共同得出的结果",
    )


def opening_sentences(document: Document) -> list[Text]:
    """Return the sentences in order; what was not run or is too small to show is left out, and said where it matters."""
    parts = [_asked(document), *_reached(document), *_found(document), _left(document), *_missing(document)]
    return [part for part in parts if part is not None]


def _asked(document: Document) -> Text:
    region, target = document["region_title"], document["target_title"]
    count = len(document["lists"].keys() | document["missing"].keys())
    households = f"{document['households']:,}"
    return say(
        f"{_spelled(count).capitalize()} departments of {region['en']} were asked one question: which of {households} "
        f"households need help (outcome: “{target['en']}”)? None of them handed over its data.",
        f"{region['zh']}的 {count} 个部门被问到同一个问题：{households} 户中哪些需要帮助"
        f"（结果变量：“{target['zh']}”）？没有任何部门交出数据。",
    )


def _spelled(count: int) -> str:
    words = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return words[count - 2] if 2 <= count <= 12 else str(count)


def _reached(document: Document) -> list[Text]:
    joined, summed, pooled = document["auc_joined"], document["auc_sum_only"], document["auc_pooled_reference"]
    sentences = []
    if joined is not None:
        sentences.append(
            say(
                f"With their evidence joined, the list is right for {joined:.1%} of all pairs of a household in need and "
                f"one that is not (AUC {joined:.3f}).",
                f"联合各部门证据后，对“一户困难、一户不困难”的全部配对，名单排对了 {joined:.1%}（AUC {joined:.3f}）。",
            )
        )
    if summed is not None:
        sentences.append(
            say(
                f"Where the lead may see only the sum over all departments, the AUC is {summed:.3f}.",
                f"若牵头部门只能看到各部门之和，AUC 为 {summed:.3f}。",
            )
        )
    best = document["best_department"]
    if best is not None:
        title, alone = document["titles"][best], document["auc_departments"][best]
        by_itself = say(
            f"The best single department, {title['en'].lower()}, reaches {alone:.3f} by itself without any privacy",
            f"最好的单一部门（{title['zh']}）在毫无隐私保护时独自可达 {alone:.3f}",
        )
        one_database = (
            say(
                f"; one database of everything would reach {pooled:.3f}.",
                f"；把一切汇入一个数据库可达 {pooled:.3f}。",
            )
            if pooled is not None
            else say(".", "。")
        )
        sentences.append({language: by_itself[language] + one_database[language] for language in by_itself})
    return sentences


def _found(document: Document) -> list[Text]:
    for mode in ("evidence", "sum_only"):
        figures = document["modes"][mode]
        told = [cell for cell in (figures or {}).get("recall", []) if cell["top"] == _TOLD_TOP]
        if told and told[0]["recall"] is not None:
            found = told[0]["recall"]
            return [
                say(
                    f"The first {_TOLD_TOP:.0%} of the list hold {found:.0%} of the households in need.",
                    f"名单前 {_TOLD_TOP:.0%} 中包含 {found:.0%} 的困难家庭户。",
                )
            ]
    return []


def _left(document: Document) -> Text:
    readings = [reading for reading in document["disclosure"].values() if reading is not None]
    if document["modes"]["evidence"] is not None and readings:
        levels = max(reading["levels"] for reading in readings)
        lead = say(
            f"one of at most {levels} levels per person from each department",
            f"每个部门对每人给出的至多 {levels} 级中的一级",
        )
    else:
        lead = say("one sum over all departments per person", "每人一个各部门之和")
    return say(
        f"For this, each department received one randomised bit per household of its own people (ε = "
        f"{document['epsilon_label']:g}), and the lead {lead['en']}. No row and no readable identity number left a department.",
        f"为此，每个部门收到其自有人员各户的一个随机化比特（ε = {document['epsilon_label']:g}），牵头部门收到{lead['zh']}。"
        "没有任何数据行或可读的身份号码离开部门。",
    )


def _missing(document: Document) -> list[Text]:
    names = [document["titles"].get(name, say(name, name)) for name in document["missing"]]
    if not names:
        return []
    return [
        say(
            f"The run finished without: {', '.join(name['en'] for name in names)}.",
            f"本次运行缺少：{'、'.join(name['zh'] for name in names)}。",
        )
    ]
