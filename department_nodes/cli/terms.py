"""The options by which an officer says what to ask for: the same for a draft in a file and for a request at the coordinator."""

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from department_nodes.home import NodeHome

if TYPE_CHECKING:
    from policies.contracts.grant import Grant, LineGrant
    from policies.contracts.run_windows import RunWindow

Out = Annotated[Path, typer.Option(help="where to write the draft")]
Project = Annotated[str, typer.Option(help="project")]
Purpose = Annotated[str, typer.Option(help="purpose, for example social_assistance")]
Days = Annotated[int, typer.Option(min=1, help="days until it expires")]
Runs = Annotated[int, typer.Option(min=1, help="runs that it allows")]
Windows = Annotated[
    list[str] | None,
    typer.Option(
        "--window", help="when runs may happen, such as 'mon-fri 22:00-24:00+08:00'; repeat; none: at any time"
    ),
]
Command = Callable[..., None]


def with_options_of(source: Callable[..., Any]) -> Callable[[Command], Command]:
    """Give a command the options of `source` besides its own; it gets them as `**terms` and hands them on to `source`."""

    def widen(command: Command) -> Command:
        own = [each for each in inspect.signature(command).parameters.values() if each.kind is not each.VAR_KEYWORD]
        more = list(inspect.signature(source).parameters.values())[1:]
        options = [each.replace(kind=each.KEYWORD_ONLY) for each in (*own, *more)]
        # What typer reads of a command.
        command.__signature__ = inspect.Signature(options, return_annotation=None)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in options} | {"return": None}
        return command

    return widen


def region_draft(
    node: NodeHome,
    project: Project,
    purpose: Purpose,
    target: Annotated[str, typer.Option(help="the outcome column")],
    label_period: Annotated[str, typer.Option(help="period in which a household's bit stays, for example 2026")],
    departments: Annotated[list[str], typer.Option("--department", help="supporting department; repeat")],
    epsilon: Annotated[float, typer.Option(min=0.001, max=8, help="ε of the label, per household and period")] = 1.0,
    mode: Annotated[str, typer.Option(help="evidence, sum-only or both")] = "both",
    days: Days = 365,
    runs: Runs = 5,
    min_key_holders: Annotated[int, typer.Option(min=2)] = 3,
    bits_per_year: Annotated[int, typer.Option(min=1, help="evidence bits per person and year")] = 60,
    lines: Annotated[bool, typer.Option(help="the released bits may also train the departments' lines")] = False,
    windows: Windows = None,
) -> "Grant":
    """Return the draft of a region's grant that this department leads, from the cards that it has pinned."""
    from department_nodes.officers import draft_grant, make_card
    from department_nodes.trust import flower_public_key
    from policies.contracts.drafting import GrantTerms

    _require_finite(epsilon, "between 0.001 and 8")
    modes = {"evidence": ("evidence",), "sum-only": ("sum_only",), "both": ("evidence", "sum_only")}
    if mode not in modes:
        raise typer.BadParameter("expected evidence, sum-only or both", param_hint="--mode")
    terms = GrantTerms(
        project_id=project,
        purpose=purpose,
        target=target,
        label_period=label_period,
        epsilon_milli=round(1000 * epsilon),
        days=days,
        runs_allowed=runs,
        min_key_holders=min_key_holders,
        bits_per_person_and_year=bits_per_year,
        modes=cast(tuple[Literal["evidence", "sum_only"], ...], modes[mode]),
        lines=lines,
        windows=_windows(windows),
    )
    return draft_grant(node, make_card(node, flower_public_key(node)), departments, terms)


def line_draft(
    node: NodeHome,
    project: Project,
    purpose: Purpose,
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
    days: Days = 365,
    runs: Runs = 3,
    windows: Windows = None,
) -> "LineGrant":
    """Return the draft of a line's grant that this department leads, from the cards that it has pinned.

    What is not given has the measured default of the chosen placement. The noise follows from ε by the accountant.
    """
    from department_nodes.lines.officers import LineTerms, default_terms, draft_line_grant
    from department_nodes.officers import make_card
    from department_nodes.trust import flower_public_key

    if placement not in ("local", "distributed"):
        raise typer.BadParameter("expected local or distributed", param_hint="--placement")
    if method not in ("secure", "median", "krum"):
        raise typer.BadParameter("expected secure, median or krum", param_hint="--method")
    _require_finite(epsilon, "between 0.01 and 100")
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
        training=default_terms(cast(Literal["local", "distributed"], placement), given),
        windows=_windows(windows),
    )
    return draft_line_grant(node, make_card(node, flower_public_key(node)), departments, terms)


def _windows(given: list[str] | None) -> "tuple[RunWindow, ...]":
    from policies.contracts.run_windows import parse_window

    return tuple(parse_window(text) for text in given or ())


def _require_finite(epsilon: float, expected: str) -> None:
    if not math.isfinite(epsilon):
        raise typer.BadParameter(f"expected a number {expected}", param_hint="--epsilon")


def _scaled(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)
