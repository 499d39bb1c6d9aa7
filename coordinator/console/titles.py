"""What the console calls the things whose names stand in contracts and tables: roles, parties, operations, scopes.

A name that is not listed, for example of a department that nobody here knows, stands for itself: the page escapes it.
"""

from collections.abc import Mapping

from coordinator.console.act_titles import ACT_TITLES
from coordinator.console.languages import N_, Language
from coordinator.console.record_titles import RECORD_TITLES
from coordinator.console.request_titles import REQUEST_TITLES
from coordinator.console.run_titles import RUN_TITLES

TITLES: Mapping[str, Mapping[str, str]] = {
    "role": {
        "centre_officer": N_("Centre officer"),
        "centre_approver": N_("Centre approver"),
        "department_it": N_("Department IT"),
        "department_approver": N_("Department approver"),
        "scheduler": N_("Scheduler"),
        "auditor": N_("Auditor"),
    },
    "party": {
        "centre": N_("Data-management centre"),
        "coordinator": N_("Coordinator"),
        "civil_affairs": N_("Civil affairs"),
        "human_resources": N_("Human resources"),
        "health_disability": N_("Health"),
        "housing": N_("Housing"),
        "public_security": N_("Public security"),
        "tax": N_("Tax"),
    },
    "operation": {
        "link": N_("Link"),
        "release": N_("Release labels"),
        "train": N_("Train"),
        "evidence": N_("Evidence"),
        "sum_only": N_("Sum only"),
        "combine": N_("Combine"),
        "line": N_("Line"),
    },
    "column_role": {
        "key": N_("Key"),
        "feature": N_("Feature"),
        "household": N_("Household number"),
        "outcome": N_("Outcome"),
        "context": N_("For reports"),
    },
    "column_type": {"string": N_("Text"), "integer": N_("Whole number"), "code": N_("Code")},
    "sensitivity": {"low": N_("Low"), "medium": N_("Medium"), "high": N_("High")},
    "unit": {
        "years": N_("years"),
        "persons": N_("persons"),
        "rooms": N_("rooms"),
        "weeks": N_("weeks"),
        "minutes": N_("minutes"),
        "hours per week": N_("hours per week"),
        "US dollars": N_("US dollars"),
        "US dollars per month": N_("US dollars per month"),
        "US dollars per year": N_("US dollars per year"),
    },
    "tier": {
        "core": N_("Core data"),
        "important": N_("Important data"),
        "general_4": N_("General data, level 4"),
        "general_3": N_("General data, level 3"),
        "general_2": N_("General data, level 2"),
        "general_1": N_("General data, level 1"),
    },
    "derived": {
        "model": N_("Model"),
        "evidence": N_("Evidence"),
        "scores": N_("Scores"),
        "metrics": N_("Metrics"),
    },
    "scopes": {"read": N_("Read only"), "read write": N_("Read and write")},
    **REQUEST_TITLES,
    **ACT_TITLES,
    **RECORD_TITLES,
    **RUN_TITLES,
}


def title_of(language: Language, kind: str, name: str) -> str:
    """Return the title of a name of one kind, in a language."""
    title = TITLES[kind].get(name)
    return name if title is None else language.gettext(title)
