"""Whether a grant and a run's manifest are what their parties signed, checked offline with the cards an auditor collected itself.

Pure: no network, no clock of its own. The audit ledger says what was done; this says what was allowed.
"""

from dataclasses import dataclass

from crypto.errors import DoudiError
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.grant import SignedGrant, verify_grant_signatures
from policies.contracts.manifest import SignedManifest, verify_offers, verify_run_terms
from policies.contracts.tier_rules import verify_tier_rules

# What a grant names of a department's card.
PINNED_KEYS = ("identity_key", "approval_key", "co_approval_keys", "revocation_key")


@dataclass(frozen=True)
class Keyring:
    """The cards that the auditor collected from each party, not from the coordinator."""

    centre: CentreCard
    departments: dict[str, DepartmentCard]

    def card(self, department: str) -> DepartmentCard:
        """Return a department's card. Raises `audit.no_card`."""
        if department not in self.departments:
            raise DoudiError("audit.no_card", f"there is no card of {department}", "Collect it from the department.")
        return self.departments[department]


def verify_signed_grant(signed: SignedGrant, keyring: Keyring) -> None:
    """Raise unless enough people of every party signed a grant with keys on their cards, and it is within its assets' tiers.

    Both rest on the auditor's own copies of the cards and of the tier files.
    """
    grant = signed.grant
    verify_grant_signatures(signed)
    verify_tier_rules(grant)
    centre = keyring.centre
    named = (grant.centre_keys, grant.centre_revocation_key)
    if ((centre.approval_key, *centre.co_approval_keys), centre.revocation_key) != named:
        raise DoudiError("audit.wrong_key", "the centre's keys are not those on its card")
    for participant in grant.shares:
        card = keyring.card(participant.department)
        if any(getattr(participant, key) != getattr(card, key) for key in PINNED_KEYS):
            raise DoudiError("audit.wrong_key", f"the keys of {participant.department} are not those on its card")
    if keyring.card(grant.scheduler.department).scheduling_key != grant.scheduler.key:
        raise DoudiError("audit.wrong_key", "the scheduling key is not the one on the scheduler's card")


def verify_signed_manifest(signed: SignedManifest, grant: SignedGrant, keyring: Keyring) -> None:
    """Raise unless a manifest was signed by the grant's scheduler, within the grant, with keys that each department signed."""
    verify_signed_grant(grant, keyring)
    manifest = signed.manifest
    signed.verify(grant.grant.scheduler.key)
    if manifest.grant_hash != grant.grant_hash:
        raise DoudiError("manifest.wrong_grant", "the manifest belongs to another grant")
    within = grant.grant.not_before <= manifest.created_at <= manifest.expires_at <= grant.grant.expires_at
    if not within:
        raise DoudiError("audit.outside_grant", "the run is outside the grant's time")
    verify_run_terms(grant.grant, manifest)
    verify_offers(grant.grant, manifest)
