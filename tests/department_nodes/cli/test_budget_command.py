"""`doudi node budget`: the figures of the account, in both languages, within a narrow terminal."""

import json
from pathlib import Path

import pytest
from region import Region
from typer.testing import CliRunner

from department_nodes.cli import app
from department_nodes.privacy.budget import BudgetAccount, Plan
from department_nodes.store.models import GrantRow, ProjectRow
from department_nodes.store.session import transaction

GRANT = "a" * 64


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node whose one line run reserved 10 rounds of rho 0.02 and was charged 3."""
    region = Region(tmp_path / "region", people=60)
    engine = region.engines["tax"]
    now_s = int(engine.clock())
    with transaction(engine.db) as session:
        session.add(ProjectRow(project_id="line-2026", joined_at=now_s))
        session.flush()
        session.add(GrantRow(grant_hash=GRANT, project_id="line-2026", document=b"{}", first_seen_at=now_s))
    account = BudgetAccount(engine.db, "tax", 8.0, 1e-6, now_s)
    later = now_s + 10**8
    account.reserve(
        Plan("run-7", 1, "line-2026", GRANT, "discrete_gaussian", 5000, 1_000_000, 1, 20_000_000, 10, later)
    )
    for number in (1, 2, 3):
        account.charge("run-7", 1, number)
    path = region.homes["tax"].path
    region.close()
    return path


def test_the_machine_readable_account_has_spent_reserved_cap_and_history(home: Path) -> None:
    shown = CliRunner().invoke(app, ["budget", "--home", str(home), "--json"])
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    lines = found["lines"]
    (entry,) = lines["history"]
    assert lines["epsilon_spent"] == entry["epsilon_after"] == entry["epsilon_alone"]
    assert 0 < lines["epsilon_spent"] < lines["epsilon_reserved"] < lines["cap_epsilon"] == 8.0
    assert (entry["rounds_charged"], entry["rounds_reserved"], entry["state"]) == (3, 10, "reserved")
    assert found["labels_in_a_year"] == {"epsilon": 0.0, "cap_epsilon": 8.0}
    assert found["evidence_in_a_year"] == {"bits_per_person": 0, "cap_bits_per_person": 120}


@pytest.mark.parametrize(("language", "words"), [("en", ("reserved", "ε so far")), ("zh", ("预留中", "累计 ε"))])
def test_the_table_speaks_both_languages(home: Path, language: str, words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, ["--lang", language, "budget", "--home", str(home)])
    assert shown.exit_code == 0, shown.output
    assert "tax" in shown.stdout
    assert "3/10" in shown.stdout
    assert "█" in shown.stdout
    assert all(word in shown.stdout for word in words)
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())


def test_a_node_without_lines_says_so_and_needs_no_accountant(tmp_path: Path) -> None:
    region = Region(tmp_path / "region", people=60)
    region.close()
    shown = CliRunner().invoke(app, ["budget", "--home", str(region.homes["tax"].path)])
    assert shown.exit_code == 0, shown.output
    assert "no line has reserved anything yet" in shown.stdout
