"""Drafting in files, and making a node: one set of options for a draft and a request, for a region and for a line."""

import json
import os
from pathlib import Path

import click
import pytest
import typer
from line_region import Line
from region import LEAD, Region
from typer.testing import CliRunner

from crypto.signing import signing_public_key
from department_nodes.cli import app
from department_nodes.home import APPROVAL_KEY, NodeHome
from policies.contracts.grant import SignedGrant
from policies.contracts.run_windows import parse_window

WINDOW = "mon-fri 22:00-24:00+08:00"


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Region:
    made = Region(tmp_path_factory.mktemp("drafts") / "region", people=60)
    made.close()
    return made


def options_of(command: str) -> set[str]:
    """Return the names of a command's options."""
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group)
    return {name for option in group.commands[command].params for name in option.opts}


@pytest.mark.parametrize(("draft", "request_"), [("draft", "request"), ("draft-line", "request-line")])
def test_a_request_is_asked_with_the_options_of_a_draft(draft: str, request_: str) -> None:
    assert options_of(draft) - {"--out"} == options_of(request_) - {"--draft-only", "--json"}
    assert "--window" in options_of(draft)


def region_options(region: Region, out: Path) -> list[str]:
    named = [part for name in region.departments if name != LEAD for part in ("--department", name)]
    terms = ["--project", "p", "--purpose", "social_assistance", "--target", "public_coverage"]
    return ["draft", "--home", str(region.folder / LEAD), "--out", str(out), *terms, "--label-period", "2026", *named]


def test_a_draft_names_its_windows_and_every_term(region: Region, tmp_path: Path) -> None:
    out = tmp_path / "grant.json"
    more = ["--window", WINDOW, "--window", "sat 00:00-12:00+08:00", "--runs", "3", "--days", "10", "--epsilon", "0.5"]
    result = CliRunner().invoke(app, [*region_options(region, out), *more])
    assert result.exit_code == 0, result.output
    grant = SignedGrant.parse(out.read_bytes()).region_grant
    assert grant.windows == (parse_window(WINDOW), parse_window("sat 00:00-12:00+08:00"))
    assert (grant.runs_allowed, grant.label.epsilon_milli, set(grant.modes)) == (3, 500, {"evidence", "sum_only"})
    assert grant.expires_at - grant.not_before == 10 * 24 * 3600
    assert set(grant.departments) == set(region.departments)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--mode", "guess"], 2),
        (["--epsilon", "nan"], 2),
        (["--runs", "0"], 2),
        (["--window", "always"], 3),
        (["--department", "education"], 3),
    ],
)
def test_a_draft_that_makes_no_sense_is_refused_and_not_written(
    region: Region, tmp_path: Path, more: list[str], code: int
) -> None:
    out = tmp_path / "grant.json"
    result = CliRunner().invoke(app, [*region_options(region, out), *more])
    assert result.exit_code == code, result.output
    assert not out.exists()


def test_a_lines_draft_has_the_noise_that_its_epsilon_needs(tmp_path: Path) -> None:
    line = Line(tmp_path / "line", regions=3)
    line.close()
    out = tmp_path / "line.json"
    named = [part for name in line.parties[1:] for part in ("--department", name)]
    terms = ["--project", "p", "--purpose", "social_assistance", "--area", "all", "--target", "public_coverage"]
    home = ["--home", str(line.folder / line.lead), "--out", str(out)]
    more = ["--label-period", "2026", "--rounds", "2", "--epsilon", "2", "--window", WINDOW, *named]
    result = CliRunner().invoke(app, ["draft-line", *home, *terms, *more])
    assert result.exit_code == 0, result.output
    grant = SignedGrant.parse(out.read_bytes()).line_grant
    assert (grant.training.rounds, grant.windows) == (2, (parse_window(WINDOW),))
    shown = CliRunner().invoke(app, ["preview", str(out), "--home", str(line.folder / line.parties[1]), "--json"])
    found = json.loads(shown.stdout)
    assert found["refusal"] is None
    assert [row["kind"] for row in found["leaves"] if row["step"] == "any time"] == [
        "asset registration",
        "revocation list",
        "report of the node",
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_preview_says_what_leaves_at_any_time(region: Region, tmp_path: Path, language: str) -> None:
    out = tmp_path / "grant.json"
    assert CliRunner().invoke(app, region_options(region, out)).exit_code == 0
    home = ["--home", str(region.folder / "tax")]
    shown = CliRunner().invoke(app, ["--lang", language, "preview", str(out), *home])
    assert shown.exit_code == 0, shown.output
    assert {"en": "any time", "zh": "随时"}[language] in shown.stdout


def init_options(folder: Path, *more: str) -> list[str]:
    ca_file = folder / "ca.crt"
    ca_file.write_bytes(b"certificate")
    where = ["--extract", "x.parquet", "--coordinator-url", "https://127.0.0.1:1", "--superlink-address", "127.0.0.1:2"]
    asset = ["--department", "tax", "--region", "test", "--tier", "important", "--purpose", "social_assistance"]
    return ["init", "--home", str(folder / "node"), *asset, *where, "--ca-file", str(ca_file), *more]


def test_init_makes_a_folder_for_every_further_approver(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, init_options(tmp_path, "--further-approvers", "2", "--steward", "data-office"))
    assert result.exit_code == 0, result.output
    home = NodeHome(tmp_path / "node")
    keys = [home.path / "officers" / f"approver-{number}" / APPROVAL_KEY for number in (2, 3)]
    public = tuple(signing_public_key(path.read_bytes()).hex() for path in keys)
    assert home.public_keys.co_approval_keys == public
    assert len({home.public_keys.approval_key, *public}) == 3
    assert {os.stat(path).st_mode & 0o777 for path in keys} == {0o600}
    assert {os.stat(path.parent).st_mode & 0o777 for path in keys} == {0o700}
    assert home.config.steward == "data-office"
    assert "approver-2" in result.stderr
    assert "approver-3" in result.stderr
    assert (home.path / "site-policy.cedar").is_file()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (["--further-approvers", "4"], 2),
        (["--tier", "secret"], 3),
        (["--purpose", "curiosity"], 3),
        (["--department", "centre"], 3),
    ],
)
def test_a_node_that_nobody_could_use_is_not_made(tmp_path: Path, changes: list[str], code: int) -> None:
    result = CliRunner().invoke(app, init_options(tmp_path, *changes))
    assert result.exit_code == code, result.output
    assert not (tmp_path / "node").exists()
