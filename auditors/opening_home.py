"""Opening what was verified in an auditor's folder, and what that and the records give to find. Offline."""

from collections.abc import Sequence
from dataclasses import dataclass

from auditors.acts import Acts
from auditors.home import Home
from auditors.keys import all_keys
from auditors.opened import OpenedRecords
from auditors.opening import OpenedPortion, OwnKeys, Progress, open_pending
from auditors.record_findings import conduct_findings, newest_time, opening_findings
from auditors.runs import runs_of
from auditors.terms_chain import TermsChain, verify_terms
from auditors.verification.findings import Findings
from auditors.verification.state import load_state
from crypto.errors import DoudiError
from policies.contracts.ledger.terms import LedgerTerms


@dataclass(frozen=True)
class Opening:
    """`portion`: what was opened now. `size`: everything below is open, or known not to open. `verified`: the verified size."""

    portion: OpenedPortion
    size: int
    verified: int
    findings: Findings


def open_home_log(home: Home, *, unverified: bool = False, progress: Progress | None = None) -> Opening:
    """Open what was verified and is not open yet, with all keys of this auditor.

    `unverified`: also what no verification has confirmed, for looking into a log that is found to be wrong. Raises
    `audit.not_verified`, `audit.no_card`, `key.missing`, `opened.unreadable`, `opened.other_log`, `StoreError`.
    """
    state = load_state(home)
    keys = OwnKeys(all_keys(home))
    chain = verified_terms(home)
    verified = state.size if state is not None else 0
    if state is None and not unverified:
        raise DoudiError(
            "audit.not_verified",
            "nothing of the mirror was verified yet, so nothing is opened",
            "Run `doudi audit verify`; --unverified opens what it does not confirm.",
        )
    with OpenedRecords.create(home.opened_file, chain.origin) as opened:
        size = max(verified, home.store.size) if unverified else verified
        portion = open_pending(home.store, opened, keys, size, progress)
        return Opening(portion, opened.size, verified, opening_findings(opened, chain.terms, keys.ids))


def verified_terms(home: Home) -> TermsChain:
    """Return the log's terms that the centre signed. Raises `audit.not_verified` where there are none, `audit.no_card`."""
    chain = verify_terms(home.store, home.cards(), Findings())
    if chain is None:
        raise DoudiError(
            "audit.not_verified", "the mirror has no terms that the centre signed", "Run `doudi audit verify` first."
        )
    return chain


def findings_of_records(opened: OpenedRecords, terms: Sequence[LedgerTerms], own_ids: frozenset[bytes]) -> Findings:
    """Return what the opening and the records give to find."""
    findings = opening_findings(opened, terms, own_ids)
    findings.extend(conduct_findings(opened, runs_of(Acts(opened), newest_time(opened))))
    return findings
