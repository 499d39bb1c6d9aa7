"""What this node has spent: its lines' ε over the asset's whole life, and the yearly counters of labels and evidence."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from command_line.console import ending_with_code
from department_nodes.cli.start import AsJson, HomeOption, console, open_home

if TYPE_CHECKING:
    from department_nodes.privacy.budget import BudgetState, HistoryEntry

app = typer.Typer()

BAR_CELLS = 40


@app.command()
@ending_with_code
def budget(
    home: HomeOption,
    newest: Annotated[int, typer.Option(min=1, help="how many attempts to list")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show this node's privacy budgets: lines (composed, for ever), labels and evidence (each in a year). They never add up."""
    from department_nodes.accounts_of_runs import usage
    from department_nodes.engine import NodeEngine
    from department_nodes.lines.budgets import budget_account

    engine = NodeEngine(open_home(home))
    config, spent = engine.home.config, usage(engine)
    policy = config.policy
    state = budget_account(engine.db, config, int(engine.clock())).state(newest)
    labels = {
        "epsilon": spent.label_epsilon_milli / 1000,
        "cap_epsilon": policy.max_label_epsilon_milli_per_year / 1000,
    }
    evidence = {
        "bits_per_person": spent.evidence_bits_per_person,
        "cap_bits_per_person": policy.max_evidence_bits_per_person_and_year,
    }
    if as_json:
        found = {"lines": asdict(state), "labels_in_a_year": labels, "evidence_in_a_year": evidence}
        print(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    _show_lines(state, policy.line_delta_exponent)
    console.fact("budget.labels", labels, as_json=False)
    console.fact("budget.evidence", evidence, as_json=False)
    if state.attempts > len(state.history):
        console.note("budget.shown", shown=len(state.history), attempts=state.attempts)


def _show_lines(state: "BudgetState", delta_exponent: int) -> None:
    facts = {
        "asset": state.asset,
        "spent": f"{state.epsilon_spent:.2f}",
        "reserved": f"{state.epsilon_reserved:.2f}",
        "cap": f"{state.cap_epsilon:.2f}",
        "delta": f"10^-{delta_exponent}",
        "bar": _bar(state),
    }
    console.fact("budget.lines", facts, as_json=False)
    console.fact("budget.bar", facts, as_json=False)
    if not state.history:
        console.fact("budget.no_lines", {}, as_json=False)
        return
    columns = ["run_attempt", "state", "noise", "steps", "epsilon_alone", "epsilon_after"]
    console.rows(columns, [_row(entry) for entry in state.history], as_json=False)


def _bar(state: "BudgetState") -> str:
    def cells(epsilon: float) -> int:
        return round(BAR_CELLS * min(1.0, epsilon / state.cap_epsilon))

    spent, reserved = cells(state.epsilon_spent), cells(state.epsilon_reserved)
    return "█" * spent + "▒" * (reserved - spent) + "·" * (BAR_CELLS - max(spent, reserved))


def _row(entry: "HistoryEntry") -> dict[str, Any]:
    one = entry.per_round
    steps = one.steps_per_round
    noise = console.text(
        f"budget.noise.{one.mechanism}", sigma=f"{one.sigma_milli / 1000:g}", rate=f"{one.sample_rate_ppm / 10_000:g}"
    )
    return {
        "run_attempt": f"{entry.run_id}, {entry.attempt}",
        "state": console.text(f"budget.state.{entry.state}"),
        "noise": noise,
        "steps": f"{steps * entry.rounds_charged}/{steps * entry.rounds_reserved}",
        "epsilon_alone": f"{entry.epsilon_alone:.2f}",
        "epsilon_after": f"{entry.epsilon_after:.2f}",
    }
