"""Opened records of a log of `ledger_world`: a visit, a verification and an opening in one call, and what they found."""

from ledger_story import open_home_records

from auditors.home import Home
from auditors.keys import all_keys
from auditors.opening import OwnKeys
from auditors.record_findings import opening_findings
from auditors.terms_chain import verify_terms
from auditors.verification.findings import Findings
from auditors.verification.verifier import verify_store


def opened_of(world, path, auditor=0):
    """Return an auditor's folder and its opened records, after a visit and a verification."""
    world.publish()
    home = Home(path)
    if path.exists():
        world.refresh(home)
    else:
        world.home(path, auditor)
    verify_store(home)
    return home, open_home_records(home)


def found_in(home, opened):
    """Return what the opening finds, by code."""
    chain = verify_terms(home.store, home.cards(), Findings())
    findings = opening_findings(opened, chain.terms, OwnKeys(all_keys(home)).ids)
    return {one.code: one for one in findings}


def bodies(opened):
    rows = opened.connection.execute("SELECT number, opened FROM records ORDER BY number")
    return [row["opened"] for row in rows]
