"""The names of parties, purposes, states and accounts in the pages, in English and Chinese. What is not listed stands for itself.

A text is a mapping of language to words; the template engine escapes it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from auditors.finding_texts import FINDING_TEXTS
from auditors.record_finding_texts import RECORD_FINDING_TEXTS
from crypto.errors import DoudiError
from policies.standards.purpose_loader import load_purpose

Text = dict[str, str]
LANGUAGES = ("en", "zh")


def say(en: str, zh: str) -> Text:
    """Return a bilingual text."""
    return {"en": en, "zh": zh}


_PARTIES: Mapping[str, Text] = {
    "centre": say("The centre", "数据管理中心"),
    "coordinator": say("The coordinator", "协调端"),
    "civil_affairs": say("Civil affairs", "民政"),
    "health_disability": say("Health", "卫健"),
    "housing": say("Housing", "住房"),
    "human_resources": say("Human resources", "人社"),
    "public_security": say("Public security", "公安"),
    "tax": say("Tax", "税务"),
}
RUN_STATES: Mapping[str, Text] = {
    "finished": say("finished", "完成"),
    "failed": say("failed", "失败"),
    "stopped": say("stopped", "停止"),
    "without_end": say("no end recorded", "无结束记录"),
    "unrecorded": say("not recorded by the coordinator", "协调端未记录"),
    "running": say("running", "进行中"),
    "waiting": say("not started", "未启动"),
}
OUTCOMES: Mapping[str, Text] = {
    "answered": say("answered", "已答复"),
    "refused": say("refused", "拒绝"),
    "failed": say("failed", "失败"),
    "unknown": say("unknown", "未知"),
}
ACCOUNTS: Mapping[str, Text] = {
    "label": say("label: ε per household", "标签：每户 ε"),
    "evidence": say("evidence: bits per person", "证据：每人比特"),
    "line": say("lines: ε per person, composed", "条线：每人 ε（合成）"),
}
SEVERITIES: Mapping[str, Text] = {
    "error": say("error", "错误"),
    "warning": say("warning", "警告"),
    "notice": say("notice", "提示"),
}
DAYS: tuple[Text, ...] = tuple(
    say(en, f"周{zh}")
    for en, zh in zip(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), "一二三四五六日", strict=True)
)


def party_title(name: str) -> Text:
    """Return a party's name."""
    return _PARTIES.get(name) or say(name, name)


def asset_title(asset: str) -> Text:
    """Return an asset's short name: its owner's, and the dataset where that is another word."""
    owner, _, dataset = asset.partition("/")
    title = party_title(owner)
    return title if dataset in ("", owner) else {language: f"{title[language]}/{dataset}" for language in LANGUAGES}


@cache
def _published_purpose(name: str) -> tuple[str, str] | None:
    try:
        title = load_purpose(name).title
    except DoudiError:
        return None
    return title.en, title.zh


def purpose_title(name: str) -> Text:
    """Return the title under which a purpose is published, else its name; words for a purpose that no record names."""
    if not name:
        return say("purpose not recorded", "未记录用途")
    found = _published_purpose(name)
    return say(*found) if found is not None else say(name, name)


def finding_meaning(finding: Mapping[str, Any]) -> Text:
    """Return what a finding, as it stands in the document, means."""
    texts = {**FINDING_TEXTS, **RECORD_FINDING_TEXTS}
    pair = texts.get(f"finding.{finding['code']}", (finding["code"], finding["code"]))
    return say(*(text.format(**finding["detail"]) for text in pair))
