"""grid.html: the page of `make grid`, beside grid.json, in English and Chinese, without script, network or other files.

It is made like report.html (`page.py`): same style sheet, same content security policy, names escaped by the template engine. The
document may be of an older run: what is absent is said to be absent and never becomes a zero.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from command_line.documents import write_atomically
from demo.report.grid_plots import draw_grid_figures
from demo.report.grid_words import (
    CANARY_CAVEAT,
    HEADLINE,
    canary_sentences,
    change_of,
    grid_limits,
    line_learning,
    mechanism_title,
    node_title,
    opening_of_grid,
    placement_title,
    signed,
    start_title,
)
from demo.report.page import LANGUAGE_TAGS, page_environment, style_facts
from demo.report.words import LANGUAGES, party_title, region_title

__all__ = ["render_grid_page", "write_grid_page"]

_THOUSAND, _MILLION = 1_000, 1_000_000

Document = Mapping[str, Any]


def write_grid_page(out: Path, document: dict[str, Any]) -> Path:
    """Write grid.html into `out` and return its path. A reader sees the old page or the new one, never half of one."""
    page = render_grid_page(document)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "grid.html"
    write_atomically(path, page.encode(), 0o644)
    return path


def render_grid_page(document: Document) -> str:
    """Return the page of a document as `make grid` writes it."""
    view, environment = _view(document), page_environment()
    canary = view["canary"]
    return environment.get_template("grid.html.j2").render(
        canary_caveat=CANARY_CAVEAT,
        canary_sentences=[] if canary is None else canary_sentences(canary),
        document=document,
        figures={language: draw_grid_figures(view, language) for language in LANGUAGES},
        headline=HEADLINE,
        languages=LANGUAGE_TAGS,
        limits=grid_limits(document),
        opening=opening_of_grid(document),
        view=view,
        **style_facts(environment),
    )


def _view(document: Document) -> dict[str, Any]:
    """Return what the page shows, in its order, with titles in both languages and None for what is not known."""
    members = document.get("members") or []
    lines = [_line(name, found, members) for name, found in (document.get("lines") or {}).items()]
    return {
        "regions": [_region(name, row) for name, row in (document.get("regions") or {}).items()],
        "lines": lines,
        "learned": [
            {"method": method, "parties": line_learning(method, parties)}
            for method, parties in sorted({(line["method"], line["parties"]) for line in lines})
        ],
        "starts": [
            {"title": node_title(name, members), "start": start_title(start)}
            for name, start in sorted((document.get("starts") or {}).items())
        ],
        "budgets": _budgets(document.get("budgets") or {}, members),
        "labels": _labels(document.get("budgets") or {}, members),
        "canary": document.get("canary") or None,
        "seconds": document.get("seconds"),
    }


def _region(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    change = change_of(row)
    return {
        "title": region_title(name),
        "people": row.get("people"),
        "alone": row.get("auc_alone"),
        "joined": row.get("auc_from_lines"),
        "change": "–" if change is None else signed(change),
    }


def _line(name: str, found: Mapping[str, Any], members: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    rows = found.get("rounds") or []
    parties = sum(member["dataset"] == name for member in members) or max(
        (_count(row["survivors"]) for row in rows), default=0
    )
    rounds = [_round(row, members, parties) for row in rows]
    done = [row for row in rounds if not row["code"]]
    up = sum(row["up"] or 0 for row in rows) / parties if parties and rows else None
    return {
        "title": party_title(name),
        "parties": parties,
        "planned": found.get("planned", len(rows)),
        "done": found.get("done", len(done)),
        "parameters": found.get("parameters"),
        "method": found.get("method", "secure"),
        "placement": placement_title(found.get("placement", "")),
        "fewest": min((row["survivors"] for row in done), default=None),
        "seconds": sum(row["seconds"] for row in rounds) / len(rounds) if rounds else None,
        "up": None if up is None else round(up),
        "rounds": rounds,
    }


def _round(row: Mapping[str, Any], members: Sequence[Mapping[str, str]], parties: int) -> dict[str, Any]:
    dropped, silent = row.get("dropped", {}), row.get("silent", {})
    return {
        "round": row["round"],
        "code": row.get("code", ""),
        "survivors": _count(row["survivors"]),
        "dropped": _lost(dropped, members),
        "silent": _lost(silent, members),
        "lost": _count(dropped) + _count(silent),
        "seconds": row["seconds"],
        "norm": row.get("norm"),
        "clipped": row.get("clipped", False),
        "up": round(row["up"] / parties) if parties else None,
    }


def _count(value: Sequence[str] | Mapping[str, str] | int) -> int:
    """Return how many these are: a long account of rounds has numbers in the place of names."""
    return value if isinstance(value, int) else len(value)


def _lost(value: Mapping[str, str] | int, members: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return who was lost with its code; nothing where the account has only their number."""
    if isinstance(value, int):
        return []
    return [{"title": node_title(name, members), "code": code} for name, code in value.items()]


def _budgets(budgets: Mapping[str, Any], members: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    rows = []
    for name, told in budgets.items():
        account = told.get("lines")
        if account:
            rows.append(
                {
                    "title": node_title(name, members),
                    "asset": party_title(account["asset"]),
                    "spent": account["epsilon_spent"],
                    "reserved": account["epsilon_reserved"],
                    "cap": account["cap_epsilon"],
                    "delta": _power_of_ten(account["delta"]),
                    "history": [_entry(entry) for entry in account["history"]],
                }
            )
    return rows


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    one = entry["per_round"]
    steps = one["steps_per_round"]
    return {
        "run": f"{entry['run_id']}, {entry['attempt']}",
        "mechanism": mechanism_title(one["mechanism"]),
        "sigma": f"{one['sigma_milli'] / _THOUSAND:g}",
        "rate": f"{one['sample_rate_ppm'] / _MILLION:g}",
        "steps": f"{steps * entry['rounds_charged']} / {steps * entry['rounds_reserved']}",
        "alone": entry["epsilon_alone"],
        "after": entry["epsilon_after"],
    }


def _labels(budgets: Mapping[str, Any], members: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the accounts of those nodes that released labels."""
    found = ((name, told.get("labels_in_a_year") or {}) for name, told in budgets.items())
    return [
        {"title": node_title(name, members), "spent": account["epsilon"], "cap": account["cap_epsilon"]}
        for name, account in found
        if account.get("epsilon")
    ]


def _power_of_ten(value: float) -> str:
    """Return 10⁻⁶ for 1e-06, and other numbers as they are."""
    digits, _, power = f"{value:.0e}".partition("e")
    if digits != "1" or float(f"1e{power}") != value:
        return f"{value:g}"
    return "10" + str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
