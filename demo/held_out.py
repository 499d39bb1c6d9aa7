"""The split of a demo: which households are held out, by the same published rule as at the lead's node."""

from pathlib import Path

import pyarrow.parquet as pq

from crypto.randomised_response import held_out_flags
from demo.cluster import TARGET
from department_nodes.labels import split_key

HELD_OUT_PERCENT = 20


def held_out_households(register: Path, split_seed: str) -> dict[str, bool]:
    """Return the flag of each household of the lead's extract. The rule is `department_nodes.labels.LabelOffice`'s."""
    households = sorted(set(pq.read_table(register, columns=["household_number"]).column(0).to_pylist()))
    flags = held_out_flags(
        split_key(split_seed), [b"household|" + name.encode() for name in households], TARGET, HELD_OUT_PERCENT
    )
    return dict(zip(households, flags.tolist(), strict=True))
