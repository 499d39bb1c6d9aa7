"""The state machine: `coordinator/runs/states.py`."""

from itertools import product

import pytest

from coordinator.runs.states import LEGAL, RunState, require_transition
from crypto.errors import DoudiError

ALLOWED = {
    ("gathering_keys", "scheduled"),
    ("gathering_keys", "failed"),
    ("gathering_keys", "stopped"),
    ("scheduled", "running"),
    ("scheduled", "failed"),
    ("scheduled", "stopped"),
    ("running", "finished"),
    ("running", "failed"),
    ("running", "stopped"),
    ("failed", "gathering_keys"),
    ("stopped", "gathering_keys"),
}


@pytest.mark.parametrize(("current", "wanted"), list(product(RunState, RunState)))
def test_exactly_the_documented_transitions_are_legal(current, wanted):
    if (current, wanted) in ALLOWED:
        require_transition(current, wanted)
        return
    with pytest.raises(DoudiError) as caught:
        require_transition(current, wanted)
    assert caught.value.code == "run.illegal_transition"


def test_every_state_has_its_line_in_the_table():
    assert set(LEGAL) == set(RunState)
