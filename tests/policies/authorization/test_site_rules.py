"""A department's own rules: `policies/authorization/site.py` and the file that a node begins with."""

import json
from dataclasses import replace

import pytest

from crypto.errors import DoudiError
from policies.authorization.site import BASE_RULE, FOLDER, SiteQuestion, SiteRules, default_site_policy

CASES = json.loads((FOLDER / "cases" / "default.json").read_text("utf-8"))


def question(**changes):
    values = {**CASES["question"], **changes}
    return SiteQuestion(
        **{name: frozenset(value) if isinstance(value, list) else value for name, value in values.items()}
    )


def forbid(condition, identifier="site.test"):
    return f'@id("{identifier}")\nforbid (principal, action, resource)\nwhen {{ {condition} }};\n'


def refusal(text):
    with pytest.raises(DoudiError) as caught:
        SiteRules(text)
    return caught.value


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_a_case_of_the_default_rules_is_decided_by_the_rules_that_it_names(case):
    decision = SiteRules(default_site_policy()).decide(question(**case["changes"]))
    assert (decision.allowed, list(decision.rules), decision.errors) == (case["allowed"], case["rules"], 0)


def test_every_default_rule_has_a_case_that_allows_and_one_that_denies():
    for rule in SiteRules(default_site_policy()).rules:
        assert {case["allowed"] for case in CASES["cases"] if case["rule"] == rule.id} == {True, False}


def test_every_example_of_the_default_file_is_a_rule_when_its_slashes_are_taken_away():
    """An officer who uncomments an example must get a rule that reads and that denies or allows something."""
    lines = default_site_policy().splitlines()
    examples = lines[next(number for number, line in enumerate(lines) if "Examples" in line) + 1 :]
    marks = ("// @", "// forbid", "// when", "// unless")
    text = "\n".join(line.removeprefix("// ") if line.startswith(marks) else line for line in examples)
    rules = SiteRules(text)
    assert len(rules.rules) >= 6
    fitting = question(operations=["sum_only"], columns=["age"], epsilon_milli=500, hour_utc=13)
    assert rules.decide(fitting).allowed
    spoilt = {
        "site.purposes": {"purpose": "statistics"},
        "site.leads": {"lead": "housing"},
        "site.no_diagnosis": {"columns": frozenset({"diagnosis_code"})},
        "site.sums_only": {"operations": frozenset({"evidence"})},
        "site.with_health": {"departments": frozenset({"civil_affairs", "tax"})},
        "site.small_epsilon": {"epsilon_milli": 2000},
        "site.at_night": {"hour_utc": 4},
    }
    assert {rule.id for rule in rules.rules} == set(spoilt)
    for rule, changes in spoilt.items():
        assert rules.decide(replace(fitting, **changes)).rules == (rule,)


def test_an_empty_file_narrows_nothing():
    assert SiteRules("").decide(question()).rules == (BASE_RULE,)
    assert SiteRules("// nothing\n").decide(question()).allowed


@pytest.mark.parametrize(
    ("condition", "changes"),
    [
        ('context.purpose != "social_assistance"', {"purpose": "statistics"}),
        ('context.columns.contains("wage")', {"columns": ["wage"]}),
        ('!context.departments.contains("health")', {"departments": ["civil_affairs", "tax"]}),
        ("context.weekday >= 6", {"weekday": 7}),
        ('resource.tier == "important"', {"tier": "important"}),
        ('principal == Department::"housing"', {"lead": "housing"}),
        ('context.operations.contains("line") && context.project == "winter-aid"', {"operations": ["line"]}),
    ],
)
def test_a_rule_forbids_what_it_says_and_nothing_else(condition, changes):
    rules = SiteRules(forbid(condition))
    assert rules.decide(question()).allowed
    decision = rules.decide(question(**changes))
    assert (decision.allowed, decision.rules) == (False, ("site.test",))


def test_a_permit_is_refused_with_its_line():
    error = refusal(forbid("false", "site.one") + '\n@id("site.wide")\npermit (principal, action, resource);\n')
    assert error.code == "policy.only_forbids"
    assert "site.wide, line 5" in error.message


def test_a_misspelt_word_is_refused_with_the_rule_and_its_line():
    error = refusal("// a comment\n" + forbid('context.purpse == "x"'))
    assert error.code == "policy.invalid"
    assert "rule site.test, line 2" in error.message
    assert "purpse" in error.message


@pytest.mark.parametrize(
    "text",
    [
        "forbid (principal, action, resource);",
        forbid("true", BASE_RULE),
        forbid("true") + forbid("false"),
        '@id("site.test") forbid (principal == ?principal, action, resource);',
        '@id("site.test") forbid (principal, action == Action::"release", resource);',
        forbid("(" * 3000 + "true" + ")" * 3000),
        "ein Satz",
    ],
)
def test_a_file_that_is_not_sound_is_refused(text):
    assert refusal(text).code == "policy.invalid"


def test_a_question_that_does_not_fit_the_schema_is_denied():
    rules = SiteRules("")
    assert not rules.decide(question(epsilon_milli="1000")).allowed
    assert not rules.decide(question(duration_days=2**70)).allowed
    assert rules.decide(question(purpose=None)).errors == 1


def test_a_rule_that_fails_denies():
    decision = SiteRules(forbid("context.epsilon_milli * 9223372036854775807 < 0")).decide(question())
    assert (decision.allowed, decision.errors) == (False, 1)


def test_the_hash_is_of_the_departments_own_text():
    assert SiteRules(forbid("true")).policy_hash != SiteRules(forbid("false")).policy_hash
    assert SiteRules(forbid("true")).decide(question()).policy_hash == SiteRules(forbid("true")).policy_hash
