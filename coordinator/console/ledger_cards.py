"""The card of the home page about the audit ledger: whether it is witnessed, for those who answer for it or check it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.console.addresses import CONSOLE
from coordinator.console.home_content import HomeCard, HomeContent
from coordinator.console.languages import N_, Language
from coordinator.console.ledger_witnesses import witnesses_of
from coordinator.db.session import now_s
from coordinator.ledger.models import LedgerCheckpointRow
from coordinator.ledger.status import LedgerStatus, ledger_status

# Nodes cosign within seconds; a quorum that takes longer keeps runs waiting.
LATE_S = 60


def _ledger(session: Session, _user: SignedIn, language: Language) -> HomeContent:
    """How many entries are witnessed, or why none or not all are."""
    status = ledger_status(session)
    link = (f"{CONSOLE}/ledger", language.gettext("Checkpoints, witnesses, entries"))
    if not status.terms.witnesses:
        text = language.gettext(
            "No department witnesses the ledger, so no step of a run begins. Next: “doudi centre ledger renew-terms”."
        )
        return HomeContent(text, link=link, waiting=True)
    late_s = _late_s(session, status)
    if late_s > LATE_S:
        text = language.gettext(
            "of %(all)s witnesses are behind, and for %(time)s no quorum has cosigned: steps of runs wait."
        )
        behind = len(witnesses_of(status).behind)
        words = {"all": len(status.witnesses), "time": language.duration(late_s)}
        return HomeContent(text % words, count=behind, link=link, waiting=True)
    size = status.witnessed.size if status.witnessed is not None else 0
    text = language.ngettext(
        "entry is witnessed by the departments.", "entries are witnessed by the departments.", size
    )
    return HomeContent(text, count=size, link=link)


def _late_s(session: Session, status: LedgerStatus) -> int:
    """Return for how long a checkpoint has waited for a quorum that has still not come; 0 if none waits."""
    witnessed = status.witnessed.size if status.witnessed is not None else 0
    query = select(LedgerCheckpointRow.published_at).where(LedgerCheckpointRow.size > witnessed)
    first = session.scalar(query.order_by(LedgerCheckpointRow.size).limit(1))
    return 0 if first is None else max(0, now_s(session) - first)


LEDGER_CARDS: tuple[HomeCard, ...] = (
    HomeCard(N_("Record and ledger"), _ledger, frozenset({"centre_officer", "centre_approver", "auditor"})),
)
