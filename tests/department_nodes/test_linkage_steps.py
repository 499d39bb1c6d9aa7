"""Private linkage over real nodes: equal people meet, projects do not, and a holder evaluates no more than was granted."""

from collections.abc import Callable
from typing import Any

import pytest
from region import DEPARTMENTS, LEAD, Opened, Region, Stages, edited
from sqlalchemy import func, select, text

from crypto.envelope import seal_envelope, unverified_header
from crypto.pseudonyms import random_points
from department_nodes.home import IDENTITY_KEY
from department_nodes.steps.accounts import Accounts
from department_nodes.store.models import EvaluationChargeRow, SentRow, StepRow
from department_nodes.store.session import transaction
from policies.contracts.framing import parse_frame
from policies.contracts.grant import SignedGrant
from policies.contracts.steps import Step

NODE = "tax"
OTHER = "housing"


def with_payload(region: Region, stages: Stages, envelope: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return the envelope as its true sender would make it with another payload."""
    header = unverified_header(envelope)
    opened = Opened(region, stages.signed, stages.manifest)
    receiver = bytes.fromhex(stages.manifest.manifest.offer(header.receiver).sealing_key)
    payload = change(opened.envelope(header.receiver, envelope))
    return seal_envelope(header, payload, receiver, region.homes[header.sender].key(IDENTITY_KEY))


def limited_to_one_run(region: Region) -> SignedGrant:
    """Return a signed grant under which each list may be evaluated once."""
    grant = region.draft()
    shares = tuple(each.model_copy(update={"evaluation_limit": each.declared_people}) for each in grant.participants)
    return region.sign(grant.model_copy(update={"participants": shares}))


def charged(region: Region, name: str) -> int:
    with transaction(region.engines[name].db) as session:
        return session.scalar(select(func.coalesce(func.sum(EvaluationChargeRow.points), 0))) or 0


def test_equal_people_have_equal_pseudonyms_in_all_departments(stages: Stages) -> None:
    opened = Opened(stages.before(Step.RELEASE), stages.signed, stages.manifest)
    by_department = {name: opened.pseudonyms(name) for name in DEPARTMENTS}
    assert len(by_department[LEAD]) < len(by_department[OTHER])
    everybody: dict[bytes, bytes] = {}
    for own in by_department.values():
        for identity, pseudonym in own.items():
            assert everybody.setdefault(identity, pseudonym) == pseudonym
    assert len(set(everybody.values())) == len(everybody)


def test_pseudonyms_reach_the_coordinator_in_byte_order_so_that_rows_stay_hidden(stages: Stages) -> None:
    opened = Opened(stages.before(Step.RELEASE), stages.signed, stages.manifest)
    for name in DEPARTMENTS:
        sent = opened.reply(Step.FINISH, name)["pseudonyms"]
        points = [sent[i : i + 32] for i in range(0, len(sent), 32)]
        assert points == sorted(opened.pseudonyms(name).values())


def test_two_projects_have_no_pseudonym_in_common(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.RELEASE)
    for name in (LEAD, NODE, OTHER):
        region.set_policy(name, max_concurrent_runs=3)
    first = Opened(region, stages.signed, stages.manifest)
    for change in ({"project_id": "another-project"}, {}):  # another project, and another grant of the same one
        signed = region.sign(region.draft(**change))
        run_id = f"run-{len(change)}-b"
        manifest = region.schedule(signed, run_id, mode="evidence", departments=(LEAD, NODE, OTHER))
        region.run_until(signed, manifest, Step.RELEASE)
        second = Opened(region, signed, manifest)
        for name in (LEAD, NODE, OTHER):
            assert second.pseudonyms(name).keys() == first.pseudonyms(name).keys()
            assert not set(second.pseudonyms(name).values()) & set(first.pseudonyms(name).values())


def test_each_run_numbers_the_union_afresh(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.RELEASE)
    manifest = region.schedule(stages.signed, "run-2", 2)
    region.run_until(stages.signed, manifest, Step.RELEASE)
    first, second = Opened(region, stages.signed, stages.manifest), Opened(region, stages.signed, manifest)
    assert first.pseudonyms(NODE) == second.pseudonyms(NODE)
    same_slot = (first.slots_by_row(NODE) == second.slots_by_row(NODE)).mean()
    # About one person in 240 keeps a slot by chance; a tenth of them does with a probability below 10^-9.
    assert same_slot < 0.1
    padding = [set(_points(each.union)) - _held(each) for each in (first, second)]
    assert padding[0]
    assert not padding[0] & padding[1]


def _points(data: bytes) -> list[bytes]:
    return [data[i : i + 32] for i in range(0, len(data), 32)]


def _held(opened: Opened) -> set[bytes]:
    return {pseudonym for name in DEPARTMENTS for pseudonym in opened.pseudonyms(name).values()}


def test_a_blinded_list_shows_no_order_and_no_point_of_another_run(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    manifest = region.schedule(stages.signed, "run-2", 2)
    region.run_until(stages.signed, manifest, Step.EVALUATE)
    lists = [
        set(_points(Opened(region, stages.signed, each).envelope(NODE, _blinded(region, each))))
        for each in (stages.manifest, manifest)
    ]
    assert len(lists[0]) == len(lists[1])
    assert not lists[0] & lists[1]


def _blinded(region: Region, manifest: Any) -> bytes:
    data = region.run_folder(manifest).request(Step.EVALUATE, NODE)
    return parse_frame(data).parts[f"blinded/{OTHER}"]


def test_a_second_run_beyond_the_cumulative_limit_is_refused_also_after_a_restart(region_before: Any) -> None:
    region = region_before(Step.BLIND)
    signed = limited_to_one_run(region)
    region.run_until(signed, region.schedule(signed, "run-a", 1), Step.FINISH)
    spent = charged(region, NODE)
    assert spent == sum(each.declared_people for each in signed.grant.participants if each.department != NODE)
    manifest = region.schedule(signed, "run-b", 2)
    region.run_until(signed, manifest, Step.EVALUATE)
    request = region.run_folder(manifest).request(Step.EVALUATE, NODE)
    assert region.ask(Step.EVALUATE, NODE, request) == "linkage.limit_reached"
    region.restart(NODE)
    assert region.ask(Step.EVALUATE, NODE, request) == "linkage.limit_reached"
    assert charged(region, NODE) == spent


def test_a_crash_between_charge_and_reply_does_not_refund_and_does_not_charge_twice(region_before: Any) -> None:
    region = region_before(Step.BLIND)
    signed = limited_to_one_run(region)
    manifest = region.schedule(signed, "run-a", 1)
    region.run_until(signed, manifest, Step.EVALUATE)
    request = region.run_folder(manifest).request(Step.EVALUATE, NODE)
    # The disk takes the charge but not the reply.
    fault = "CREATE TRIGGER disk_full BEFORE UPDATE ON steps BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    with region.engines[NODE].db.begin() as connection:
        connection.execute(text(fault))
    assert region.ask(Step.EVALUATE, NODE, request) == "node.internal_error"
    spent = charged(region, NODE)
    assert spent > 0
    with transaction(region.engines[NODE].db) as session:
        assert session.scalar(select(func.count()).select_from(SentRow).where(SentRow.step == "evaluate")) == 0
        session.execute(text("DROP TRIGGER disk_full"))
    region.restart(NODE)
    # What was charged for this attempt pays for its repetition, and for no other run.
    assert region.ask(Step.EVALUATE, NODE, request) == "ok"
    assert charged(region, NODE) == spent
    other = region.schedule(signed, "run-b", 2)
    region.run_until(signed, other, Step.EVALUATE)
    again = region.run_folder(other).request(Step.EVALUATE, NODE)
    assert region.ask(Step.EVALUATE, NODE, again) == "linkage.limit_reached"


def test_a_refusal_of_one_list_evaluates_none_and_keeps_what_was_charged(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    grant = region.draft()
    shares = tuple(
        each.model_copy(update={"evaluation_limit": 1}) if each.department == OTHER else each
        for each in grant.participants
    )
    signed = region.sign(grant.model_copy(update={"participants": shares}))
    manifest = region.schedule(signed, "run-a", 1)
    region.run_until(signed, manifest, Step.EVALUATE)
    request = region.run_folder(manifest).request(Step.EVALUATE, NODE)
    assert region.ask(Step.EVALUATE, NODE, request) == "linkage.limit_reached"
    spent = charged(region, NODE)
    assert region.ask(Step.EVALUATE, NODE, edited(request, {f"blinded/{OTHER}": None})) == "ok"
    assert charged(region, NODE) >= spent


def test_an_attempt_is_charged_for_the_longest_list_it_was_asked_for(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    accounts = Accounts(region.engines[NODE].db, "support-2026", stages.signed.grant_hash, "run-x", 1, 0)
    for points, total in ((10, 10), (8, 10), (25, 25), (25, 25)):
        accounts.charge_evaluations("housing", points, limit=30)
        assert charged(region, NODE) == total
    with pytest.raises(Exception, match=r"linkage\.limit_reached"):
        accounts.charge_evaluations("housing", 31, limit=30)
    other = Accounts(region.engines[NODE].db, "support-2026", stages.signed.grant_hash, "run-y", 1, 0)
    with pytest.raises(Exception, match=r"linkage\.limit_reached"):
        other.charge_evaluations("housing", 6, limit=30)
    other.charge_evaluations("health_disability", 6, limit=30)  # another owner has a count of its own


def test_a_missing_scalar_gives_no_match(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.FINISH)
    request = stages.request(Step.FINISH, NODE)
    fewer = [name for name in DEPARTMENTS if name != "public_security"]
    without = edited(request, {"evaluated/public_security": None}, terms={"holders": fewer})
    assert region.ask(Step.FINISH, NODE, without) == "ok"
    assert region.ask(Step.FINISH, OTHER, stages.request(Step.FINISH, OTHER)) == "ok"
    opened = Opened(region, stages.signed, stages.manifest)
    assert set(opened.pseudonyms(NODE)) <= set(opened.pseudonyms(OTHER))
    assert not set(opened.pseudonyms(NODE).values()) & set(opened.pseudonyms(OTHER).values())


BAD_LISTS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("identity", lambda points: bytes(32) + points[32:], "linkage.invalid_point"),
    ("not canonical", lambda points: b"\xff" * 32 + points[32:], "linkage.invalid_point"),
    ("duplicate", lambda points: points[:32] + points[:32] + points[64:], "linkage.duplicate_point"),
    ("too short", lambda points: points[:-32], "linkage.wrong_count"),
    ("too long", lambda points: points + random_points(1), "linkage.wrong_count"),
    ("cut", lambda points: points[:-1], "linkage.wrong_count"),
]


@pytest.mark.parametrize(("change", "code"), [case[1:] for case in BAD_LISTS], ids=[case[0] for case in BAD_LISTS])
@pytest.mark.parametrize("step", [Step.EVALUATE, Step.FINISH])
def test_a_bad_list_of_a_true_sender_is_refused_before_anything_is_charged(
    region_before: Any, stages: Stages, step: Step, change: Callable[[bytes], bytes], code: str
) -> None:
    region = region_before(step)
    part = f"{'blinded' if step is Step.EVALUATE else 'evaluated'}/{OTHER}"
    request = stages.request(step, NODE)
    before = charged(region, NODE)
    bad = with_payload(region, stages, parse_frame(request).parts[part], change)
    assert region.ask(step, NODE, edited(request, {part: bad})) == code
    assert charged(region, NODE) == before
    assert region.ask(step, NODE, request) == "ok"


HOLDERS: list[tuple[object, str]] = [
    ([name for name in DEPARTMENTS if name != NODE], "linkage.own_share_left_out"),
    ([NODE, LEAD], "linkage.too_few_key_holders"),
    ([NODE, NODE, LEAD, OTHER], "linkage.wrong_holders"),
    ([NODE, LEAD, OTHER, "education"], "linkage.wrong_holders"),
    ("tax", "request.malformed"),
    ([NODE, LEAD, 3], "request.malformed"),
    (None, "request.malformed"),
]


@pytest.mark.parametrize(("holders", "code"), HOLDERS)
def test_finish_is_refused_for_wrong_key_holders(
    region_before: Any, stages: Stages, holders: object, code: str
) -> None:
    region = region_before(Step.FINISH)
    request = edited(stages.request(Step.FINISH, NODE), terms={"holders": holders})
    assert region.ask(Step.FINISH, NODE, request) == code


def test_the_site_may_ask_for_more_key_holders_than_remain(region_before: Any, stages: Stages) -> None:
    # The grant must meet the site's number too, so that the run as granted would pass and only the loss does not.
    region = region_before(Step.BLIND)
    region.set_policy(NODE, min_key_holders=6)
    signed = region.sign(region.draft(min_key_holders=6))
    manifest = region.schedule(signed, "run-a")
    region.run_until(signed, manifest, Step.FINISH)
    request = region.run_folder(manifest).request(Step.FINISH, NODE)
    fewer = edited(request, terms={"holders": [name for name in DEPARTMENTS if name != OTHER]})
    assert region.ask(Step.FINISH, NODE, fewer) == "linkage.too_few_key_holders"
    assert region.ask(Step.FINISH, NODE, request) == "ok"


def test_an_owner_finishes_once_per_attempt(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.RELEASE)
    fewer = edited(stages.request(Step.FINISH, NODE), terms={"holders": [NODE, LEAD, OTHER]})
    assert region.ask(Step.FINISH, NODE, fewer) == "step.different_request"


def test_a_step_that_was_started_without_a_reply_is_computed_again(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.FINISH)
    # A process that ends while it computes leaves this: the step is started, and there is no reply.
    faults = (
        "CREATE TRIGGER no_reply BEFORE UPDATE ON steps BEGIN SELECT RAISE(ABORT, 'killed'); END",
        "CREATE TRIGGER no_withdrawal BEFORE DELETE ON steps BEGIN SELECT RAISE(ABORT, 'killed'); END",
    )
    request = stages.request(Step.FINISH, NODE)
    with region.engines[NODE].db.begin() as connection:
        for fault in faults:
            connection.execute(text(fault))
    with pytest.raises(Exception, match="killed"):
        region.engines[NODE].answer(request)
    engine = region.restart(NODE)
    with transaction(engine.db) as session:
        assert session.get(StepRow, ("run-1", 1, 0, "finish")).reply is None
        session.execute(text("DROP TRIGGER no_reply"))
        session.execute(text("DROP TRIGGER no_withdrawal"))
    assert region.ask(Step.FINISH, NODE, edited(request, terms={"holders": [NODE, LEAD, OTHER]})) == (
        "step.different_request"
    )
    assert region.ask(Step.FINISH, NODE, request) == "ok"
    assert set(Opened(region, stages.signed, stages.manifest).pseudonyms(NODE).values())
