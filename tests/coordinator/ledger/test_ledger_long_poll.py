"""A witness waits for a checkpoint and is answered when there is one: `coordinator/ledger/waiting_for_checkpoints.py`."""

import asyncio
import time

import httpx
import pytest
from coordinator_world import DEPARTMENTS
from ledger_hands import Hands

from crypto.checkpoint import parse_checkpoint, parse_note
from policies.contracts.requests import sign_request

LONG_S = 25


def ask(world, party="tax", **query):
    path = "/v1/ledger/checkpoint" + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")
    return world.send(party, "GET", path)


def size_of(note):
    return 0 if note is None else parse_checkpoint(parse_note(note.encode()).text).size


def while_waiting(world, act, parties=("tax",), **query):
    """Have parties wait, do something once all of them do, and return their answers and how long it took."""
    path = "/v1/ledger/checkpoint?" + "&".join(f"{name}={value}" for name, value in query.items())

    async def run():
        transport = httpx.ASGITransport(app=world.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://coordinator") as client:
            tasks = []
            for party in parties:
                headers = sign_request(world.keys[party].identity, party, "GET", path, b"", int(world.now))
                tasks.append(asyncio.create_task(client.get(path, headers=headers)))
            while world.context.ledger.notifier.waiting < len(parties):
                await asyncio.sleep(0.001)
            started = time.monotonic()
            await asyncio.to_thread(act)
            answers = await asyncio.gather(*tasks)
            return [answer.json() for answer in answers], time.monotonic() - started

    answers, seconds = asyncio.run(run())
    assert world.context.ledger.notifier.waiting == 0
    return answers, seconds


def test_who_has_seen_less_is_answered_at_once(world, hands):
    size = hands.advance()
    answer = ask(world, seen=size - 1, wait_s=LONG_S).json()
    assert (size_of(answer["latest"]), answer["witnessed"], answer["terms"]) == (size, None, 2)
    witnessed = hands.witness()
    answer = ask(world, seen=witnessed, witnessed=0, wait_s=LONG_S).json()
    assert size_of(answer["witnessed"]) == witnessed


def test_without_a_wait_everybody_is_answered_at_once(world, hands):
    size = hands.advance()
    started = time.monotonic()
    assert size_of(ask(world, seen=size, witnessed=size).json()["latest"]) == size
    assert size_of(ask(world).json()["latest"]) == size
    assert time.monotonic() - started < LONG_S / 2


def test_nothing_new_is_told_after_the_wait(world, hands):
    size = hands.advance()
    started = time.monotonic()
    answer = ask(world, seen=size, witnessed=size, wait_s=1).json()
    assert size_of(answer["latest"]) == size
    assert time.monotonic() - started >= 1


def test_a_new_checkpoint_wakes_all_who_wait(world, hands):
    size = hands.advance()
    batch = hands.sealed("tax", 1)

    def submit_and_publish():
        hands.submit(batch)
        hands.advance()

    answers, seconds = while_waiting(world, submit_and_publish, DEPARTMENTS, seen=size, witnessed=size, wait_s=LONG_S)
    assert {size_of(answer["latest"]) for answer in answers} == {size + 1}
    assert seconds < LONG_S / 2


def test_the_quorums_cosignature_wakes_them(world, hands):
    size = hands.advance()
    for department in ("health", "tax"):
        hands.cosign(department)
    answers, seconds = while_waiting(
        world, lambda: hands.cosign("housing"), ("tax",), seen=size, witnessed=0, wait_s=LONG_S
    )
    assert size_of(answers[0]["witnessed"]) == size
    assert seconds < LONG_S / 2


def test_new_terms_wake_them(world, hands):
    size = hands.advance()
    answers, seconds = while_waiting(
        world, lambda: hands.name_witnesses("health", "tax"), ("tax",), seen=size, witnessed=size, wait_s=LONG_S
    )
    assert answers[0]["terms"] == 3
    assert seconds < LONG_S / 2
    # Whoever says which terms it has is told of those that came between two requests.
    started = time.monotonic()
    assert ask(world, seen=2**40, witnessed=2**40, terms=2, wait_s=LONG_S).json()["terms"] == 3
    assert time.monotonic() - started < LONG_S / 2


def test_waiting_holds_no_thread(world, hands):
    """More requests wait than the pool has threads, and others are answered meanwhile."""
    hands.advance()
    most_of_one = world.context.ledger.notifier._most_of_one
    parties = [party for party in DEPARTMENTS for _ in range(most_of_one)]

    def others_are_answered():
        assert world.send("centre", "GET", "/v1/parties").status_code == 200
        world.context.ledger.notifier.close()

    answers, _ = while_waiting(world, others_are_answered, parties, seen=2**40, witnessed=2**40, wait_s=LONG_S)
    assert len(answers) == len(parties) == 32


def test_one_party_waits_with_few_requests(world, hands, code):
    hands.advance()
    most_of_one = world.context.ledger.notifier._most_of_one
    told = []

    def one_more():
        told.append(ask(world, seen=2**40, witnessed=2**40, wait_s=LONG_S))
        # Others have their own places.
        told.append(ask(world, "health", seen=2**40, witnessed=2**40, wait_s=1))
        world.context.ledger.notifier.close()

    while_waiting(world, one_more, ("tax",) * most_of_one, seen=2**40, witnessed=2**40, wait_s=LONG_S)
    assert (told[0].status_code, code(told[0])) == (429, "ledger.too_many_waiting")
    assert told[0].headers["retry-after"] == "5"
    assert told[1].status_code == 200


def test_when_the_server_is_to_end_nobody_waits_any_more(world, hands):
    hands.advance()
    close = world.context.ledger.notifier.close
    answers, seconds = while_waiting(world, close, DEPARTMENTS, seen=2**40, witnessed=2**40, wait_s=LONG_S)
    assert len(answers) == 4
    assert seconds < LONG_S / 2
    assert ask(world, seen=2**40, witnessed=2**40, wait_s=LONG_S).status_code == 200


@pytest.mark.parametrize(
    "query", [{"wait_s": 26}, {"wait_s": -1}, {"seen": -1}, {"seen": "a"}, {"witnessed": 2**53 + 1}, {"terms": -1}]
)
def test_other_values_are_malformed(world, hands, code, query):
    assert code(ask(world, **query)) == "request.malformed"


def test_before_the_first_checkpoint_there_are_none(world):
    world.register_all()
    assert Hands(world).terms.number == 1
    assert ask(world).json() == {"latest": None, "witnessed": None, "terms": 1}
