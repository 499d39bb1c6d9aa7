"""What `doudi node` says to officers about the audit ledger, in English and Chinese."""

LEDGER_TEXTS: dict[str, tuple[str, str]] = {
    "ledger.events": (
        "audit ledger, terms {terms}: {waiting} events wait, {placed} have a place, {witnessed} are witnessed, newest {newest}",
        "审计账本（条款第 {terms} 号）：{waiting} 条事件待入账，{placed} 条已入账，{witnessed} 条已见证，最近见证于 {newest}",
    ),
    "ledger.no_terms": (
        "audit ledger: no terms yet, {waiting} events wait and no step is answered. Is the centre's card pinned, and the node running?",
        "审计账本：尚未取得条款，{waiting} 条事件待入账，所有步骤均不应答。请确认已信任中心名片，且节点正在运行。",
    ),
    "ledger.not_a_witness": (
        "the ledger's terms do not name this department's key, so nothing of it is taken. The centre's officer runs `doudi centre ledger renew-terms`",
        "账本条款未列入本部门的密钥，其事件不会被接收。请中心人员运行 `doudi centre ledger renew-terms`",
    ),
    "ledger.waiting_since": (
        "the oldest event that waits was recorded at {at}",
        "最早的待入账事件记录于 {at}",
    ),
    "ledger.seen": (
        "newest checkpoint accepted: {size} entries, root {root}…, at {at}",
        "最近接受的检查点：{size} 条，根 {root}…，时间 {at}",
    ),
    "ledger.cosigned": ("cosigned at {at}", "联署时间：{at}"),
    "ledger.quorum": (
        "{quorum} of {witnesses} departments must cosign; {faulty} may be faulty; a step needs a checkpoint of the last {seconds} s",
        "{witnesses} 个部门中须有 {quorum} 个联署，可容许 {faulty} 个失常；步骤须凭 {seconds} 秒内的检查点",
    ),
    "ledger.auditors": (
        "Who can read this department's records; compare each fingerprint by telephone:",
        "可解读本部门记录的审计方（请通过电话核对指纹）：",
    ),
    "ledger.auditor": ("  {auditor}: {fingerprint}", "  {auditor}，指纹 {fingerprint}"),
    "ledger.checkpoint": (
        "checkpoint of {size} entries, root {root}…, with this department's cosignature",
        "检查点：{size} 条，根 {root}…，附本部门联署",
    ),
    "ledger.evidence": ("evidence of {count} alarms written", "已写出 {count} 条警报的证据"),
    "ledger.acknowledged": (
        "alarm {number} acknowledged ({kind}); the node keeps to the history that it had accepted",
        "警报 {number} 已确认（{kind}）；节点仍以其原先接受的账本历史为准",
    ),
    "ledger.followed": (
        "alarm {number} acknowledged ({kind}); the node now follows the history that was offered",
        "警报 {number} 已确认（{kind}）；节点改为遵循账本所出示的历史",
    ),
    "ledger.confirm_follow": (
        "Give up the history of the ledger that this node has accepted? Only if all departments and the auditors agreed to.",
        "放弃本节点已接受的账本历史？仅在所有部门与审计方一致同意时才可如此。",
    ),
    "alarm.fork": (
        "ALARM {number}, {at}: the audit ledger showed two different histories of one size",
        "警报 {number}，{at}：审计账本对同一规模出示了两份不同的历史",
    ),
    "alarm.rollback": (
        "ALARM {number}, {at}: the audit ledger went back to an earlier state",
        "警报 {number}，{at}：审计账本退回到了先前的状态",
    ),
    "alarm.bad_proof": (
        "ALARM {number}, {at}: the audit ledger could not prove that it only grew: its past may have been changed",
        "警报 {number}，{at}：审计账本无法证明其只增不改：历史记录可能已被改动",
    ),
    "alarm.bad_signature": (
        "ALARM {number}, {at}: a checkpoint of the audit ledger was not signed by the ledger's key",
        "警报 {number}，{at}：审计账本的检查点并非由账本密钥签署",
    ),
    "alarm.omission": (
        "ALARM {number}, {at}: the audit ledger left out events of this department that it had taken",
        "警报 {number}，{at}：审计账本遗漏了已接收的本部门事件",
    ),
    "alarm.other_terms": (
        "ALARM {number}, {at}: terms of the audit ledger were refused: older, different, or not signed by the pinned centre",
        "警报 {number}，{at}：拒绝了账本条款：过期、不一致，或并非由已信任的中心签署",
    ),
    "alarm.held": (
        "this node cosigns nothing and answers no step until each of these alarms is acknowledged",
        "在以上警报逐一确认之前，本节点不联署，也不应答任何步骤",
    ),
    "alarm.next": (
        "Next: doudi node ledger evidence --out FOLDER, hand it to the auditors, then doudi node ledger acknowledge NUMBER",
        "下一步：doudi node ledger evidence --out 文件夹，交给审计方，再运行 doudi node ledger acknowledge 编号",
    ),
    "alarm.kind.fork": ("two histories", "两份历史"),
    "alarm.kind.rollback": ("an earlier state", "退回先前状态"),
    "alarm.kind.bad_proof": ("no proof of growth", "无只增证明"),
    "alarm.kind.bad_signature": ("wrong signature", "签名不符"),
    "alarm.kind.omission": ("events left out", "遗漏事件"),
    "alarm.kind.other_terms": ("refused terms", "条款被拒"),
}
