"""Lines: drafting the grant of a line, and the models that came of them. Everything else is as for any grant and run."""

import math
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from command_line.console import ending_with_code, show_time
from department_nodes.cli.start import AsJson, HomeOption, console, open_home, write_and_name

app = typer.Typer()


@app.command("draft-line")
@ending_with_code
def draft_line(
    home: HomeOption,
    out: Annotated[Path, typer.Option(help="where to write the draft")],
    project: Annotated[str, typer.Option(help="project")],
    purpose: Annotated[str, typer.Option(help="purpose, for example social_assistance")],
    area: Annotated[str, typer.Option(help="the area that the line spans; the region of the project")],
    target: Annotated[str, typer.Option(help="the outcome column whose released bits are used")],
    label_period: Annotated[str, typer.Option(help="period of the released bits, for example 2026")],
    departments: Annotated[
        list[str], typer.Option("--department", help="the same department in another region; repeat")
    ],
    epsilon: Annotated[float, typer.Option(min=0.01, max=100, help="ε of one run per person; sets the noise")] = 3.0,
    delta_exponent: Annotated[int, typer.Option(min=5, max=12, help="δ = 10^-this")] = 6,
    placement: Annotated[
        str, typer.Option(help="local: each update is private; distributed: only the sum is")
    ] = "local",
    method: Annotated[str, typer.Option(help="secure (masked sums), or median or krum over plain updates")] = "secure",
    rounds: Annotated[int | None, typer.Option(min=1, max=999, help="rounds; 40 unless you say so")] = None,
    local_steps: Annotated[int | None, typer.Option(min=1, help="local: steps per round")] = None,
    sample_rate: Annotated[float | None, typer.Option(min=0.000001, max=1, help="local: Poisson sampling rate")] = None,
    clip_norm: Annotated[float | None, typer.Option(min=0.001, help="L2 norm of one person's gradient")] = None,
    local_rate: Annotated[float | None, typer.Option(min=0.000001, help="local: learning rate of a step")] = None,
    server_rate: Annotated[float | None, typer.Option(min=0.001, help="how far the average moves the model")] = None,
    server_momentum: Annotated[float | None, typer.Option(min=0, max=0.999, help="of former averages")] = None,
    min_survivors: Annotated[int, typer.Option(min=3, max=32, help="departments that every round must keep")] = 3,
    honest_percent: Annotated[int, typer.Option(min=34, max=100, help="distributed: survivors that add noise")] = 67,
    krum_malicious: Annotated[int, typer.Option(min=0, max=10, help="krum: updates taken for malicious")] = 0,
    days: Annotated[int, typer.Option(min=1, help="days until it expires")] = 365,
    runs: Annotated[int, typer.Option(min=1, help="runs that it allows")] = 3,
) -> None:
    """Draft the grant of a line that this department leads. Nobody is bound before every party has signed it.

    What is not given has the measured default of the chosen placement. The noise follows from ε by the accountant.
    """
    from department_nodes.lines.officers import LineTerms, default_terms, draft_line_grant
    from department_nodes.officers import make_card
    from department_nodes.trust import flower_public_key
    from policies.contracts.grant import SignedGrant

    node = open_home(home)
    if placement not in ("local", "distributed"):
        raise typer.BadParameter("expected local or distributed", param_hint="--placement")
    if method not in ("secure", "median", "krum"):
        raise typer.BadParameter("expected secure, median or krum", param_hint="--method")
    if not math.isfinite(epsilon):
        raise typer.BadParameter("expected a number between 0.01 and 100", param_hint="--epsilon")
    chosen_placement = cast(Literal["local", "distributed"], placement)
    given = {
        "rounds": rounds,
        "local_steps": local_steps,
        "sample_rate_ppm": _scaled(sample_rate, 1_000_000),
        "clip_norm_milli": _scaled(clip_norm, 1000),
        "local_rate_micro": _scaled(local_rate, 1_000_000),
        "server_rate_milli": _scaled(server_rate, 1000),
        "server_momentum_milli": _scaled(server_momentum, 1000),
    }
    terms = LineTerms(
        project_id=project,
        purpose=purpose,
        region=area,
        target=target,
        label_period=label_period,
        epsilon=epsilon,
        delta_exponent=delta_exponent,
        method=cast(Literal["secure", "median", "krum"], method),
        min_survivors=min_survivors,
        honest_percent=honest_percent,
        krum_malicious=krum_malicious,
        days=days,
        runs_allowed=runs,
        training=default_terms(chosen_placement, given),
    )
    grant = draft_line_grant(node, make_card(node, flower_public_key(node)), departments, terms)
    write_and_name(out, SignedGrant(grant=grant).to_bytes())
    console.fact("drafted", {"hash": grant.digest()}, as_json=False)


@app.command("line-models")
@ending_with_code
def line_models(home: HomeOption, as_json: AsJson = False) -> None:
    """List the models that came of this node's lines, newest first. The newest may be the start of the region's training."""
    from department_nodes.engine import NodeEngine
    from department_nodes.lines.start import adopted_models

    found = adopted_models(NodeEngine(open_home(home)).db)
    if not found and not as_json:
        console.note("no_line_models")
        return
    rows = [{**row, "at": show_time(row["at"]) if not as_json else row["at"]} for row in found]
    console.rows(["at", "model", "target", "run", "bytes"], rows, as_json=as_json)


def _scaled(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)
