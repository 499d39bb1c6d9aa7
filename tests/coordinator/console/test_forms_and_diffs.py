"""What people typed (`forms.py`), and what a change changes (`diffs.py`)."""

import pytest

from coordinator.console.diffs import diff_lines
from coordinator.console.forms import Form
from crypto.errors import DoudiError


def form(*fields):
    return Form(list(fields))


def test_a_line_loses_the_spaces_around_it_also_full_width_ones():
    assert form(("name", " \u3000税务 局 ")).line("name") == "税务 局"
    assert form().line("name") == ""


@pytest.mark.parametrize("value", ["a\nb", "a\x00b", "a\x1b[2J", "a\u202eb", "a\u200bb", "x" * 201])
def test_a_line_with_what_is_no_text_is_refused(value):
    with pytest.raises(DoudiError) as refused:
        form(("name", value)).line("name")
    assert refused.value.code == "console.bad_form"
    assert value not in str(refused.value)


def test_text_keeps_its_lines():
    assert form(("why", " a\r\nb\rc\n")).text("why") == "a\nb\nc"
    with pytest.raises(DoudiError):
        form(("why", "a\x00")).text("why")


def test_a_code_may_be_typed_with_spaces_and_full_width_digits():
    assert form(("code", " 123 456 ")).code("code") == "123456"
    assert form(("code", "１２３４５６")).code("code") == "123456"


def test_a_secret_is_taken_as_it_was_typed():
    assert form(("password", "  a b ")).secret("password") == "  a b "
    with pytest.raises(DoudiError):
        form(("password", "x" * 1025)).secret("password")


@pytest.mark.parametrize("value", ["-1", "1.5", "٣", "1e3", "x", "1" * 19])
def test_only_whole_numbers_are_numbers(value):
    with pytest.raises(DoudiError):
        form(("days", value)).integer("days")


def test_numbers_and_choices():
    ticked = form(("days", "30"), ("role", "a"), ("role", "b"), ("sure", "on"))
    assert (ticked.integer("days"), ticked.integer("none")) == (30, None)
    assert ticked.choices("role") == ("a", "b")
    assert (ticked.ticked("sure"), ticked.ticked("other")) == (True, False)


def test_a_field_that_comes_twice_is_refused():
    with pytest.raises(DoudiError):
        form(("name", "a"), ("name", "b")).line("name")


# Differences


def rebuilt(lines, kinds):
    return [line.text for line in lines if line.kind in kinds]


def test_equal_texts_have_no_difference():
    assert diff_lines("a\nb", "a\nb\n") == []


def test_a_difference_holds_both_texts():
    old, new = "a\nb\nc\nd", "a\nc\nx\nd\ne"
    lines = diff_lines(old, new)
    assert rebuilt(lines, {"same", "removed"}) == old.split("\n")
    assert rebuilt(lines, {"same", "added"}) == new.split("\n")
    for line in lines:
        assert line.old is None or old.split("\n")[line.old - 1] == line.text
        assert line.new is None or new.split("\n")[line.new - 1] == line.text


def test_unchanged_lines_far_from_a_change_are_counted_and_left_out():
    old = "\n".join(str(number) for number in range(100))
    lines = diff_lines(old, old.replace("50", "x"))
    assert [(line.kind, line.hidden) for line in lines if line.kind == "gap"] == [("gap", 47), ("gap", 46)]
    assert sum(line.hidden for line in lines) + len(rebuilt(lines, {"same", "removed"})) == 100
