"""The worker's app behind Flower's Grid interface, and the local relay that simulations use."""

import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from coordinator.federation import flower_link
from coordinator.federation.relay import NODE_FAILED, NODE_UNREACHABLE, Lost, Relay
from crypto.errors import DoudiError
from department_nodes.federation import worker
from department_nodes.federation.worker import INTERNAL_ERROR, build_client_app
from tests.simulation.local_grid import LocalGrid, LocalRelay


def _ask(grid: LocalGrid, payload: bytes) -> list[Message]:
    array = Array("uint8", (len(payload),), "doudi.frame", payload)
    return list(
        grid.send_and_receive(
            Message(RecordDict({"frame": ArrayRecord({"bytes": array})}), node_id, "query.step")
            for node_id in grid.get_node_ids()
        )
    )


def _refuse(request: bytes) -> bytes:
    raise DoudiError("guard.no_grant", "a sentence for the log")


def test_the_app_answers_bytes_with_bytes() -> None:
    grid = LocalGrid({"tax": build_client_app(lambda request: request[::-1]), "health": build_client_app(bytes.upper)})
    for payload, expected in [(b"abc", [b"cba", b"ABC"]), (b"", [b"", b""])]:
        assert [reply.content["frame"]["bytes"].data for reply in _ask(grid, payload)] == expected


def test_a_dropped_message_is_an_error_reply_of_flower() -> None:
    grid = LocalGrid({"tax": build_client_app(bytes.upper)}, drop=lambda name: name == "tax")
    assert [reply.error.code for reply in _ask(grid, b"abc")] == [5]


def test_nothing_of_an_exception_leaves_the_node(caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: bytes) -> bytes:
        raise RuntimeError(f"the person is {request.decode()}")

    with caplog.at_level(logging.INFO):
        [reply] = _ask(LocalGrid({"tax": build_client_app(fail)}), b"Willow")
    assert (reply.error.code, reply.error.reason) == (2, INTERNAL_ERROR)
    assert "Willow" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_a_refusal_that_escapes_the_handler_is_logged_by_code_only(caplog: pytest.LogCaptureFixture) -> None:
    [reply] = _ask(LocalGrid({"tax": build_client_app(_refuse)}), b"x")
    assert reply.error.reason == INTERNAL_ERROR
    assert "guard.no_grant" in caplog.text
    assert "a sentence" not in caplog.text


def test_a_message_without_a_frame_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    grid = LocalGrid({"tax": build_client_app(bytes.upper)})
    for content in [
        RecordDict(),
        RecordDict({"frame": ConfigRecord({"bytes": b"x"})}),
        RecordDict({"frame": ArrayRecord()}),
    ]:
        for kind in ["query.step", "query.other", "train"]:
            [reply] = grid.send_and_receive([Message(content, 100, kind)])
            assert reply.error.reason == INTERNAL_ERROR


def test_both_sides_write_the_same_form() -> None:
    assert f"query.{worker.ACTION}" == flower_link.MESSAGE_TYPE
    assert (worker.RECORD, worker.ARRAY, worker.STORED_AS) == (
        flower_link.RECORD,
        flower_link.ARRAY,
        flower_link.STORED_AS,
    )


def test_the_local_relay_drops_tampers_and_repeats() -> None:
    heard: list[str] = []
    relay: Relay = LocalRelay(
        {"tax": bytes.upper, "health": bytes.upper, "housing": _refuse},
        drop=lambda name, _: name == "health",
        tamper_reply=lambda _, reply: reply + b"!",
        repeats=2,
    )
    requests = dict.fromkeys(["tax", "health", "housing", "absent"], b"a")
    outcomes = relay.exchange(requests, 1, lambda name, _: heard.append(name))
    lost = Lost(NODE_UNREACHABLE)
    assert outcomes == {"tax": b"A!", "health": lost, "housing": Lost(NODE_FAILED), "absent": lost}
    assert heard == list(requests)
    assert relay.messages_pushed == 8


def test_a_message_of_which_no_piece_comes_any_more_is_given_up() -> None:
    now, ready = [0.0], [False]

    def pull(object_id: str) -> bytes:
        if not ready[0]:
            raise worker.ObjectUnavailableError(object_id)
        return b"piece"

    pull_piece = worker.impatient(pull, lambda: now[0])
    now[0] = worker.LONGEST_SILENCE_S
    with pytest.raises(worker.ObjectUnavailableError):
        pull_piece("a")
    ready[0] = True
    assert pull_piece("a") == b"piece"
    # Counted from the last piece that came, so a long message that moves is waited for.
    ready[0] = False
    now[0] += worker.LONGEST_SILENCE_S
    with pytest.raises(worker.ObjectUnavailableError):
        pull_piece("b")
    now[0] += 0.1
    with pytest.raises(DoudiError) as caught:
        pull_piece("b")
    assert caught.value.code == "worker.incomplete_message"
