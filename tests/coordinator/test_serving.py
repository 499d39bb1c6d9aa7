"""The server ends at once although nodes wait for the log: `coordinator/serving.py`."""

import threading
import time

import httpx
import uvicorn

from coordinator.serving import ReleasingServer
from policies.contracts.requests import sign_request

LONG_S = 25


def test_a_server_that_is_to_end_answers_those_who_wait(world):
    world.register_all()
    world.context.ledger.sequencer.advance()
    server = ReleasingServer(uvicorn.Config(world.app, port=0, log_level="error", ws="none"), world.app)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.001)
    port = server.servers[0].sockets[0].getsockname()[1]
    answers = []

    def wait():
        path = f"/v1/ledger/checkpoint?seen={2**40}&witnessed={2**40}&wait_s={LONG_S}"
        headers = sign_request(world.keys["tax"].identity, "tax", "GET", path, b"", int(world.now))
        url = f"http://127.0.0.1:{port}{path}"
        answers.append(httpx.get(url, headers=headers, timeout=2 * LONG_S, trust_env=False).status_code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not world.context.ledger.notifier.waiting:
        time.sleep(0.001)
    started = time.monotonic()
    server.should_exit = True
    thread.join()
    waiting.join()
    assert answers == [200]
    assert time.monotonic() - started < LONG_S / 2
