"""The subgroups that an evaluation looks at: age of the oldest adult member, and household type. Pure: numpy only."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crypto.errors import DoudiError

AGE_GROUPS = ("18-29", "30-44", "45-59", "60-64")
_AGE_GROUP_STARTS = (18, 30, 45, 60)
_OLDEST_AGE = 64


class HouseholdType(NamedTuple):
    """The name of a household type in the two languages of the reports."""

    english: str
    chinese: str


# Codes of the column HHT ("household/family type") of the American Community Survey's data dictionary, 2024.
HOUSEHOLD_TYPES = {
    1: HouseholdType("married couple", "已婚夫妇家庭"),
    2: HouseholdType("family, man without spouse", "男性户主单亲或亲属家庭"),
    3: HouseholdType("family, woman without spouse", "女性户主单亲或亲属家庭"),
    4: HouseholdType("man living alone", "男性独居"),
    5: HouseholdType("man living with non-relatives", "男性户主与非亲属同住"),
    6: HouseholdType("woman living alone", "女性独居"),
    7: HouseholdType("woman living with non-relatives", "女性户主与非亲属同住"),
}


def age_group(ages: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.str_]:
    """Return the group of each household by the age of its oldest adult member: "18-29", "30-44", "45-59" or "60-64".

    `ages`: whole years [households], 18 to 64.
    Raises `DoudiError` `combining.bad_age` outside that range.
    """
    if len(ages) and (ages.min() < _AGE_GROUP_STARTS[0] or ages.max() > _OLDEST_AGE):
        raise DoudiError(
            "combining.bad_age", "an age is outside 18 to 64", "Check the extract with `doudi node check`."
        )
    return np.asarray(AGE_GROUPS)[np.searchsorted(_AGE_GROUP_STARTS, ages, side="right") - 1]


def oldest_member(
    ages: npt.NDArray[np.integer[Any]], household: npt.NDArray[np.int64], households: int
) -> npt.NDArray[np.int64]:
    """Return the age of each household's oldest member: int64 [households]; 0 for a household without members."""
    oldest = np.zeros(households, np.int64)
    np.maximum.at(oldest, household, ages)
    return oldest


def household_type(codes: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.str_]:
    """Return the English name of each household's type, "unknown" for a code outside the table: str [households]."""
    return np.asarray(
        [HOUSEHOLD_TYPES[code].english if code in HOUSEHOLD_TYPES else "unknown" for code in codes.tolist()]
    )
