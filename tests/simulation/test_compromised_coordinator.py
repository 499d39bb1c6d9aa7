"""A coordinator in an attacker's hands is refused by the nodes, each lie with its code; nothing is computed or charged for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from compromised_coordinator import CompromisedCoordinator, LyingLists, LyingRequests, contents, signature_of
from region import LEAD, Region, Stages, edited
from sqlalchemy import select

from crypto.errors import DoudiError
from crypto.sealing import generate_sealing_key, sealing_public_key
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.governance.requests import fetch_request, gathered_signatures
from department_nodes.governance.revocation_exchange import RevocationExchange
from department_nodes.home import CENTRE
from department_nodes.revocations import issue_list, known_lists
from department_nodes.store.models import EventRow
from department_nodes.store.session import transaction
from policies.contracts.grant import Grant, SignedGrant, sign_grant
from policies.contracts.manifest import Manifest
from policies.contracts.revocations import RevocationList, RevokedGrant, sign_revocations
from policies.contracts.steps import Step, pack_request

NODE, OTHER = "tax", "housing"
HOUR_S = 3600
LIMIT_HOURS = 24


@dataclass
class Clock:
    """The time of a test."""

    now_s: float

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def attacker(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompromisedCoordinator]:
    """The attacker before the run's first step. Its tests leave the nodes as they were."""
    region = stages.before(Step.BLIND).copy(tmp_path_factory.mktemp("attacked") / "region")
    yield CompromisedCoordinator(region, stages.signed, stages.manifest)
    region.close()


def assert_refused(attacker: CompromisedCoordinator, code: str, act: Callable[[str], str]) -> None:
    """Assert that two departments refuse with the code, that it is in their journals, and that nothing else has changed."""
    for name in (NODE, OTHER):
        engine = attacker.region.engines[name]
        before = contents(engine)
        assert act(name) == code
        assert contents(engine) == before
        with transaction(engine.db) as session:
            newest = session.scalars(select(EventRow).order_by(EventRow.number.desc())).first()
        assert newest is not None
        assert (newest.type, newest.code) == ("step.refused", code)


def test_what_the_parties_agreed_is_answered(stages: Stages, region_before: Any) -> None:
    honest = CompromisedCoordinator(region_before(Step.BLIND), stages.signed, stages.manifest)
    assert {honest.ask(name) for name in honest.region.departments} == {"ok"}


# ---- altering and widening ----


def with_share(grant: Grant, department: str, **fields: Any) -> Grant:
    shares = tuple(
        each.model_copy(update=fields) if each.department == department else each for each in grant.participants
    )
    return grant.model_copy(update={"participants": shares})


def with_section(grant: Grant, section: str, **fields: Any) -> Grant:
    return grant.model_copy(update={section: getattr(grant, section).model_copy(update=fields)})


def with_stranger(grant: Grant) -> Grant:
    stranger = grant.participant(OTHER).model_copy(update={"department": "education"})
    widened = grant.model_copy(update={"participants": (*grant.participants, stranger)})
    return with_section(widened, "linkage", participants=widened.departments)


def in_another_project(grant: Grant) -> Grant:
    return with_section(grant.model_copy(update={"project_id": "other"}), "linkage", project_id="other")


WIDER: list[tuple[str, Callable[[Grant], Grant]]] = [
    ("more runs", lambda g: g.model_copy(update={"runs_allowed": 50})),
    ("more attempts", lambda g: g.model_copy(update={"attempts_allowed": 10})),
    ("more columns", lambda g: with_share(g, NODE, columns=(*g.share(NODE).columns, "SSP"))),
    ("more ε", lambda g: with_section(g, "label", epsilon_milli=3000)),
    ("another target", lambda g: with_section(g, "label", target="poverty")),
    ("a new period, so new bits", lambda g: with_section(g, "label", label_period="2027")),
    ("more evidence", lambda g: with_section(g, "evidence", bits_per_person_and_year=120)),
    ("fewer key holders", lambda g: with_section(g, "linkage", min_key_holders=2)),
    ("a later end", lambda g: g.model_copy(update={"expires_at": g.expires_at + 24 * HOUR_S})),
    ("an earlier start", lambda g: g.model_copy(update={"not_before": g.not_before - 24 * HOUR_S})),
    ("another purpose", lambda g: g.model_copy(update={"purpose": "statistics"})),
    ("another project", in_another_project),
    ("a department more", with_stranger),
    ("longer lists", lambda g: with_share(g, NODE, declared_people=10_000)),
    ("a milder tier, so fewer approvers", lambda g: with_share(g, NODE, tier="general_1")),
    ("a scheduler of its own", lambda g: with_section(g, "scheduler", key="ab" * 32)),
    ("no revocation by the centre", lambda g: g.model_copy(update={"centre_revocation_key": "ab" * 32})),
    ("another program", lambda g: g.model_copy(update={"program_hash": "ab" * 32})),
]


@pytest.mark.parametrize("change", [case[1] for case in WIDER], ids=[case[0] for case in WIDER])
def test_a_widened_grant_under_the_true_signatures_is_refused(
    attacker: CompromisedCoordinator, change: Callable[[Grant], Grant]
) -> None:
    widened = attacker.altered(change)
    assert_refused(attacker, "grant.bad_signature", lambda name: attacker.ask(name, widened))


def test_a_widened_grant_with_forged_signatures_is_refused(attacker: CompromisedCoordinator) -> None:
    grant = attacker.signed.region_grant.model_copy(update={"runs_allowed": 50})
    assert_refused(attacker, "grant.bad_signature", lambda name: attacker.ask(name, attacker.forged(grant)))


@pytest.mark.parametrize("party", [CENTRE, LEAD, NODE, "health_disability"])
def test_a_grant_without_a_partys_signature_is_refused(attacker: CompromisedCoordinator, party: str) -> None:
    left = tuple(each for each in attacker.signed.signatures if each.party != party)
    lacking = SignedGrant(grant=attacker.signed.grant, signatures=left)
    assert_refused(attacker, "grant.signature_missing", lambda name: attacker.ask(name, lacking))


def test_a_grant_signed_by_all_with_keys_of_the_attackers_is_refused(attacker: CompromisedCoordinator) -> None:
    grant = attacker.signed.region_grant
    everybody = attacker.with_own_keys(grant, CENTRE, *grant.departments)
    # The first wrong key that a node meets is its own.
    assert_refused(attacker, "grant.wrong_key", lambda name: attacker.ask(name, everybody))


def test_a_centre_of_the_attackers_own_is_refused_although_all_departments_sign(
    attacker: CompromisedCoordinator,
) -> None:
    # The departments' officers sign what they are shown here: then it is their nodes' pinned keys that refuse.
    key = generate_signing_key()
    grant = attacker.signed.region_grant.model_copy(update={"centre_key": signing_public_key(key).hex()})
    departments = tuple(
        sign_grant(grant, name, "lead" if name == LEAD else "owner", attacker.region.homes[name].key("approval.key"))
        for name in grant.departments
    )
    signed = SignedGrant(grant=grant, signatures=(sign_grant(grant, CENTRE, "centre", key), *departments))
    assert_refused(attacker, "grant.untrusted_key", lambda name: attacker.ask(name, signed))


def test_one_departments_signature_does_not_stand_for_another_or_for_the_centre(
    attacker: CompromisedCoordinator,
) -> None:
    theirs = signature_of(attacker.signed, "public_security")
    for party, role in ((OTHER, "owner"), (CENTRE, "centre"), (LEAD, "lead")):
        moved = theirs.model_copy(update={"party": party, "role": role})
        others = tuple(each for each in attacker.signed.signatures if each.party != party)
        signed = SignedGrant(grant=attacker.signed.grant, signatures=(*others, moved))
        assert_refused(attacker, "grant.bad_signature", lambda name, signed=signed: attacker.ask(name, signed))


# ---- runs: forging, replaying, re-ordering ----


def swapped_offer(manifest: Manifest) -> Manifest:
    key = sealing_public_key(generate_sealing_key()).hex()
    offers = tuple(
        each.model_copy(update={"sealing_key": key}) if each.department == OTHER else each for each in manifest.offers
    )
    return manifest.model_copy(update={"offers": offers})


def without_one(manifest: Manifest) -> Manifest:
    offers = tuple(each for each in manifest.offers if each.department != "health_disability")
    return manifest.model_copy(update={"offers": offers})


def with_another(manifest: Manifest) -> Manifest:
    stranger = manifest.offers[0].model_copy(update={"department": "education"})
    return manifest.model_copy(update={"offers": (*manifest.offers, stranger)})


def renamed(manifest: Manifest, **changes: Any) -> Manifest:
    """Return the manifest of another run or attempt, with offers that name it too: it contradicts itself otherwise."""
    named = {name: value for name, value in changes.items() if name in ("run_id", "attempt")}
    offers = tuple(each.model_copy(update=named) for each in manifest.offers)
    return manifest.model_copy(update={**changes, "offers": offers})


MANIFESTS: list[tuple[str, Callable[[Manifest], Manifest]]] = [
    ("another number", lambda m: m.model_copy(update={"run_number": 2})),
    ("another attempt", lambda m: renamed(m, attempt=2)),
    ("another run", lambda m: renamed(m, run_id="run-2")),
    ("another mode", lambda m: m.model_copy(update={"mode": "evidence"})),
    ("a later end", lambda m: m.model_copy(update={"expires_at": m.expires_at + HOUR_S})),
    ("a key of the attacker's", swapped_offer),
    ("a department less", without_one),
    ("a department more", with_another),
]


@pytest.mark.parametrize("change", [case[1] for case in MANIFESTS], ids=[case[0] for case in MANIFESTS])
def test_an_altered_manifest_is_refused(
    attacker: CompromisedCoordinator, change: Callable[[Manifest], Manifest]
) -> None:
    altered = attacker.altered_manifest(change)
    assert_refused(attacker, "manifest.bad_signature", lambda name: attacker.ask(name, manifest=altered))


def test_a_run_that_the_attacker_schedules_itself_is_refused(attacker: CompromisedCoordinator) -> None:
    own = attacker.scheduled_by_itself(lambda manifest: renamed(manifest, run_id="run-9", run_number=2))
    assert_refused(attacker, "manifest.bad_signature", lambda name: attacker.ask(name, manifest=own))


def test_a_manifest_under_another_grant_of_the_same_parties_is_refused(
    attacker: CompromisedCoordinator,
) -> None:
    other = attacker.region.sign(attacker.region.draft(runs_allowed=3))
    assert_refused(attacker, "manifest.wrong_grant", lambda name: attacker.ask(name, other))


def test_a_manifest_for_another_run_or_attempt_is_refused(attacker: CompromisedCoordinator) -> None:
    request = pack_request(Step.BLIND, attacker.signed, attacker.manifest)
    for header in ({"run_id": "run-2"}, {"attempt": 2}):
        renamed = edited(request, header=header)
        assert_refused(
            attacker, "manifest.wrong_run", lambda name, renamed=renamed: attacker.ask(name, request=renamed)
        )


def test_an_old_manifest_starts_nothing(stages: Stages, region_before: Any) -> None:
    clock = Clock(stages.manifest.manifest.expires_at + 1.0)
    attacker = CompromisedCoordinator(region_before(Step.BLIND, clock), stages.signed, stages.manifest)
    assert_refused(attacker, "manifest.expired", attacker.ask)


def test_a_run_that_is_over_gives_its_old_answers_and_starts_nothing_anew(stages: Stages, region_before: Any) -> None:
    region = region_before(None)
    attacker = CompromisedCoordinator(region, stages.signed, stages.manifest)
    for step in (Step.BLIND, Step.TRAIN):
        before = contents(region.engines[NODE])
        assert region.engines[NODE].answer(stages.request(step, NODE)) == stages.reply(step, NODE)
        assert contents(region.engines[NODE]) == before
    again = edited(stages.request(Step.TRAIN, NODE), terms={"slots": 1})
    assert attacker.ask(NODE, request=again) == "step.different_request"


def test_the_number_of_a_run_is_used_once(stages: Stages, region_before: Any) -> None:
    region = region_before(Step.EVALUATE)  # run-1 has number 1
    twice = region.schedule(stages.signed, "run-2", run_number=1)
    attacker = CompromisedCoordinator(region, stages.signed, twice)
    assert_refused(attacker, "manifest.run_number_taken", attacker.ask)


def test_runs_in_another_order_than_they_were_scheduled_are_refused(stages: Stages, region_before: Any) -> None:
    region = region_before(Step.BLIND)
    second = region.schedule(stages.signed, "run-2", run_number=2)
    attacker = CompromisedCoordinator(region, stages.signed, stages.manifest)
    assert {attacker.ask(name, manifest=second) for name in (NODE, OTHER)} == {"ok"}
    # Run 1 was scheduled first, and the attacker held it back.
    assert_refused(attacker, "manifest.out_of_order", attacker.ask)


def test_more_runs_at_a_time_than_the_sites_allow_wait(stages: Stages, region_before: Any) -> None:
    region = region_before(Step.BLIND)
    manifests = [region.schedule(stages.signed, f"run-{number}", run_number=number) for number in (2, 3, 4)]
    attacker = CompromisedCoordinator(region, stages.signed, stages.manifest)
    for manifest in manifests[:2]:
        assert {attacker.ask(name, manifest=manifest) for name in (NODE, OTHER)} == {"ok"}
    assert_refused(attacker, "node.busy", lambda name: attacker.ask(name, manifest=manifests[2]))


# ---- revocation: withholding, replaying, forging ----


def revocation(stages: Stages, at_s: float) -> RevokedGrant:
    return RevokedGrant(
        grant_hash=stages.signed.grant_hash,
        reason="consent_withdrawn",
        revoked_at=int(at_s),
        expires_at=stages.signed.grant.expires_at,
    )


@pytest.fixture
def withheld(stages: Stages, region_before: Any) -> Any:
    """A region whose lists are a minute old, and whose coordinator delivers none any more."""
    clock = Clock(float(stages.manifest.manifest.created_at))
    region = region_before(Step.BLIND, clock)
    for name in region.departments:
        region.set_policy(name, max_revocation_age_hours=LIMIT_HOURS)
    region.publish_revocations()
    issued_at = clock.now_s
    clock.now_s += 60
    return region, clock, issued_at


def test_a_withheld_revocation_works_at_the_revoking_node_at_once_and_elsewhere_within_the_limit(
    stages: Stages, withheld: Any
) -> None:
    region, clock, issued_at = withheld
    issue_list(region.homes[NODE], int(clock()), revocation(stages, clock()))
    attacker = CompromisedCoordinator(region, stages.signed, stages.manifest)
    assert attacker.ask(NODE) == "grant.revoked"
    # The others were not told, and go on with a list that names nothing…
    assert attacker.ask(OTHER) == "ok"
    # … until it is too old, to the second.
    clock.now_s = issued_at + LIMIT_HOURS * HOUR_S
    longer = region.schedule(stages.signed, "run-2", run_number=2, departments=_without(region, NODE), mode="evidence")
    attacker.manifest = longer
    assert attacker.ask("public_security") == "ok"
    clock.now_s += 1
    before = contents(region.engines[OTHER])
    assert attacker.ask(OTHER) == "revocation.stale"
    assert contents(region.engines[OTHER]) == before


def _without(region: Region, name: str) -> tuple[str, ...]:
    return tuple(each for each in region.departments if each != name)


def test_old_lists_repeated_do_not_make_a_node_go_on(stages: Stages, withheld: Any) -> None:
    region, clock, issued_at = withheld
    old = [known_lists(region.homes[OTHER])[party] for party in (CENTRE, *region.departments)]
    lists = LyingLists()
    exchange = RevocationExchange(region.engines[OTHER], lists)
    clock.now_s = issued_at + LIMIT_HOURS * HOUR_S + 1
    lists.give(*old)
    assert not exchange.exchange()
    attacker = CompromisedCoordinator(region, stages.signed, stages.manifest)
    # The old manifest has ended too, so a new one is asked for: it needs an offer, and there is none.
    with pytest.raises(DoudiError, match=r"revocation\.stale"):
        region.schedule(stages.signed, "run-2", run_number=2)
    assert attacker.ask(OTHER) in ("revocation.stale", "manifest.expired")


def test_a_list_from_before_the_revocation_does_not_undo_it(stages: Stages, withheld: Any) -> None:
    region, clock, _ = withheld
    before = known_lists(region.homes[OTHER])[NODE]
    after = issue_list(region.homes[NODE], int(clock()), revocation(stages, clock()))
    lists = LyingLists()
    exchange = RevocationExchange(region.engines[OTHER], lists)
    attacker = CompromisedCoordinator(region, stages.signed, stages.manifest)
    lists.give(after)
    assert exchange.exchange()
    assert attacker.ask(OTHER) == "grant.revoked"
    lists.give(before)
    assert not exchange.exchange()
    assert attacker.ask(OTHER) == "grant.revoked"
    assert refusals_of_lists(region, OTHER) == [(NODE, "revocation.rollback")]


def test_forged_lists_change_nothing_and_are_in_the_journal(stages: Stages, withheld: Any) -> None:
    region, clock, _ = withheld
    known = known_lists(region.homes[OTHER])
    content = known[CENTRE].content
    theirs = known[NODE].content.following(int(clock()), revocation(stages, clock()))
    forged = [
        # Revoking in another's name would stop work; a fresh list in another's name would let withheld ones stay away.
        sign_revocations(theirs, generate_signing_key()),
        sign_revocations(content.following(int(clock())), region.homes[LEAD].key("revocation.key")),
        sign_revocations(
            RevocationList(party=CENTRE, number=content.number, issued_at=content.issued_at + 1),
            region.centre_revocation_key,
        ),
    ]
    lists = LyingLists()
    lists.give(*forged)
    lists.given += [{"content": {"party": "tax"}}, None, 7]
    exchange = RevocationExchange(region.engines[OTHER], lists)
    assert not exchange.exchange()
    assert known_lists(region.homes[OTHER]) == known
    told = [(NODE, "revocation.bad_signature"), (CENTRE, "revocation.bad_signature"), (CENTRE, "revocation.fork")]
    assert refusals_of_lists(region, OTHER) == told
    # Told once, not every half minute.
    exchange.exchange()
    assert refusals_of_lists(region, OTHER) == told


def test_one_bad_list_does_not_hold_back_the_good_ones(stages: Stages, withheld: Any) -> None:
    region, clock, _ = withheld
    good = issue_list(region.homes[NODE], int(clock()), revocation(stages, clock()))
    bad = sign_revocations(
        known_lists(region.homes[OTHER])[LEAD].content.following(int(clock())), generate_signing_key()
    )
    lists = LyingLists()
    lists.give(bad, good)
    assert RevocationExchange(region.engines[OTHER], lists).exchange()
    attacker = CompromisedCoordinator(region, stages.signed, stages.manifest)
    assert attacker.ask(OTHER) == "grant.revoked"


def refusals_of_lists(region: Region, name: str) -> list[tuple[str, str]]:
    with transaction(region.engines[name].db) as session:
        query = select(EventRow.party, EventRow.code).where(EventRow.type == "revocation.refused")
        return [tuple(row) for row in session.execute(query.order_by(EventRow.number))]  # type: ignore[misc]


# ---- requests: what an officer would sign ----


def served(signed: SignedGrant, *, told: str = "", state: str = "submitted", number: int = 7) -> LyingRequests:
    answer = {"number": number, "state": state, "grant_hash": told or signed.grant_hash}
    return LyingRequests({"/v1/requests/7": answer, "/v1/requests/7/grant": signed.to_bytes()})


def test_a_request_whose_document_is_another_than_it_names_is_not_shown(attacker: CompromisedCoordinator) -> None:
    assert fetch_request(served(attacker.signed), 7).signed == attacker.signed  # type: ignore[arg-type]
    wider = attacker.altered(lambda grant: grant.model_copy(update={"runs_allowed": 50}))
    with pytest.raises(DoudiError, match=r"grant\.wrong_hash"):
        fetch_request(served(wider, told=attacker.signed.grant_hash), 7)  # type: ignore[arg-type]
    with pytest.raises(DoudiError, match=r"request\.not_as_asked"):
        fetch_request(served(attacker.signed, number=8), 7)  # type: ignore[arg-type]


def test_signatures_that_the_coordinator_makes_up_count_for_nobody(attacker: CompromisedCoordinator) -> None:
    forged = attacker.forged(attacker.signed.region_grant)
    assert {item.people for item in gathered_signatures(forged)} == {0}
    true = {item.needed.party: item.people for item in gathered_signatures(attacker.signed)}
    assert true == {name: 1 for name in attacker.region.departments} | {CENTRE: 2}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"number": "x", "state": "submitted", "grant_hash": "ab" * 32},
        {"number": 7, "state": "submitted\n\x1b[31m", "grant_hash": "ab" * 32},
        {"number": 7, "state": "submitted", "grant_hash": "../secret"},
    ],
)
def test_an_answer_of_the_wrong_form_is_refused_with_a_code(answer: Any) -> None:
    with pytest.raises(DoudiError, match=r"coordinator\.bad_answer"):
        fetch_request(LyingRequests({"/v1/requests/7": answer}), 7)  # type: ignore[arg-type]
