"""What the coordinator answers with becomes a code of this node's, and a code has no room for text."""

import httpx
import pytest

from department_nodes.client import _problem


@pytest.mark.parametrize("code", ["run.unknown", "busy", "a" * 80])
def test_a_code_is_taken_over(code: str) -> None:
    error = _problem(httpx.Response(409, json={"type": f"urn:doudi:{code}", "detail": "why", "next_step": "what"}))
    assert (error.code, error.message, error.next_step) == (code, "why", "what")


@pytest.mark.parametrize(
    "kind",
    ["urn:doudi:the household of Wang", "urn:doudi:", "a" * 81, "run.Unknown", "run.unknown\n", "run..unknown", 7],
)
def test_anything_else_is_a_bad_answer_and_none_of_it_reaches_the_journal(kind: object) -> None:
    error = _problem(httpx.Response(409, json={"type": kind, "detail": "why"}))
    assert error.code == "coordinator.bad_answer"
    assert "status 409" in error.message
