"""Everything that `doudi audit` says, in English and Chinese, in one table."""

from auditors.finding_texts import FINDING_TEXTS

TEXTS: dict[str, tuple[str, str]] = {
    **FINDING_TEXTS,
    "column.severity": ("severity", "级别"),
    "column.code": ("code", "代码"),
    "column.place": ("place", "位置"),
    "column.meaning": ("what it means", "含义"),
    "severity.error": ("error", "错误"),
    "severity.warning": ("warning", "警告"),
    "severity.notice": ("notice", "提示"),
    "progress.verify": ("entries verified", "已核验记录"),
    "progress.fetch": ("files fetched", "已获取文件"),
    "verify_ok": (
        "ledger ok: {entries} entries in {batches} batches, root {root}, witnessed up to {witnessed} by {witnesses} departments, {witnessed_at}",
        "日志核验通过：{batches} 个批次共 {entries} 条记录，根 {root}，{witnesses} 个部门见证至第 {witnessed} 条，{witnessed_at}",
    ),
    "verify_failed": (
        "ledger not ok: {count} findings, the most serious one ends with {exit}; {entries} entries in {batches} batches",
        "日志核验未通过：{count} 项发现，最严重者退出码 {exit}；{batches} 个批次共 {entries} 条记录",
    ),
    "verify_times": (
        "read {read} entries: tree and checkpoints {tree_s} s, {signatures} signatures of batches {signatures_s} s",
        "读取 {read} 条记录：树与检查点 {tree_s} 秒，{signatures} 个批次签名 {signatures_s} 秒",
    ),
    "grant_ok": (
        "grant ok: {hash}, project {project}, {signatures} signatures, ε = {epsilon}, {runs} runs, expires {until}",
        "授权签名核验通过：{hash}，项目 {project}，{signatures} 个签名，ε = {epsilon}，可运行 {runs} 次，{until} 到期",
    ),
    "line_grant_ok": (
        "line grant ok: {hash}, project {project}, {signatures} signatures, noise {placement}, σ {sigma}, sampling {rate}, {steps} steps, at least {survivors} departments per sum, {runs} runs, expires {until}",
        "条线授权签名核验通过：{hash}，项目 {project}，{signatures} 个签名，噪声方式 {placement}，σ {sigma}，抽样率 {rate}，{steps} 步，每次求和至少 {survivors} 个部门，可运行 {runs} 次，{until} 到期",
    ),
    "manifest_ok": (
        "manifest ok: run {run}, number {number}, attempt {attempt}, mode {mode}, {departments} departments",
        "运行清单核验通过：运行 {run}，第 {number} 次，第 {attempt} 次尝试，模式 {mode}，{departments} 个部门",
    ),
}
