"""The one command and its lazy groups: `doudi.py`."""

import subprocess
import sys
from importlib import metadata

import pytest
from click.testing import CliRunner

import doudi


def entry(name, value):
    return metadata.EntryPoint(name, value, doudi.GROUP)


@pytest.fixture
def groups(monkeypatch):
    """The groups as an installation lists them; the real list depends on how this checkout was installed."""
    found = {
        "centre": entry("centre", "coordinator.cli:app"),
        "node": entry("node", "a_package_that_is_not_installed.cli:app"),
        "audit": entry("audit", "auditors.cli_that_does_not_exist:app"),
    }
    monkeypatch.setattr(doudi, "entry_points", lambda: found)
    return found


def call(*arguments):
    return CliRunner().invoke(doudi.root, arguments)


def test_help_lists_the_groups_without_importing_them():
    """In a fresh process, because this one has imported the coordinator."""
    program = (
        "import sys, doudi\n"
        "from importlib import metadata\n"
        "from click.testing import CliRunner\n"
        "doudi.entry_points = lambda: {'centre': metadata.EntryPoint('centre', 'coordinator.cli:app', doudi.GROUP)}\n"
        "result = CliRunner().invoke(doudi.root, ['--help'])\n"
        "assert 'centre' in result.output and result.exit_code == 0, result.output\n"
        "assert not {'coordinator', 'policies', 'fastapi', 'sqlalchemy', 'flwr'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_group_runs_its_own_commands(groups):
    result = call("centre", "--help")
    assert result.exit_code == 0
    assert "create-project" in result.output


def test_a_group_whose_package_is_missing_names_the_extra(groups):
    result = call("node", "status")
    assert result.exit_code == 1
    assert "pip install 'doudi[node]'" in result.output
    assert "Traceback" not in result.output


def test_a_group_whose_own_code_is_missing_says_so(groups):
    assert "install.incomplete" in call("audit").output


def test_an_unknown_group_is_a_usage_error(groups):
    assert call("nothing").exit_code == 2


def test_the_version_is_shown():
    assert call("--version").output.startswith("doudi, version ")


def test_an_installation_without_groups_says_how_to_install(monkeypatch, capsys):
    monkeypatch.setattr(doudi, "entry_points", dict)
    with pytest.raises(SystemExit) as caught:
        doudi.main()
    assert caught.value.code == doudi.EXIT_USAGE
    assert "pip install" in capsys.readouterr().err
