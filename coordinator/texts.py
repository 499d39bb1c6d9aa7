"""Everything that `doudi centre` says to officers, in English and Chinese, in one table."""

TEXTS: dict[str, tuple[str, str]] = {
    "installed": (
        "coordinator ready in {home}; keys for the officer in {officer}. Next: doudi centre superlink, then run",
        "协调端已就绪：{home}；管理员密钥在 {officer}。下一步：doudi centre superlink，再 run",
    ),
    "no_administrator": (
        "no account exists yet: `doudi centre add-administrator NAME --home {home}` makes the first one",
        "尚无任何账号：请运行 `doudi centre add-administrator 登录名 --home {home}` 建立首个管理员账号",
    ),
    "enrolment_code": (
        "account {account}: open {console} and enter this one-time code within 24 hours; it is not shown again: {enrolment_code}",
        "账号 {account}：请在 24 小时内打开 {console} 并输入一次性注册码；此码仅显示这一次：{enrolment_code}",
    ),
    "rules_checked": (
        "these {rules} rules may be proposed; their hash: {policy_hash}",
        "这 {rules} 条规则可以提交审批；哈希：{policy_hash}",
    ),
    "shipped_rules": (
        "the shipped rules are in force; their hash: {policy_hash}",
        "现行规则为程序自带的规则；哈希：{policy_hash}",
    ),
    "description_written": ("description of the API written to {path}", "接口说明已写入 {path}"),
    "running": ("the API listens on https://{host}:{port}", "接口正在监听 https://{host}:{port}"),
    "registered": (
        "registered: {department}, {people} people, fingerprint {fingerprint}",
        "已登记：{department}，{people} 人，指纹 {fingerprint}",
    ),
    "centre_card": (
        "card of the centre at {url}, fingerprint {fingerprint}",
        "数据管理中心名片，地址 {url}，指纹 {fingerprint}",
    ),
    "project_created": ("project ready: {project}, lead {lead}", "项目已建立：{project}，牵头部门 {lead}"),
    "confirm": ("Sign this grant as the centre?", "以数据管理中心名义签署此授权？"),
    "signed": (
        "grant signed by the centre: {hash}, {count} of {needed} signatures",
        "中心已签署授权：{hash}，签名 {count}/{needed}",
    ),
    "submitted": ("grant sent to the coordinator", "授权已提交协调端"),
    "status": (
        "coordinator ok: {parties} departments, {projects} projects, {active} active runs",
        "协调端正常：{parties} 个部门，{projects} 个项目，{active} 个进行中的运行",
    ),
    "column.name": ("party", "参与方"),
    "column.last_seen": ("last seen", "最近在线"),
    "column.fingerprint": ("fingerprint", "指纹"),
    "column.run": ("run", "运行"),
    "column.project": ("project", "项目"),
    "column.mode": ("mode", "模式"),
    "column.attempt": ("attempt", "尝试"),
    "column.state": ("state", "状态"),
    "column.reason": ("reason", "原因"),
    "column.progress": ("progress", "进度"),
    "rounds": ("round {round} of {rounds}", "第 {round}/{rounds} 轮"),
    "column.sequence": ("no.", "序号"),
    "column.at": ("time", "时间"),
    "column.type": ("event", "事件"),
    "column.actor": ("actor", "行为方"),
    "column.subject": ("about", "对象"),
    "column.code": ("code", "代码"),
    "column.counts": ("counts", "计数"),
    "grant.heading": ("Grant {grant} of project {project}", "授权 {grant}，项目 {project}"),
    "grant.purpose": ("purpose {purpose}, region {region}", "目的 {purpose}，地区 {region}"),
    "grant.period": ("valid from {start} until {end} (UTC)", "有效期 {start} 至 {end}（UTC）"),
    "grant.runs": (
        "{runs} runs with {attempts} attempts each, modes {modes}; scheduled by {scheduler}",
        "可运行 {runs} 次，每次最多尝试 {attempts} 次，模式 {modes}；调度权：{scheduler}",
    ),
    "grant.label": (
        "target {target}, period {period}, ε = {epsilon} per household, {held_out} % held out",
        "目标 {target}，标签周期 {period}，每户 ε = {epsilon}，留出 {held_out} %",
    ),
    "grant.evidence": (
        "evidence in {levels} levels for at most {slots} slots; {bits} bits per person and year",
        "证据分 {levels} 级，最多 {slots} 个槽位；每人每年 {bits} 比特",
    ),
    "grant.line_heading": (
        "Grant {grant} of project {project}: a LINE, one department of several regions trains one model",
        "授权 {grant}，项目 {project}：条线，多个地区的同一部门共同训练一个模型",
    ),
    "grant.line_purpose": (
        "purpose {purpose}, area {region}, led by {lead}",
        "目的 {purpose}，范围 {region}，牵头 {lead}",
    ),
    "grant.line_model": (
        "model {model}/{version}, hash {hash}; trains on released bits of target {target}, period {period}",
        "模型 {model}/{version}，哈希 {hash}；用已发布的比特训练，目标 {target}，标签周期 {period}",
    ),
    "grant.line_unit": (
        "privacy unit: one {unit} of each department's data; δ = 10^-{delta} for a whole attempt, every attempt costs budget",
        "隐私单位：各部门数据中的一个 {unit}；每次尝试 δ = 10^-{delta}，每次尝试都消耗预算",
    ),
    "grant.line_noise": (
        "noise {placement}: σ = {sigma} × clip norm {clip} (L2, per person), sampling rate q = {rate}, {steps} steps × {rounds} rounds, learning rate {local_rate}",
        "噪声方式 {placement}：σ = {sigma} × 裁剪范数 {clip}（每人 L2），抽样率 q = {rate}，{steps} 步 × {rounds} 轮，学习率 {local_rate}",
    ),
    "grant.line_local": (
        "local: each department's update is private by itself, whatever the others do",
        "local：各部门的更新各自满足隐私，与其他方的行为无关",
    ),
    "grant.line_distributed": (
        "distributed: only the SUM is private, and only if at least {honest} % of the survivors add their noise",
        "distributed：仅总和满足隐私，且要求至少 {honest} % 的存活方如实加噪",
    ),
    "grant.line_aggregation": (
        "aggregation {method}, at least {survivors} of {departments} departments per round; one coordinate within ±{range}, averaged update within L2 norm {norm}; server rate {rate}, momentum {momentum}",
        "聚合方式 {method}，每轮至少 {departments} 个部门中的 {survivors} 个；单坐标范围 ±{range}，平均更新 L2 范数 ≤ {norm}；服务器学习率 {rate}，动量 {momentum}",
    ),
    "grant.line_secure": (
        "secure: the coordinator sees masked vectors and their sum, never one department's update",
        "secure：协调端只见加掩码的向量及其总和，见不到任何单个部门的更新",
    ),
    "grant.line_plain": (
        "{method}: WITHOUT masks, the coordinator sees each department's update, protected by its own noise only; up to {malicious} taken for malicious",
        "{method}：不加掩码，协调端可见各部门的更新，仅由其自身噪声保护；至多假定 {malicious} 个恶意方",
    ),
    "grant.line_participant": (
        "{role} {department}, region {region}: data set {dataset}, tier {tier}, {columns} columns, at most {people} people, may {operations}",
        "{role} {department}，地区 {region}：数据集 {dataset}，分级 {tier}，{columns} 列，最多 {people} 人，允许 {operations}",
    ),
    "grant.linkage": ("at least {holders} key holders", "至少 {holders} 个密钥持有方"),
    "grant.lead": ("lead", "牵头"),
    "grant.supporting": ("supporting", "支持"),
    "grant.participant": (
        "{role} {department}: data set {dataset}, tier {tier}, {columns} columns, at most {people} people, may {operations}",
        "{role} {department}：数据集 {dataset}，分级 {tier}，{columns} 列，最多 {people} 人，允许 {operations}",
    ),
    "grant.columns": ("  columns: {columns}", "  列：{columns}"),
    "grant.program": ("program {program}", "程序 {program}"),
    "grant.window": ("runs only {window}", "仅在以下时段运行：{window}"),
    "column.number": ("no.", "编号"),
    "column.lead": ("lead", "牵头部门"),
    "column.signed": ("people who signed", "已签署人数"),
    "column.until": ("until", "有效至"),
    "column.party": ("party", "参与方"),
    "column.grants": ("revoked grants", "已撤销授权"),
    "request.people": ("{party}: {count} of {needed} people have signed", "{party}：{needed} 人中已有 {count} 人签署"),
    "request.state": ("request {number} is {state}; grant {hash}", "申请 {number}，状态 {state}；授权 {hash}"),
    "request.sound": (
        "keys are those on the cards that you registered; the request is within the tiers",
        "密钥与您登记的名片一致；申请未超出数据分级的规定",
    ),
    "request.confirm": ("Sign request {number} as the centre?", "以数据管理中心名义签署申请 {number}？"),
    "request.approved": (
        "request {number} signed by the centre: {state}, {count} of {needed} signatures, grant {hash}",
        "中心已签署申请 {number}：状态 {state}，签名 {count}/{needed}，授权 {hash}",
    ),
    "request.refused": ("request {number} refused by the centre", "中心已拒绝申请 {number}"),
    "revocation.confirm": (
        "Take the grant of request {number} back, for good?",
        "确定撤销申请 {number} 的授权？撤销后不可恢复。",
    ),
    "revocation.published": (
        "revocation list {number} of {at} is published: {grants} grants revoked",
        "撤销清单 {number}（{at}）已发布：撤销授权 {grants} 项",
    ),
}
