"""/console/requests/new: the lead's operators ask for access: project, terms and assets, then a look at them beside the rules.

Nothing is stored before the last button. The form travels whole from page to page, so that nothing that was typed is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.console.addresses import with_query
from coordinator.console.errors import refused_form
from coordinator.console.filters import wanted_name
from coordinator.console.grants_in_words import offset, published_purpose, purpose_title, weekday
from coordinator.console.languages import Language, choose_language
from coordinator.console.rendering import page
from coordinator.console.request_form import BEIJING, OFFSETS, RequestFields, empty_fields, outcomes, read_fields
from coordinator.console.request_values import people_of_tiers, terms_in_words
from coordinator.console.rules_in_words import AssetInWords, comparison_in_words, dataset_title
from coordinator.console.security import CheckedForm, ConsoleUser
from coordinator.console.titles import title_of
from coordinator.console.views.requests import REQUESTS, may_draft
from coordinator.context import AppContext, Context
from coordinator.db.session import now_s
from coordinator.projects.models import ProjectRow
from coordinator.requests.choices import Candidate, candidates_for, open_projects
from coordinator.requests.drafts import draft_from_catalogue, registered_assets, verify_draft
from coordinator.requests.rules import asked_against_rules
from coordinator.requests.services import draft_request
from crypto.errors import DoudiError
from policies.contracts.grant import Grant
from policies.standards.loader import DatasetStandard, load_dataset_standard

NEW = f"{REQUESTS}/new"
# At which field a rule that is broken is told; the others are about the request as a whole.
_FIELD_OF_RULE: Mapping[str, str] = {
    "runs": "runs",
    "days": "days",
    "label_epsilon_milli": "epsilon",
    "evidence_bits": "bits",
    "parties": "supporting",
    "operations": "mode",
}

router = APIRouter(prefix=NEW, include_in_schema=False)


@dataclass(frozen=True)
class _Offer:
    """What the form offers for one project. `lead`: the lead's own asset; `standard`: its columns, if it can be asked for."""

    project: ProjectRow
    lead: Candidate | None
    others: Sequence[Candidate]
    standard: DatasetStandard | None


@dataclass(frozen=True)
class _Draft:
    """A draft beside the rules. `errors`: what stands against it, by field."""

    grant: Grant
    comparison: Sequence[AssetInWords]
    errors: Mapping[str, str]


@router.get("")
def new_request(request: Request, user: ConsoleUser, context: Context) -> Response:
    """Ask for the project, and then for the terms."""
    _require_drafting(context, user)
    chosen = wanted_name(request, "project")
    with context.read() as session:
        projects = open_projects(session, user.principal.party)
        if chosen is None and len(projects) != 1:
            purposes = {project.purpose: published_purpose(project.purpose) for project in projects}
            return page(request, "request_projects.html.j2", user, projects=projects, purposes=purposes)
        offer = _offer(session, projects, chosen or projects[0].project_id)
        year = datetime.fromtimestamp(now_s(session), UTC).year
        return _form_page(request, user, offer, empty_fields(offer.standard, year))


@router.post("")
def ask(request: Request, user: ConsoleUser, form: CheckedForm, context: Context) -> Response:
    """Check the form: show the draft beside the rules, the form again, or store the draft."""
    _require_drafting(context, user)
    language = choose_language(request)
    with context.read() as session:
        offer = _offer(session, open_projects(session, user.principal.party), form.line("project"))
        fields = read_fields(form, language, offer.project, offer.others, offer.standard)
        draft = _draft(session, context, language, user, fields) if fields.terms is not None else None
        if draft is None or form.line("act") == "change":
            return _form_page(request, user, offer, fields)
        fields.errors.update(draft.errors)
        if draft.errors:
            return _form_page(request, user, offer, fields, draft)
        if form.line("act") != "draft":
            return _preview_page(request, user, language, offer, fields, draft)
    try:
        with context.begin() as session:
            number = draft_request(session, context, user.principal, draft.grant)[0].number
    except DoudiError as error:
        if error.code == "authorization.denied":
            raise
        refused = refused_form(language, error)
        fields.errors.update(refused.errors)
        with context.read() as session:
            offer = _offer(session, open_projects(session, user.principal.party), form.line("project"))
            return refused.on(_form_page(request, user, offer, fields, draft))
    return RedirectResponse(with_query(f"{REQUESTS}/{number}", done="drafted"), 303)


def _offer(session: Session, projects: Sequence[ProjectRow], project_id: str) -> _Offer:
    project = next((one for one in projects if one.project_id == project_id), None)
    if project is None:
        raise DoudiError("project.unknown", "the department leads no open project of this name")
    candidates = candidates_for(session, project)
    lead = next((one for one in candidates if one.department == project.lead), None)
    others = [one for one in candidates if one is not lead]
    return _Offer(project, lead, others, _standard(lead) if lead is not None and lead.obstacle is None else None)


def _standard(lead: Candidate) -> DatasetStandard | None:
    try:
        return load_dataset_standard(lead.dataset, lead.standard_version)
    except DoudiError:
        return None


def _draft(
    session: Session, context: AppContext, language: Language, user: SignedIn, fields: RequestFields
) -> _Draft | None:
    """Return the draft that the form describes; `None` when none can be made, with the reason among the form's errors."""
    terms = fields.terms
    if terms is None:
        return None
    try:
        grant = draft_from_catalogue(session, context.config, user.principal.party, fields.supporting, terms)
    except DoudiError as error:
        fields.errors.update(refused_form(language, error, {"tier.operation": "mode"}).errors)
        return None
    comparison = comparison_in_words(language, asked_against_rules(grant, registered_assets(session, grant)))
    errors = _broken_rules(language, comparison)
    if not errors:
        try:
            verify_draft(session, context.config, grant)
        except DoudiError as error:
            errors = dict(refused_form(language, error).errors)
    return _Draft(grant, comparison, errors)


def _broken_rules(language: Language, comparison: Sequence[AssetInWords]) -> dict[str, str]:
    """Return a sentence for each field whose value is beyond a rule; the first asset that says so is named."""
    errors: dict[str, str] = {}
    for asset in comparison:
        for row in asset.rows:
            if not row.within:
                text = language.gettext("%(department)s (%(tier)s): %(rule)s, asked: %(asked)s, allowed: %(allowed)s.")
                names = {
                    "department": title_of(language, "party", asset.department),
                    "tier": title_of(language, "tier", asset.tier),
                    "rule": row.title,
                    "asked": row.asked,
                    "allowed": row.allowed,
                }
                errors.setdefault(_FIELD_OF_RULE.get(row.rule, ""), text % names)
    return errors


def _form_page(
    request: Request, user: SignedIn, offer: _Offer, fields: RequestFields, draft: _Draft | None = None
) -> HTMLResponse:
    language = choose_language(request)
    return page(
        request,
        "request_form.html.j2",
        user,
        422 if fields.errors else 200,
        project=offer.project,
        purpose=published_purpose(offer.project.purpose),
        lead=offer.lead,
        targets=_targets(language, offer.standard),
        offered=[one for one in offer.others if one.obstacle is None],
        refused=[one for one in offer.others if one.obstacle is not None],
        window_rows=fields.window_rows,
        weekdays=[(str(number), weekday(language, number)) for number in range(1, 8)],
        offsets=[(str(minutes), f"UTC{offset(minutes)}") for minutes in OFFSETS],
        usual_offset=str(BEIJING),
        dataset_title=partial(dataset_title, language),
        purpose_title=partial(purpose_title, language),
        comparison=draft.comparison if draft is not None else [],
        errors=fields.errors,
        given=fields.given,
        here=_address(offer.project),
    )


def _preview_page(
    request: Request, user: SignedIn, language: Language, offer: _Offer, fields: RequestFields, draft: _Draft
) -> HTMLResponse:
    return page(
        request,
        "request_preview.html.j2",
        user,
        project=offer.project,
        terms=terms_in_words(language, draft.grant),
        comparison=draft.comparison,
        people=people_of_tiers(draft.grant),
        carried=_carried(fields.given),
        here=_address(offer.project),
    )


def _targets(language: Language, standard: DatasetStandard | None) -> list[tuple[str, str, str]]:
    if standard is None:
        return []
    return [(name, language.either(standard.column(name).title), name) for name in outcomes(standard)]


def _carried(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the form's fields as hidden ones, so that the next step has them all."""
    pairs: list[tuple[str, str]] = []
    for name, value in given.items():
        pairs += [(name, one) for one in value] if isinstance(value, list) else [(name, str(value))]
    return [pair for pair in pairs if pair[1]]


def _require_drafting(context: AppContext, user: SignedIn) -> None:
    if not may_draft(context, user):
        raise DoudiError("authorization.denied", "this account drafts no requests")


def _address(project: ProjectRow) -> str:
    return with_query(NEW, project=project.project_id)
