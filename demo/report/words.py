"""The names of parties, messages, phases and groups in the report, in English and Chinese.

A text is a pair `{"en", "zh"}`, so that report.json carries both languages. A name that is not listed here, for example of a
department that the demo does not know, stands for itself: the page escapes it.
"""

from collections.abc import Mapping

from crypto.errors import DoudiError
from department_nodes.combining.subgroups import HOUSEHOLD_TYPES
from policies.standards.loader import ColumnStandard, load_dataset_standard

__all__ = [
    "LANGUAGES",
    "MODES",
    "MODE_TITLES",
    "PHASES",
    "Text",
    "column_title",
    "group_title",
    "kind_title",
    "partition_title",
    "party_title",
    "phase_title",
    "region_title",
    "say",
    "value_title",
]

Text = dict[str, str]

LANGUAGES = ("en", "zh")
# The modes of a run, in the order of the report; the first that ran leads it.
MODES = ("evidence", "sum_only")


def say(en: str, zh: str) -> Text:
    """Return a bilingual text."""
    return {"en": en, "zh": zh}


MODE_TITLES: Mapping[str, Text] = {
    "evidence": say("evidence joined", "证据联合"),
    "sum_only": say("sum only", "仅求和"),
}

_PARTIES: Mapping[str, Text] = {
    "civil_affairs": say("Civil affairs", "民政"),
    "human_resources": say("Human resources", "人社"),
    "health_disability": say("Health", "卫健"),
    "housing": say("Housing", "住房"),
    "public_security": say("Public security", "公安"),
    "tax": say("Tax", "税务"),
    "coordinator": say("Coordinator", "协调端"),
    "own_columns": say("Lead's own columns", "牵头部门自有列"),
    "all supporting departments": say("All supporting departments, summed", "各支持部门之和"),
}

# What `doudi node show` calls each thing that left a node.
_KINDS: Mapping[str, Text] = {
    "blinded list": say("blinded list", "盲化名单"),
    "evaluated list": say("evaluated list", "他方处理后的盲化名单"),
    "pseudonyms": say("pseudonyms", "项目假名"),
    "sealed label bits": say("sealed label bits", "密封的标签比特"),
    "commitment to the labels": say("commitment to the labels", "标签承诺"),
    "key of the label bits": say("key of the label bits", "标签比特的密钥"),
    "evidence levels": say("sealed evidence levels", "密封的证据等级"),
    "key of the evidence": say("key of the evidence", "证据的密钥"),
    "masked sum vector": say("masked sum vector", "加掩码的求和向量"),
    "key of the masked sum": say("key of the masked sum", "求和向量的密钥"),
    "metrics": say("metrics, no cell below ten", "指标（单元不小于十）"),
    "union of pseudonyms": say("numbered union of pseudonyms", "编号后的假名并集"),
    "slot numbers": say("slot numbers of its own people", "本部门人员的槽位编号"),
}

_PARTITIONS: Mapping[str, Text] = {
    "household_type": say("Household type", "家庭户类型"),
    "age_group": say("Age of the oldest adult under 65", "65 岁以下最年长成员的年龄"),
    "area": say("Area", "区域"),
}
_PHASES: Mapping[str, Text] = {
    "link": say("Linking", "关联"),
    "release": say("Label release", "标签发布"),
    "train": say("Local training", "本地训练"),
    "evidence": say("Evidence", "证据"),
    "combine": say("Combining", "合成"),
    "total": say("Whole run", "全程"),
}
_REGIONS: Mapping[str, Text] = {
    "kentucky": say("Kentucky", "肯塔基州"),
    "east": say("East", "东区"),
    "north": say("North", "北区"),
    "west": say("West", "西区"),
}
# The phases of a run in their order, then their total.
PHASES = tuple(_PHASES)

_HOUSEHOLD_TYPES = {name.english: say(name.english, name.chinese) for name in HOUSEHOLD_TYPES.values()}


def party_title(name: str) -> Text:
    """Return the title of a party, or of a player of the need model."""
    return _PARTIES.get(name, say(name, name))


def partition_title(partition: str) -> Text:
    """Return the title of a partition of the households."""
    return _PARTITIONS.get(partition, say(partition, partition))


def region_title(region: str) -> Text:
    """Return the title of a region; "new-york" becomes "New York"."""
    readable = region.replace("-", " ").replace("_", " ").title()
    return _REGIONS.get(region, say(readable, readable))


def phase_title(phase: str) -> Text:
    """Return the title of a phase of the run."""
    return _PHASES[phase]


def kind_title(kind: str) -> Text:
    """Return the title of a kind of message."""
    return _KINDS.get(kind, say(kind, kind))


def group_title(partition: str, group: str) -> Text:
    """Return the title of one group of a partition of the households."""
    if partition == "household_type":
        return _HOUSEHOLD_TYPES.get(group, say(group, group))
    if partition == "age_group":
        dashed = group.replace("-", "–")
        return say(f"{dashed} years", f"{dashed}岁")
    return say(group, group)


def column_title(department: str, column: str) -> Text:
    """Return the title that the published data standard gives a column; its name when there is no such standard."""
    standard = _column_standard(department, column)
    return say(column, column) if standard is None else say(standard.title.en, standard.title.zh)


def value_title(department: str, column: str, value: str) -> Text:
    """Return what a code of a column means, after the data standard."""
    standard = _column_standard(department, column)
    if value == "missing":
        meaning = None if standard is None else standard.missing_means
        return say("not given", "缺失") if meaning is None else say(meaning.en, meaning.zh)
    titles = (standard.code_titles or {}) if standard is not None else {}
    title = titles.get(value)
    return say(f"code {value}", f"代码 {value}") if title is None else say(title.en, title.zh)


def _column_standard(department: str, column: str) -> ColumnStandard | None:
    try:
        return load_dataset_standard(department).column(column)
    except DoudiError:
        # A report can be about departments of which no standard is published here; it then shows the bare names.
        return None
