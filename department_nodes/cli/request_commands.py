"""Requests for access at the coordinator: asking, seeing exactly what is asked, approving, refusing, withdrawing."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from command_line.console import ending_with_code
from department_nodes.cli.start import (
    AsJson,
    HomeOption,
    Yes,
    ask,
    connect,
    console,
    open_home,
    show_leaves,
    state_in_words,
)
from department_nodes.cli.terms import line_draft, region_draft, with_options_of

if TYPE_CHECKING:
    from department_nodes.governance.costs import Cost
    from department_nodes.governance.showing import ShownRequest
    from department_nodes.home import NodeHome
    from policies.contracts.grant import Grant, LineGrant

app = typer.Typer()

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="the request's number")]
Reason = Annotated[str, typer.Option(help="why, in a sentence that the other parties will read")]
DraftOnly = Annotated[bool, typer.Option("--draft-only", help="do not submit it yet")]


@app.command()
@ending_with_code
@with_options_of(region_draft)
def request(home: HomeOption, draft_only: DraftOnly = False, as_json: AsJson = False, **terms: Any) -> None:
    """Ask the owners and the centre for a grant that this department leads. The request is the grant that they will sign."""
    node = open_home(home)
    _hand_in(node, region_draft(node, **terms), draft_only, as_json)


@app.command("request-line")
@ending_with_code
@with_options_of(line_draft)
def request_line(home: HomeOption, draft_only: DraftOnly = False, as_json: AsJson = False, **terms: Any) -> None:
    """Ask the other regions and the centre for the grant of a line that this department leads."""
    node = open_home(home)
    _hand_in(node, line_draft(node, **terms), draft_only, as_json)


@app.command("submit-request")
@ending_with_code
def submit_request(number: Number, home: HomeOption, as_json: AsJson = False) -> None:
    """Submit a request that was only drafted: now the owners and the centre decide."""
    from department_nodes.governance import requests

    answer = requests.submit_request(connect(open_home(home)), number)
    console.fact("request.submitted", {"number": number, "hash": answer.grant_hash}, as_json=as_json)


@app.command("requests")
@ending_with_code
def list_requests(
    home: HomeOption,
    state: Annotated[str, typer.Option(help="only those in this state, for example submitted")] = "",
    newest: Annotated[int, typer.Option(min=1, help="how many to list")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the requests that name this department, newest first, as the coordinator tells them."""
    from itertools import islice

    from department_nodes.governance import requests

    found = [row.model_dump() for row in islice(requests.list_requests(connect(open_home(home)), state), newest)]
    if not found and not as_json:
        console.note("no_requests")
        return
    shown = [
        {
            **row,
            "state": state_in_words(row["state"]),
            "project": row["project_id"],
            "grant": row["grant_hash"][:16],
        }
        for row in found
    ]
    columns = ["number", "state", "project", "purpose", "lead", "grant"]
    console.rows(columns, found if as_json else shown, as_json=as_json)


@app.command("show-request")
@ending_with_code
def show_request(number: Number, home: HomeOption, as_json: AsJson = False) -> None:
    """Show exactly what a request asks, what would leave this node, what it would cost, and which rule would refuse it."""
    from department_nodes.engine import NodeEngine
    from department_nodes.governance import requests, showing

    node = open_home(home)
    shown = showing.show_request(NodeEngine(node), requests.fetch_request(connect(node), number))
    if as_json:
        print(json.dumps(shown.as_json(), ensure_ascii=False, sort_keys=True))
        return
    _print_request(shown, node.config.department)


@app.command()
@ending_with_code
def approve(
    number: Number,
    home: HomeOption,
    grant_hash: Annotated[
        str, typer.Option(help="approve only if the request's grant has this hash, which you have checked before")
    ] = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show a request, ask, and sign its grant with your approval key, for this department. The signature is sent.

    DOUDI_OFFICER_KEYS names the folder of your key, if it is not the node's own.
    """
    from crypto.errors import DoudiError
    from department_nodes.engine import NodeEngine
    from department_nodes.governance import requests, showing
    from department_nodes.grant_clauses import verify_grant_terms, verify_not_revoked

    node = open_home(home)
    engine, client = NodeEngine(node), connect(node)
    fetched = requests.fetch_request(client, number)
    grant = fetched.signed.grant
    if grant_hash not in ("", fetched.signed.grant_hash):
        raise DoudiError(
            "grant.wrong_hash", "the request's grant is another than the one you checked", "Read it again."
        )
    if not as_json:
        _print_request(showing.show_request(engine, fetched), node.config.department)
    now_s = int(engine.clock())
    verify_grant_terms(grant, engine.site(), now_s)
    # Whether lists are recent matters when it runs; who has taken the grant back already, matters now.
    verify_not_revoked(fetched.signed.grant_hash, grant.departments, (), (), engine.site(), now_s)
    ask("confirm_approve", yes, number=number, department=node.config.department)
    gathered = requests.approve_request(engine, client, fetched)
    facts = {
        "number": number,
        "department": node.config.department,
        "hash": fetched.signed.grant_hash,
        "count": gathered.people,
        "needed": gathered.needed.count,
        "missing": gathered.missing,
    }
    console.fact("approved", facts, as_json=as_json)


@app.command()
@ending_with_code
def refuse(number: Number, home: HomeOption, reason: Reason, yes: Yes = False, as_json: AsJson = False) -> None:
    """Refuse a request for this department. It ends there; a new one can be made."""
    from department_nodes.engine import NodeEngine
    from department_nodes.governance import requests

    node = open_home(home)
    client = connect(node)
    fetched = requests.fetch_request(client, number)
    ask("confirm_refuse", yes, number=number, department=node.config.department)
    answer = requests.refuse_request(NodeEngine(node), client, fetched, reason)
    state = answer.state if as_json else state_in_words(answer.state)
    console.fact("request.refused", {"number": number, "state": state}, as_json=as_json)


@app.command()
@ending_with_code
def withdraw(number: Number, home: HomeOption, reason: Reason = "", as_json: AsJson = False) -> None:
    """Withdraw a request of this department, before it is in force. Afterwards only `revoke` ends it."""
    from department_nodes.engine import NodeEngine
    from department_nodes.governance import requests

    node = open_home(home)
    answer = requests.withdraw_request(NodeEngine(node), connect(node), number, reason)
    state = answer.state if as_json else state_in_words(answer.state)
    console.fact("request.withdrawn", {"number": number, "state": state}, as_json=as_json)


def _hand_in(node: "NodeHome", grant: "Grant | LineGrant", draft_only: bool, as_json: bool) -> None:
    from department_nodes.engine import NodeEngine
    from department_nodes.governance import requests
    from policies.contracts.grant import required_signatures

    client = connect(node)
    answer = requests.draft_request(NodeEngine(node), client, grant)
    if not draft_only:
        answer = requests.submit_request(client, answer.number)
    needed = {item.party: item.count for item in required_signatures(grant)}
    facts = {"number": answer.number, "hash": answer.grant_hash, "state": answer.state, "needed": needed}
    console.fact("request.drafted" if draft_only else "request.submitted", facts, as_json=as_json)
    if as_json:
        return
    for party, count in needed.items():
        command = f"doudi {'centre' if party == 'centre' else 'node'} approve {answer.number}"
        print(console.text("request.needed", party=party, count=count, command=command))


def _print_request(shown: "ShownRequest", department: str) -> None:
    from department_nodes.governance.showing import participants_in_words, terms_in_words

    grant, request = shown.grant, shown.request
    names = {"number": request.number, "state": state_in_words(request.state), "grant": request.signed.grant_hash}
    print(console.text("asked.heading", **names))
    for line in terms_in_words(grant, console.text):
        print(line)
    print(console.text("asked.participants"))
    columns = ["department", "role", "tier", "dataset", "people", "operations", "columns"]
    console.rows(columns, participants_in_words(grant, console.text), as_json=False)
    print(console.text("asked.leaves", department=department))
    show_leaves(shown.leaves)
    print(console.text("asked.costs", department=department))
    columns = ["budget", "spent", "runs", "per_run", "added", "together", "cap", "decided_by", "fits"]
    console.rows(columns, [_cost_row(cost) for cost in shown.costs], as_json=False)
    print(console.text("asked.signatures"))
    rows = [
        {"party": item.needed.party, "needed": item.needed.count, "signed": item.people} for item in shown.signatures
    ]
    console.rows(["party", "needed", "signed"], rows, as_json=False)
    show_refusals(shown.refusals)


def show_refusals(refusals: "Any") -> None:
    """Print every reason why this node would refuse a grant, or that it would allow it."""
    if not refusals:
        print(console.text("asked.allowed"))
        return
    print(console.text("asked.refused"))
    rows = [
        {
            "origin": console.text(f"origin.{refusal.origin}"),
            "code": refusal.code,
            "rule": refusal.rule or "–",
            "message": refusal.message,
        }
        for refusal in refusals
    ]
    console.rows(["origin", "code", "rule", "message"], rows, as_json=False)


def _cost_row(cost: "Cost") -> dict[str, str]:
    figures = {name: f"{getattr(cost, name):g}" for name in ("spent", "per_run", "together", "cap")}
    if cost.budget == "lines":
        figures = {name: f"{getattr(cost, name):.2f}" for name in figures}
    return {
        **figures,
        "budget": console.text(f"cost.{cost.budget}"),
        "runs": str(cost.runs),
        "added": f"{cost.grant:.2f}" if cost.budget == "lines" else f"{cost.grant:g}",
        "decided_by": console.text(f"decided.{cost.decided_by}"),
        "fits": console.text("yes" if cost.fits else "no"),
    }
