"""The state machine of a request, pure: `coordinator/requests/states.py`."""

import itertools

import pytest

from coordinator.requests.states import LEGAL, MOVING, RequestState, Standing, next_state, require_transition
from crypto.errors import DoudiError

S = RequestState
# Written out here and not taken from the table, so that a change of the table is a change of this test.
ALLOWED = {
    (S.DRAFTED, S.SUBMITTED),
    (S.DRAFTED, S.WITHDRAWN),
    (S.DRAFTED, S.EXPIRED),
    (S.SUBMITTED, S.GRANTED),
    (S.SUBMITTED, S.WITHDRAWN),
    (S.SUBMITTED, S.REFUSED),
    (S.SUBMITTED, S.REVOKED),
    (S.SUBMITTED, S.EXPIRED),
    (S.GRANTED, S.ACTIVE),
    (S.GRANTED, S.WITHDRAWN),
    (S.GRANTED, S.REFUSED),
    (S.GRANTED, S.REVOKED),
    (S.GRANTED, S.EXPIRED),
    (S.ACTIVE, S.EXPIRED),
    (S.ACTIVE, S.REVOKED),
    (S.ACTIVE, S.EXHAUSTED),
    (S.EXHAUSTED, S.REVOKED),
}


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(S, S)))
def test_exactly_the_transitions_of_the_table_are_legal(current, wanted):
    if (current, wanted) in ALLOWED:
        require_transition(current, wanted)
        return
    with pytest.raises(DoudiError) as caught:
        require_transition(current, wanted)
    assert caught.value.code == "request.illegal_transition"


def test_nothing_leads_out_of_what_is_closed():
    assert {state for state in S if not LEGAL[state]} == {S.EXPIRED, S.REVOKED, S.WITHDRAWN, S.REFUSED}


def standing(**facts):
    return Standing(**{"now": 50, "not_before": 10, "expires_at": 100, **facts})


@pytest.mark.parametrize("owners", [False, True])
@pytest.mark.parametrize("centre", [False, True])
def test_a_request_is_granted_when_owners_signed_and_the_centre_decided(owners, centre):
    found = next_state(S.SUBMITTED, standing(owners_signed=owners, centre_decided=centre))
    assert found == (S.GRANTED if owners and centre else None)


@pytest.mark.parametrize(("signed", "now", "expected"), [(True, 10, S.ACTIVE), (True, 9, None), (False, 50, None)])
def test_a_granted_request_is_active_when_all_signed_and_its_first_day_has_come(signed, now, expected):
    assert next_state(S.GRANTED, standing(fully_signed=signed, now=now)) == expected


def test_a_submitted_request_is_never_active_at_once():
    """Two steps, so that a decision of the centre is a state that people see and can still refuse in."""
    everything = standing(owners_signed=True, centre_decided=True, fully_signed=True)
    assert next_state(S.SUBMITTED, everything) is S.GRANTED


@pytest.mark.parametrize("used_up", [False, True])
def test_only_a_used_up_grant_is_exhausted(used_up):
    assert next_state(S.ACTIVE, standing(used_up=used_up)) == (S.EXHAUSTED if used_up else None)


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("now", [99, 100])
def test_time_ends_what_is_not_closed(state, now):
    everything = {"owners_signed": True, "centre_decided": True, "fully_signed": True, "used_up": True}
    found = next_state(state, standing(now=now, **everything))
    if state in MOVING and now == 100:
        assert found is S.EXPIRED
    else:
        assert found is not S.EXPIRED


@pytest.mark.parametrize("state", list(S))
def test_what_moves_by_itself_keeps_to_the_table(state):
    for facts in itertools.product([False, True], repeat=4):
        names = ("owners_signed", "centre_decided", "fully_signed", "used_up")
        for now in (5, 50, 100):
            found = next_state(state, standing(now=now, **dict(zip(names, facts, strict=True))))
            assert found is None or (state, found) in ALLOWED
