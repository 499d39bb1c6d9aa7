"""The rules of one exchange, over a link and a clock that the test owns."""

from collections.abc import Callable, Collection

import pytest

from coordinator.federation.exchange import Exchange, LinkAway, MessageRefused, OnlineNode, Patience, Trouble
from coordinator.federation.relay import NODE_FAILED, NODE_TIMEOUT, NODE_UNREACHABLE, Lost
from crypto.errors import DoudiError

NUMBERS = {"tax": 1, "health": 2, "housing": 3}


class FakeLink:
    """Answers after `delay_s`; `script` maps (department, n-th message) to an outcome, None for silence."""

    def __init__(self, departments: Collection[str] = ("tax", "health"), delay_s: float = 1.0) -> None:
        self.now, self.delay_s = 0.0, delay_s
        self.online = {name: OnlineNode(NUMBERS[name], "first") for name in departments}
        self.script: dict[tuple[str, int], bytes | Trouble | None] = {}
        self.away: Callable[[float], bool] = lambda now: False
        self.at: dict[float, Callable[[], None]] = {}
        self.refuse: set[str] = set()
        self.sent: dict[str, list[bytes]] = {name: [] for name in NUMBERS}
        self.due: dict[str, tuple[float, bytes | Trouble | None]] = {}
        self.composed: dict[str, tuple[str, bytes]] = {}

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in [moment for moment in self.at if moment <= self.now]:
            self.at.pop(moment)()

    def _check(self) -> None:
        if self.away(self.now):
            raise LinkAway

    def nodes(self) -> dict[str, OnlineNode]:
        self._check()
        return dict(self.online)

    def compose(self, node_id: int, payload: bytes) -> str:
        name = next(name for name, number in NUMBERS.items() if number == node_id)
        message_id = f"{name}-{len(self.sent[name])}-{len(self.composed)}"
        self.composed[message_id] = (name, payload)
        return message_id

    def push(self, message_id: str) -> bool:
        self._check()
        name, payload = self.composed[message_id]
        if name in self.refuse:
            raise MessageRefused
        count = len(self.sent[name])
        self.sent[name].append(payload)
        self.due[message_id] = (self.now + self.delay_s, self.script.get((name, count), b"re:" + payload))
        return True

    def poll(self, message_ids: Collection[str]) -> tuple[dict[str, bytes | Trouble], bool]:
        self._check()
        ready = {}
        for message_id in message_ids:
            due, outcome = self.due[message_id]
            if due <= self.now and outcome is not None:
                ready[message_id] = outcome
        return ready, False

    def forget(self, message_ids: Collection[str]) -> None:
        for message_id in message_ids:
            self.composed.pop(message_id, None)


def _exchange(link: FakeLink, timeout_s: float = 120, patience: Patience | None = None, **requests: bytes) -> Exchange:
    asked = requests or {"tax": b"t", "health": b"h"}
    return Exchange(link, asked, timeout_s, patience or Patience(), clock=link.clock, sleep=link.sleep)


def test_every_department_answers_and_is_heard_at_once() -> None:
    link = FakeLink()
    heard: list[tuple[str, object, float]] = []
    requests = {"tax": b"t", "health": b"h"}
    exchange = Exchange(
        link, requests, 60, Patience(), lambda *fact: heard.append((*fact, link.now)), link.clock, link.sleep
    )
    assert exchange.run() == {"tax": b"re:t", "health": b"re:h"}
    assert {fact[0] for fact in heard} == {"tax", "health"}
    assert link.now <= 1.5
    assert exchange.pushes == 2
    assert link.composed == {}


def test_a_node_that_never_comes_is_unreachable_after_the_wait() -> None:
    link = FakeLink(["tax"])
    assert _exchange(link).run() == {"tax": b"re:t", "health": Lost(NODE_UNREACHABLE)}
    assert 20 <= link.now < 21


def test_a_node_that_comes_in_time_is_asked() -> None:
    link = FakeLink(["tax"])
    link.at[15.0] = lambda: link.online.update({"health": OnlineNode(2, "later")})
    assert _exchange(link).run()["health"] == b"re:h"


def test_a_node_that_dies_and_rejoins_gets_the_same_bytes() -> None:
    link = FakeLink(["tax"])
    link.script["tax", 0] = Trouble.LOST_ON_THE_WAY
    link.at[0.5] = lambda: link.online.clear()
    link.at[12.0] = lambda: link.online.update({"tax": OnlineNode(1, "second")})
    assert _exchange(link, tax=b"t").run() == {"tax": b"re:t"}
    assert link.sent["tax"] == [b"t", b"t"]


def test_a_node_that_stays_dead_is_unreachable() -> None:
    link = FakeLink(["tax"])
    link.script["tax", 0] = Trouble.LOST_ON_THE_WAY
    link.at[0.5] = lambda: link.online.clear()
    assert _exchange(link, tax=b"t").run() == {"tax": Lost(NODE_UNREACHABLE)}
    assert link.now < 23


def test_a_node_that_restarted_unnoticed_is_asked_again() -> None:
    link = FakeLink(["tax"])
    link.script["tax", 0] = None
    link.at[5.0] = lambda: link.online.update({"tax": OnlineNode(1, "second")})
    assert _exchange(link, tax=b"t").run() == {"tax": b"re:t"}
    assert link.now < 9


def test_silence_is_answered_by_asking_again() -> None:
    link = FakeLink(["tax"])
    link.script["tax", 0] = None
    assert _exchange(link, tax=b"t").run() == {"tax": b"re:t"}
    assert 60 < link.now < 63


def test_a_slow_reply_to_the_first_message_still_counts() -> None:
    link = FakeLink(["tax"], delay_s=100)
    exchange = _exchange(link, 300, tax=b"t")
    assert exchange.run() == {"tax": b"re:t"}
    assert exchange.pushes == 2
    assert link.now < 102


def test_repeats_are_bounded() -> None:
    link = FakeLink(["tax"])
    link.script = {("tax", count): Trouble.LOST_ON_THE_WAY for count in range(10)}
    exchange = _exchange(link, tax=b"t")
    assert exchange.run() == {"tax": Lost(NODE_UNREACHABLE)}
    assert exchange.pushes == Patience().most_pushes


def test_a_failure_at_the_node_is_not_repeated() -> None:
    link = FakeLink(["tax"])
    link.script["tax", 0] = Trouble.FAILED
    assert _exchange(link, tax=b"t").run() == {"tax": Lost(NODE_FAILED)}
    assert link.sent["tax"] == [b"t"]


def test_a_silent_node_times_out_at_the_deadline() -> None:
    link = FakeLink()
    link.script = {("tax", count): None for count in range(10)}
    assert _exchange(link, 30).run() == {"tax": Lost(NODE_TIMEOUT), "health": b"re:h"}
    assert 30 <= link.now < 30.5


def test_a_node_that_is_refused_does_not_harm_the_others() -> None:
    link = FakeLink()
    link.refuse = {"health"}
    assert _exchange(link).run() == {"tax": b"re:t", "health": Lost(NODE_UNREACHABLE)}


@pytest.mark.parametrize("moment", [0.0, 0.6, 5.0])
def test_a_short_outage_costs_no_reply(moment: float) -> None:
    link = FakeLink(delay_s=4)
    link.away = lambda now: moment <= now < moment + 8
    assert _exchange(link).run() == {"tax": b"re:t", "health": b"re:h"}


def test_a_message_that_an_outage_swallowed_is_sent_again_soon() -> None:
    link = FakeLink(["tax"])
    link.script["tax", 0] = None
    link.away = lambda now: 2 <= now < 5
    assert _exchange(link, tax=b"t").run() == {"tax": b"re:t"}
    assert link.now < 18


@pytest.mark.parametrize(("timeout_s", "end"), [(120, 30), (10, 10)])
def test_a_superlink_that_stays_away_ends_the_exchange(timeout_s: float, end: float) -> None:
    link = FakeLink()
    link.away = lambda now: True
    with pytest.raises(DoudiError) as caught:
        _exchange(link, timeout_s).run()
    assert caught.value.code == "relay.superlink_lost"
    assert end <= link.now < end + 1


def test_no_departments_is_no_work() -> None:
    assert Exchange(FakeLink(), {}, 10, Patience()).run() == {}
