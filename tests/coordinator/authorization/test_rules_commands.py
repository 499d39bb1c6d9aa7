"""`doudi centre check-rules | shipped-rules`: `coordinator/cli/rules_commands.py`."""

import json

import pytest
from rule_people import NARROWER, SHIPPED
from typer.testing import CliRunner

from command_line.console import ExitCode
from coordinator.authorization import changes
from coordinator.cli import app
from policies.authorization.coordinator_rules import shipped_engine


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_rules_that_may_be_proposed_are_told_with_their_hash(tmp_path):
    file = tmp_path / "rules.cedar"
    file.write_text(NARROWER)
    result = call("check-rules", file, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rules"] == len(shipped_engine().rules)
    assert "可以提交审批" in call("--lang", "zh", "check-rules", file).stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SHIPPED.replace("resource.ownr", ""), None),
        (SHIPPED.replace("resource.owner }", "resource.ownr }"), "rule catalogue.only_the_owners_node, line"),
        (SHIPPED.replace('@id("policy.not_own")', '@id("policy.own")'), "policy.not_own"),
        ("permit (principal, action, resource);", "line 1"),
    ],
)
def test_what_is_against_a_proposal_is_told_where_it_stands(tmp_path, text, said):
    file = tmp_path / "rules.cedar"
    file.write_text(text)
    result = call("check-rules", file)
    assert (result.exit_code == 0) == (said is None)
    if said:
        assert said in result.output


def test_a_file_that_is_not_there_is_told(tmp_path):
    assert call("check-rules", tmp_path / "nothing.cedar").exit_code == ExitCode.BAD_FILE


def test_the_host_returns_to_the_shipped_rules(tmp_path, town):
    home = town.world.config.home
    (home / "coordinator.toml").write_text(
        "".join(
            f'{name} = "{getattr(town.world.config, name)}"\n'
            for name in ("centre_api_key", "centre_approval_key", "centre_revocation_key")
        )
    )
    assert json.loads(call("shipped-rules", "--home", home, "--json").stdout)["changed"] is False
    with town.world.begin() as session:
        row, _ = changes.propose(session, town.context, town.officer.principal, NARROWER)
        for person in (town.approver, town.second):
            changes.approve(session, town.context, person.principal, row.policy_hash)
    assert town.changes() == [(1, "active")]
    facts = json.loads(call("shipped-rules", "--home", home, "--json").stdout)
    assert facts == {"changed": True, "policy_hash": shipped_engine().policy_hash}
    assert town.changes() == [(1, "replaced")]
