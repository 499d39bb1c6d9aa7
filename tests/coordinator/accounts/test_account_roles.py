"""Which roles go together: `coordinator/accounts/roles.py`."""

from itertools import combinations

import pytest

from coordinator.accounts.roles import require_roles
from crypto.errors import DoudiError

ACCEPTED = [
    ("centre", {"centre_officer"}),
    ("centre", {"centre_approver"}),
    ("centre", {"auditor"}),
    ("tax", {"department_it"}),
    ("tax", {"department_approver", "scheduler"}),
    ("tax", {"department_it", "scheduler"}),
    ("tax", {"auditor"}),
]


@pytest.mark.parametrize(("party", "roles"), ACCEPTED)
def test_roles_of_the_own_party_are_accepted_and_sorted(party, roles):
    assert require_roles(party, roles) == sorted(roles)


@pytest.mark.parametrize(
    ("party", "roles", "code"),
    [
        ("centre", set(), "account.unknown_role"),
        ("centre", {"root"}, "account.unknown_role"),
        ("centre", {"centre_officer", "root"}, "account.unknown_role"),
        ("centre", {"department_it"}, "account.role_of_other_party"),
        ("centre", {"department_approver"}, "account.role_of_other_party"),
        ("centre", {"scheduler"}, "account.role_of_other_party"),
        ("tax", {"centre_officer"}, "account.role_of_other_party"),
        ("tax", {"centre_approver"}, "account.role_of_other_party"),
        ("centre", {"centre_officer", "centre_approver"}, "account.roles_not_segregated"),
        ("tax", {"department_it", "department_approver"}, "account.roles_not_segregated"),
        ("tax", {"department_it", "department_approver", "scheduler"}, "account.roles_not_segregated"),
        ("tax", {"auditor", "scheduler"}, "account.roles_not_segregated"),
        ("centre", {"auditor", "centre_officer"}, "account.roles_not_segregated"),
    ],
)
def test_roles_that_one_person_must_not_have_are_refused(party, roles, code):
    with pytest.raises(DoudiError) as caught:
        require_roles(party, roles)
    assert caught.value.code == code


def test_no_set_of_roles_lets_one_person_prepare_and_decide():
    names = ["centre_officer", "centre_approver", "department_it", "department_approver", "scheduler", "auditor"]
    accepted = []
    for party in ("centre", "tax"):
        for size in range(len(names) + 1):
            for roles in combinations(names, size):
                try:
                    accepted.append(set(require_roles(party, roles)))
                except DoudiError:
                    continue
    assert all(not {"centre_officer", "centre_approver"} <= roles for roles in accepted)
    assert all(not {"department_it", "department_approver"} <= roles for roles in accepted)
    assert all(roles == {"auditor"} for roles in accepted if "auditor" in roles)
