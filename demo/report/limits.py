"""What the report says openly against itself: the limits of the protocol (README, "Limits") and of these figures."""

from collections.abc import Sequence

from demo.report.words import Text, say

__all__ = ["limits_of"]

_PROTOCOL = (
    say(
        "The lead department learns evidence about the people in its own mandate. A level can tell a column: the disclosure "
        "meter shows which.",
        "牵头部门会了解其职责范围内人员的证据。一个等级可能透露某一列：见披露计量。",
    ),
    say(
        "A lead that feeds invented labels or people steers what the evidence tells it. Grants state counts and the lead commits "
        "to its labels before release, but no command opens that commitment for an auditor yet.",
        "牵头部门若输入虚构的标签或人员，就能左右证据所透露的内容。授权写明数量，标签在发布前作出承诺，但还没有供审计方揭示承诺的命令。",
    ),
    say(
        "The coordinator together with one department learns who else holds that department's people, opens the randomised "
        "bit and the flag of every slot, and can tell that two projects are about the same person. It must not be operated by "
        "a department that owns data.",
        "协调端若与某一部门合谋，可得知该部门人员还被哪些部门持有，能打开每个槽位的随机化比特和留出标记，"
        "并能识别两个项目涉及同一人。协调端不得由数据归属部门运行。",
    ),
    say(
        "The coordinator together with the lead can open evidence about people outside the lead's register, by pseudonym.",
        "协调端若与牵头部门合谋，能打开其登记以外人员的证据（以假名表示）。",
    ),
    say(
        "All other parties together undo the blinding and the sums of the one that is left.",
        "其余各方若全部合谋，可解除剩下一方的盲化和求和保护。",
    ),
    say(
        "Each department's own model estimates need from its own columns. Nothing technical prevents other uses than the "
        "granted run; the node deletes it when the grant expires.",
        "各部门自有模型会以本部门的列估计困难程度。技术上无法阻止用于其他用途；授权到期后由节点删除。",
    ),
    say(
        "Labels of relatives who live in other households are correlated; ε covers one household and does not cover that.",
        "居住在其他家庭户的亲属，其标签彼此相关；ε 以一户为单位，不覆盖此种相关。",
    ),
    say(
        "The guarantee of ε is computational: the label bits come from a keyed function, so that a household's bit is never "
        "drawn twice within a period.",
        "ε 的保证是计算意义上的：标签比特由带密钥的函数产生，使同一户在同一周期内绝不会再次抽取。",
    ),
)

_FIGURES = (
    say(
        "Label noise is truly random, so the figures of two runs differ (standard deviation of the AUC seen: 0.002). Intervals "
        "are 95% bootstrap intervals over held-out households; they do not include that noise.",
        "标签噪声是真随机的，因此两次运行的数字会有差异（所见 AUC 标准差为 0.002）。"
        "区间为对留出家庭户自助抽样的 95% 区间，不含该噪声。",
    ),
    say(
        "Cells with fewer than ten households, and cells that would give them away by subtraction, are not shown and were "
        "never sent. Where nothing is shown, nothing can be concluded about fairness.",
        "少于十户的单元，以及可由相减推出它们的单元，均不显示，也从未发出。未显示之处，不能对公平性下任何结论。",
    ),
    say(
        "A score adds people to a worklist; it takes nobody off. People whom no data show are reached through staff, not "
        "through this list.",
        "评分只会把人加入待访名单，不会把任何人移出。数据看不到的人由工作人员走访发现，而非依靠本名单。",
    ),
)

_SUM_MISSING = say(
    "Both modes were asked for, but no sum was opened: a department of the grant was missing, and a second sum over another "
    "set would be a difference attack.",
    "本次要求两种模式，但求和未被打开：授权中的某一部门缺席；若对另一组部门再求和，就会构成差分攻击。",
)
_MISSING = say(
    "At least one department was missing. Its input counts as missing for everybody; the figures are those without it.",
    "至少一个部门缺席。其输入对所有人都按缺失处理；所列数字为缺少该部门时的结果。",
)
_ONE_REGION = say(
    "The figures are of one region, of adults of 18 to 64 years, from United States survey data that stand in for departments' "
    "registers. They show what the method does, not what another region would see.",
    "数字来自一个地区 18 至 64 岁成年人的美国公开调查数据，以此代替部门登记数据。它们说明方法的效果，不代表其他地区的结果。",
)


def limits_of(mode: str, modes_done: Sequence[str], missing: Sequence[str]) -> list[Text]:
    """Return the limits that hold for this run, the protocol's first. `mode`: as asked; `modes_done`: with figures."""
    special = [_MISSING] if missing else []
    if mode == "both" and "sum_only" not in modes_done:
        special.append(_SUM_MISSING)
    return [*_PROTOCOL, *special, *_FIGURES, _ONE_REGION]
