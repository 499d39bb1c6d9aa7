"""Messages between nodes: forged, swapped or out of step they are refused; answered ones are repeated byte for byte."""

import contextlib
import shutil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from region import DEPARTMENTS, LEAD, Region, Stages, code_of, edited, parts_of
from sqlalchemy import func, select

from crypto.envelope import seal_envelope, unverified_header
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key
from department_nodes.guard import parse_request
from department_nodes.store.models import EventRow, SentRow, StepRow
from department_nodes.store.session import transaction
from policies.contracts.framing import Frame, pack_frame, parse_frame
from policies.contracts.steps import REGION_STEPS, Step, open_reply

NODE = "tax"
OTHER = "housing"


def rows(region: Region, name: str) -> tuple[int, list[str]]:
    """Return how many things the node has sent, and the codes of its refusals in order."""
    with transaction(region.engines[name].db) as session:
        sent = session.scalar(select(func.count()).select_from(SentRow)) or 0
        codes = select(EventRow.code).where(EventRow.code != "").order_by(EventRow.number)
        return sent, list(session.scalars(codes))


def assert_refused(region: Region, step: Step, request: bytes, code: str, name: str = NODE) -> None:
    """Assert the code, that it is in the journal, that nothing was sent, and that the true request is still answered."""
    sent, codes = rows(region, name)
    reply = region.engines[name].answer(request)
    assert code_of(reply) == code
    frame = parse_frame(reply[64:])
    assert not frame.parts
    assert not frame.header["facts"]
    assert rows(region, name) == (sent, [*codes, code])


def forged(stages: Stages, region: Region, original: bytes, private: bytes) -> bytes:
    """Return an envelope with the original's header and a payload of random points, signed by another key."""
    header = unverified_header(original)
    receiver = bytes.fromhex(stages.manifest.manifest.offer(header.receiver).sealing_key)
    return seal_envelope(header, b"\x01" * 32 * header.count, receiver, private)


@pytest.mark.parametrize("signer", ["nobody", LEAD])
def test_a_list_from_a_forged_sender_is_refused_and_nothing_is_sent(
    region_before: Any, stages: Stages, signer: str
) -> None:
    region = region_before(Step.EVALUATE)
    request = stages.request(Step.EVALUATE, NODE)
    private = generate_signing_key() if signer == "nobody" else region.homes[signer].key("identity.key")
    part = f"blinded/{OTHER}"
    envelope = forged(stages, region, parse_frame(request).parts[part], private)
    assert_refused(region, Step.EVALUATE, edited(request, {part: envelope}), "envelope.bad_signature")
    assert region.ask(Step.EVALUATE, NODE, request) == "ok"


@pytest.mark.parametrize("step", [Step.EVALUATE, Step.FINISH])
def test_exchanged_envelopes_of_two_departments_are_refused(region_before: Any, stages: Stages, step: Step) -> None:
    region = region_before(step)
    request = stages.request(step, NODE)
    kind = "blinded" if step is Step.EVALUATE else "evaluated"
    parts = parse_frame(request).parts
    # Both lists have the same length, so that only the sender's name tells them apart.
    one, two = f"{kind}/housing", f"{kind}/public_security"
    swapped = edited(request, {one: parts[two], two: parts[one]})
    assert_refused(region, step, swapped, "envelope.wrong_header")
    assert region.ask(step, NODE, request) == "ok"


def test_an_envelope_for_another_receiver_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    part = f"blinded/{OTHER}"
    for_the_lead = parse_frame(stages.request(Step.EVALUATE, LEAD)).parts[part]
    request = edited(stages.request(Step.EVALUATE, NODE), {part: for_the_lead})
    assert_refused(region, Step.EVALUATE, request, "envelope.wrong_header")


@pytest.mark.parametrize(("run_id", "number", "attempt"), [("run-1", 1, 2), ("run-2", 2, 1)])
def test_an_envelope_of_another_run_or_attempt_is_refused(
    region_before: Any, stages: Stages, run_id: str, number: int, attempt: int
) -> None:
    region = region_before(Step.EVALUATE)
    manifest = region.schedule(stages.signed, run_id, number, attempt)
    region.run_until(stages.signed, manifest, Step.EVALUATE)
    request = region.run_folder(manifest).request(Step.EVALUATE, NODE)
    part = f"blinded/{OTHER}"
    earlier = parse_frame(stages.request(Step.EVALUATE, NODE)).parts[part]
    assert_refused(region, Step.EVALUATE, edited(request, {part: earlier}), "envelope.wrong_header")
    assert region.ask(Step.EVALUATE, NODE, request) == "ok"


def test_an_envelope_of_another_step_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.FINISH)
    blinded = parse_frame(stages.request(Step.EVALUATE, NODE)).parts[f"blinded/{OTHER}"]
    request = edited(stages.request(Step.FINISH, NODE), {f"evaluated/{OTHER}": blinded})
    assert_refused(region, Step.FINISH, request, "envelope.wrong_header")


@pytest.mark.parametrize(
    ("step", "name", "part", "code"),
    [
        (Step.EVALUATE, NODE, f"blinded/{OTHER}", "envelope.bad_signature"),
        (Step.FINISH, NODE, f"evaluated/{OTHER}", "envelope.bad_signature"),
        (Step.TRAIN, NODE, "cell-key", "envelope.bad_signature"),
        (Step.TRAIN, NODE, "cells", "cells.tampered"),
        (Step.COMBINE, LEAD, f"evidence-key/{NODE}", "envelope.bad_signature"),
        (Step.COMBINE, LEAD, f"evidence/{NODE}", "cells.tampered"),
        (Step.COMBINE, LEAD, f"sum/{NODE}", "cells.tampered"),
    ],
)
def test_a_flipped_bit_in_a_ciphertext_is_refused_and_the_true_one_accepted(
    region_before: Any, stages: Stages, step: Step, name: str, part: str, code: str
) -> None:
    region = region_before(step)
    request = stages.request(step, name)
    data = bytearray(parse_frame(request).parts[part])
    data[-1] ^= 1
    assert_refused(region, step, edited(request, {part: bytes(data)}), code, name)
    if step is not Step.COMBINE:
        assert region.ask(step, name, request) == "ok"


@pytest.mark.parametrize(
    ("step", "name", "part"),
    [(Step.FINISH, NODE, f"evaluated/{OTHER}"), (Step.TRAIN, NODE, "cells"), (Step.COMBINE, LEAD, f"evidence/{NODE}")],
)
def test_a_missing_part_is_refused(region_before: Any, stages: Stages, step: Step, name: str, part: str) -> None:
    region = region_before(step)
    assert_refused(region, step, edited(stages.request(step, name), {part: None}), "request.part_missing", name)


def test_a_list_of_a_department_that_is_not_in_the_run_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    request = stages.request(Step.EVALUATE, NODE)
    for owner in ("education", NODE):
        altered = edited(request, {f"blinded/{owner}": parse_frame(request).parts[f"blinded/{OTHER}"]})
        assert_refused(region, Step.EVALUATE, altered, "linkage.unknown_owner")


@pytest.mark.parametrize("step", [Step.FINISH, Step.TRAIN])
def test_a_step_before_its_predecessors_is_refused(region_before: Any, stages: Stages, step: Step) -> None:
    region = region_before(Step.BLIND)
    assert_refused(region, step, stages.request(step, NODE), "run.step_missing")
    assert region.ask(Step.BLIND, NODE, stages.request(Step.BLIND, NODE)) == "ok"


@pytest.mark.parametrize("name", DEPARTMENTS)
def test_the_same_request_is_answered_byte_for_byte_also_after_a_restart(
    region_before: Any, stages: Stages, name: str
) -> None:
    region = region_before(None)
    sent, _ = rows(region, name)
    for step in REGION_STEPS:
        data = region.run_folder(stages.manifest).request(step, name)
        if data is None:
            continue
        first = stages.reply(step, name)
        assert region.engines[name].answer(data) == first
        assert region.restart(name).answer(data) == first
    assert rows(region, name)[0] == sent


def test_a_different_request_for_a_finished_step_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    for step in (Step.BLIND, Step.EVALUATE, Step.FINISH, Step.TRAIN):
        request = edited(stages.request(step, NODE), terms={"another": 1})
        assert_refused(region, step, request, "step.different_request")
    region.restart(NODE)
    assert_refused(
        region,
        Step.FINISH,
        edited(stages.request(Step.FINISH, NODE), terms={"holders": [NODE, LEAD, OTHER]}),
        "step.different_request",
    )
    assert region.engines[NODE].answer(stages.request(Step.FINISH, NODE)) == stages.reply(Step.FINISH, NODE)


def test_a_grant_that_expired_since_then_is_not_even_answered_from_the_store(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(None, clock=lambda: stages.signed.grant.expires_at + 1)
    assert_refused(region, Step.BLIND, stages.request(Step.BLIND, NODE), "grant.expired")


def test_a_project_that_was_left_is_not_even_answered_from_the_store(region_before: Any, stages: Stages) -> None:
    from department_nodes.store.models import ProjectRow

    region = region_before(None)
    with transaction(region.engines[NODE].db) as session:
        project = session.get(ProjectRow, stages.signed.grant.project_id)
        project.left_at, project.sealed_key = 1, None
    assert_refused(region, Step.BLIND, stages.request(Step.BLIND, NODE), "project.left")


def test_a_refused_step_leaves_no_row_and_can_be_asked_correctly(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.FINISH)
    request = stages.request(Step.FINISH, NODE)
    assert_refused(region, Step.FINISH, edited(request, terms={"holders": []}), "linkage.too_few_key_holders")
    with transaction(region.engines[NODE].db) as session:
        assert session.get(StepRow, ("run-1", 1, 0, "finish")) is None
    assert region.ask(Step.FINISH, NODE, request) == "ok"


def test_a_reply_is_accepted_for_its_request_step_and_department_only(stages: Stages) -> None:
    request, reply = stages.request(Step.FINISH, NODE), stages.reply(Step.FINISH, NODE)
    key = stages.signed.grant.participant(NODE).identity_key
    assert "pseudonyms" in open_reply(reply, request, Step.FINISH, NODE, key).parts
    wrong = [
        (reply, request, Step.FINISH, NODE, stages.signed.grant.participant(OTHER).identity_key, "reply.bad_signature"),
        (reply[:-1] + bytes([reply[-1] ^ 1]), request, Step.FINISH, NODE, key, "reply.bad_signature"),
        (reply[:63], request, Step.FINISH, NODE, key, "reply.bad_signature"),
        (reply, request + b"x", Step.FINISH, NODE, key, "reply.wrong_request"),
        (reply, request, Step.BLIND, NODE, key, "reply.wrong_request"),
        (reply, request, Step.FINISH, OTHER, key, "reply.wrong_request"),
    ]
    for data, asked, step, department, identity, code in wrong:
        with pytest.raises(DoudiError) as caught:
            open_reply(data, asked, step, department, identity)
        assert caught.value.code == code


HEADERS = st.dictionaries(
    st.sampled_from(["kind", "step", "run_id", "attempt", "terms", "other"]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 20),
        st.sampled_from(["request", "blind", "run-1"]),
        st.lists(st.integers(0, 3), max_size=2),
        st.dictionaries(st.text(max_size=3), st.integers(0, 3), max_size=2),
    ),
)


@settings(max_examples=200, deadline=None)
@given(header=HEADERS, parts=st.dictionaries(st.sampled_from(["grant", "manifest", "x"]), st.binary(max_size=20)))
def test_any_frame_is_a_request_or_raises_our_error(header: dict[str, Any], parts: dict[str, bytes]) -> None:
    data = pack_frame(Frame(header, parts))
    if (
        header.get("run_id") == "run-1"
        and header.get("attempt") in range(1, 11)
        and {"grant", "manifest"} <= set(parts)
    ):
        with contextlib.suppress(DoudiError):
            parse_request(data)
        return
    with pytest.raises(DoudiError) as caught:
        parse_request(data)
    assert caught.value.code == "request.malformed"


def test_malformed_requests_get_a_signed_refusal_and_a_line_in_the_journal(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    request = stages.request(Step.BLIND, NODE)
    cases = [
        (b"", "frame.malformed"),
        (request[:-1], "frame.malformed"),
        (edited(request, header={"step": ["blind"]}), "request.malformed"),
        (edited(request, header={"step": "steal"}), "request.malformed"),
        (edited(request, header={"attempt": True}), "request.malformed"),
        (edited(request, header={"run_id": "../run"}), "request.malformed"),
        (edited(request, {"grant": None}), "request.malformed"),
        (edited(request, {"grant": b"{}"}), "document.malformed"),
        (edited(request, {"manifest": b"\x00"}), "document.malformed"),
    ]
    for data, code in cases:
        assert_refused(region, Step.BLIND, data, code)


@pytest.mark.parametrize("value", [None, "tax", [["tax"]], [{"a": 1}], [1], ["education"], ["tax", "tax"]])
def test_terms_of_the_wrong_form_are_refused_with_a_code_and_not_as_an_internal_error(
    region_before: Any, stages: Stages, value: object
) -> None:
    region = region_before(Step.COMBINE)
    request = stages.request(Step.COMBINE, LEAD)
    assert_refused(region, Step.COMBINE, edited(request, terms={"evidence": value}), "request.malformed", LEAD)


def test_every_refusal_is_signed_by_the_node(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    request = edited(stages.request(Step.BLIND, NODE), {"grant": b"{}"})
    key = stages.signed.grant.participant(NODE).identity_key
    with pytest.raises(DoudiError) as caught:
        open_reply(region.engines[NODE].answer(request), request, Step.BLIND, NODE, key)
    assert caught.value.code == "document.malformed"


def test_a_folder_copied_after_a_reply_gives_the_same_reply(region_before: Any, stages: Stages, tmp_path: Any) -> None:
    region = region_before(Step.EVALUATE)
    request = stages.request(Step.EVALUATE, NODE)
    reply = region.engines[NODE].answer(request)
    region.stop(NODE)
    shutil.rmtree(tmp_path / "moved", ignore_errors=True)
    moved = region.copy(tmp_path / "moved")
    assert moved.engines[NODE].answer(request) == reply
    assert np.array_equal(list(parts_of(reply)), [f"evaluated/{name}" for name in sorted(DEPARTMENTS) if name != NODE])
    moved.close()
