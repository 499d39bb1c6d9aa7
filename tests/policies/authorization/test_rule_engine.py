"""The evaluation of rules, and everything that must be a denial: `policies/authorization/engine.py`."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import policies
from crypto.errors import DoudiError
from policies.authorization.engine import (
    MAXIMUM_CHARACTERS,
    MAXIMUM_DEPTH,
    MAXIMUM_RULE_CHARACTERS,
    MAXIMUM_RULES,
    AuthorizationRequest,
    Entity,
    EntityRef,
    PolicyEngine,
    canonical_text,
    load_rules,
    parse_rules,
)

SCHEMA = """
entity Party;
entity Person = { party: Party, roles: Set<String>, age?: Long };
entity Paper = { owner: Party, number: Long };
action "changes";
action "paper.read" appliesTo { principal: [Person], resource: [Paper], context: { note: String } };
action "paper.burn" in ["changes"] appliesTo { principal: [Person], resource: [Paper], context: { note: String } };
"""
OWNER_READS = """
@id("owner.reads")
permit (principal, action == Action::"paper.read", resource)
when { principal.party == resource.owner };
"""
NOTHING_BURNS = """
@id("nothing.burns")
forbid (principal, action in Action::"changes", resource)
when { resource.number > 0 };
"""
TAX = EntityRef("Party", "tax")
PERSON = Entity(EntityRef("Person", "1"), {"party": TAX, "roles": frozenset({"clerk"})})
PAPER = Entity(EntityRef("Paper", "p"), {"owner": TAX, "number": 7})
ASKED = AuthorizationRequest(PERSON.ref, "paper.read", PAPER.ref, (PERSON, PAPER), {"note": ""})
ALL = '@id("all") permit (principal, action, resource);'


def engine(*rules):
    return PolicyEngine("\n".join(rules), SCHEMA)


def refusal(*rules):
    with pytest.raises(DoudiError) as caught:
        engine(*rules)
    assert caught.value.code == "policy.invalid"
    return caught.value.message


def test_a_permit_allows_and_is_named():
    decision = engine(OWNER_READS, NOTHING_BURNS).decide(ASKED)
    assert (decision.allowed, decision.rules, decision.errors) == (True, ("owner.reads",), 0)


def test_a_forbid_wins_over_every_permit_and_is_named():
    decision = engine(ALL, NOTHING_BURNS).decide(replace(ASKED, action="paper.burn"))
    assert (decision.allowed, decision.rules, decision.errors) == (False, ("nothing.burns",), 0)


def test_what_no_rule_permits_is_denied_without_a_deciding_rule():
    decision = engine(OWNER_READS).decide(replace(ASKED, action="paper.burn"))
    assert (decision.allowed, decision.rules, decision.errors) == (False, (), 0)


def test_all_deciding_rules_are_named_in_order():
    second = '@id("another") permit (principal, action, resource);'
    assert engine(OWNER_READS, second).decide(ASKED).rules == ("another", "owner.reads")


def without(entity, name):
    return replace(entity, attributes={key: value for key, value in entity.attributes.items() if key != name})


@pytest.mark.parametrize(
    "asked",
    [
        replace(ASKED, entities=(without(PERSON, "party"), PAPER)),
        replace(ASKED, entities=(PERSON, without(PAPER, "number"))),
        replace(ASKED, entities=(PERSON,)),
        replace(ASKED, entities=()),
        replace(ASKED, context={}),
        replace(ASKED, context={"note": 1}),
        replace(ASKED, context={"note": "", "other": "x"}),
        replace(ASKED, action="paper.eat"),
        replace(ASKED, principal=EntityRef("Robot", "1")),
        replace(ASKED, entities=(replace(PERSON, attributes={**PERSON.attributes, "vip": True}), PAPER)),
        replace(ASKED, entities=(PERSON, replace(PAPER, attributes={**PAPER.attributes, "number": 2**63}))),
        replace(ASKED, entities=(PERSON, replace(PAPER, attributes={**PAPER.attributes, "number": "7"}))),
        replace(ASKED, entities=(PERSON, PAPER, replace(PAPER, attributes={"owner": TAX, "number": 8}))),
        replace(ASKED, context={"note": {"__entity": {"type": "Party", "id": "tax"}}}),
        replace(ASKED, context={"note": None}),
        replace(ASKED, context={"note": 0.5}),
    ],
)
def test_whatever_cannot_be_evaluated_is_denied_even_where_everything_is_permitted(asked):
    decision = engine(ALL, NOTHING_BURNS).decide(asked)
    # Of a forbid that reads a missing entity, Cedar alone would say Allow and skip the rule.
    assert (decision.allowed, decision.rules) == (False, ())
    assert decision.errors >= 1


def test_a_rule_that_fails_denies_although_another_one_permits():
    overflow = (
        '@id("overflow") forbid (principal, action, resource) when { resource.number * 9223372036854775807 > 0 };'
    )
    decision = engine(ALL, overflow).decide(ASKED)
    assert (decision.allowed, decision.rules, decision.errors) == (False, (), 1)


def test_text_in_values_stays_text():
    odd = '"}]) permit(principal, action, resource); // ::Party'
    entity = replace(PERSON, ref=EntityRef("Person", odd))
    asked = replace(ASKED, principal=entity.ref, entities=(entity, PAPER), context={"note": odd})
    assert engine(OWNER_READS).decide(asked).allowed


def test_a_misspelt_attribute_is_refused_when_the_rules_are_read():
    message = refusal(NOTHING_BURNS, OWNER_READS.replace("resource.owner", "resource.ownr"))
    assert "rule owner.reads, line 6" in message
    assert "ownr" in message


def test_an_optional_attribute_that_may_be_missing_is_refused():
    assert "age" in refusal('@id("age") permit (principal, action, resource) when { principal.age > 17 };')


@pytest.mark.parametrize(
    "rules",
    [
        "permit (principal, action, resource);",
        '@id("") permit (principal, action, resource);',
        '@id("Has Spaces") permit (principal, action, resource);',
        '@id("a.' + "b" * 60 + '") permit (principal, action, resource);',
        '@id("one") permit (principal, action, resource);\n@id("one") forbid (principal, action, resource);',
        '@id("slot") permit (principal == ?principal, action, resource);',
        '@id("action") permit (principal, action == Action::"paper.eat", resource);',
        '@id("open") permit (principal, action, resource',
        '@id("open") permit (principal, action, resource) when { "a',
        '@id("\ud800") permit (principal, action, resource);',
        "words",
    ],
)
def test_rules_that_are_not_sound_are_refused(rules):
    refusal(rules)


def test_a_schema_that_cannot_be_read_is_refused():
    with pytest.raises(DoudiError) as caught:
        PolicyEngine(ALL, "entity {")
    assert caught.value.code == "policy.invalid"


def condition(text):
    return '@id("deep") permit (principal, action, resource) when { ' + text + " };"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5_000 + "true" + ")" * 5_000,
        "[" * 5_000 + "1" + "]" * 5_000 + " == 1",
        " && ".join(["true"] * 10_000),
        "if true then " * 3_000 + "true" + " else false" * 3_000,
        "1" + "+1" * 20_000 + " == 1",
        "resource" + ".owner" * 10_000,
        "!" * 10_000 + "true",
    ],
)
def test_what_would_kill_the_process_in_cedars_parser_is_refused_before_it(text):
    assert "too deep, too long" in refusal(condition(text))


def test_the_bounds_hold_and_what_is_within_them_is_read():
    refusal(condition("(" * MAXIMUM_DEPTH + "true" + ")" * MAXIMUM_DEPTH))
    # The braces of the condition are one level.
    engine(condition("(" * (MAXIMUM_DEPTH - 1) + "true" + ")" * (MAXIMUM_DEPTH - 1)))
    refusal(condition("1" + "+1" * (MAXIMUM_RULE_CHARACTERS // 2) + " == 1"))
    many = [f'@id("r{number}") permit (principal, action, resource);' for number in range(MAXIMUM_RULES + 1)]
    assert len(engine(*many[:-1]).rules) == MAXIMUM_RULES
    refusal(*many)
    refusal(ALL + "\n" + "// long\n" * (MAXIMUM_CHARACTERS // 8))


def test_the_longest_chain_that_is_let_through_is_evaluated_in_a_thread_of_its_own_process():
    """Threads have the smallest stacks; a crash would end the test process, so it runs in another one."""
    terms = MAXIMUM_RULE_CHARACTERS // 2 - 100
    program = (
        "import sys, threading\n"
        f"sys.path.insert(0, {str(Path(policies.__file__).parent.parent)!r})\n"
        "from policies.authorization.engine import PolicyEngine\n"
        "from crypto.errors import DoudiError\n"
        f"rules = {condition('1' + '+1' * terms + ' == 1')!r}\n"
        "def read():\n"
        "    try:\n"
        f"        PolicyEngine(rules, {SCHEMA!r})\n"
        "    except DoudiError as error:\n"
        "        print(error.code)\n"
        "thread = threading.Thread(target=read); thread.start(); thread.join(); print('alive')\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.endswith("alive\n")


def test_each_rule_has_the_line_on_which_it_begins():
    text = '// permit (;\n@id("a")\n@note("; permit (")\npermit (principal, action, resource);\n\n\n'
    text += '@id("b") forbid (principal, action, resource);\n'
    assert [(rule.id, rule.effect, rule.line) for rule in parse_rules(text)] == [("a", "permit", 2), ("b", "forbid", 7)]


def test_the_meaning_of_a_rule_is_free_of_its_layout_and_comments():
    (one,) = parse_rules(ALL)
    (other,) = parse_rules('// why\n@id("all")\npermit(\n  principal, action,\n  resource);')
    (third,) = parse_rules('@id("all") permit (principal, action, resource) when { true };')
    assert one.meaning == other.meaning != third.meaning


def test_the_hash_covers_rules_comments_and_schema_but_not_line_ends():
    first = engine(ALL).policy_hash
    assert len(first) == 64
    assert engine("\n" + ALL.replace("\n", "\r\n") + "  \r\n\n").policy_hash == first
    assert engine(ALL + " // a reason").policy_hash != first
    assert PolicyEngine(ALL, SCHEMA + "// a reason").policy_hash != first
    # A text cannot be shifted between the two.
    assert canonical_text(" a \r\n\r b\t\n\n") == " a\n\n b\n"


def test_rules_of_a_folder_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("b.cedar", "a.cedar", "B.cedar", "not-rules.txt"):
        (tmp_path / name).write_text(f"// {name}\r\n")
    headings = [line for line in load_rules(tmp_path).splitlines() if "----" in line]
    assert headings == ["// ---- B ----", "// ---- a ----", "// ---- b ----"]


def test_no_other_module_imports_cedarpy():
    root = Path(policies.__file__).parent.parent
    folders = ("crypto", "policies", "coordinator", "department_nodes", "auditors", "command_line", "demo")
    found = {
        path.relative_to(root).as_posix()
        for folder in folders
        for path in (root / folder).rglob("*.py")
        if "import cedarpy" in path.read_text("utf-8") or "from cedarpy" in path.read_text("utf-8")
    }
    assert found == {"policies/authorization/engine.py"}
