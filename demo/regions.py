"""Small regions for the grid: the shipped region's areas, dealt into groups, each with its own extracts. Outside every party."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crypto.errors import DoudiError
from demo.cluster import LEAD, Member

AREA, KEY = "area", "resident_id"


def deal_regions(
    extracts: Path, out: Path, names: Sequence[str], departments: Sequence[str], people: int
) -> list[Member]:
    """Write one folder of extracts per region and return the members; regions hold whole areas and share nobody.

    Each region takes the next areas, in the order of their codes, until it has about `people` people. Raises
    `demo.too_few_people`.
    """
    register = pq.read_table(extracts / f"{LEAD}.parquet")
    areas = register.column(AREA).to_numpy(zero_copy_only=False).astype(str)
    codes, counts = np.unique(areas, return_counts=True)
    members: list[Member] = []
    start = 0
    for name in names:
        reached = np.cumsum(counts[start:])
        if not len(reached) or reached[-1] < people:
            raise DoudiError(
                "demo.too_few_people", "the extracts do not hold so many people", "Ask for smaller regions."
            )
        end = start + int(np.searchsorted(reached, people)) + 1
        ids = register.filter(np.isin(areas, codes[start:end])).column(KEY)
        start = end
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for department in departments:
            table = pq.read_table(extracts / f"{department}.parquet")
            held = table.filter(pc.is_in(table.column(KEY), value_set=ids))
            path = folder / f"{department}.parquet"
            pq.write_table(held, path)
            members.append(Member(party_name(name, department), name, department, path))
    return members


def party_name(region: str, department: str) -> str:
    """Return the name of a region's department as a party: unique over all regions of a coordinator."""
    return f"{region}-{department}"
