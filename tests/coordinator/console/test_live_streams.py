"""`live_streams.py`, and the stream of a run's page: what is sent, when it ends, and how many there may be."""

import asyncio
import json

import pytest
from console_people import enrolled, session_token
from operation import Operation
from sqlalchemy import delete, func, select

from coordinator.accounts.models import SessionRow
from coordinator.accounts.sessions import SEEN_S, find_session
from coordinator.console.live_streams import HEARTBEAT_S, LOOK_EVERY_S, LiveStreams, Look, SharedLooks, changes_of
from coordinator.runs.services import fail_run, mark_step
from crypto.errors import DoudiError


class Time:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


def played(looks, *, lifetime_s=1000.0, time=None):
    """Return the messages of a stream over these looks; the last one stays."""
    time, given = time or Time(), list(looks)

    async def look():
        return given.pop(0) if len(given) > 1 else given[0]

    async def play():
        return [part async for part in changes_of(look, clock=time, sleep=time.sleep, lifetime_s=lifetime_s)]

    return asyncio.run(play())


def values_of(parts):
    return [json.loads(part[len(b"data: ") :]) for part in parts if part.startswith(b"data: ")]


def test_the_first_message_holds_everything_and_the_next_ones_what_changed():
    looks = [Look({"a": "1", "b": "x"}, False), Look({"a": "1", "b": "y"}, False), Look({"a": "1", "b": "y"}, True)]
    parts = played(looks)
    assert values_of(parts) == [{"a": "1", "b": "x"}, {"b": "y"}]
    assert parts[0].startswith(b"retry: ")
    assert parts[-1] == b"event: end\ndata: {}\n\n"


def test_a_quiet_stream_sends_comments_and_ends_after_its_time_without_saying_that_all_is_over():
    parts = played([Look({"a": "1"}, False)], lifetime_s=4 * HEARTBEAT_S + 1)
    assert parts.count(b": still here\n\n") == 4
    assert b"event: end" not in b"".join(parts)


def test_a_value_cannot_begin_another_message():
    hostile = "x\n\nevent: end\ndata: {}\n\nretry: 1"
    parts = played([Look({"a": hostile}, False), Look({"a": hostile}, True)])
    assert values_of(parts) == [{"a": hostile}]
    assert b"".join(parts).count(b"\n\n") == 3


def test_it_looks_no_more_than_once_a_second():
    time, looks = Time(), []

    async def look():
        looks.append(time.now)
        return Look({}, len(looks) == 5)

    async def play():
        return [part async for part in changes_of(look, clock=time, sleep=time.sleep)]

    asyncio.run(play())
    assert looks == [number * LOOK_EVERY_S for number in range(5)]


# Bounds


async def nothing():
    yield b""


async def ended(response):
    """Run a response as the server does, for somebody who has gone."""

    async def receive():
        return {"type": "http.disconnect"}

    async def send(_message):
        return None

    await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)


def test_one_person_has_a_few_streams_and_all_together_a_bounded_number():
    streams = LiveStreams(most=3, most_of_one_account=2)
    mine = [streams.response(1, nothing()), streams.response(1, nothing())]
    with pytest.raises(DoudiError) as refused:
        streams.response(1, nothing())
    assert refused.value.code == "console.too_many_streams"
    streams.response(2, nothing())
    with pytest.raises(DoudiError):
        streams.response(3, nothing())
    asyncio.run(ended(mine[0]))
    assert streams.open_streams == 2
    streams.response(1, nothing())


def test_a_stream_that_breaks_counts_no_longer():
    async def broken():
        yield b"data: {}\n\n"
        raise RuntimeError

    streams = LiveStreams(most=1)
    with pytest.raises(RuntimeError):
        asyncio.run(_served(streams.response(1, broken())))
    assert streams.open_streams == 0


async def _served(response):
    never = asyncio.Event()

    async def receive():
        await never.wait()

    async def send(_message):
        return None

    await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)


def test_what_was_looked_up_serves_everybody_for_a_moment():
    time, loads = Time(), []
    looks = SharedLooks(kept_s=1.0, clock=time)

    def load():
        loads.append(time.now)
        return len(loads)

    assert [looks.get("run", load), looks.get("run", load), looks.get("other", load)] == [1, 1, 2]
    time.now = 1.0
    assert looks.get("run", load) == 3


# The stream of a run


@pytest.fixture
def operation(cheap_world):
    made = Operation(cheap_world)
    made.departments()
    made.region_runs()
    return made


@pytest.fixture
def officer(cheap_world, signed_in):
    page = signed_in(enrolled(cheap_world.context, "officer", "centre", "centre_officer"))
    page.cookies.set("doudi-lang", "en", domain="coordinator.example", path="/")
    return page


def test_a_run_that_has_ended_is_told_once(officer, operation):
    answer = officer.get(f"/console/runs/{operation.runs['failed']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert "Content-Security-Policy" in answer.headers
    parts = [part.encode() + b"\n\n" for part in answer.text.split("\n\n") if part]
    (values,) = values_of(parts)
    assert values["state.kind"] == "failed"
    assert values["sentence"] == "It ended early: the lead did not answer."
    assert values["tax.blind.kind"] == "answered"
    assert parts[-1].startswith(b"event: end")


def test_the_stream_follows_the_run_until_it_ends(officer, operation, cheap_world):
    run_id = operation.runs["running"]

    class Ending:
        """Has the run go on while it is followed."""

        looked = 0

        def get(self, _name, load):
            self.looked += 1
            with cheap_world.begin() as session:
                if self.looked == 2:
                    mark_step(session, run_id, 1, "train", "housing", "answered")
                if self.looked == 3:
                    fail_run(session, run_id, "node.timeout")
            return load()

    parts = cheap_world.app.state.console
    cheap_world.app.state.console = type(parts)(parts.shown_once, parts.report_summaries, parts.live_streams, Ending())
    answer = officer.get(f"/console/runs/{run_id}/events")
    first, second, third = values_of([part.encode() for part in answer.text.split("\n\n")])
    assert first["housing.train.kind"] == "sent"
    assert second["housing.train.kind"] == "answered"
    assert second["sentence"] == "Train: 3 of 3 departments are through."
    assert set(second) == {"housing.train.kind", "housing.train.text", "sentence", "done"}
    assert third["state.kind"] == "failed"
    assert answer.text.rstrip().endswith("event: end\ndata: {}")
    assert parts.live_streams.open_streams == 0


def test_following_a_page_does_not_keep_a_session_alive(cheap_world, signed_in, operation):
    person = enrolled(cheap_world.context, "sleeper", "centre", "auditor")
    page = signed_in(person)
    cheap_world.now += SEEN_S + 1
    assert page.get(f"/console/runs/{operation.runs['failed']}/events").status_code == 200
    assert last_seen(cheap_world, person) < cheap_world.now - SEEN_S
    page.get("/console/runs")
    assert last_seen(cheap_world, person) == cheap_world.now


def last_seen(world, person):
    with world.begin() as session:
        return session.scalar(select(func.max(SessionRow.last_seen_at)).where(SessionRow.account == person.number))


def test_whoever_is_signed_out_follows_nothing(cheap_world, operation, browser):
    person = enrolled(cheap_world.context, "gone", "centre", "auditor")
    token = session_token(cheap_world.context, person)
    with cheap_world.begin() as session:
        assert find_session(session, token) is not None
        session.execute(delete(SessionRow))
    browser.cookies.set("__Host-doudi", token, domain="coordinator.example", path="/")
    assert browser.get(f"/console/runs/{operation.runs['failed']}/events").status_code == 303


def test_too_many_streams_of_a_person_are_refused_with_a_time_to_wait(cheap_world, officer, operation):
    streams = cheap_world.app.state.console.live_streams
    with cheap_world.begin() as session:
        number = find_session(session, officer.cookies.get("__Host-doudi", domain="coordinator.example")).account_number
    for _ in range(4):
        streams.response(number, nothing())
    answer = officer.get(f"/console/runs/{operation.runs['failed']}/events")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    # The page itself is not a stream.
    assert officer.get(f"/console/runs/{operation.runs['failed']}").status_code == 200
