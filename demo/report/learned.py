"""What each party of a run received, in bytes, and what it learned and never learned, in words.

The words follow the README's table "Who is trusted for what". Bytes come from the nodes' own accounts of what they sent, so
they are what the senders consented to, before the coordinator's request documents and Flower's framing. Of what is sealed per
slot the coordinator forwards a part only: that part is counted.
Pure: no files, no network.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from demo.report.words import Text, kind_title, party_title, say

__all__ = ["account_of_learning"]

COORDINATOR = "coordinator"

# Sizes in the coordinator's requests, which no node's account lists: a pseudonym of the union, and a slot number.
_PSEUDONYM_BYTES = 32
_SLOT_NUMBER_BYTES = 4
# What is sealed for every slot to the lead, and the mode without which the coordinator does not forward it.
_SEALED_PER_SLOT = {"evidence levels": "evidence", "masked sum vector": "sum_only"}


def account_of_learning(
    run: Mapping[str, Any],
    modes: Mapping[str, Any],
    nodes: Mapping[str, Mapping[str, Any]],
    disclosure: Mapping[str, Any],
    lead: str,
) -> list[dict[str, Any]]:
    """Return one entry per party: `party`, `title`, `bytes_received`, `received`, `learned` and `never`.

    `received`: [{kind, title, items, bytes}]. `bytes_received` is None for a party that is only thought of: those who
    collude, and an outsider on the network. `modes`: mode → metrics, or None.
    """
    parties = [lead, *sorted(name for name in run["lists"] if name != lead)]
    entries = []
    for name in parties:
        received = _received(name, run, modes, nodes, lead)
        words = _lead_words(run, modes, disclosure) if name == lead else _department_words(name, run, nodes, received)
        entries.append(_entry(name, party_title(name), received, *words))
    entries.append(_entry(COORDINATOR, party_title(COORDINATOR), _relayed(run, nodes), *_coordinator_words(run)))
    return [*entries, *_imagined_parties()]


def _entry(
    party: str, title: Text, received: list[dict[str, Any]] | None, learned: list[Text], never: list[Text]
) -> dict[str, Any]:
    return {
        "party": party,
        "title": title,
        "bytes_received": None if received is None else sum(part["bytes"] for part in received),
        "received": received,
        "learned": learned,
        "never": never,
    }


def _received(
    name: str, run: Mapping[str, Any], modes: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]], lead: str
) -> list[dict[str, Any]]:
    """Return what reached a department, by kind."""
    totals: dict[str, list[int]] = {}

    def add(kind: str, items: int, size: int) -> None:
        total = totals.setdefault(kind, [0, 0])
        total[0] += items
        total[1] += size

    people, lead_rows = run["lists"].get(name, 0), _rows(nodes, lead)
    for row in (row for sender in nodes for row in _rows(nodes, sender) if row["receiver"] == name):
        mode = _SEALED_PER_SLOT.get(row["kind"])
        if mode is None:
            add(row["kind"], row["items"], row["bytes"])
        elif modes.get(mode) is not None and row["items"]:
            # The lead is passed the cells of its own register only, whatever was sealed for the other slots.
            add(row["kind"], people, row["bytes"] * people // row["items"])
        if row["kind"] == "key of the label bits":
            cell = next((r["bytes"] // r["items"] for r in lead_rows if r["kind"] == "sealed label bits"), 0)
            add("slot numbers", people, _SLOT_NUMBER_BYTES * people)
            add("sealed label bits", people, cell * people)
    if name == lead and any(row["kind"] == "sealed label bits" for row in lead_rows):
        add("union of pseudonyms", run["slots"], _PSEUDONYM_BYTES * run["slots"])
    return [_part(kind, items, size) for kind, (items, size) in totals.items()]


def _relayed(run: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what reached the coordinator: what is meant for it, and sealed content that it passes on unopened."""
    arrived = sum(size for party, size in run["bytes_sent"].items() if party != COORDINATOR)
    meant: dict[str, list[int]] = {}
    for row in (row for sender in nodes for row in _rows(nodes, sender) if row["receiver"] == COORDINATOR):
        # The cells of the labels go through the coordinator to the departments: sealed, like all that it passes on.
        if row["kind"] != "sealed label bits":
            total = meant.setdefault(row["kind"], [0, 0])
            total[0] += row["items"]
            total[1] += row["bytes"]
    parts = [_part(kind, items, size) for kind, (items, size) in meant.items()]
    sealed = max(0, arrived - sum(part["bytes"] for part in parts))
    title = say("sealed or blinded content for others, with its envelope", "供他方的密封或盲化内容及其信封")
    return [*parts, {"kind": "passed on", "title": title, "items": None, "bytes": sealed}]


def _part(kind: str, items: int, size: int) -> dict[str, Any]:
    return {"kind": kind, "title": kind_title(kind), "items": items, "bytes": size}


def _rows(nodes: Mapping[str, Mapping[str, Any]], department: str) -> Sequence[Mapping[str, Any]]:
    rows: Sequence[Mapping[str, Any]] = nodes.get(department, {}).get("sent", [])
    return rows


def _department_words(
    name: str,
    run: Mapping[str, Any],
    nodes: Mapping[str, Mapping[str, Any]],
    received: list[dict[str, Any]],
) -> tuple[list[Text], list[Text]]:
    people, learned = run["lists"][name], [_counts(run)]
    # A department that was lost before the release was sent no bits.
    if any(part["kind"] == "sealed label bits" for part in received):
        bits = say(
            f"One randomised bit and one held-out flag for the household of each of its own {people:,} people.",
            f"其自有 {people:,} 人所在各户：每户一个随机化比特和一个留出标记。",
        )
        learned.insert(0, bits)
    training = nodes.get(name, {}).get("reports", {}).get("training")
    if training:
        learned.append(
            say(
                f"Its own evidence model, trained on {training['train_people']:,} of its people: an estimate of need from "
                "its own columns.",
                f"其自有证据模型，由本部门 {training['train_people']:,} 人训练：仅以本部门各列估计困难程度。",
            )
        )
    never = say(
        "Other departments' values, who else holds a person, the joint score.",
        "其他部门的数值、还有谁持有某人、联合评分。",
    )
    register = say(
        "Who is in the lead's register, except where members of one household have different bits or flags, or bits change "
        "within a period: then they are outside it. See the limits in the README.",
        "牵头部门登记中有谁；但同一户成员的比特或标记不同，或同一周期内比特改变时，即可知其不在登记中。见 README 的局限一节。",
    )
    return learned, [never, register]


def _lead_words(
    run: Mapping[str, Any], modes: Mapping[str, Any], disclosure: Mapping[str, Any]
) -> tuple[list[Text], list[Text]]:
    persons, learned = run["persons"], []
    # What a department sealed before it was lost did not reach the lead.
    lost = run.get("missing", {})
    readings = [reading for name, reading in disclosure.items() if reading is not None and name not in lost]
    if modes.get("evidence") is not None and readings:
        bits = sum(math.ceil(math.log2(max(2, reading["levels"]))) for reading in readings)
        most = max(reading["levels"] for reading in readings)
        learned += [
            say(
                f"One of at most {most} levels from each of {len(readings)} departments about the {persons:,} people of its "
                f"own register: at most {bits} bits per person, from all departments together.",
                f"关于其自有登记 {persons:,} 人，每个部门（共 {len(readings)} 个）给出至多 {most} 级中的一级："
                f"所有部门合计每人至多 {bits} 比特。",
            ),
            say("Who of these people a department holds.", "这些人中哪些由某部门持有。"),
        ]
    if modes.get("sum_only") is not None:
        alone = modes.get("evidence") is None
        learned.append(
            say(
                f"One sum over all supporting departments for each of these {persons:,} people"
                + (
                    "; no single department's part of it."
                    if alone
                    else ", beside the levels, because both modes were run."
                ),
                f"这 {persons:,} 人每人一个各支持部门之和"
                + ("；不含任何单一部门的部分。" if alone else "；因两种模式均已运行，故另有上述等级。"),
            )
        )
    learned += [
        say(
            f"{run['slots']:,} pseudonyms of the union, padding included, as keys for stored bits.",
            f"并集的 {run['slots']:,} 个假名（含填充），用作已存比特的键。",
        ),
        _counts(run),
    ]
    never = say(
        "Evidence about people outside its register, and other departments' rows. What a level tells about a column: see the "
        "disclosure meter.",
        "其登记以外人员的证据，以及其他部门的数据行。等级对某一列透露多少，见披露计量。",
    )
    return learned, [never]


def _coordinator_words(run: Mapping[str, Any]) -> tuple[list[Text], list[Text]]:
    learned = [
        say(
            f"For each of {run['slots']:,} numbered pseudonyms, its own padding among them: which departments sent it, and "
            "so whether it is in the lead's register.",
            f"{run['slots']:,} 个编号假名（含自加填充）各由哪些部门发来，因此也知道是否在牵头部门登记中。",
        ),
        say(
            "The length of each list, failures, public metadata, and metrics without a cell below ten households.",
            "各名单的长度、故障、公开元数据，以及不含少于十户单元的指标。",
        ),
    ]
    return learned, [say("Identities, rows, labels, bits, evidence, scores.", "身份、数据行、标签、比特、证据、评分。")]


def _counts(run: Mapping[str, Any]) -> Text:
    return say(
        f"Counts: {run['slots']:,} slots with padding, and the length of each of the {len(run['lists'])} lists.",
        f"数量：{run['slots']:,} 个槽位（含填充），以及 {len(run['lists'])} 份名单各自的长度。",
    )


def _imagined_parties() -> list[dict[str, Any]]:
    together = say("Coordinator together with one supporting department", "协调端与一个支持部门合谋")
    with_lead = say("Coordinator together with the lead", "协调端与牵头部门合谋")
    all_others = say("All other parties together", "其余各方全部合谋")
    outsider = say("Outsider on the network", "网络上的外人")
    who_else = say(
        "For that department's people: who else holds them; that two projects are about the same person.",
        "该部门人员还被谁持有；两个项目涉及同一人。",
    )
    every_bit = say(
        "For every slot: the randomised bit and the held-out flag, for one key opens the label cells of a run.",
        "每个槽位的随机化比特和留出标记：一次运行的标签单元共用一把密钥。",
    )
    exact = say("Exact labels; what others hold about them.", "准确标签；他方所持有的内容。")
    all_evidence = say(
        "The evidence of every slot, also of people outside the lead's register (by pseudonym); exactly who holds whom.",
        "所有槽位的证据，包括登记以外的人（以假名表示）；谁持有谁。",
    )
    single_numbers = say(
        "Rows; a single department's number where only the sum is opened.", "数据行；仅求和模式下单个部门的数。"
    )
    undone = say(
        "Everything that blinding, sums and pseudonyms hide about the one that is left.",
        "盲化、求和与假名对剩下一方所保护的一切。",
    )
    kept = say("Its rows and its model.", "其数据行和模型。")
    traffic = say("Timing and sizes of messages.", "消息的时间与大小。")
    content = say("Any content.", "任何内容。")
    return [
        _entry("coordinator_with_one_department", together, None, [who_else, every_bit], [exact]),
        _entry("coordinator_with_lead", with_lead, None, [all_evidence], [single_numbers]),
        _entry("all_other_parties", all_others, None, [undone], [kept]),
        _entry("outsider", outsider, None, [traffic], [content]),
    ]
