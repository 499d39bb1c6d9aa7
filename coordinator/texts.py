"""Everything that `doudi centre` says to officers, in English and Chinese, in one table."""

TEXTS: dict[str, tuple[str, str]] = {
    "installed": (
        "coordinator ready in {home}; keys for the officer in {officer}. Next: doudi centre superlink, then run",
        "协调端已就绪：{home}；管理员密钥在 {officer}。下一步：doudi centre superlink，再 run",
    ),
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
    "grant.linkage": ("at least {holders} key holders", "至少 {holders} 个密钥持有方"),
    "grant.lead": ("lead", "牵头"),
    "grant.supporting": ("supporting", "支持"),
    "grant.participant": (
        "{role} {department}: data set {dataset}, {columns} columns, at most {people} people, may {operations}",
        "{role} {department}：数据集 {dataset}，{columns} 列，最多 {people} 人，允许 {operations}",
    ),
    "grant.columns": ("  columns: {columns}", "  列：{columns}"),
    "grant.program": ("program {program}", "程序 {program}"),
}
