"""What the commands about keys and opened records say, in English and Chinese."""

RECORD_TEXTS: dict[str, tuple[str, str]] = {
    "column.index": ("entry", "记录"),
    "column.time": ("time", "时间"),
    "column.type": ("type", "类型"),
    "column.who": ("who", "何人"),
    "column.run": ("run", "运行"),
    "column.part": ("part", "部分"),
    "column.what": ("what", "内容"),
    "column.witnessed": ("first witnessed in", "首次见证于"),
    "progress.open": ("entries opened", "已打开记录"),
    "keys_made": (
        "keys of {auditor} made; fingerprint {fingerprint}. Give {file} to the centre's officer and read the fingerprint out by telephone; keep a copy of the keys in a safe: what is sealed to them opens with nothing else",
        "已为 {auditor} 生成密钥；指纹 {fingerprint}。请将 {file} 交给中心管理员并在电话中核对指纹；请将密钥备份存入保险柜：密封给它的记录别无他法打开",
    ),
    "keys_rotated": (
        "new keys of {auditor}; fingerprint {fingerprint}. The former pair is kept and goes on opening. Give {file} to the centre's officer (`doudi centre ledger add-auditor`)",
        "{auditor} 的新密钥已生成；指纹 {fingerprint}。旧密钥予以保留，仍用于打开旧记录。请将 {file} 交给中心管理员（`doudi centre ledger add-auditor`）",
    ),
    "keys_shown": (
        "keys of {auditor}; fingerprint {fingerprint}; card {file}",
        "{auditor} 的密钥；指纹 {fingerprint}；名片 {file}",
    ),
    "open_ok": (
        "opened: {opened} records in {batches} batches now, {entries} entries in all, {count} findings",
        "已打开：本次 {batches} 个批次共 {opened} 条记录，累计 {entries} 条，{count} 项发现",
    ),
    "open_unverified": (
        "entries from {verified} on were opened without a verification that confirmed them",
        "自第 {verified} 条起的记录在打开时未经核验确认",
    ),
    "search_nothing": ("no record fits", "没有符合条件的记录"),
    "search_sealed": ("not opened", "未打开"),
    "search_prove": ("an entry is proven to others with: {command}", "向他人证明某条记录：{command}"),
    "search_more": (
        "only the newest {limit} are shown; narrow the search or raise --limit",
        "仅显示最新 {limit} 条；请缩小范围或增大 --limit",
    ),
    "wrap_ok": (
        "wraps for {auditor} ({fingerprint}): {batches} batches in {files} files in {folder}; {already} it could open already, {closed} are closed here. The centre's officer brings them: `doudi centre ledger add-wraps`",
        "为 {auditor}（{fingerprint}）补发密钥：{batches} 个批次，{files} 个文件，位于 {folder}；{already} 个其已可打开，{closed} 个在此无法打开。请中心管理员提交：`doudi centre ledger add-wraps`",
    ),
    "report_ok": (
        "report: {page} and {data}; {entries} entries, {opened} opened, {runs} runs, {count} findings",
        "报告：{page} 与 {data}；{entries} 条记录，已打开 {opened} 条，{runs} 次运行，{count} 项发现",
    ),
    "lineage_head": (
        "{run} of {project}: {state} {code}\npurpose {purpose}\ngrant {grant}\nprogram {programs}",
        "{run}（项目 {project}）：{state} {code}\n用途 {purpose}\n授权 {grant}\n程序 {programs}",
    ),
    "lineage_unknown": ("the outcome of {count} steps is unknown", "{count} 个步骤的结果未知"),
    "lineage_missing": ("no record says: {types}", "没有记录：{types}"),
    "part.request": ("request", "申请"),
    "part.approvals": ("approvals", "审批"),
    "part.start": ("start", "启动"),
    "part.labels": ("labels", "标签"),
    "part.evidence": ("evidence", "证据"),
    "part.steps": ("steps", "步骤"),
    "part.results": ("results", "结果"),
    "watch_seen": (
        "{at}: {entries} entries, {opened} opened now; new findings: {new}, standing: {standing}",
        "{at}：{entries} 条记录，本次打开 {opened} 条；新发现 {new} 项，现存 {standing} 项",
    ),
    "watch_unreachable": (
        "the coordinator is not reachable ({code}); next look in {minutes} min",
        "无法连接协调端（{code}）；{minutes} 分钟后再试",
    ),
}
