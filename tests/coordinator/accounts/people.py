"""People for tests: accounts over a real database, with a clock that tests own and an authenticator app for each person."""

from dataclasses import dataclass, field

import pyotp
from opened_records import Auditor, Recorded

from coordinator.accounts.enrolment import begin_enrolment, enrol
from coordinator.accounts.models import AccountRow
from coordinator.accounts.parts import open_parts
from coordinator.accounts.records import HOST
from coordinator.accounts.register import NewAccount, add_account
from coordinator.accounts.settings import AccountSettings, OidcSettings
from coordinator.accounts.sign_in import give_password, give_second_factor
from coordinator.authorization.rules_in_force import RulesInForce
from coordinator.config import CoordinatorConfig
from coordinator.context import AppContext
from coordinator.db.session import open_engine
from coordinator.ledger.parts import open_ledger
from coordinator.parties.models import PartyRow
from coordinator.parties.services import ensure_centre

START_S = 1_800_000_000
ADDRESS = "192.0.2.7"
PASSWORD = "seven quiet lanterns"
DEPARTMENT = "tax"
# The least costs that the settings allow: tests check many passwords.
CHEAP = AccountSettings(password_memory_kib=19_456, password_passes=2)


@dataclass
class Person:
    """Somebody with an account, and what that person keeps: password, app, recovery codes."""

    number: int
    login_name: str
    password: str
    secret: str
    recovery_codes: tuple[str, ...]
    token: str


@dataclass
class Town:
    """The coordinator's accounts; methods named after what people do."""

    config: CoordinatorConfig
    oidc: OidcSettings = field(default_factory=OidcSettings)
    now: float = START_S
    auditor: Auditor = field(default_factory=Auditor)

    def __post_init__(self) -> None:
        engine, config = open_engine(self.config.resolved_database_url), self.config
        ledger = open_ledger(engine, lambda: self.now, config.home, config.ledger, config.centre_keys)
        parts = open_parts(self.config.home, self.config.accounts, self.oidc, engine)
        self.context = AppContext(
            self.config, engine, lambda: self.now, lambda name, key: None, parts, ledger, RulesInForce()
        )
        with self.context.begin() as session:
            ensure_centre(session, self.config.centre_api_key)
            if session.get(PartyRow, DEPARTMENT) is None:
                row = PartyRow(name=DEPARTMENT, role="department", card=b"{}", identity_key="ab" * 32, registered_at=1)
                session.add(row)

    def close(self) -> None:
        self.context.accounts.close()
        self.context.engine.dispose()

    def invite(self, name: str = "li.wei", party: str = "centre", *roles: str) -> tuple[int, str]:
        """Return number and enrolment code of a new account."""
        wanted = NewAccount(name, party, roles or ("centre_officer" if party == "centre" else "department_it",))
        with self.context.begin() as session:
            row, code = add_account(session, HOST, wanted)
            assert code is not None
            return row.number, code

    def enrol(self, code: str, password: str = PASSWORD) -> Person:
        offer = begin_enrolment(self.context, code, ADDRESS)
        totp_code = pyotp.TOTP(offer.totp_secret).at(int(self.now))
        done = enrol(self.context, code, password, offer.totp_secret, totp_code, address=ADDRESS, language="zh")
        return Person(
            done.account_number, offer.login_name, password, offer.totp_secret, done.recovery_codes, done.token
        )

    def move_in(self, name: str = "li.wei", party: str = "centre", *roles: str) -> Person:
        """Return somebody who has enrolled, half a minute ago: the app shows another code now."""
        person = self.enrol(self.invite(name, party, *roles)[1])
        self.now += 30
        return person

    def code(self, person: Person, steps: int = 0) -> str:
        """Return what the person's app shows now, or some steps from now."""
        return pyotp.TOTP(person.secret).at(int(self.now) + 30 * steps)

    def wrong_code(self, person: Person) -> str:
        """Return six digits that are none of the codes that count now."""
        near = {self.code(person, steps) for steps in (-1, 0, 1)}
        return next(code for code in ("000000", "111111", "222222", "333333") if code not in near)

    def give_password(self, person: Person, password: str | None = None, address: str = ADDRESS) -> str:
        shown = person.password if password is None else password
        return give_password(self.context, person.login_name, shown, address=address, language="zh")

    def sign_in(self, person: Person) -> str:
        """Return the token of a session; half a minute passes, so that the next code is another one."""
        pending = self.give_password(person)
        token = give_second_factor(self.context, pending, self.code(person), address=ADDRESS)
        self.now += 30
        return token

    def account(self, number: int) -> AccountRow:
        with self.context.begin() as session:
            return session.get_one(AccountRow, number)

    def events(self, kind: str | None = None) -> list[Recorded]:
        """Return what was recorded so far, as the auditor opens it."""
        return [one for one in self.auditor.records(self.context.engine) if kind is None or one.type == kind]
