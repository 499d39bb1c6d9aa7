"""The department's asset in the catalogue, and its revocations."""

import time
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from command_line.console import ExitCode, ending_with_code, show_time
from crypto.errors import DoudiError
from department_nodes.cli.start import AsJson, HomeOption, Yes, ask, connect, console, open_home

if TYPE_CHECKING:
    from department_nodes.engine import NodeEngine
    from department_nodes.home import NodeHome
    from policies.contracts.revocations import RevocationReason, SignedRevocationList

app = typer.Typer()


@app.command("register-asset")
@ending_with_code
def register_asset(
    home: HomeOption,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="no new request may name the asset any more")] = False,
    as_json: AsJson = False,
) -> None:
    """Register this department's data asset in the catalogue, or its changes: standard, people, tier, purposes, steward."""
    from department_nodes.engine import NodeEngine
    from department_nodes.governance.assets import register

    node = open_home(home)
    asset = register(NodeEngine(node), connect(node), withdrawn=withdraw).asset
    facts = {
        "department": asset.owner,
        "dataset": asset.dataset,
        "revision": asset.revision,
        "people": asset.people,
        "tier": asset.tier,
        "withdrawn": asset.withdrawn,
    }
    console.fact("asset.withdrawn" if withdraw else "asset", facts, as_json=as_json)


@app.command()
@ending_with_code
def assets(home: HomeOption, as_json: AsJson = False) -> None:
    """List the catalogue of data assets, as the coordinator tells it. Compare an owner's card before you rely on it."""
    from department_nodes.governance.assets import list_assets

    found = [row.model_dump() for row in list_assets(connect(open_home(home)))]
    if not found and not as_json:
        console.note("no_assets")
        return
    shown = [
        {
            **row,
            "purpose": ", ".join(row["allowed_purposes"]),
            "state": console.text("state.asset_withdrawn" if row["withdrawn"] else "state.registered"),
        }
        for row in found
    ]
    columns = ["owner", "dataset", "region", "people", "tier", "steward", "purpose", "revision", "state"]
    console.rows(columns, found if as_json else shown, as_json=as_json)


@app.command()
@ending_with_code
def revoke(
    grant: Annotated[
        str, typer.Argument(metavar="NUMBER|HASH|GRANT", help="a request's number, a grant's hash, or a file")
    ],
    home: HomeOption,
    reason: Annotated[
        str,
        typer.Option(help="purpose_ended, consent_withdrawn, key_taken, data_wrong, misuse or other"),
    ],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take a grant back for this department, for good. It works here at once; at the others within the stated time."""
    from department_nodes.engine import NodeEngine
    from department_nodes.governance.finding import find_named_grant
    from department_nodes.governance.revoking import REASONS, revoke_grant

    node = open_home(home)
    engine = NodeEngine(node)
    if reason not in REASONS:
        raise typer.BadParameter(f"expected one of {', '.join(REASONS)}", param_hint="--reason")
    named = find_named_grant(engine, lambda: connect(node), grant)
    if named.signed is not None:
        # The coordinator says which grant a number is: what is taken back is shown, and not its number only.
        meant = named.signed.grant
        period = f"{show_time(meant.not_before)} – {show_time(meant.expires_at)}"
        facts_of = {"project": meant.project_id, "purpose": meant.purpose, "lead": meant.lead_department}
        console.note("revoke.of", **facts_of, period=period, hash=named.grant_hash)
    ask("confirm_revoke", yes, hash=named.grant_hash, department=node.config.department)
    # An older copy of this folder would sign a list that the others take for a rollback: the newest own one is fetched first.
    _exchange(engine, node)
    signed = revoke_grant(engine, named, cast("RevocationReason", reason))
    facts = {
        "hash": named.grant_hash,
        "number": signed.content.number,
        "hours": node.config.policy.max_revocation_age_hours,
    }
    _hand_in(engine, node, signed, "revoked", facts, as_json)


@app.command("publish-revocations")
@ending_with_code
def publish_revocations(home: HomeOption, as_json: AsJson = False) -> None:
    """Renew this department's revocation list by hand: needed only where its key is not on the node's host."""
    from department_nodes.engine import NodeEngine
    from department_nodes.governance.revocation_exchange import issue

    node = open_home(home)
    engine = NodeEngine(node)
    _exchange(engine, node)
    signed = issue(engine)
    _hand_in(engine, node, signed, "revocations.sent", {"number": signed.content.number}, as_json)


@app.command()
@ending_with_code
def revocations(home: HomeOption, as_json: AsJson = False) -> None:
    """Show the newest revocation list of every party: number, age, and the age at which this node refuses to work."""
    rows = list_rows(open_home(home), int(time.time()))
    columns = ["party", "number", "issued_at", "age", "limit_age", "revoked", "state"]
    console.rows(columns, rows if as_json else [shown_list(row) for row in rows], as_json=as_json)


def list_rows(node: "NodeHome", now_s: int) -> list[dict[str, Any]]:
    """Return one row per party that this node trusts, with the age of its newest list in seconds."""
    from department_nodes.home import CENTRE
    from department_nodes.revocations import known_lists

    lists, limit_s = known_lists(node), node.config.policy.max_revocation_age_hours * 3600
    trusted = {card.department for card in node.trust.departments} | {node.config.department}
    rows = []
    for party in (CENTRE, *sorted(trusted)):
        known = lists.get(party)
        row: dict[str, Any] = {"party": party, "limit_age_s": limit_s}
        if known is None:
            rows.append({**row, "number": 0, "issued_at": None, "age_s": None, "revoked": 0, "state": "missing"})
            continue
        content = known.content
        age_s = now_s - content.issued_at
        facts = {"number": content.number, "issued_at": content.issued_at, "age_s": age_s}
        # The own list is always the newest: what this department revokes is in its own folder first.
        stale = age_s > limit_s and party != node.config.department
        rows.append({**row, **facts, "revoked": len(content.revoked), "state": "stale" if stale else "recent"})
    return rows


def shown_list(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `list_rows` for people."""
    return {
        **row,
        "issued_at": show_time(row["issued_at"]),
        "age": "–" if row["age_s"] is None else _hours(row["age_s"]),
        "limit_age": _hours(row["limit_age_s"]),
        "state": console.text(f"list.{row['state']}"),
    }


def _hours(seconds: int) -> str:
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def _exchange(engine: "NodeEngine", node: "NodeHome") -> str:
    """Exchange lists with the coordinator; return the code of what went wrong, or nothing."""
    from department_nodes.governance.revocation_exchange import RevocationExchange

    try:
        RevocationExchange(engine, connect(node)).exchange()
    except DoudiError as error:
        return error.code
    return ""


def _hand_in(
    engine: "NodeEngine",
    node: "NodeHome",
    signed: "SignedRevocationList",
    key: str,
    facts: dict[str, Any],
    as_json: bool,
) -> None:
    """Hand the own list in and tell what was done. Ends with exit code 4 where the list stays here for now."""
    code = _exchange(engine, node)
    console.fact(key, {**facts, "handed_in": not code} if as_json else facts, as_json=as_json)
    if code:
        console.note("revocations.not_sent", number=signed.content.number, code=code)
        raise typer.Exit(int(ExitCode.UNREACHABLE))
