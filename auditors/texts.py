"""Everything that `doudi audit` says, in English and Chinese, in one table."""

from auditors.finding_texts import FINDING_TEXTS
from auditors.record_finding_texts import RECORD_FINDING_TEXTS
from auditors.record_texts import RECORD_TEXTS

TEXTS: dict[str, tuple[str, str]] = {
    **FINDING_TEXTS,
    **RECORD_FINDING_TEXTS,
    **RECORD_TEXTS,
    "column.severity": ("severity", "级别"),
    "column.code": ("code", "代码"),
    "column.place": ("place", "位置"),
    "column.meaning": ("what it means", "含义"),
    "severity.error": ("error", "错误"),
    "severity.warning": ("warning", "警告"),
    "severity.notice": ("notice", "提示"),
    "progress.verify": ("entries verified", "已核验记录"),
    "progress.fetch": ("files fetched", "已获取文件"),
    "fetch_ok": (
        "fetched: {entries} entries ({new} new) in {batches} batches, {files} files copied, witnessed up to {witnessed}, terms {terms}; run verify now",
        "已获取：{batches} 个批次共 {entries} 条记录（新增 {new} 条），复制 {files} 个文件，见证至第 {witnessed} 条，条款 {terms}；请运行 verify",
    ),
    "fetch_smaller": (
        "the log shows {entries} entries, {before} before: it was set back; the mirror stays as it is, run verify",
        "日志显示 {entries} 条记录，此前为 {before} 条：被回退；镜像保持不变，请运行 verify",
    ),
    "prove_ok": (
        "proof of entry {index} in {file}: {type} by {producer}, {recorded_at}; in the tree of {size} since {witnessed_at}; discloses its content: {disclosed}",
        "第 {index} 条记录的证明已写入 {file}：{producer} 的 {type}，{recorded_at}；{witnessed_at} 起在大小为 {size} 的树中；公开内容：{disclosed}",
    ),
    "check_proof": (
        "proof ok: entry {index} of the log {origin} is a {type} that {producer} signed as its number {sequence}, recorded {recorded_at}; the log's tree of {size} entries holds it, cosigned by {cosigned}, a quorum since {witnessed_at}",
        "证明有效：日志 {origin} 第 {index} 条是 {producer} 签署的 {type}（其编号 {sequence}），记录于 {recorded_at}；日志大小为 {size} 的树包含该记录，由 {cosigned} 见证，{witnessed_at} 起达到法定数",
    ),
    "check_checkpoint": (
        "checkpoint ok: the log {origin} signed a tree of {size} entries with root {root}, cosigned by {cosigned}, a quorum since {witnessed_at}; it says nothing about what the entries say",
        "检查点有效：日志 {origin} 签署了 {size} 条记录、根为 {root} 的树，由 {cosigned} 见证，{witnessed_at} 起达到法定数；不涉及记录内容",
    ),
    "check_evidence": (
        "evidence of {witness} from {at} ({kind}): {claim}; what of it is proven stands above",
        "{witness} 于 {at} 的证据（{kind}）：{claim}；其中已获证明的部分见上",
    ),
    "check_failed": (
        "not proven: see the findings above",
        "未获证明：见以上发现",
    ),
    "evidence.fork": (
        "the log showed a tree that does not continue the one it had shown before",
        "日志出示的树不是先前所示树的延续",
    ),
    "evidence.rollback": (
        "the log showed a smaller tree after a larger one",
        "日志在出示较大的树之后又出示较小的树",
    ),
    "evidence.bad_signature": (
        "a checkpoint was offered that the log's key did not sign; anybody on the way could have made it",
        "收到的检查点不是日志密钥所签；途中任何一方都可能伪造",
    ),
    "evidence.bad_proof": (
        "two checkpoints of the log came with a proof that does not join them; the log does not sign proofs",
        "日志的两个检查点所附证明不能衔接；日志并不签署证明",
    ),
    "evidence.omission": (
        "a batch was acknowledged and is missing from a witnessed checkpoint",
        "某批次已被确认接收，却不在已见证的检查点中",
    ),
    "evidence.other_terms": (
        "the log offered terms that do not follow from those known to the witness",
        "日志出示的条款与见证方所知条款不相衔接",
    ),
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
