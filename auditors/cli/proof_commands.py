"""`doudi audit prove` and `doudi audit check`: proofs that stand alone. Offline."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from auditors.checking import Checked, check_note, check_proof, terms_of_file
from auditors.checking_evidence import check_evidence
from auditors.cli.options import DEFAULT_HOME, AsJson, HomeOption, console, open_home
from auditors.cli.showing import show_findings
from auditors.home import Cards, Home, collected_cards
from auditors.keys import all_keys
from auditors.opened import OpenedRecords
from auditors.opening import OwnKeys
from auditors.proofs import AddedWraps, make_proof
from auditors.terms_chain import TermsChain, verify_terms
from auditors.verification.findings import Findings, exit_code_of
from command_line.console import ending_with_code, show_time
from command_line.documents import read_document_bytes, write_document
from crypto.checkpoint import MAX_NOTE_BYTES
from crypto.errors import DoudiError
from policies.contracts.ledger.entry_proof import MAXIMUM_PROOF_BYTES, EntryProof
from policies.contracts.ledger.evidence import SignedWitnessEvidence
from policies.contracts.ledger.records import Record
from policies.contracts.ledger.terms import SignedLedgerTerms

app = typer.Typer()

OptionalCards = Annotated[
    list[Path] | None,
    typer.Option("--card", help="a party's card, collected from the party itself; repeat; without: those of --home"),
]
TermsFiles = Annotated[
    list[Path] | None,
    typer.Option("--terms", help="the log's terms, for a checkpoint or evidence; repeat; without: those of --home"),
]


@app.command()
@ending_with_code
def prove(
    index: Annotated[int, typer.Argument(min=0, help="number of the entry in the log, from 0")],
    out: Annotated[Path, typer.Option(help="where to write the proof")],
    home: HomeOption = DEFAULT_HOME,
    without_key: Annotated[bool, typer.Option("--without-key", help="do not disclose what the entry says")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a proof of one entry that others check without this mirror. It is checked before it is written."""
    opened = open_home(home)
    cards, findings = opened.cards(), Findings()
    chain = verify_terms(opened.store, cards, findings)
    if chain is None:
        _end(findings)
    keys = None if without_key else OwnKeys(all_keys(opened))
    proof = make_proof(opened.store, chain, index, keys, _added_wraps(opened))
    checked = check_proof(proof, cards)
    if exit_code_of(checked.findings):
        # What does not prove anything is not handed out: the mirror or the log is at fault.
        _end(checked.findings)
    write_document(out, proof.to_bytes())
    console.fact("prove_ok", {"index": index, "file": str(out), **_facts(checked)}, as_json=as_json)


@app.command()
@ending_with_code
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a proof, a witness's evidence, or a checkpoint")],
    card: OptionalCards = None,
    terms: TermsFiles = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Check what somebody handed over, and say in plain words what it proves. Needs no mirror for a proof.

    Exit codes: 0 it proves what the line says; 10 tree or log; 11 signatures; 12 witnesses; 13 and 14: evidence against the log.
    """
    opened = open_home(home)
    cards = collected_cards(card) if card else opened.cards()
    document = _document(file)
    if document is None:
        checked = check_note(_bytes(file), _chain(opened, cards, terms))
        _show("check_checkpoint", checked, {}, as_json=as_json)
    elif document.get("kind") == "ledger-entry-proof":
        proof = EntryProof.parse(read_document_bytes(file))
        checked = check_proof(proof, cards)
        _show("check_proof", checked, {"index": proof.index}, as_json=as_json)
    else:
        signed = SignedWitnessEvidence.parse(read_document_bytes(file))
        checked = check_evidence(signed, _chain(opened, cards, terms), cards, opened.store)
        evidence = signed.evidence
        facts = {"witness": evidence.witness, "kind": evidence.kind, "at": show_time(evidence.at)}
        if not as_json:
            facts["claim"] = console.text(f"evidence.{evidence.kind}")
        _show("check_evidence", checked, facts, as_json=as_json)
    code = exit_code_of(checked.findings)
    if code:
        raise typer.Exit(code)


def _added_wraps(home: Home) -> AddedWraps:
    """Return what earlier auditors gave, as far as `open` has met it."""
    if not home.opened_file.is_file():
        return lambda batch_id: ()

    def added(batch_id: bytes) -> Iterable[tuple[str, bytes]]:
        with OpenedRecords.read(home.opened_file) as records:
            return records.added_wraps(batch_id)

    return added


def _chain(home: Home, cards: Cards, files: list[Path] | None) -> TermsChain:
    findings = Findings()
    if files:
        given = sorted(
            (SignedLedgerTerms.parse(read_document_bytes(file)) for file in files), key=lambda item: item.terms.number
        )
        chain = terms_of_file(given, cards, findings)
    else:
        chain = verify_terms(home.store, cards, findings) if home.store.terms_numbers() else None
    if chain is None and not findings:
        raise DoudiError(
            "audit.no_terms", "there are no terms of the log", "Give them with --terms, or the mirror with --home."
        )
    if chain is None or exit_code_of(findings):
        _end(findings)
    return chain


def _document(file: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file; `None` for one that is no JSON, such as a checkpoint. Raises `document.unreadable`."""
    data = _bytes(file)
    if not data.lstrip().startswith(b"{"):
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise DoudiError("document.unreadable", f"{file.name} is not a document", "Check the file's name.") from None
    return document if isinstance(document, dict) else None


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(max(MAXIMUM_PROOF_BYTES, MAX_NOTE_BYTES) + 1)
    except OSError:
        raise DoudiError("document.unreadable", f"{file.name} cannot be read", "Check the file's name.") from None


def _end(findings: Findings) -> NoReturn:
    show_findings(findings)
    raise typer.Exit(exit_code_of(findings))


def _show(key: str, checked: Checked, facts: dict[str, Any], *, as_json: bool) -> None:
    shown = {**facts, **_facts(checked)}
    if as_json:
        record = _record(checked.record) if checked.record else None
        findings = [one.shown() for one in checked.findings]
        print(json.dumps({**shown, "record": record, "findings": findings}, ensure_ascii=False))
        return
    show_findings(checked.findings)
    failed = exit_code_of(checked.findings) and key != "check_evidence"
    print(console.text("check_failed" if failed else key, **shown))
    if checked.record is not None and not failed:
        print(json.dumps(_record(checked.record), ensure_ascii=False, sort_keys=True))


def _facts(checked: Checked) -> dict[str, Any]:
    header, seen, chain = checked.header, checked.checkpoint, checked.chain
    return {
        "producer": header.producer if header else "",
        "type": header.type if header else "",
        "recorded_at": show_time(header.at if header else None),
        "sequence": header.sequence if header else 0,
        "origin": chain.origin if chain else "",
        "size": seen.size if seen else 0,
        "root": seen.checkpoint.root.hex() if seen else "",
        "cosigned": ", ".join(sorted(seen.times)) if seen else "",
        "witnessed_at": show_time(checked.witnessed_at),
        "disclosed": checked.record is not None,
    }


def _record(record: Record) -> dict[str, Any]:
    """Return a record's fields that say something."""
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return {name: dict(value) if isinstance(value, dict) else value for name, value in values.items() if value}
