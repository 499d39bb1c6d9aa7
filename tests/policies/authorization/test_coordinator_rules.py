"""The coordinator's rules: every rule has cases, and what every later version must keep."""

import json

import pytest

from crypto.errors import DoudiError
from policies.authorization.cases import load_cases
from policies.authorization.coordinator_rules import FOLDER, parse_version, shipped_cases, shipped_engine
from policies.authorization.engine import load_rules, parse_rules

RULES = {rule.id: rule for rule in shipped_engine().rules}
TEXT = shipped_engine().text


def refused(text, code="policy.breaks_invariant"):
    with pytest.raises(DoudiError) as caught:
        parse_version(text)
    assert caught.value.code == code
    return caught.value.message


def rule_text(identifier):
    """Return the text of one shipped rule."""
    start = TEXT.index(f'@id("{identifier}")')
    return TEXT[start : TEXT.index(";\n", start) + 2]


@pytest.mark.parametrize("case", shipped_cases(), ids=lambda case: case.id)
def test_a_case_is_decided_by_the_rules_that_it_names(case):
    decision = shipped_engine().decide(case.question)
    assert (decision.allowed, list(decision.rules), decision.errors) == (case.case.allowed, case.case.rules, 0)


def test_every_rule_has_a_case_that_allows_and_one_that_denies():
    answers = {name: set() for name in RULES}
    for case in shipped_cases():
        answers[case.case.rule].add(case.case.allowed)
    assert {name for name, found in answers.items() if found != {True, False}} == set()


def test_a_case_that_a_rule_decides_names_it():
    for case in shipped_cases():
        if case.case.allowed == (RULES[case.case.rule].effect == "permit"):
            assert case.case.rule in case.case.rules, case.id


def test_every_case_has_a_name_of_its_own():
    names = [case.id for case in shipped_cases()]
    assert len(set(names)) == len(names)


def test_a_rule_stands_in_the_file_of_its_feature():
    for path in FOLDER.glob("*.cedar"):
        assert {rule.id.partition(".")[0] for rule in parse_rules(path.read_text("utf-8"))} == {path.stem}
    assert {path.stem for path in FOLDER.glob("*.cedar")} == {path.stem for path in (FOLDER / "cases").glob("*.json")}


def test_every_invariant_is_a_forbid_and_has_an_invariant_case_that_it_denies():
    denied = {
        rule for case in shipped_cases() if case.case.invariant and not case.case.allowed for rule in case.case.rules
    }
    invariant = {rule.id for rule in RULES.values() if rule.invariant}
    assert {rule for rule in invariant if RULES[rule].effect != "forbid"} == set()
    assert invariant <= denied
    assert len(invariant) >= 25


@pytest.mark.parametrize("identifier", sorted(rule.id for rule in RULES.values() if rule.invariant))
def test_a_version_without_an_invariant_rule_is_refused(identifier):
    refused(TEXT.replace(rule_text(identifier), ""))


@pytest.mark.parametrize("identifier", sorted(rule.id for rule in RULES.values() if rule.invariant))
def test_an_exception_for_one_account_that_no_case_has_is_refused(identifier):
    rule = rule_text(identifier)
    weakened = rule.removesuffix(";\n") + '\nunless { context.principal_id == "777" };\n'
    assert identifier in refused(TEXT.replace(rule, weakened))


def test_a_change_that_permits_self_approval_is_refused():
    rule = rule_text("requests.not_own")
    changed = TEXT.replace(rule, rule.replace("resource.drafter == context.principal_id || ", ""))
    assert "nobody approves a request that they drafted" in refused(changed)


def test_a_new_permit_cannot_overrule_an_invariant():
    generous = TEXT + '\n@id("policy.everything")\npermit (principal, action, resource);\n'
    # It breaks cases of what nobody permits; and even if it did not, the forbids would stand.
    refused(generous)


def test_rules_that_nobody_could_ever_change_again_are_refused():
    locked = TEXT + '\n@id("policy.never")\nforbid (principal, action == Action::"policy.approve", resource);\n'
    assert "approves a change" in refused(locked)
    without = TEXT.replace(rule_text("policy.propose"), "")
    assert "proposes a change" in refused(without)


def test_an_invariant_may_be_laid_out_and_explained_anew():
    rule = rule_text("requests.not_own")
    other = rule.replace("\n", "\n  ").replace("@invariant", "// explained in another way\n@invariant")
    engine = parse_version(TEXT.replace(rule, other))
    assert engine.policy_hash != shipped_engine().policy_hash


def test_other_rules_may_change_within_the_schema():
    narrower = TEXT.replace(rule_text("grants.sign"), rule_text("grants.sign").replace(" || principal is Device", ""))
    assert not {rule.id for rule in parse_version(narrower).rules} ^ set(RULES)
    refused(TEXT.replace("resource.scheduler", "resource.schedulr"), "policy.invalid")


def test_what_no_rule_or_action_is_named_for_is_denied():
    for case in shipped_cases():
        unnamed = type(case.question)(
            case.question.principal, "grant.eat", case.question.resource, case.question.entities, case.question.context
        )
        assert not shipped_engine().decide(unnamed).allowed


def test_the_shipped_rules_are_those_of_the_folder():
    assert load_rules(FOLDER).strip() == TEXT.strip()
    assert parse_version(TEXT).policy_hash == shipped_engine().policy_hash


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["cases"][0].update(principal="nobody"),
        lambda file: file["cases"][0].update(allowed="yes"),
        lambda file: file["cases"][0].update(surprise=1),
        lambda file: file["cases"][0].update(context={"note": {"a": 1}}),
        lambda file: file.pop("resources"),
    ],
)
def test_a_case_that_cannot_be_read_is_refused(tmp_path, change):
    file = json.loads((FOLDER / "cases" / "runs.json").read_text("utf-8"))
    change(file)
    (tmp_path / "runs.json").write_text(json.dumps(file))
    with pytest.raises(DoudiError) as caught:
        load_cases(tmp_path)
    assert caught.value.code == "policy.bad_case"
