"""A request in words, for the officer who decides: what is asked, what would leave, what it would cost, who would refuse it.

Everything comes from the request's document, this node's own files and its own database; the coordinator's number and state are
told as such. Both languages: texts are `department_nodes/texts.py`, titles those of the published purposes and tiers.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from command_line.console import in_language, show_time
from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.governance.costs import Cost, costs_of
from department_nodes.governance.decisions import Refusal, decide_grant
from department_nodes.governance.requests import FetchedRequest, Gathered, gathered_signatures
from department_nodes.preview import leaves_of
from department_nodes.program import program_hash
from policies.contracts.grant import Grant, LineGrant
from policies.contracts.grant_terms import Share
from policies.contracts.run_windows import RunWindow, window_in_words
from policies.standards.loader import BilingualText
from policies.standards.purpose_loader import load_purpose
from policies.standards.tier_loader import load_tier

Say = Callable[..., str]


@dataclass(frozen=True)
class ShownRequest:
    """What an officer is shown."""

    request: FetchedRequest
    leaves: list[dict[str, Any]]
    costs: list[Cost]
    refusals: list[Refusal]
    signatures: list[Gathered]

    @property
    def grant(self) -> Grant | LineGrant:
        """The document."""
        return self.request.signed.grant

    def as_json(self) -> dict[str, Any]:
        """Return all of it for machines."""
        return {
            "number": self.request.number,
            "state": self.request.state,
            "grant_hash": self.request.signed.grant_hash,
            "grant": self.grant.model_dump(mode="json"),
            "leaves": self.leaves,
            "costs": [asdict(cost) | {"fits": cost.fits} for cost in self.costs],
            "refusals": [asdict(refusal) for refusal in self.refusals],
            "signatures": [
                {"party": item.needed.party, "needed": item.needed.count, "signed": item.people}
                for item in self.signatures
            ],
        }


def show_request(engine: NodeEngine, request: FetchedRequest) -> ShownRequest:
    """Return a request as this node sees it. Raises `grant.not_a_participant`, and `extract.faults` for its own extract."""
    grant = request.signed.grant
    grant.share(engine.home.config.department)
    return ShownRequest(
        request=request,
        leaves=leaves_of(engine.home, grant),
        costs=costs_of(engine, grant),
        refusals=decide_grant(engine, grant),
        signatures=gathered_signatures(request.signed),
    )


def terms_in_words(grant: Grant | LineGrant, say: Say) -> list[str]:
    """Return what a grant allows, line after line, in the officer's language."""
    program = "program_here" if grant.program_hash == program_hash() else "program_other"
    lines = [
        say(
            "asked.purpose", purpose=grant.purpose, title=purpose_title(grant.purpose), why=_purpose_text(grant.purpose)
        ),
        say("asked.project", project=grant.project_id, region=grant.region, lead=grant.lead_department),
        say("asked.time", start=show_time(grant.not_before), end=show_time(grant.expires_at)),
        say(
            "asked.runs",
            runs=grant.runs_allowed,
            attempts=grant.attempts_allowed,
            scheduler=grant.scheduler.department,
        ),
        windows_in_words(grant.windows, say),
        *(_line_terms(grant, say) if isinstance(grant, LineGrant) else _region_terms(grant, say)),
        say(f"asked.{program}", hash=grant.program_hash[:16]),
    ]
    return lines


def participants_in_words(grant: Grant | LineGrant, say: Say) -> list[dict[str, str]]:
    """Return one row per department: its role, tier, data, operations and columns."""
    return [
        {
            "department": share.department,
            "role": say(f"role.{share.role}"),
            "tier": tier_title(share),
            "dataset": f"{share.dataset}/{share.standard_version}",
            "people": str(share.declared_people),
            "operations": say("list.separator").join(say(f"operation.{each.value}") for each in share.operations),
            "columns": ", ".join(share.columns),
        }
        for share in grant.shares
    ]


def windows_in_words(windows: Sequence[RunWindow], say: Say) -> str:
    """Return when runs may happen."""
    if not windows:
        return say("asked.any_time")
    return say("asked.windows", windows=say("list.separator").join(_window(window, say) for window in windows))


def purpose_title(purpose: str) -> str:
    """Return a published purpose's title in this language; the name itself if it is not published here."""
    try:
        return _in_words(load_purpose(purpose).title)
    except DoudiError:
        return purpose


def tier_title(share: Share) -> str:
    """Return the tier of a share in this language; its name if it is not published here."""
    try:
        return f"{share.tier} {_in_words(load_tier(share.tier, share.tier_version).title)}"
    except DoudiError:
        return share.tier


def _region_terms(grant: Grant, say: Say) -> list[str]:
    label, evidence = grant.label, grant.evidence
    return [
        say("asked.modes", modes=say("list.separator").join(say(f"mode.{mode}") for mode in grant.modes)),
        say(
            "asked.label",
            target=label.target,
            period=label.label_period,
            epsilon=f"{label.epsilon_milli / 1000:g}",
            held_out=label.held_out_percent,
        ),
        say("asked.evidence", levels=evidence.levels, bits=evidence.bits_per_person_and_year),
        say("asked.linkage", holders=grant.linkage.min_key_holders),
    ]


def _line_terms(grant: LineGrant, say: Say) -> list[str]:
    training = grant.training
    return [
        say("asked.line", target=grant.target, period=grant.label_period, model=training.model),
        say(
            "asked.line_noise",
            placement=say(f"placement.{training.placement}"),
            sigma=f"{training.noise_multiplier:g}",
            clip=f"{training.clip_norm:g}",
            rate=f"{100 * training.sample_rate:g}",
            steps=training.local_steps,
            rounds=training.rounds,
        ),
        say("asked.line_sum", method=grant.aggregation.method, survivors=grant.aggregation.min_survivors),
    ]


def _window(window: RunWindow, say: Say) -> str:
    days, _, hours = window_in_words(window).partition(" ")
    offset = hours[-6:]
    parts = [part.partition("-") for part in days.split(",")]
    named = [
        say("window.days", first=say(f"day.{first}"), last=say(f"day.{last}")) if last else say(f"day.{first}")
        for first, _, last in parts
    ]
    return say("window", days=say("list.separator").join(named), hours=hours[:-6].replace("-", "–"), offset=offset)


def _purpose_text(purpose: str) -> str:
    try:
        return _in_words(load_purpose(purpose).description)
    except DoudiError:
        return "–"


def _in_words(text: BilingualText) -> str:
    return in_language((text.en, text.zh))
