"""What the numbers and hashes within records are called on the pages, in English and Chinese."""

from collections.abc import Mapping

from auditors.reporting.words import Text, say

_COUNTS: Mapping[str, tuple[str, str]] = {
    "about_account": ("account", "账户"),
    "added": ("signatures added", "新增签名"),
    "attempt": ("attempt", "尝试"),
    "auditors": ("auditors", "审计员"),
    "batches": ("batches", "批次"),
    "bits_per_person": ("bits per person", "每人比特"),
    "bytes": ("bytes", "字节"),
    "cap_bits_per_person": ("cap in bits", "比特上限"),
    "cap_milli": ("cap", "上限"),
    "capped": ("columns over the cap", "超过上限的列"),
    "charged": ("charged", "已计入"),
    "columns": ("columns", "列"),
    "departments": ("departments", "部门"),
    "entries": ("entries", "记录"),
    "epsilon_milli": ("ε", "ε"),
    "faulty": ("tolerated faulty witnesses", "容许失效的见证部门"),
    "first_index": ("first entry", "首条记录"),
    "first_sequence": ("first number", "首个编号"),
    "gathered": ("gathered", "已收集"),
    "grants": ("grants", "授权"),
    "held": ("slots with own people", "本部门人员的槽位"),
    "households": ("households", "户"),
    "largest_rank_milli": ("largest rank correlation", "最大秩相关"),
    "largest_share_milli": ("largest share", "最大占比"),
    "levels": ("levels", "等级"),
    "lists": ("lists", "名单"),
    "merged": ("levels merged", "合并等级"),
    "metrics_bytes": ("bytes of metrics", "指标字节"),
    "milliseconds": ("ms", "毫秒"),
    "needed": ("needed", "所需"),
    "number": ("number", "编号"),
    "padding": ("padding", "填充"),
    "people": ("people", "人"),
    "released": ("released", "释放"),
    "reply_bytes": ("bytes of the reply", "答复字节"),
    "request": ("request no.", "申请编号"),
    "request_bytes": ("bytes of the request", "请求字节"),
    "revision": ("revision", "修订"),
    "revoked": ("revoked", "已撤销"),
    "round": ("round", "轮次"),
    "rounds": ("rounds", "轮数"),
    "run_number": ("run no.", "运行序号"),
    "runs": ("runs", "运行次数"),
    "seen_size": ("size seen before", "先前所见大小"),
    "signatures": ("signatures", "签名"),
    "size": ("size", "大小"),
    "slots": ("slots", "槽位"),
    "step": ("step", "步骤"),
    "steps": ("steps", "步数"),
    "values": ("values", "值"),
    "version": ("version", "版本"),
    "withdrawn": ("withdrawn", "已撤回"),
    "witnesses": ("witnesses", "见证部门"),
}
_HASHES: Mapping[str, tuple[str, str]] = {
    "asset": ("asset", "资产"),
    "batch": ("batch", "批次"),
    "batches": ("batches", "批次"),
    "card": ("card", "名片"),
    "commitment": ("commitment", "承诺"),
    "evidence": ("evidence", "证据"),
    "giver": ("giver", "给出方"),
    "list": ("list", "名单"),
    "lists": ("lists", "各名单"),
    "manifest": ("manifest", "运行清单"),
    "metrics": ("metrics", "指标"),
    "model": ("model", "模型"),
    "period": ("label period", "标签周期"),
    "program": ("program", "程序"),
    "receiver": ("receiver", "接收方"),
    "reply": ("reply", "答复"),
    "request": ("request", "请求"),
    "root": ("root", "根"),
    "rules": ("rules", "规则"),
    "seed": ("seed", "种子"),
    "seen_root": ("root seen before", "先前所见的根"),
    "signed": ("signed document", "签署文件"),
    "standard": ("standard", "标准"),
    "terms": ("terms", "条款"),
    "token": ("time stamp", "时间戳"),
    "union": ("union", "并集"),
}


def count_title(name: str) -> Text:
    """Return what a number of a record is called; a name of a later program stands for itself."""
    return say(*_COUNTS.get(name, (name, name)))


def hash_title(name: str) -> Text:
    """Return what a hash of a record is called; a name of a later program stands for itself."""
    return say(*_HASHES.get(name, (name, name)))
