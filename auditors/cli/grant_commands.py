"""Checks of signed documents: what was allowed. Offline."""

from pathlib import Path
from typing import Annotated

import typer

from auditors.cli.options import AsJson, Cards, console
from auditors.grants import Keyring, verify_signed_grant, verify_signed_manifest
from command_line.console import ending_with_code, show_time
from command_line.documents import read_document_bytes
from crypto.errors import DoudiError
from policies.contracts.cards import CentreCard, DepartmentCard, parse_card
from policies.contracts.grant import LineGrant, SignedGrant
from policies.contracts.manifest import SignedManifest

app = typer.Typer()


@app.command()
@ending_with_code
def grant(file: Annotated[Path, typer.Argument(metavar="GRANT")], card: Cards, as_json: AsJson = False) -> None:
    """Verify that every party signed this grant with the key on its card."""
    signed = SignedGrant.parse(read_document_bytes(file))
    verify_signed_grant(signed, _keyring(card))
    facts = {
        "hash": signed.grant_hash,
        "project": signed.grant.project_id,
        "signatures": len(signed.signatures),
        "runs": signed.grant.runs_allowed,
        "until": show_time(signed.grant.expires_at),
    }
    if isinstance(signed.grant, LineGrant):
        training = signed.grant.training
        facts |= {
            "placement": training.placement,
            "sigma": training.noise_multiplier,
            "rate": training.sample_rate,
            "steps": training.local_steps * training.rounds,
            "survivors": signed.grant.aggregation.min_survivors,
        }
        console.fact("line_grant_ok", facts, as_json=as_json)
        return
    facts["epsilon"] = signed.grant.label.epsilon_milli / 1000
    console.fact("grant_ok", facts, as_json=as_json)


@app.command()
@ending_with_code
def manifest(
    file: Annotated[Path, typer.Argument(metavar="MANIFEST")],
    grant_file: Annotated[Path, typer.Option("--grant", help="the signed grant")],
    card: Cards,
    as_json: AsJson = False,
) -> None:
    """Verify that the scheduler signed this run within the grant, and every department the run's keys."""
    signed = SignedManifest.parse(read_document_bytes(file))
    verify_signed_manifest(signed, SignedGrant.parse(read_document_bytes(grant_file)), _keyring(card))
    facts = {
        "run": signed.manifest.run_id,
        "number": signed.manifest.run_number,
        "attempt": signed.manifest.attempt,
        "mode": signed.manifest.mode,
        "departments": len(signed.manifest.offers),
    }
    console.fact("manifest_ok", facts, as_json=as_json)


def _keyring(paths: list[Path]) -> Keyring:
    cards = [parse_card(read_document_bytes(path)) for path in paths]
    centres = [card for card in cards if isinstance(card, CentreCard)]
    if len(centres) != 1:
        raise DoudiError("audit.no_card", "there is not one card of the centre", "Collect it from the centre.")
    return Keyring(centres[0], {card.department: card for card in cards if isinstance(card, DepartmentCard)})
