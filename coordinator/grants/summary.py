"""A grant in words, for the officer who signs it. Pure."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from command_line.console import in_language
from coordinator.requests.rules import Value, tier_rows
from crypto.errors import DoudiError
from policies.contracts.grant import Grant, LineGrant
from policies.contracts.grant_terms import GrantBase, Share
from policies.contracts.run_windows import window_in_words
from policies.standards.purpose_loader import load_purpose

Say = Callable[..., str]


def grant_summary(grant: Grant | LineGrant, say: Say) -> list[str]:
    """Return the lines that an officer reads before signing: everything that the signature allows.

    `say(key, **values)` gives a text in the officer's language: `Console(TEXTS).text`.
    """
    return _line_summary(grant, say) if isinstance(grant, LineGrant) else _region_summary(grant, say)


def _region_summary(grant: Grant, say: Say) -> list[str]:
    lines = [
        say("grant.heading", grant=grant.grant_id, project=grant.project_id),
        say("grant.purpose", purpose=_purpose(grant.purpose), region=grant.region),
        *_common(grant, grant.modes, say),
        say(
            "grant.label",
            target=grant.label.target,
            period=grant.label.label_period,
            epsilon=f"{grant.label.epsilon_milli / 1000:g}",
            held_out=grant.label.held_out_percent,
        ),
        say(
            "grant.evidence",
            levels=grant.evidence.levels,
            slots=grant.evidence.max_slots,
            bits=grant.evidence.bits_per_person_and_year,
        ),
        say("grant.linkage", holders=grant.linkage.min_key_holders),
        say("grant.program", program=grant.program_hash),
    ]
    for participant in grant.participants:
        lines += [
            say("grant.participant", **_share(participant, say)),
            say("grant.columns", columns=", ".join(participant.columns)),
            *_rules(grant, participant, say),
        ]
    return lines


def _line_summary(grant: LineGrant, say: Say) -> list[str]:
    training, aggregation = grant.training, grant.aggregation
    lines = [
        say("grant.line_heading", grant=grant.grant_id, project=grant.project_id),
        say("grant.line_purpose", purpose=_purpose(grant.purpose), region=grant.region, lead=grant.lead_department),
        *_common(grant, ["line"], say),
        say(
            "grant.line_model",
            model=training.model,
            version=training.model_version,
            hash=training.model_hash[:16],
            target=grant.target,
            period=grant.label_period,
        ),
        say("grant.line_unit", unit=training.privacy_unit, delta=training.delta_exponent),
        say(
            "grant.line_noise",
            placement=training.placement,
            sigma=f"{training.noise_multiplier:g}",
            clip=f"{training.clip_norm:g}",
            rate=f"{training.sample_rate:g}",
            steps=training.local_steps,
            rounds=training.rounds,
            local_rate=f"{training.local_rate:g}",
        ),
        say(f"grant.line_{training.placement}", honest=training.honest_percent),
        say(
            "grant.line_aggregation",
            method=aggregation.method,
            survivors=aggregation.min_survivors,
            departments=len(grant.participants),
            range=f"{aggregation.update_range:g}",
            norm=f"{aggregation.update_norm_milli / 1000:g}",
            rate=f"{aggregation.server_rate_milli / 1000:g}",
            momentum=f"{aggregation.server_momentum_milli / 1000:g}",
        ),
        say(
            "grant.line_secure" if aggregation.method == "secure" else "grant.line_plain",
            method=aggregation.method,
            malicious=aggregation.krum_malicious,
        ),
        say("grant.program", program=grant.program_hash),
    ]
    for participant in grant.participants:
        lines.append(say("grant.line_participant", region=participant.region, **_share(participant, say)))
        lines += _rules(grant, participant, say)
    # All share them: the grant's own check.
    lines.append(say("grant.columns", columns=", ".join(grant.participants[0].columns)))
    return lines


def _common(grant: GrantBase, modes: Sequence[str], say: Say) -> list[str]:
    return [
        say("grant.period", start=_time(grant.not_before), end=_time(grant.expires_at)),
        say(
            "grant.runs",
            runs=grant.runs_allowed,
            attempts=grant.attempts_allowed,
            modes=", ".join(modes),
            scheduler=grant.scheduler.department,
        ),
        *(say("grant.window", window=window_in_words(window)) for window in grant.windows),
    ]


def _purpose(name: str) -> str:
    """Return a purpose with its published title, so that an officer reads what it means and not only its name."""
    try:
        title = load_purpose(name).title
    except DoudiError:
        return name
    return f"{name} ({in_language((title.en, title.zh))})"


def _rules(grant: Grant | LineGrant, share: Share, say: Say) -> list[str]:
    """Return what is asked of an asset beside its tier's rules, by this device's own copy of the tier."""
    try:
        rows = tier_rows(grant, share)
    except DoudiError:
        return [say("grant.unknown_tier", tier=f"{share.tier}/{share.tier_version}")]
    return [
        say(
            "grant.rule" if row.within else "grant.rule_broken",
            rule=say(f"rule.{row.rule}"),
            asked=_in_words(row.asked, say),
            allowed=_in_words(row.allowed, say),
        )
        for row in rows
    ]


def _in_words(value: Value, say: Say) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "–"
    return say(f"answer.{value}") if value in ("yes", "no") else str(value)


def _share(share: Share, say: Say) -> dict[str, Any]:
    return {
        "role": say(f"grant.{share.role}"),
        "department": share.department,
        "dataset": f"{share.dataset}/{share.standard_version}",
        "columns": len(share.columns),
        "people": share.declared_people,
        "tier": share.tier,
        "operations": ", ".join(operation.value for operation in share.operations),
    }


def _time(seconds: int) -> str:
    # A date beyond year 9999 in a grant must not end the summary in a crash.
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
