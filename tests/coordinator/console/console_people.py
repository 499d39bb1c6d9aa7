"""People for tests of the console: accounts that were enrolled as real ones are, and their sessions."""

from dataclasses import dataclass

import pyotp
from sqlalchemy.orm import Session

from coordinator.accounts.enrolment import begin_enrolment, enrol
from coordinator.accounts.models import AccountRow
from coordinator.accounts.records import HOST
from coordinator.accounts.register import NewAccount, add_account
from coordinator.accounts.sessions import open_session
from coordinator.context import AppContext
from coordinator.parties.models import PartyRow
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.cards import DepartmentCard
from policies.standards.loader import load_dataset_standard
from policies.standards.tier_loader import load_tier

PASSWORD = "five words that nobody guesses"
# One person for each role; the login name says which.
ROLES = {
    "centre_officer": "centre",
    "centre_approver": "centre",
    "department_it": "tax",
    "department_approver": "tax",
    "scheduler": "civil_affairs",
    "auditor": "centre",
}


@dataclass(frozen=True)
class Person:
    """An account with what its person knows and has."""

    number: int
    login_name: str
    totp_secret: str
    recovery_codes: tuple[str, ...]

    def code(self, now_s: float) -> str:
        """Return what the authenticator app shows."""
        return pyotp.TOTP(self.totp_secret).at(int(now_s))


def add_departments(session: Session, *names: str) -> None:
    """Register departments that nobody's node stands behind."""
    for name in names:
        if session.get(PartyRow, name) is None:
            card = card_of_nobody(name)
            session.add(
                PartyRow(
                    name=name,
                    role="department",
                    identity_key=card.identity_key,
                    card=card.to_bytes(),
                    registered_at=1_790_000_000,
                )
            )
    session.flush()


def card_of_nobody(name: str) -> DepartmentCard:
    """Return a card whose private keys are forgotten."""
    identity, approval, scheduling, revocation = (signing_public_key(generate_signing_key()).hex() for _ in range(4))
    standard, tier = load_dataset_standard("tax", 1), load_tier("general_3")
    return DepartmentCard(
        department=name,
        region="kentucky",
        identity_key=identity,
        approval_key=approval,
        scheduling_key=scheduling,
        revocation_key=revocation,
        flower_key=f"ecdsa-sha2-nistp384 {name}",
        dataset=standard.dataset,
        standard_version=standard.version,
        standard_hash=standard.standard_hash(),
        people=2000,
        columns=standard.feature_names,
        tier=tier.name,
        tier_version=tier.version,
        tier_hash=tier.standard_hash(),
        allowed_purposes=("social_assistance",),
        program_hash="ab" * 32,
    )


def invite(context: AppContext, login_name: str, party: str, *roles: str) -> str:
    """Make an account and return its one-time code."""
    with context.begin() as session:
        add_departments(session, *({party} - {"centre"}))
        _, code = add_account(session, HOST, NewAccount(login_name, party, roles))
    assert code is not None
    return code


def enrolled(context: AppContext, login_name: str, party: str, *roles: str) -> Person:
    """Make an account whose person has set password and second factor."""
    code = invite(context, login_name, party, *roles)
    secret = begin_enrolment(context, code, "127.0.0.1").totp_secret
    totp = pyotp.TOTP(secret).at(int(context.clock()))
    done = enrol(context, code, PASSWORD, secret, totp, address="127.0.0.1", language="zh")
    return Person(done.account_number, login_name, secret, done.recovery_codes)


def session_token(context: AppContext, person: Person) -> str:
    """Return the token of a new session of a person, as both factors would have opened it."""
    with context.begin() as session:
        account = session.get_one(AccountRow, person.number)
        return open_session(session, account, language="en", two_factor=True)
