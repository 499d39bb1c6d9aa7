"""The sentences of the grid's page: what was done, what each party of a line learned, and the limits. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from demo.report.words import Text, party_title, region_title, say

__all__ = [
    "CANARY_CAVEAT",
    "HEADLINE",
    "canary_sentences",
    "change_of",
    "grid_limits",
    "line_learning",
    "mechanism_title",
    "node_title",
    "opening_of_grid",
    "placement_title",
    "signed",
    "start_title",
]

Document = Mapping[str, Any]

HEADLINE = say(
    "One department over several regions: what a line changed",
    "同一部门跨地区联合训练：条线带来了什么变化",
)
_MECHANISMS = {
    "gaussian": say("Gaussian, each node's own", "高斯噪声，各节点自行加入"),
    "discrete_gaussian": say("discrete Gaussian, shared", "离散高斯噪声，各方分担"),
}
_PLACEMENTS = {
    "local": say("each department's own (local)", "各部门自行加入（local）"),
    "distributed": say("shared by the departments (distributed)", "由各部门分担（distributed）"),
}
_STARTS = {
    "line": say("its line's model", "条线模型"),
    "nothing": say("nothing: no line's model fitted its own bits", "从零开始：没有条线模型与自有比特相符"),
}
_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")


def node_title(name: str, members: Sequence[Mapping[str, str]]) -> Text:
    """Return the title of a node, for example "East, Tax"; its name when the grid does not know it."""
    for member in members:
        if member["name"] == name:
            region, department = region_title(member["region"]), party_title(member["dataset"])
            return say(f"{region['en']}, {department['en']}", f"{region['zh']}{department['zh']}")
    return say(name, name)


def mechanism_title(name: str) -> Text:
    """Return what a mechanism of the budget's history is called."""
    return _MECHANISMS.get(name, say(name, name))


def placement_title(name: str) -> Text:
    """Return where the noise of a line comes from."""
    return _PLACEMENTS.get(name, say(name, name))


def start_title(name: str) -> Text:
    """Return what a node's own training started from."""
    return _STARTS.get(name, say(name, name))


def opening_of_grid(document: Document) -> list[Text]:
    """Return what was done and what it changed, in plain sentences."""
    regions, lines = document.get("regions") or {}, document.get("lines") or {}
    many, three = len(regions) != 1, _spelled(len(regions))
    done = say(
        f"{three} {'regions' if many else 'region'} first ran the main job, each by itself. Then each of "
        f"{_spelled(len(lines)).lower()} departments trained one model with the same department of the other regions (a line; "
        f"ε = {document['epsilon']:g} per person), and nobody handed over rows. Then each region ran the main job again, "
        "starting from its lines' models.",
        f"{len(regions)} 个地区先各自独立运行主流程；随后 {len(lines)} 个部门各自与其他地区的同一部门共同训练一个模型"
        f"（即条线；每人 ε = {document['epsilon']:g}），没有任何一方交出数据行；"
        "最后各地区以条线模型为起点再次运行主流程。",
    )
    if not lines:
        done = say(
            f"{three} {'regions' if many else 'region'} ran the main job. No line was run.",
            f"{len(regions)} 个地区运行了主流程，没有运行条线。",
        )
    changes = [change for row in regions.values() if (change := change_of(row)) is not None]
    if not changes or not lines:
        return [done]
    better, lowest, highest = sum(change > 0 for change in changes), min(changes), max(changes)
    return [
        done,
        say(
            f"The AUC rose in {better} of {len(changes)} regions; the changes go from {signed(lowest)} to {signed(highest)}. "
            "So few regions show that it works, not how much it gains.",
            f"{len(changes)} 个地区中有 {better} 个 AUC 上升，变化在 {signed(lowest)} 到 {signed(highest)} 之间。"
            "这样少的地区只能说明流程可行，不能说明提升多少。",
        ),
    ]


def change_of(row: Mapping[str, Any]) -> float | None:
    """Return how much a region's AUC changed, or None where one of the two is not known."""
    alone, joined = row.get("auc_alone"), row.get("auc_from_lines")
    return None if alone is None or joined is None else float(joined) - float(alone)


def signed(value: float) -> str:
    """Return a change with its sign, the minus as wide as the plus."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def canary_sentences(canary: Mapping[str, Any]) -> list[Text]:
    """Return what the audit did, and what its bound means."""
    count, bound, accounted = f"{canary['canaries']:,}", f"{canary['lower_bound']:.2f}", f"{canary['accounted']:.2f}"
    setting = say(
        f"{count} invented people (canaries), each in the training data with probability ½, were trained on with the nodes' own "
        "training code and local noise for this ε. An attacker who sees the model guessed which of them were in. From the number "
        f"of right guesses it follows, with 95% confidence, that ε is not below {bound}; accounted is {accounted}.",
        f"将 {count} 个虚构人员（金丝雀）各以 ½ 的概率放入训练数据，用节点自身的训练代码和对应此 ε 的本地噪声训练；"
        f"看到模型的攻击者猜测其中哪些在内。由猜中的次数可知，以 95% 置信度 ε 不低于 {bound}；记账值为 {accounted}。",
    )
    if canary["lower_bound"] > canary["accounted"]:
        meaning = say(
            "The bound is above the accounted ε: the training leaks more than is accounted, unless this is the one audit in "
            "twenty that is wrong by chance. Do not rely on these models before that is explained.",
            "下界高于记账的 ε：训练泄露的多于记账值，除非这恰是二十次审计中会偶然出错的那一次。查明原因之前，不应依赖这些模型。",
        )
    else:
        meaning = say(
            "The bound is not above the accounted ε: this attack found no defect.",
            "下界未超过记账的 ε：此攻击没有发现缺陷。",
        )
    return [setting, meaning]


CANARY_CAVEAT = say(
    "It is a lower bound and no proof of privacy: a better attack can prove more, and an audit that finds nothing proves "
    "nothing. It audits the training code on invented data, not this run's lines; noise that is shared by the "
    "departments (distributed) is not covered by it.",
    "这是下界，不是隐私的证明：更强的攻击可能证明更高的值，没有发现问题的审计什么也证明不了。"
    "它在虚构数据上审计训练代码，而不是本次运行的条线；也不覆盖由各部门分担的噪声（distributed）。",
)


def line_learning(method: str, parties: int) -> list[dict[str, Any]]:
    """Return what each party learned in lines of this method and number of departments: [{title, learned, never}]."""
    masked = method == "secure"
    seen = say(
        "The sum of the updates of at least the granted minimum of departments, never fewer than three; every model between "
        "rounds; in each round who took part, who survived, sizes and times.",
        "不少于授权最低数量（且不少于三个）的部门更新之和；各轮之间的每个模型；每轮有谁参加、谁存活，以及大小和时间。",
    )
    if not masked:
        seen = say(
            "Each department's update, private by its local noise only; every model between rounds; in each round who took part, "
            "sizes and times.",
            "每个部门的更新（仅靠其本地噪声保护）；各轮之间的每个模型；每轮有谁参加，以及大小和时间。",
        )
    coordinator = {
        "title": party_title("coordinator"),
        "learned": [seen],
        "never": [
            say(
                "The update of a single department, unless it holds with more than a third of them.",
                "单个部门的更新，除非它与超过三分之一的部门合谋。",
            )
            if masked
            else say("Updates without their noise.", "未加噪声的更新。"),
            say("Rows, values or bits of people.", "任何人的数据行、取值或比特。"),
        ],
    }
    average = say(
        "Every model between rounds, so the average of every round; who took part.",
        "各轮之间的每个模型，因而得知每轮的平均值；有谁参加。",
    )
    subtract = say(
        "Its own part it can subtract. Of three departments each can subtract itself, and has the sum of the other two.",
        "可从中减去自身部分。若只有三个部门，每一方都能减去自身，得到另外两方之和。",
    )
    department = {
        "title": say(f"A department of a line, one of {parties}", f"条线中的一个部门（共 {parties} 个）"),
        "learned": [average, *([subtract] if masked else [])],
        "never": [
            say(
                "Another department's single update: it leaves under masks."
                if masked
                else "Another department's update without its noise.",
                "其他部门的单个更新：其在掩码之下发出。" if masked else "其他部门未加噪声的更新。",
            ),
            say("Rows, values or bits of other departments.", "其他部门的数据行、取值或比特。"),
        ],
    }
    together = {
        "title": say("All other departments of a line together", "条线中其余部门合谋"),
        "learned": [
            say(
                "The update of the one that is left, by subtraction. It is protected then by its own noise, under distributed "
                "noise by its own share alone.",
                "通过相减可得剩下一方的更新；此时它只受自身噪声保护，在分担噪声（distributed）下只有自身那一份。",
            )
        ],
        "never": [say("Its rows, values and bits.", "其数据行、取值和比特。")],
    }
    return [coordinator, department, together] if masked else [coordinator, department]


def grid_limits(document: Document) -> list[Text]:
    """Return the limits of these figures and of lines."""
    regions = document.get("regions") or {}
    people = [row["people"] for row in regions.values() if row.get("people") is not None]
    about = f"{round(sum(people) / len(people), -2):,.0f}" if people else "–"
    limits = [
        say(
            f"{_spelled(len(regions))} regions of about {about} people each are an illustration: they show that it works, not "
            "what it gains. The measured gain is in the benchmarks (make bench).",
            f"{len(regions)} 个地区、每个约 {about} 人，只是示例：说明流程可行，不说明提升多少。"
            "实测提升见基准测试（make bench）。",
        ),
        say(
            "A line needs many regions. Of three departments nobody may be lost in a round, of 4 to 6 one, of 7 to 9 two; a line "
            "holds at most 32; with more departments the same ε disturbs the average less.",
            "条线需要许多地区。每轮中三个部门时一个也不能缺，4 至 6 个可缺一个，7 至 9 个可缺两个；一条条线最多 32 个部门；"
            "部门越多，同样的 ε 对平均值的影响越小。",
        ),
        say(
            "Figures vary between runs: noise and masks come from the operating system and cannot be repeated. A small "
            "difference of the AUC, up or down, means nothing.",
            "各次运行的数字会有差异：噪声和掩码取自操作系统，无法重现。AUC 的微小升降没有意义。",
        ),
        say(
            "The regions are areas of one shipped region of United States survey data and share nobody. All parties ran on one "
            "computer under one account.",
            "各地区取自同一份随附的美国公开调查数据中的不同区域，彼此没有相同的人。所有参与方运行在同一台计算机、同一账户下。",
        ),
        say(
            "One dishonest department can steer a line's model within the granted bounds: under masks nobody sees a single "
            "update.",
            "一个不诚实的部门可在授权范围内左右条线模型：在掩码之下，没有人能看到单个更新。",
        ),
    ]
    if document.get("placement") == "distributed":
        limits.append(
            say(
                "With shared noise only the sum is private, and only while the granted share of the departments neither leaves "
                "out nor tells its noise. Who relies on nobody takes local noise.",
                "在分担噪声下，只有总和受到保护，且前提是授权比例的部门既不省略也不透露自己的噪声。不愿依赖他方者应选用本地噪声。",
            )
        )
    return limits


def _spelled(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)
