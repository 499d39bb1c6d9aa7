"""A grant in words, for the officer who signs it. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime

from policies.contracts.grant import Grant


def grant_summary(grant: Grant, say: Callable[..., str]) -> list[str]:
    """Return the lines that an officer reads before signing: everything that the signature allows.

    `say(key, **values)` gives a text in the officer's language: `Console(TEXTS).text`.
    """
    lines = [
        say("grant.heading", grant=grant.grant_id, project=grant.project_id),
        say("grant.purpose", purpose=grant.purpose, region=grant.region),
        say("grant.period", start=_time(grant.not_before), end=_time(grant.expires_at)),
        say(
            "grant.runs",
            runs=grant.runs_allowed,
            attempts=grant.attempts_allowed,
            modes=", ".join(grant.modes),
            scheduler=grant.scheduler.department,
        ),
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
        lines.append(
            say(
                "grant.participant",
                role=say(f"grant.{participant.role}"),
                department=participant.department,
                dataset=f"{participant.dataset}/{participant.standard_version}",
                columns=len(participant.columns),
                people=participant.declared_people,
                operations=", ".join(operation.value for operation in participant.operations),
            )
        )
        lines.append(say("grant.columns", columns=", ".join(participant.columns)))
    return lines


def _time(seconds: int) -> str:
    # A date beyond year 9999 in a grant must not end the summary in a crash.
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
