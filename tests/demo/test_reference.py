from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from crypto.errors import DoudiError
from demo.reference import reference_aucs

KENTUCKY = Path(__file__).parents[2] / "demo_data" / "kentucky"
DEPARTMENTS = ("civil_affairs", "health_disability", "tax")


@pytest.fixture
def extracts(tmp_path: Path) -> dict[str, Path]:
    """Return three departments' extracts of 1,500 households of Kentucky."""
    register = pq.read_table(KENTUCKY / "civil_affairs.parquet")
    numbers = sorted(set(register["household_number"].to_pylist()))[:1500]
    register = register.filter(pc.is_in(register["household_number"], pa.array(numbers)))
    paths = {}
    for name in DEPARTMENTS:
        table = pq.read_table(KENTUCKY / f"{name}.parquet")
        paths[name] = tmp_path / f"{name}.parquet"
        pq.write_table(table.filter(pc.is_in(table["resident_id"], register["resident_id"])), paths[name])
    return paths


def flags(extracts: dict[str, Path]) -> dict[str, bool]:
    numbers = sorted(set(pq.read_table(extracts["civil_affairs"])["household_number"].to_pylist()))
    return dict(zip(numbers, (np.random.default_rng(0).random(len(numbers)) < 0.4).tolist(), strict=True))


def test_pooling_beats_each_department_alone(extracts: dict[str, Path]) -> None:
    seen: list[tuple[int, int]] = []
    result = reference_aucs(extracts, flags(extracts), lambda done, of: seen.append((done, of)))
    assert set(result["departments"]) == set(DEPARTMENTS)
    assert all(0.55 < auc < result["pooled"] < 1 for auc in result["departments"].values())
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_order_of_rows_in_a_department_does_not_matter(extracts: dict[str, Path]) -> None:
    only = {name: extracts[name] for name in ("civil_affairs", "health_disability")}
    first = reference_aucs(only, flags(extracts))
    table = pq.read_table(only["health_disability"])
    order = np.random.default_rng(1).permutation(table.num_rows)
    pq.write_table(table.take(order), only["health_disability"])
    assert reference_aucs(only, flags(extracts)) == first


def test_extracts_that_do_not_fit_together_are_refused_with_their_code(extracts: dict[str, Path]) -> None:
    held_out = flags(extracts)
    whole_state = {**extracts, "tax": KENTUCKY / "tax.parquet"}
    without_lead = {name: path for name, path in extracts.items() if name != "civil_affairs"}
    one_flag_less = dict(list(held_out.items())[1:])
    for arguments, code in [
        ((without_lead, held_out), "reference.no_lead"),
        ((whole_state, held_out), "reference.unknown_person"),
        ((extracts, one_flag_less), "reference.unknown_household"),
    ]:
        with pytest.raises(DoudiError) as refused:
            reference_aucs(*arguments)
        assert refused.value.code == code
