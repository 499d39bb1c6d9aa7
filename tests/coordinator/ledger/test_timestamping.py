"""Time stamps of checkpoints, by OpenSSL's own authority, from the coordinator to the auditor's verification."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from timestamp_authority import TimestampAuthority

from coordinator.ledger.timestamping import QUERY_TYPE, Timestamper
from crypto.timestamps import load_roots, verify_timestamp


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return TimestampAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def witnessed(hands):
    """A log whose newest checkpoint is witnessed; its size."""
    return hands.witness()


class Authority:
    """The authority behind HTTP on 127.0.0.1. `broken`: what it answers instead."""

    def __init__(self, authority):
        self.queries, self.broken = [], None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                query = self.rfile.read(int(self.headers["Content-Length"]))
                outer.queries.append((self.headers["Content-Type"], query))
                status, body = outer.broken or (200, authority.answer(query))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/stamp"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def served(authority):
    server = Authority(authority)
    yield server
    server.close()


def stamper(world, url, root, **changes):
    (world.config.home / "authority.pem").write_bytes(root)
    settings = world.config.ledger.model_copy(
        update={"timestamp_authority_url": url, "timestamp_certificates_file": "authority.pem", **changes}
    )
    return Timestamper(world.engine, world.config.home, settings, lambda: world.now)


def stamped_size(world):
    return world.send("tax", "GET", "/log/summary").json()["timestamped_size"]


def test_no_authority_is_asked_unless_one_is_configured(world, witnessed, served):
    assert not stamper(world, "", b"").stamp_if_due()
    assert served.queries == []
    assert stamped_size(world) == 0


def test_the_newest_witnessed_checkpoint_is_stamped_and_the_stamp_recorded(world, hands, witnessed, served, authority):
    assert stamper(world, served.url, authority.root).stamp_if_due()
    assert stamped_size(world) == witnessed
    assert [kind for kind, _ in served.queries] == [QUERY_TYPE]
    token = world.send("health", "GET", f"/log/timestamps/{witnessed}")
    note = world.send("health", "GET", f"/log/checkpoint/{witnessed}").content.rpartition(b"\n\n")[0] + b"\n"
    assert verify_timestamp(token.content, note, load_roots(authority.root)) > 0
    assert [event["counts"]["size"] for event in world.events("ledger.timestamped")] == [witnessed]


def test_it_is_stamped_again_after_the_interval_and_only_when_the_log_grew(world, hands, witnessed, served, authority):
    one = stamper(world, served.url, authority.root)
    assert one.stamp_if_due()
    assert not one.stamp_if_due()
    world.now += 86_401
    # Only the record of the stamp itself came in since.
    hands.witness()
    assert not one.stamp_if_due()
    hands.submit(hands.sealed("tax"))
    again = hands.witness()
    assert one.stamp_if_due()
    assert stamped_size(world) == again


@pytest.mark.parametrize("broken", [(500, b""), (200, b"no stamp"), (200, bytes(100_000)), (302, b"")])
def test_what_is_no_stamp_is_not_stored_and_stops_nothing(world, hands, witnessed, served, authority, broken):
    one = stamper(world, served.url, authority.root)
    served.broken = broken
    assert not one.stamp_if_due()
    assert stamped_size(world) == 0
    served.broken = None
    # Not at once: an authority that is away is left alone for a while.
    assert not one.stamp_if_due()
    world.now += 301
    assert one.stamp_if_due()


def test_the_stamp_of_a_stranger_is_not_stored(world, witnessed, served, tmp_path):
    stranger = TimestampAuthority(tmp_path, "stranger")
    assert not stamper(world, served.url, stranger.root).stamp_if_due()
    assert stamped_size(world) == 0


def test_without_certificates_nothing_is_asked_for_long(world, witnessed, served, authority):
    one = stamper(world, served.url, authority.root, timestamp_certificates_file="nowhere.pem")
    assert not one.stamp_if_due()
    assert stamped_size(world) == 0
