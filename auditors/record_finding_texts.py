"""What the findings of opened records mean, in English and Chinese. Facts of a finding fill the braces."""

RECORD_FINDING_TEXTS: dict[str, tuple[str, str]] = {
    "finding.batch.shredded": (
        "the keys of this batch of {producer} ({entries} entries) were destroyed; entry {record} states it, reason {reason}",
        "{producer} 的该批次（{entries} 条记录）的密钥已被销毁；第 {record} 条记录对此有说明，理由 {reason}",
    ),
    "finding.batch.shredded_unstated": (
        "the keys of this batch of {producer} ({entries} entries) are gone, and no record says who destroyed them: ask the centre",
        "{producer} 的该批次（{entries} 条记录）的密钥已不存在，且没有记录说明由谁销毁：请询问中心",
    ),
    "finding.batch.sealed_to_others": (
        "{batches} batches ({entries} entries) are sealed to other auditors only: from before you were appointed, or after; an auditor of that time can give you wraps (`doudi audit wrap`)",
        "{batches} 个批次（{entries} 条记录）仅密封给其他审计员：早于您的任命，或在其之后；当时的审计员可以用 `doudi audit wrap` 为您补发密钥",
    ),
    "finding.batch.left_out": (
        "this batch of {producer} ({entries} entries) is not sealed to you although the terms in force name you: you were left out",
        "{producer} 的该批次（{entries} 条记录）未密封给您，而当时有效的条款列有您：您被遗漏",
    ),
    "finding.batch.wrong_key": (
        "the wrapped key of this batch of {producer} ({entries} entries) does not open, or is not the key of its entries: ask {producer}; `doudi node ledger` there still has the records",
        "{producer} 的该批次（{entries} 条记录）的密钥无法打开，或不是其记录的密钥：请询问 {producer}，其节点仍保有这些记录",
    ),
    "finding.ledger.wrong_key": (
        "the entry of {producer} ({type}) commits to another key than the one it was sealed with: two readers could be shown two contents",
        "{producer} 的该记录（{type}）承诺的密钥与实际密封所用的不同：不同读者可能看到不同内容",
    ),
    "finding.ledger.cannot_open": (
        "the entry of {producer} ({type}) does not open under its own key: it was sealed wrongly or for another log",
        "{producer} 的该记录（{type}）用其自身密钥无法打开：密封有误，或属于另一个日志",
    ),
    "finding.record.malformed": (
        "the record of {producer} says something that its type ({type}) does not allow, or is of a type that this program does not know",
        "{producer} 的该记录含有其类型（{type}）不允许的内容，或其类型为本程序所不知",
    ),
    "finding.record.two_purposes": (
        "parties recorded {purposes} different purposes for the grant {grant}",
        "各方为授权 {grant} 记录了 {purposes} 个不同的用途",
    ),
    "finding.step.outcome_unknown": (
        "{producer} began the step {step} of {run} and recorded no outcome: what it did is unknown",
        "{producer} 开始了 {run} 的步骤 {step}，但没有记录结果：其所为未知",
    ),
    "finding.run.without_end": (
        "{run} was started more than a day before the end of the record, and nothing says how it ended",
        "{run} 在记录结束一天多之前启动，没有记录说明其如何结束",
    ),
    "finding.run.unrecorded": (
        "departments computed in {run}, which the coordinator never recorded: it left its own acts out",
        "各部门参与计算了 {run}，而协调端从未记录该运行：其遗漏了自身的行为",
    ),
    "finding.witness.reports_refusal": (
        "{producer} refused to cosign a checkpoint ({reason}): ask it for its evidence (`doudi node ledger evidence`)",
        "{producer} 拒绝为检查点联署（{reason}）：请向其索取证据（`doudi node ledger evidence`）",
    ),
    "finding.witness.reports_omission": (
        "{producer} reports that its own records were left out ({reason}): ask it for its evidence",
        "{producer} 报告其自身的记录被遗漏（{reason}）：请向其索取证据",
    ),
}
