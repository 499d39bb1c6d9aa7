"""Everything that `doudi audit` says, in English and Chinese, in one table."""

TEXTS: dict[str, tuple[str, str]] = {
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
