"""Everything that `doudi node` says to officers, in English and Chinese, in one table."""

TEXTS: dict[str, tuple[str, str]] = {
    "created": (
        "node of {department} ready. Next: doudi node check, then doudi node card",
        "{department} 的节点已就绪。下一步：doudi node check，再 doudi node card",
    ),
    "created.approver": (
        "carry {folder} to that person's own device, and delete it here; DOUDI_OFFICER_KEYS names the folder there",
        "请将 {folder} 转移到该审批人自己的设备，并在本机删除；在其设备上用 DOUDI_OFFICER_KEYS 指明该文件夹",
    ),
    "card": (
        "card of {department}: {people} people, fingerprint {fingerprint}",
        "{department} 的名片：{people} 人，指纹 {fingerprint}",
    ),
    "pinned": ("trusted: {party}, fingerprint {fingerprint}", "已信任：{party}，指纹 {fingerprint}"),
    "check_ok": (
        "extract ok: {people} people, {columns} columns, standard {standard}",
        "数据合格：{people} 人，{columns} 列，标准 {standard}",
    ),
    "check_faults": (
        "{faults} faults in {people} rows; the first {shown} are listed. Nothing has left the node.",
        "{people} 行中有 {faults} 处错误，列出前 {shown} 处。没有任何数据离开本节点。",
    ),
    "drafted": ("grant drafted: {hash}", "授权草案已生成：{hash}"),
    "signed": (
        "grant signed by {department}: {hash}, {count} of {needed} signatures",
        "{department} 已签署授权：{hash}，签名 {count}/{needed}",
    ),
    "fetched": ("grant fetched: {hash}, {count} of {needed} signatures", "已取得授权：{hash}，签名 {count}/{needed}"),
    "run_created": (
        "run {run_id}, number {run_number}, attempt {attempt}, mode {mode}: departments are asked for keys",
        "运行 {run_id}，第 {run_number} 次，第 {attempt} 次尝试，模式 {mode}：正在向各部门索取密钥",
    ),
    "scheduled": (
        "run {run_id} scheduled: number {number}, attempt {attempt}, mode {mode}, {departments} departments",
        "运行 {run_id} 已排定：第 {number} 次，第 {attempt} 次尝试，模式 {mode}，{departments} 个部门参加",
    ),
    "waiting_keys": ("waiting for keys: {offered} of {wanted}", "等待密钥：{offered}/{wanted}"),
    "progress": (
        "run {run_id}, attempt {attempt}: {state} ({reason})",
        "运行 {run_id}，第 {attempt} 次尝试：{state}（{reason}）",
    ),
    "column.department": ("department", "部门"),
    "left": (
        "left {project_id}: keys, models and stored replies are destroyed. The charged budgets stay.",
        "已退出 {project_id}：密钥、模型与已存回复均已销毁；已扣的额度不退。",
    ),
    "confirm_leave": (
        "Leave {project_id} and destroy its keys, models and replies?",
        "退出 {project_id} 并销毁其密钥、模型和回复？",
    ),
    "confirm_sign": ("Sign this grant for {department}?", "以 {department} 名义签署此授权？"),
    "status": (
        "{department}: {people} people, {projects} projects, {runs} runs; label ε {epsilon} and {bits} evidence bits per person in a year",
        "{department}：{people} 人，{projects} 个项目，{runs} 次运行；一年内标签 ε {epsilon}，每人证据 {bits} 比特",
    ),
    "preview.heading": (
        "What would leave {department} under grant {grant} (project {project}):",
        "授权 {grant}（项目 {project}）下将离开 {department} 的内容：",
    ),
    "preview.allowed": ("the guard would allow this grant", "本节点将允许此授权"),
    "preview.refused": ("the guard would REFUSE it: {code}: {message}", "本节点将拒绝：{code}：{message}"),
    "preview.terms": (
        "purpose {purpose}, region {region}, lead {lead}; {runs} runs until {until}; ε = {epsilon} per household and period {period}",
        "目的 {purpose}，地区 {region}，牵头 {lead}；至 {until} 共 {runs} 次运行；标签周期 {period} 内每户 ε = {epsilon}",
    ),
    "preview.line_terms": (
        "purpose {purpose}, line over {region}, lead {lead}; {runs} runs until {until}; {departments} departments train on the bits of {target}, period {period}",
        "目的 {purpose}，条线范围 {region}，牵头 {lead}；至 {until} 共 {runs} 次运行；{departments} 个部门用 {target}（周期 {period}）的已发布比特训练",
    ),
    "preview.line_privacy": (
        "one run costs this asset ε = {epsilon:.2f} per person at δ = {delta}: noise {placement}, σ {sigma} × clip norm {clip}, sampling {rate}, {steps} steps × {rounds} rounds; this site's cap over all runs: ε = {cap}",
        "一次运行对本数据资源每人耗费 ε = {epsilon:.2f}（δ = {delta}）：噪声方式 {placement}，σ {sigma} × 裁剪范数 {clip}，抽样率 {rate}，{steps} 步 × {rounds} 轮；本站点全部运行的上限：ε = {cap}",
    ),
    "preview.line_limits": (
        "aggregation {method}: a round counts with at least {survivors} departments; noise shares assume {honest} % of them honest (distributed only)",
        "聚合方式 {method}：每轮至少 {survivors} 个部门；分布式噪声假定其中 {honest} % 诚实",
    ),
    "preview.columns": ("columns used here, never sent: {columns}", "仅在本地使用、不会发出的列：{columns}"),
    "preview.limits": (
        "at most {bits} evidence bits per person and year; a level may show one value for at most {share:.0%} of its people, rank correlation at most {correlation}",
        "每人每年最多 {bits} 比特证据；同一等级内单一取值最多占 {share:.0%}，秩相关最多 {correlation}",
    ),
    "no_line_models": (
        "no line model yet: one comes at the end of a line's run",
        "尚无条线模型：条线运行结束后才会有",
    ),
    "column.model": ("model", "模型"),
    "column.target": ("target", "目标"),
    "budget.lines": (
        "lines, {asset}: ε {spent} of {cap} per person at δ = {delta}, over its whole life",
        "条线训练，{asset}：每人已用 ε {spent}，终身上限 {cap}（δ = {delta}）",
    ),
    "budget.bar": (
        "[{bar}] █ spent  ▒ reserved, to {reserved}",
        "[{bar}] █ 已用  ▒ 预留，至 {reserved}",
    ),
    "budget.no_lines": ("no line has reserved anything yet", "尚无条线预留额度"),
    "budget.labels": (
        "labels, another asset: ε {epsilon:g} of {cap_epsilon:g} per household in 365 days",
        "标签（另一数据资源）：365 天内每户 ε {epsilon:g}，上限 {cap_epsilon:g}",
    ),
    "budget.evidence": (
        "evidence: {bits_per_person} of {cap_bits_per_person} bits per person in 365 days",
        "证据：365 天内每人 {bits_per_person} 比特，上限 {cap_bits_per_person}",
    ),
    "budget.shown": (
        "the newest {shown} of {attempts} attempts are listed; --newest shows more",
        "共 {attempts} 次尝试，仅列出最近 {shown} 次；用 --newest 查看更多",
    ),
    "budget.noise.gaussian": ("σ {sigma}, {rate}%", "σ {sigma}，{rate}%"),
    "budget.noise.discrete_gaussian": ("σ {sigma}, shared", "σ {sigma}，分担"),
    "budget.state.reserved": ("reserved", "预留中"),
    "budget.state.settled": ("settled", "已结算"),
    "column.run_attempt": ("run, attempt", "运行，尝试"),
    "column.noise": ("noise, rate", "噪声，抽样"),
    "column.steps": ("steps", "步数"),
    "column.epsilon_alone": ("ε alone", "单独 ε"),
    "column.epsilon_after": ("ε so far", "累计 ε"),
    "results.heading": (
        "{shown} of {households} households, calibrated probability of need, mode {mode}. This list stays on this host.",
        "{households} 户中的前 {shown} 户，校准后的困难概率，模式 {mode}。此名单仅留在本机。",
    ),
    "column.step": ("step", "步骤"),
    "column.receiver": ("to", "接收方"),
    "column.kind": ("what", "内容"),
    "column.items": ("number", "数量"),
    "column.bytes": ("bytes", "字节"),
    "column.grant": ("grant", "授权"),
    "column.at": ("time", "时间"),
    "column.row": ("row", "行"),
    "column.column": ("column", "列"),
    "column.expected": ("expected", "应为"),
    "column.code": ("code", "代码"),
    "column.run": ("run", "运行"),
    "column.attempt": ("attempt", "尝试"),
    "column.state": ("state", "状态"),
    "column.seconds": ("seconds", "秒"),
    "column.household": ("household", "户号"),
    "column.members": ("members", "成员"),
    "column.probability": ("probability", "概率"),
    "column.contributions": ("contributions (logit)", "各部门贡献（对数几率）"),
    "column.largest_share": ("largest share", "最大占比"),
    "column.base_share": ("base share", "总体占比"),
    "column.rank_correlation": ("rank corr.", "秩相关"),
    "column.event": ("event", "事件"),
}
