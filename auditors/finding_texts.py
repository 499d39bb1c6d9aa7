"""What the findings of the verification mean, in English and Chinese. Facts of a finding fill the braces."""

FINDING_TEXTS: dict[str, tuple[str, str]] = {
    "finding.store.missing": (
        "the file is not in the mirror; run `doudi audit fetch` again",
        "镜像中没有该文件；请重新运行 `doudi audit fetch`",
    ),
    "finding.store.malformed": (
        "the file is not what its name says; keep a copy, delete it and run `doudi audit fetch` again",
        "文件内容与名称不符；请保留副本，删除后重新运行 `doudi audit fetch`",
    ),
    "finding.checkpoint.bad_signature": (
        "the checkpoint does not carry a right signature of the log",
        "检查点没有该日志的有效签名",
    ),
    "finding.checkpoint.former_key": (
        "the checkpoint of size {size} carries an earlier key of the log than a smaller one does",
        "大小为 {size} 的检查点所用的日志密钥，早于更小检查点所用的密钥",
    ),
    "finding.checkpoint.other_log": (
        "the checkpoint is of another log than the terms name",
        "检查点属于另一个日志，与条款所列不同",
    ),
    "finding.tree.wrong_root": (
        "the {size} entries do not have the root that the log signed",
        "{size} 条记录算出的根与日志签名的根不一致",
    ),
    "finding.tree.entry_changed": (
        "the entry is not the one that the log signed: it was changed after that",
        "该记录不是日志签名时的记录：之后被改动",
    ),
    "finding.tree.tile_differs": (
        "the tile does not hold the hashes of the entries",
        "哈希块与记录的哈希不一致",
    ),
    "finding.tree.incomplete": (
        "from this entry on neither entries nor hashes are there, of {size} in all; what follows was not judged",
        "从该记录起，记录与哈希均缺失（共 {size} 条）；其后未作核验",
    ),
    "finding.timestamp.unjudged": (
        "the checkpoint of size {size} carries a time stamp; give the authority's certificate with --timestamp-roots to judge it",
        "大小为 {size} 的检查点带有时间戳；请用 --timestamp-roots 指定时间戳机构的证书以核验",
    ),
    "finding.timestamp.wrong": (
        "the time stamp of the checkpoint of size {size} is not the trusted authority's, or is about other data",
        "大小为 {size} 的检查点的时间戳不是可信机构签发，或对应其他数据",
    ),
    "finding.proof.not_in_log": (
        "the entry is not number {index} of the log's tree of {size}",
        "该记录不是日志（大小 {size}）中的第 {index} 条",
    ),
    "finding.proof.malformed_entry": (
        "the proof's entry has not the form of one",
        "证明中的记录格式有误",
    ),
    "finding.proof.not_in_batch": (
        "the entry is not at its place in what {producer} signed",
        "该记录不在 {producer} 所签批次的相应位置",
    ),
    "finding.proof.without_key": (
        "the proof discloses no key: it shows that the entry is there, whose it is and when, not what it says",
        "该证明未公开密钥：只能证明记录存在、归属与时间，不能证明内容",
    ),
    "finding.evidence.bad_signature": (
        "the evidence is not signed with the key of the witness {witness}",
        "该证据没有见证方 {witness} 密钥的有效签名",
    ),
    "finding.evidence.unfounded": (
        "the evidence of {witness} does not contain what it claims ({kind})",
        "{witness} 的证据并未包含其所称内容（{kind}）",
    ),
    "finding.evidence.claims": (
        "{witness} states under its signature: {kind}; what is not in the log's own signatures is its word",
        "{witness} 签名陈述：{kind}；日志签名未涵盖的部分仅为其单方陈述",
    ),
    "finding.evidence.fork": (
        "the log signed two histories ({size} and {other} entries): its own signatures prove it, whoever shows them",
        "日志签署了两种历史（{size} 条与 {other} 条）：其自身签名即为证明，与出示者无关",
    ),
    "finding.evidence.two_terms": (
        "the centre signed two different terms number {number}: its own signatures prove it",
        "中心签署了两份不同的第 {number} 号条款：其自身签名即为证明",
    ),
    "finding.evidence.omission": (
        "{witness} states that its batch {batch} was taken and left out; it is not in the mirror of {size} entries either",
        "{witness} 陈述其批次 {batch} 已被接收却被遗漏；在 {size} 条的镜像中也没有",
    ),
    "finding.terms.bad_key": (
        "the terms name a key with which nothing can be verified",
        "条款所列密钥无法用于核验",
    ),
    "finding.terms.bad_signature": (
        "the terms are not signed by an approver on the centre's card",
        "条款没有中心名片上审批人的签名",
    ),
    "finding.terms.former_key": (
        "the newest terms are signed with a key of a former card of the centre",
        "最新条款由中心旧名片上的密钥签名",
    ),
    "finding.terms.other_log": (
        "the terms name another log than those before them",
        "条款所列日志与先前条款不同",
    ),
    "finding.terms.other_number": (
        "the terms carry another number than the one under which they were served",
        "条款自身编号与提供时的编号不同",
    ),
    "finding.terms.unpinned": (
        "nobody vouches for the centre's key {key_id}: give the centre's card with --card",
        "中心密钥 {key_id} 未经确认：请用 --card 提供中心名片",
    ),
    "finding.batch.bad_signature": (
        "{producer} did not sign exactly these entries",
        "{producer} 并未对这些记录签名",
    ),
    "finding.batch.former_key": (
        "{producer} signed with a key that later terms had replaced already",
        "{producer} 使用了已被后续条款替换的密钥签名",
    ),
    "finding.batch.inconsistent": (
        "an entry is not the one that {producer} put at this place of the batch",
        "批次中某条记录不是 {producer} 放在该位置的记录",
    ),
    "finding.batch.not_contiguous": (
        "the batch begins at entry {found}, expected {expected}, in a log of {size}",
        "批次从第 {found} 条开始，应为第 {expected} 条（日志共 {size} 条）",
    ),
    "finding.batch.uncovered": (
        "no batch covers the entries from here on, of {size} in all: nobody signed them",
        "从此处起的记录不属于任何批次（共 {size} 条），无人签名",
    ),
    "finding.batch.unknown_signer": (
        "the key that signed is not one of {producer}'s in any terms",
        "签名密钥在任何条款中都不属于 {producer}",
    ),
    "finding.witness.bad_cosignature": (
        "the cosignature under the name {department} is wrong: somebody changed or made it up",
        "以 {department} 名义的见证签名无效：被篡改或伪造",
    ),
    "finding.witness.future_time": (
        "the witnesses' times lie {ahead_s} s after the visit",
        "见证时间晚于访问时间 {ahead_s} 秒",
    ),
    "finding.witness.no_card": (
        "there is no card of the witness {department}; collect it from the department to know that the key is its own",
        "没有见证部门 {department} 的名片；请向该部门索取，以确认密钥归其所有",
    ),
    "finding.witness.none": (
        "the terms name no witness: only the centre vouches for this log",
        "条款中没有见证方：该日志仅由中心担保",
    ),
    "finding.witness.old": (
        "the witnesses' word is {age_s} s old at the visit, allowed are {allowed_s} s: the log stands still, or an old one was shown",
        "访问时见证已过去 {age_s} 秒，允许 {allowed_s} 秒：日志停滞，或出示的是旧日志",
    ),
    "finding.witness.other_key": (
        "the terms give {department} another key than its own card does",
        "条款中 {department} 的密钥与该部门名片上的不同",
    ),
    "finding.witness.too_few": (
        "{have} of {witnesses} witnesses cosigned, {need} are needed",
        "{witnesses} 个见证方中有 {have} 个签名，需要 {need} 个",
    ),
    "finding.witness.unknown_line": (
        "a signature line is of nobody whom the terms name; it does not count",
        "有一行签名不属于条款所列任何一方，不予计入",
    ),
    "finding.history.fork": (
        "the checkpoint of size {size} is not a beginning of the tree of size {newest}: the log has two histories",
        "大小为 {size} 的检查点不是大小为 {newest} 的树的前段：日志出现两种历史",
    ),
    "finding.history.newer": (
        "the department saw a larger tree ({size}) than this mirror has ({newest}), after the visit; fetch again and compare",
        "该部门在访问之后看到更大的树（{size}，镜像为 {newest}）；请重新获取后比较",
    ),
    "finding.history.rollback": (
        "the log showed {size} entries before and {newest} later: it was set back",
        "日志先前显示 {size} 条，之后显示 {newest} 条：被回退",
    ),
    "finding.history.terms_changed": (
        "terms number {number} were verified before, and are gone or different now",
        "第 {number} 号条款此前已核验，现已缺失或不同",
    ),
    "finding.history.unconfirmed": (
        "whether the checkpoint of size {size} is a beginning of the tree of size {newest} cannot be told: the tree is not right",
        "无法判断大小为 {size} 的检查点是否为大小为 {newest} 的树的前段：树本身有误",
    ),
    "finding.history.withheld": (
        "a department had seen {size} entries before the visit, which was shown {newest} only",
        "访问之前某部门已看到 {size} 条，而访问时仅显示 {newest} 条",
    ),
    "finding.batch.gap": (
        "{producer}'s number {found} follows where {expected} is due: records are missing",
        "{producer} 的编号应为 {expected}，实为 {found}：有记录缺失",
    ),
    "finding.batch.out_of_order": (
        "{producer}'s number {found} stands where {expected} is due: records are repeated or out of order",
        "{producer} 的编号应为 {expected}，实为 {found}：记录重复或次序错误",
    ),
    "finding.batch.repeated": (
        "this batch of {producer} stands in the log a second time",
        "{producer} 的该批次在日志中重复出现",
    ),
    "finding.batch.other_auditors": (
        "the batch is sealed to other people than the auditors of any terms",
        "批次所密封的对象不是任何条款中的审计方",
    ),
    "finding.batch.wraps_destroyed": (
        "the keys of {entries} entries of {producer} were destroyed: nobody opens them again; proofs stay valid",
        "{producer} 的 {entries} 条记录的密钥已被销毁：无人可再打开；证明仍然有效",
    ),
    "finding.batch.wrong_wraps": (
        "the sealed keys of the batch are not those that its entries name",
        "批次的密封密钥与其记录所指不一致",
    ),
}
