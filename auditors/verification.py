"""Whether a grant and a run's manifest are what their parties signed, checked offline with the cards an auditor collected itself.

Pure: no network, no clock of its own. The audit ledger will add what was done; this says what was allowed.
"""

from dataclasses import dataclass

from crypto.errors import DoudiError
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.grant import SignedGrant, verify_grant_signatures
from policies.contracts.manifest import SignedManifest, verify_offers, verify_run_terms


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
    """Raise unless every party that a grant needs signed it with the key on the card that the auditor holds."""
    grant = signed.grant
    verify_grant_signatures(signed)
    if grant.centre_key != keyring.centre.approval_key:
        raise DoudiError("audit.wrong_key", "the centre's key is not the one on its card")
    for participant in grant.shares:
        card = keyring.card(participant.department)
        if (participant.identity_key, participant.approval_key) != (card.identity_key, card.approval_key):
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
