"""What the page of a request shows: its terms, its rules, who decided, what is missing, which acts to offer. Reads only.

An act is offered when the rules allow it and the request's state takes it; the services ask again when it is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.authorization.principals import CENTRE, Principal
from coordinator.authorization.services import may
from coordinator.console.grants_in_words import (
    purpose_of,
    shares_in_words,
    target_title,
    true_share,
    what_leaves,
    windows_in_words,
)
from coordinator.console.languages import Language
from coordinator.console.rules_in_words import comparison_in_words
from coordinator.console.titles import title_of
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.events import COORDINATOR
from coordinator.requests.drafts import registered_assets
from coordinator.requests.models import (
    AccessRequestRow,
    RequestDecisionRow,
    RequestPartyRow,
    RequestTransitionRow,
)
from coordinator.requests.reading import decisions_of, grant_of, parties_of, transitions_of
from coordinator.requests.rules import asked_against_rules
from coordinator.requests.services import resource_of
from coordinator.requests.states import LEGAL, OPEN, RequestState
from policies.contracts.grant import Grant, LineGrant, required_signatures

PATH_OF_SUCCESS = (RequestState.DRAFTED, RequestState.SUBMITTED, RequestState.GRANTED, RequestState.ACTIVE)
_CUT_SHORT = frozenset({RequestState.WITHDRAWN, RequestState.REFUSED, RequestState.REVOKED, RequestState.EXPIRED})
_KEY_CHARACTERS = 16


@dataclass(frozen=True)
class PartyInRequest:
    """Whose people must act. `decided`: approvals at the console so far, of `decisions_needed`."""

    party: str
    role: str
    needed: int
    gathered: int
    decided: int
    decisions_needed: int

    @property
    def missing(self) -> int:
        """How many people have still to sign."""
        return max(0, self.needed - self.gathered)


def terms_in_words(language: Language, grant: Grant | LineGrant) -> dict[str, Any]:
    """Return what the macros `terms` and `leaving` of grants.html.j2 show."""
    return {
        "grant": grant,
        "purpose": purpose_of(grant),
        "shares": shares_in_words(language, grant),
        "target": target_title(language, grant),
        "windows": windows_in_words(language, grant.windows),
        "true_share": None if isinstance(grant, LineGrant) else true_share(grant.label.epsilon_milli),
        "leaves": what_leaves(grant),
    }


def request_values(
    session: Session, context: AppContext, user: SignedIn, language: Language, row: AccessRequestRow
) -> dict[str, Any]:
    """Return everything that the page of a request shows."""
    grant = grant_of(row)
    decisions = decisions_of(session, row.number)
    parties = parties_in_request(parties_of(session, [row])[row.number], decisions)
    own = next((party for party in parties if party.party == user.principal.party), None)
    return {
        "row": row,
        "now": now_s(session),
        "terms": terms_in_words(language, grant),
        "comparison": comparison_in_words(language, asked_against_rules(grant, registered_assets(session, grant))),
        "parties": parties,
        "own": own,
        "missing": [party for party in parties if party.missing],
        "decisions": [(one, who(language, one.person, one.party)) for one in decisions],
        "steps": steps_of(language, row, transitions_of(session, row.number)),
        "acts": offered_acts(session, context, user.principal, row),
    }


def parties_in_request(
    rows: Sequence[RequestPartyRow], decisions: Sequence[RequestDecisionRow]
) -> list[PartyInRequest]:
    """Return who must act, the lead first and the centre last."""
    approvals = [one.party for one in decisions if one.decision == "approve" and one.way == "console"]
    return [
        PartyInRequest(
            party=row.party,
            role=row.role,
            needed=row.needed,
            gathered=row.gathered,
            decided=approvals.count(row.party),
            # Owners decide by signing; of the centre as many people decide as must sign.
            decisions_needed=row.needed if row.party == CENTRE else 0,
        )
        for row in rows
    ]


def offered_acts(
    session: Session, context: AppContext, principal: Principal, row: AccessRequestRow
) -> Mapping[str, bool]:
    """Return for each act whether to show its button."""
    state, resource = RequestState(row.state), resource_of(session, row)
    side = "centre" if principal.is_centre else "owner"

    def offered(act: str, legal: bool) -> bool:
        return legal and may(context, principal, f"request.{act}", resource)

    return {
        "submit": offered("submit", RequestState.SUBMITTED in LEGAL[state]),
        "withdraw": offered("withdraw", RequestState.WITHDRAWN in LEGAL[state]),
        "approve": offered(f"{side}_approve", state is RequestState.SUBMITTED),
        "refuse": offered(f"{side}_refuse", state in OPEN),
    }


def steps_of(
    language: Language, row: AccessRequestRow, transitions: Sequence[RequestTransitionRow]
) -> list[tuple[str, str, int | None, str]]:
    """Return the timeline: what happened, with who and why, and what would come next if all agree."""
    steps: list[tuple[str, str, int | None, str]] = []
    for number, one in enumerate(transitions, start=1):
        reached, last = RequestState(one.to_state), number == len(transitions)
        kind = "failed" if reached in _CUT_SHORT else "current" if last and LEGAL[reached] else "done"
        title = title_of(language, "request_step", one.to_state)
        steps.append((kind, title, one.at, _note(language, one)))
    state = RequestState(row.state)
    if state in PATH_OF_SUCCESS:
        for later in PATH_OF_SUCCESS[PATH_OF_SUCCESS.index(state) + 1 :]:
            steps.append(("waiting", title_of(language, "request_step", later.value), None, ""))
    return steps


def who(language: Language, actor: str, party: str) -> str:
    """Return who acted: people are numbers of accounts, keys their first characters."""
    if actor == COORDINATOR:
        return language.gettext("the coordinator, by the clock or what had happened")
    name = title_of(language, "party", party)
    if actor.isdigit():
        return language.gettext("%(party)s, account %(number)s") % {"party": name, "number": actor}
    if actor.startswith("key:"):
        key = actor.removeprefix("key:")[:_KEY_CHARACTERS]
        return language.gettext("%(party)s, key %(key)s…") % {"party": name, "key": key}
    if actor.startswith("device:"):
        return language.gettext("%(party)s, officer's device") % {"party": name}
    return language.gettext("%(party)s, node") % {"party": name}


def people_of_tiers(grant: Grant | LineGrant) -> list[tuple[str, str, int]]:
    """Return party, role and number of people who would have to sign a draft: before it is a request."""
    return [(one.party, one.role, one.count) for one in required_signatures(grant)]


def _note(language: Language, one: RequestTransitionRow) -> str:
    parts = [who(language, one.actor, one.party)]
    if one.code:
        parts.append(title_of(language, "transition_code", one.code))
    if one.reason:
        reason = title_of(language, "revocation_reason", one.reason)
        parts.append(language.gettext("“%(reason)s”") % {"reason": reason})
    return language.gettext("; ").join(parts)
