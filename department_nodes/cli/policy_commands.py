"""The site's own policy: its rules and limits, and which of them decides a given request."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from command_line.console import ExitCode, ending_with_code
from command_line.documents import write_atomically
from crypto.errors import DoudiError
from department_nodes.cli.request_commands import show_refusals
from department_nodes.cli.start import AsJson, HomeOption, connect, console, open_home
from department_nodes.home import SITE_POLICY_FILE

app = typer.Typer(
    name="policy",
    help="This site's own policy 站点策略: it narrows every grant, and only this department changes it.",
    no_args_is_help=True,
)


@app.command()
@ending_with_code
def show(home: HomeOption, as_json: AsJson = False) -> None:
    """Show the rules of site-policy.cedar and every limit in force: the site's, or the tier's where that is stricter."""
    from department_nodes.governance.decisions import limits_of
    from department_nodes.site import site_rules

    node = open_home(home)
    rules, limits, config = site_rules(node), limits_of(node), node.config
    others = {
        name: value
        for name, value in config.policy.model_dump(mode="json").items()
        if name not in {limit.name for limit in limits}
    }
    if as_json:
        found = {
            "rules": [{"id": rule.id, "line": rule.line} for rule in rules.rules],
            "policy_hash": rules.policy_hash,
            "limits": [asdict(limit) | {"decided_by": limit.decided_by} for limit in limits],
            "site_only": others,
            "allowed_purposes": list(config.allowed_purposes),
        }
        print(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    print(console.text("policy.limits", tier=f"{config.tier}/{config.tier_version}"))
    columns = ["limit", "site", "tier", "in_force", "decided_by"]
    shown: list[dict[str, Any]] = [
        {
            "limit": limit.name,
            "site": limit.site,
            "tier": limit.tier,
            "in_force": limit.in_force,
            "decided_by": console.text(f"decided.{limit.decided_by}"),
        }
        for limit in limits
    ]
    shown += [
        {"limit": name, "site": value, "tier": "–", "in_force": value, "decided_by": console.text("decided.site")}
        for name, value in others.items()
    ]
    console.rows(columns, shown, as_json=False)
    if not rules.rules:
        print(console.text("policy.no_rules"))
        return
    print(console.text("policy.rules"))
    for rule in rules.rules:
        print(f"{SITE_POLICY_FILE}:{rule.line}  @id({rule.id})")


@app.command()
@ending_with_code
def check(home: HomeOption, as_json: AsJson = False) -> None:
    """Check site-policy.cedar and node.toml: rules parse, fit the schema and only forbid; the tier is published here."""
    from department_nodes.site import site_rules

    rules = site_rules(open_home(home))
    console.fact("policy.ok", {"rules": len(rules.rules), "hash": rules.policy_hash}, as_json=as_json)


@app.command("test")
@ending_with_code
def decide(
    grant: Annotated[
        str, typer.Argument(metavar="NUMBER|HASH|GRANT", help="a request's number, a grant's hash, or a file")
    ],
    home: HomeOption,
    as_json: AsJson = False,
) -> None:
    """Show every clause, limit and rule that refuses a grant here, not only the first. Exit code 3 when one does."""
    from department_nodes.engine import NodeEngine
    from department_nodes.governance.decisions import decide_grant
    from department_nodes.governance.finding import find_named_grant

    node = open_home(home)
    engine = NodeEngine(node)
    named = find_named_grant(engine, lambda: connect(node), grant)
    if named.signed is None:
        raise DoudiError(
            "grant.unknown", "neither this node nor the coordinator knows this grant", "Give it as a file."
        )
    refusals = decide_grant(engine, named.signed.grant)
    facts = {"hash": named.grant_hash, "count": len(refusals)}
    if as_json:
        found = {"grant_hash": named.grant_hash, "allowed": not refusals, "refusals": [asdict(one) for one in refusals]}
        print(json.dumps(found, ensure_ascii=False, sort_keys=True))
    else:
        if refusals:
            show_refusals(refusals)
        console.fact("policy.refused" if refusals else "policy.allowed", facts, as_json=False)
    if refusals:
        raise typer.Exit(int(ExitCode.REFUSED))


@app.command()
@ending_with_code
def default(
    home: HomeOption, replace: Annotated[bool, typer.Option(help="replace the rules that are there")] = False
) -> None:
    """Write the shipped site-policy.cedar into the node's folder, where there is none."""
    from policies.authorization.site import default_site_policy

    path = open_home(home).path / SITE_POLICY_FILE
    if path.exists() and not replace:
        raise DoudiError("file.exists", f"{SITE_POLICY_FILE} is there already", "Use --replace to lose your own rules.")
    write_atomically(path, default_site_policy().encode(), 0o644)
    console.fact("policy.written", {}, as_json=False)
