"""The schedule over real nodes: what is asked of whom, and what a department's bad reply can and cannot do."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from region import DEPARTMENTS, LEAD, EngineRelay, Marks, Opened, Region, Stages

from coordinator.federation.union import PaddingPolicy, describe_numbering, number_union
from crypto.errors import DoudiError
from department_nodes.home import IDENTITY_KEY
from policies.contracts.framing import Frame, parse_frame
from policies.contracts.steps import REGION_STEPS, Step, pack_reply

NODE = "tax"
SUPPORTING = tuple(name for name in DEPARTMENTS if name != LEAD)


def badly_answered(
    region: Region, step: Step, name: str, change: Callable[[Frame], tuple[Mapping[str, Any], dict[str, bytes]]]
) -> EngineRelay:
    """Return a relay on which one department signs other facts and parts in one step than its program would."""
    requests: dict[str, bytes] = {}

    def remember(asked: Step, department: str, data: bytes) -> bytes:
        requests[department] = data
        return data

    def answer(asked: Step, department: str, reply: bytes) -> bytes:
        if (asked, department) != (step, name):
            return reply
        facts, parts = change(parse_frame(reply[64:]))
        key = region.homes[name].key(IDENTITY_KEY)
        return pack_reply(key, requests[name], step.value, name, facts, parts)

    return EngineRelay(region.engines, remember, answer)


def without_part(prefix: str) -> Callable[[Frame], tuple[Mapping[str, Any], dict[str, bytes]]]:
    return lambda frame: ({}, {name: data for name, data in frame.parts.items() if not name.startswith(prefix)})


def with_part(
    part: str, change: Callable[[bytes], bytes]
) -> Callable[[Frame], tuple[Mapping[str, Any], dict[str, bytes]]]:
    return lambda frame: ({}, {**frame.parts, part: change(frame.parts[part])})


def test_a_run_asks_25_messages_in_the_order_of_the_steps(region_before: Any, stages: Stages) -> None:
    region, marks = region_before(Step.BLIND), Marks()
    relay = EngineRelay(region.engines)
    outcome = region.run(stages.signed, stages.manifest, relay, marks)
    asked = {step: [row[2] for row in marks.rows if row[:2] == ("sent", step.value)] for step in REGION_STEPS}
    assert [sorted(asked[step]) for step in (Step.BLIND, Step.EVALUATE, Step.FINISH)] == [sorted(DEPARTMENTS)] * 3
    assert asked[Step.RELEASE] == asked[Step.COMBINE] == [LEAD]
    assert sorted(asked[Step.TRAIN]) == sorted(SUPPORTING)
    assert outcome["run"]["messages"] == relay.messages_pushed == 25
    assert [row[0] for row in marks.rows].count("answered") == 25
    steps = [row[1] for row in marks.rows]
    assert steps == sorted(steps, key=[step.value for step in REGION_STEPS].index)
    assert outcome["run"]["departments"] == sorted(DEPARTMENTS)
    assert outcome["run"]["missing"] == {}
    # Whom each step asks was announced before, and the numbering was recorded once, as its seed makes it.
    assert [step for step, _ in marks.announced] == [step.value for step in REGION_STEPS]
    assert all(names == set(asked[Step(step)]) for step, names in marks.announced)
    (numbering,) = marks.numberings
    union = region.run_folder(stages.manifest).read("union.bin")
    pseudonyms = {
        name: parse_frame(region.run_folder(stages.manifest).reply(Step.FINISH, name)[64:]).parts["pseudonyms"]
        for name in DEPARTMENTS
    }
    seed = bytes.fromhex(numbering.seed)
    assert number_union(pseudonyms, PaddingPolicy(1, 3), seed) == union
    assert describe_numbering(pseudonyms, union, seed) == numbering
    assert numbering.slots == outcome["run"]["slots"]


def test_a_folder_that_holds_another_numbering_than_its_seed_makes_ends_the_run(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.RELEASE)
    region.run_until(stages.signed, stages.manifest, Step.RELEASE)
    union = region.run_folder(stages.manifest).path / "union.bin"
    data = union.read_bytes()
    union.write_bytes(data[32:] + data[:32])
    with pytest.raises(DoudiError) as caught:
        region.run(stages.signed, stages.manifest)
    assert caught.value.code == "run.numbering_lost"


def test_bytes_are_counted_per_party(region_before: Any, stages: Stages) -> None:
    region, marks = region_before(Step.BLIND), Marks()
    outcome = region.run(stages.signed, stages.manifest, marks=marks)
    for name in DEPARTMENTS:
        answered = sum(row[3] for row in marks.rows if row[0] == "answered" and row[2] == name)
        assert outcome["run"]["bytes_sent"][name] == answered
    sent = sum(row[3] for row in marks.rows if row[0] == "sent")
    assert outcome["run"]["bytes_sent"]["coordinator"] == sent


BAD_REPLIES = [
    (Step.BLIND, without_part("blinded/housing"), "reply.part_missing"),
    (Step.EVALUATE, without_part("evaluated/housing"), "reply.part_missing"),
    (Step.FINISH, without_part("pseudonyms"), "reply.part_missing"),
    (Step.FINISH, with_part("pseudonyms", lambda data: data[:-32]), "linkage.wrong_count"),
    (Step.FINISH, with_part("pseudonyms", lambda data: data[32:] + data[:32]), "linkage.not_in_byte_order"),
    (Step.TRAIN, with_part("evidence", lambda data: data[:-17]), "reply.wrong_length"),
    (Step.TRAIN, with_part("sum", lambda data: data + bytes(18)), "reply.wrong_length"),
    (Step.TRAIN, without_part("evidence-key"), "reply.part_missing"),
]


@pytest.mark.parametrize(("step", "change", "code"), BAD_REPLIES)
def test_a_departments_bad_reply_counts_as_its_absence_and_the_run_goes_on(
    region_before: Any, stages: Stages, step: Step, change: Any, code: str
) -> None:
    region, marks = region_before(step), Marks()
    outcome = region.run(stages.signed, stages.manifest, badly_answered(region, step, NODE, change), marks)
    assert outcome["run"]["missing"] == {NODE: code}
    assert ("refused", step.value, NODE, code) in marks.rows
    assert region.run_folder(stages.manifest).reply(step, NODE) is None
    assert outcome["metrics"]["evidence"]["contributions"][NODE] == 0


@pytest.mark.parametrize("facts", [{"train_milli": "long"}, {"train_milli": -1}, {"train_milli": 10**12}, {"x": [1]}])
def test_odd_facts_of_a_department_do_not_end_the_run(region_before: Any, stages: Stages, facts: Any) -> None:
    region = region_before(Step.TRAIN)
    relay = badly_answered(region, Step.TRAIN, NODE, lambda frame: (facts, dict(frame.parts)))
    region.run_until(stages.signed, stages.manifest, Step.TRAIN)
    outcome = region.run(stages.signed, stages.manifest, relay)
    assert outcome["run"]["missing"] == {}
    assert outcome["run"]["seconds"]["train"] >= 0


def test_a_reply_signed_by_another_department_is_not_accepted(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.TRAIN)
    replies: dict[str, bytes] = {}

    def exchanged(step: Step, name: str, reply: bytes) -> bytes:
        replies[name] = reply
        return replies["human_resources"] if (step, name) == (Step.TRAIN, NODE) else reply

    outcome = region.run(stages.signed, stages.manifest, EngineRelay(region.engines, alter_reply=exchanged))
    assert outcome["run"]["missing"] == {NODE: "reply.bad_signature"}


def test_a_stored_reply_of_an_earlier_attempt_is_not_accepted(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    manifest = region.schedule(stages.signed, attempt=2)
    earlier = stages.reply(Step.BLIND, NODE)
    relay = EngineRelay(
        region.engines, alter_reply=lambda step, name, reply: earlier if (step, name) == (Step.BLIND, NODE) else reply
    )
    outcome = region.run(stages.signed, manifest, relay)
    assert outcome["run"]["missing"] == {NODE: "reply.wrong_request"}


BAD_RELEASES = [
    (with_part("cells", lambda data: data[:-17]), "reply.wrong_length"),
    (without_part("cell-key/housing"), "reply.part_missing"),
    (without_part("cells"), "reply.part_missing"),
]


@pytest.mark.parametrize(("change", "code"), BAD_RELEASES)
def test_a_bad_release_ends_the_run_with_its_reason(region_before: Any, stages: Stages, change: Any, code: str) -> None:
    region = region_before(Step.RELEASE)
    with pytest.raises(DoudiError) as caught:
        region.run(stages.signed, stages.manifest, badly_answered(region, Step.RELEASE, LEAD, change))
    assert caught.value.code == "run.lead_missing"
    assert code in caught.value.message


@pytest.mark.parametrize("metrics", [b"[]", b"not json", b"\xff\xfe", b'{"x": "' + b"a" * 300_000 + b'"}'])
def test_metrics_that_are_not_metrics_end_the_run(region_before: Any, stages: Stages, metrics: bytes) -> None:
    region = region_before(Step.COMBINE)
    relay = badly_answered(region, Step.COMBINE, LEAD, lambda _: ({}, {"metrics": metrics}))
    with pytest.raises(DoudiError) as caught:
        region.run(stages.signed, stages.manifest, relay)
    assert caught.value.code == "run.lead_missing"


def test_the_coordinator_forwards_each_department_only_what_is_for_it(stages: Stages) -> None:
    opened = Opened(stages.before(None), stages.signed, stages.manifest)
    documents = {"grant", "manifest"}
    for name in DEPARTMENTS:
        others = [other for other in DEPARTMENTS if other != name]
        assert set(opened.request(Step.BLIND, name)) == documents
        assert set(opened.request(Step.EVALUATE, name)) == documents | {f"blinded/{other}" for other in others}
        assert set(opened.request(Step.FINISH, name)) == documents | {f"evaluated/{other}" for other in others}
    assert set(opened.request(Step.RELEASE, LEAD)) == documents | {"union"}


def test_no_department_in_no_step_is_a_run(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.RELEASE)
    lost = EngineRelay(region.engines, lambda step, name, data: None if step is Step.TRAIN else data)
    with pytest.raises(DoudiError) as caught:
        region.run(stages.signed, stages.manifest, lost)
    assert caught.value.code == "run.no_evidence"


def test_a_run_without_a_supporting_department_left_fails(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.FINISH)
    lost = EngineRelay(region.engines, lambda step, name, data: data if name == LEAD else None)
    with pytest.raises(DoudiError) as caught:
        region.run(stages.signed, stages.manifest, lost)
    assert caught.value.code == "run.no_supporting_department"
