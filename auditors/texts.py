"""Everything that `doudi audit` says, in English and Chinese, in one table."""

TEXTS: dict[str, tuple[str, str]] = {
    "grant_ok": (
        "grant ok: {hash}, project {project}, {signatures} signatures, ε = {epsilon}, {runs} runs, expires {until}",
        "授权签名核验通过：{hash}，项目 {project}，{signatures} 个签名，ε = {epsilon}，可运行 {runs} 次，{until} 到期",
    ),
    "manifest_ok": (
        "manifest ok: run {run}, number {number}, attempt {attempt}, mode {mode}, {departments} departments",
        "运行清单核验通过：运行 {run}，第 {number} 次，第 {attempt} 次尝试，模式 {mode}，{departments} 个部门",
    ),
}
