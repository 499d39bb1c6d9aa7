"""Which roles one account may have. Pure: the rules of Cedar say the same once more, at every act.

Segregation of duties: whoever administers or prepares does not decide, and whoever audits does nothing else.
"""

from collections.abc import Iterable
from enum import StrEnum

from crypto.errors import DoudiError

CENTRE = "centre"


class Role(StrEnum):
    """What a person may do for a party. Names are part of the interface."""

    CENTRE_OFFICER = "centre_officer"
    CENTRE_APPROVER = "centre_approver"
    DEPARTMENT_IT = "department_it"
    DEPARTMENT_APPROVER = "department_approver"
    SCHEDULER = "scheduler"
    AUDITOR = "auditor"


CENTRE_ROLES = frozenset({Role.CENTRE_OFFICER, Role.CENTRE_APPROVER})
# The scheduling right lies with a department: grants name it.
DEPARTMENT_ROLES = frozenset({Role.DEPARTMENT_IT, Role.DEPARTMENT_APPROVER, Role.SCHEDULER})
NEVER_TOGETHER = (
    frozenset({Role.CENTRE_OFFICER, Role.CENTRE_APPROVER}),
    frozenset({Role.DEPARTMENT_IT, Role.DEPARTMENT_APPROVER}),
)


def require_roles(party: str, names: Iterable[str]) -> list[str]:
    """Return the names of the roles, sorted, if one account of this party may have them together.

    Raises `account.unknown_role`, `account.role_of_other_party` or `account.roles_not_segregated`.
    """
    found = set(names)
    if not found or not found <= set(Role):
        raise DoudiError("account.unknown_role", "an account needs at least one role, and only known ones")
    roles = {Role(name) for name in found}
    foreign = DEPARTMENT_ROLES if party == CENTRE else CENTRE_ROLES
    if roles & foreign:
        raise DoudiError("account.role_of_other_party", "a role does not belong to this kind of party")
    if any(pair <= roles for pair in NEVER_TOGETHER) or (Role.AUDITOR in roles and len(roles) > 1):
        raise DoudiError("account.roles_not_segregated", "one person must not have these roles together")
    return sorted(roles)
