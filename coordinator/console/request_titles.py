"""What the console calls requests and grants: states, decisions, reasons of revocation, obstacles. See `titles.py`."""

from collections.abc import Mapping

from coordinator.console.languages import N_

REQUEST_TITLES: Mapping[str, Mapping[str, str]] = {
    "request_state": {
        "drafted": N_("Draft"),
        "submitted": N_("Submitted"),
        "granted": N_("Granted, not active"),
        "active": N_("Active"),
        "expired": N_("Expired"),
        "revoked": N_("Revoked"),
        "exhausted": N_("Used up"),
        "withdrawn": N_("Withdrawn"),
        "refused": N_("Refused"),
    },
    # What happened when a request came into the state.
    "request_step": {
        "drafted": N_("Drafted"),
        "submitted": N_("Submitted to owners and centre"),
        "granted": N_("Signed by the owners, decided by the centre"),
        "active": N_("Active: all signatures are there"),
        "expired": N_("Expired"),
        "revoked": N_("Revoked"),
        "exhausted": N_("All runs are used"),
        "withdrawn": N_("Withdrawn by the lead"),
        "refused": N_("Refused"),
    },
    "request_kind": {"region": N_("Region"), "line": N_("Line")},
    "party_role": {"lead": N_("lead"), "supporting": N_("supporting"), "centre": N_("centre")},
    "decision": {"approve": N_("approved"), "refuse": N_("refused")},
    "decision_way": {
        "console": N_("at the console"),
        "node": N_("with the node or device"),
        "signature": N_("by signature"),
    },
    "revocation_reason": {
        "purpose_ended": N_("The purpose has ended"),
        "consent_withdrawn": N_("The owner no longer agrees"),
        "key_taken": N_("A key was lost or taken"),
        "data_wrong": N_("The data are wrong"),
        "misuse": N_("Misuse"),
        "other": N_("Another reason"),
    },
    "obstacle": {
        "not_registered": N_("Its owner has not registered it for this region."),
        "withdrawn": N_("Its owner has withdrawn it."),
        "purpose": N_("Its owner does not allow this purpose."),
        "never_federates": N_("Its tier never federates."),
        "unknown_tier": N_("Its tier is not published here."),
        "other_tier": N_("Card and catalogue name different tiers: its owner must register it again."),
        "other_standard": N_("Card and catalogue name different data standards: its owner must register it again."),
    },
    # Reason codes of changes of state that people did not word themselves.
    "transition_code": {
        "grant.revoked": N_("a party revoked the grant"),
        "grant.expired": N_("its time is over"),
    },
}
