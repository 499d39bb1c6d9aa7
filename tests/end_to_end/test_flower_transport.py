"""Bytes through real processes: a SuperLink, two SuperNodes and two workers, with TLS, kills and restarts."""

import ctypes
import datetime
import http.client
import ipaddress
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from coordinator.federation.exchange import Patience
from coordinator.federation.flower_control import FlowerControl
from coordinator.federation.flower_relay import FlowerRelay
from coordinator.federation.relay import NODE_FAILED, NODE_UNREACHABLE, Lost
from coordinator.federation.shell_bundle import shell_bundle
from crypto.errors import DoudiError
from department_nodes.federation.node_keys import generate_flower_key

pytestmark = pytest.mark.processes
ROOT = Path(__file__).resolve().parents[2]
SECRET_TEXT = "42 Willow Lane"

WORKER = """
import logging, sys, threading, time
from pathlib import Path
from department_nodes.federation.worker import serve
name, address, secret, seen = sys.argv[1:]
logging.basicConfig(level=logging.INFO)
logging.getLogger("httpx").setLevel(logging.WARNING)

def handle(request):
    with open(seen, "a") as lines:
        lines.write(request[:40].decode("latin-1") + "\\n")
    if request.startswith(b"slow "):
        time.sleep(float(request.split()[1]))
    if request.startswith(b"raise"):
        raise ValueError("42 Willow Lane")
    return name.encode() + b":" + request

serve(handle, address, Path(secret), threading.Event())
"""


def _die_with_parent() -> None:
    ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _until(what: str, check, timeout_s: float) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if check():
            return
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {timeout_s} s")


def _write_certificates(folder: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throw-away CA")])

    def certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        return builder.not_valid_after(now + datetime.timedelta(days=1))

    root = certificate(issuer, authority).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "superlink")])
    leaf = certificate(subject, server).add_extension(names, False)
    folder.joinpath("ca.pem").write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM))
    folder.joinpath("server.pem").write_bytes(leaf.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM))
    folder.joinpath("server.key").write_bytes(server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


class Cluster:
    """One SuperLink and the processes of two departments, each in its own process group."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        # PDEATHSIG follows the thread that started a child, not its process: one thread starts them all and stays.
        self._starter = ThreadPoolExecutor(1)
        self.api_port, self.fleet_port, *worker_ports = _free_ports(4)
        self.worker_port = dict(zip(["tax", "health"], worker_ports, strict=True))
        _write_certificates(folder)
        for name in ["link.secret", "tax.secret", "health.secret"]:
            folder.joinpath(name).write_bytes(secrets.token_bytes(32))
        folder.joinpath("worker.py").write_text(WORKER)

    @property
    def api(self) -> str:
        return f"127.0.0.1:{self.api_port}"

    def path(self, name: str) -> Path:
        return self.folder / name

    def start(self, name: str, *arguments: str) -> None:
        self._starter.submit(self._start, name, *arguments).result(20)

    def _start(self, name: str, *arguments: str) -> None:
        environment = {**os.environ, "FLWR_HOME": str(self.folder / f"home-{name}"), "PYTHONPATH": str(ROOT)}
        with self.path(f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def start_superlink(self) -> None:
        files = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-ca", "ca.pem", "--database", "state.db"]
        listeners = [
            "--api-port",
            str(self.api_port),
            "--fleet-host",
            "127.0.0.1",
            "--fleet-port",
            str(self.fleet_port),
        ]
        module = ["-m", "coordinator.federation.superlink"]
        self.start("superlink", *module, *listeners, *files, "--superexec-secret-file", "link.secret")

    def start_supernode(self, name: str, *more: str) -> None:
        department = name.removeprefix("supernode-")
        port = self.worker_port.get(department) or _free_ports(1)[0]
        self.start(
            name,
            *("-m", "department_nodes.federation.supernode", "--superlink", f"127.0.0.1:{self.fleet_port}"),
            *("--ca", "ca.pem", "--key", f"{department}.key", "--worker-port", str(port)),
            *("--superexec-secret-file", f"{department}.secret", *more),
        )

    def start_worker(self, department: str) -> None:
        address = f"127.0.0.1:{self.worker_port[department]}"
        self.start(
            f"worker-{department}", "worker.py", department, address, f"{department}.secret", f"{department}.seen"
        )

    def seen(self, department: str) -> list[str]:
        path = self.path(f"{department}.seen")
        return path.read_text().splitlines() if path.exists() else []

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("flower"))
    began = time.monotonic()
    try:
        cluster.start_superlink()
        control = FlowerControl(cluster.api, cluster.path("ca.pem"))
        _until("the SuperLink answers", lambda: _answers(control), 30)
        up = time.monotonic() - began
        for department in cluster.worker_port:
            private, public = generate_flower_key()
            cluster.path(f"{department}.key").write_bytes(private)
            first = control.register_node(public, department)
            assert control.register_node(public, department) == first
            cluster.start_supernode(f"supernode-{department}")
            cluster.start_worker(department)
        _until("both nodes are online", lambda: all(state.online for state in control.nodes().values()), 40)
        control.close()
        print(f"\nSuperLink up {up:.1f} s, two nodes online {time.monotonic() - began:.1f} s")
        yield cluster
    finally:
        cluster.stop()


def _answers(control: FlowerControl) -> bool:
    try:
        control.nodes()
    except DoudiError as error:
        if error.code != "flower.unreachable":
            raise
        return False
    return True


@pytest.fixture(scope="module")
def relay(cluster: Cluster) -> Iterator[FlowerRelay]:
    control = FlowerControl(cluster.api, cluster.path("ca.pem"))
    started = control.start_run(shell_bundle())
    assert control.run_status(started) == "pending"
    relay = FlowerRelay.acquire(cluster.api, cluster.path("ca.pem"), cluster.path("link.secret"), 10)
    assert relay.flower_run_id == started
    assert control.run_status(started) == "running"
    control.close()
    yield relay
    relay.close(False, "test.over")


def test_messages_pass(relay: FlowerRelay) -> None:
    heard: list[str] = []
    rounds = 6
    began = time.monotonic()
    for number in range(rounds):
        request = f"round {number}".encode()
        replies = relay.exchange({"tax": request, "health": request}, 30, lambda name, _: heard.append(name))
        assert replies == {"tax": b"tax:" + request, "health": b"health:" + request}
    print(f"\n{(time.monotonic() - began) / rounds:.2f} s per round, tiny payload, two nodes")
    assert sorted(heard) == ["health"] * rounds + ["tax"] * rounds
    assert relay.messages_pushed == 2 * rounds


def test_twenty_megabytes_pass(relay: FlowerRelay) -> None:
    requests = {"tax": secrets.token_bytes(20_000_000), "health": b""}
    began = time.monotonic()
    replies = relay.exchange(requests, 60)
    print(f"\n{time.monotonic() - began:.1f} s for 20 MB to one node and back")
    assert replies == {name: name.encode() + b":" + request for name, request in requests.items()}


def test_what_a_handler_raises_stays_at_the_node(cluster: Cluster, relay: FlowerRelay) -> None:
    replies = relay.exchange({"tax": b"raise", "health": b"still here"}, 30)
    assert replies == {"tax": Lost(NODE_FAILED), "health": b"health:still here"}
    for name in ["superlink", "supernode-tax", "worker-tax"]:
        assert SECRET_TEXT not in cluster.path(f"{name}.log").read_text()
    assert SECRET_TEXT.encode() not in cluster.path("state.db").read_bytes()
    assert "unexpected ValueError" in cluster.path("worker-tax.log").read_text()


def _request_line(cluster: Cluster, port: int, line: str, *headers: str) -> int:
    """Return the status of a request whose first line nobody normalises."""
    context = ssl.create_default_context(cafile=str(cluster.path("ca.pem")))
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        lines = [f"{line} HTTP/1.1", *(headers or ["Host: localhost"]), "Content-Type: application/protobuf"]
        connection.sendall(("\r\n".join([*lines, "Content-Length: 0", "Connection: close"]) + "\r\n\r\n").encode())
        return int(connection.recv(4096).split()[1])


def test_an_outsider_reaches_neither_control_nor_runtime(cluster: Cluster) -> None:
    listing = "/v1/control/list-runs"
    assert _request_line(cluster, cluster.api_port, f"POST {listing}") == 200
    refused = [
        *(f"POST {listing}", "POST /v1/runtime/acquire-task", "POST /v1/runtime/get-nodes", "GET /docs"),
        *("GET /openapi.json", "POST /", "POST /health", "GET /v1/fleet/pull-messages", "POST /v1/fleet/"),
        *("POST /v1/fleet/../control/list-runs", "POST //v1/control/list-runs", "POST /v1//control/list-runs"),
        *("POST /v1/fleet/%2e%2e/control/list-runs", "POST /v1/fleet%2F..%2Fcontrol/list-runs"),
        *("POST /V1/CONTROL/LIST-RUNS", "POST /V1/FLEET/PULL-MESSAGES", "POST /v1/fleet/pull-messages/"),
        *("POST /v1/fleet/pull%2Dmessages", "POST /v1/%66leet/pull-messages", "POST /v1/control/list%2Druns"),
        *("POST /v1/fleet/..;/control/list-runs", "POST /v1/fleet/pull-messages%00", "POST /v1/fleet/x?/../control"),
        *("POST https://localhost/v1/control/list-runs", "OPTIONS *", "HEAD /health", "PUT /v1/fleet/pull-messages"),
    ]
    outcomes = {line: _request_line(cluster, cluster.fleet_port, line) for line in refused}
    assert {line: status for line, status in outcomes.items() if status not in (400, 404)} == {}
    upgrade = ["Host: localhost", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    for path in [listing, "/v1/fleet/pull-messages"]:
        assert _request_line(cluster, cluster.fleet_port, f"GET {path}", *upgrade, key) in (400, 403, 404)
    for host in ["a/v1/control?", "localhost/v1/other#", "a@b/"]:
        assert _request_line(cluster, cluster.fleet_port, "POST /v1/fleet/pull-messages", f"Host: {host}") in (400, 404)
    # What departments may reach is there, and an unsigned call is refused by Flower.
    assert _request_line(cluster, cluster.fleet_port, "GET /health") == 200
    assert _request_line(cluster, cluster.fleet_port, "POST /v1/fleet/pull-messages") == 401
    assert _request_line(cluster, cluster.fleet_port, "POST /v1/fleet/register-node") == 401
    with pytest.raises(OSError, match="refused"):
        http.client.HTTPConnection("127.0.0.2", cluster.api_port, timeout=2).request("GET", "/health")


def test_an_unregistered_key_is_refused(cluster: Cluster) -> None:
    cluster.path("rogue.key").write_bytes(generate_flower_key()[0])
    cluster.path("rogue.secret").write_bytes(secrets.token_bytes(32))
    cluster.start_supernode("supernode-rogue", "--activation-patience-s", "1")
    process = cluster.processes.pop("supernode-rogue")
    try:
        assert process.wait(30) != 0
    finally:
        process.kill()
    assert "Failed to activate SuperNode" in cluster.path("supernode-rogue.log").read_text()


def test_a_wrong_secret_takes_no_task(cluster: Cluster) -> None:
    cluster.path("wrong.secret").write_bytes(secrets.token_bytes(32))
    with pytest.raises(DoudiError) as caught:
        FlowerRelay.acquire(cluster.api, cluster.path("ca.pem"), cluster.path("wrong.secret"), 2)
    assert caught.value.code == "relay.secret_refused"


def test_a_superlink_that_restarts_in_the_middle_costs_no_reply(cluster: Cluster, relay: FlowerRelay) -> None:
    def restart() -> None:
        cluster.kill("superlink")
        time.sleep(2)
        cluster.start_superlink()

    timer = threading.Timer(1.5, restart)
    timer.start()
    began = time.monotonic()
    payload = b"slow 4 " + secrets.token_bytes(3_000_000)
    replies = relay.exchange({"tax": payload, "health": payload}, 60)
    timer.join()
    print(f"\n{time.monotonic() - began:.1f} s with a SuperLink that was killed and restarted")
    assert replies == {"tax": b"tax:" + payload, "health": b"health:" + payload}


def test_a_superlink_that_stays_away_ends_the_exchange_in_time(cluster: Cluster, relay: FlowerRelay) -> None:
    process = cluster.processes["superlink"]
    relay._patience = Patience(outage_s=3)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DoudiError) as caught:
            relay.exchange({"tax": b"anyone?"}, 5)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        relay._patience = Patience()
    assert caught.value.code == "relay.superlink_lost"
    assert time.monotonic() - began < 25
    assert relay.exchange({"tax": b"again"}, 40) == {"tax": b"tax:again"}


def test_a_killed_node_is_lost_and_a_restarted_one_gets_the_message_again(cluster: Cluster, relay: FlowerRelay) -> None:
    times: dict[str, float] = {}

    def disaster() -> None:
        for name in ["supernode-tax", "worker-tax", "supernode-health"]:
            cluster.kill(name)
        cluster.start_supernode("supernode-health")

    timer = threading.Timer(1.5, disaster)
    timer.start()
    struck = time.monotonic() + 1.5
    requests = {"tax": b"slow 20 gone", "health": b"slow 3 restart"}
    replies = relay.exchange(requests, 90, lambda name, _: times.update({name: time.monotonic() - struck}))
    timer.join()
    print(f"\nrestarted node answers after {times['health']:.1f} s, loss known after {times['tax']:.1f} s")
    assert replies == {"tax": Lost(NODE_UNREACHABLE), "health": b"health:slow 3 restart"}
    assert cluster.seen("health").count("slow 3 restart") == 2
    assert times["health"] < times["tax"] < 45


def test_run_and_superlink_end_cleanly(cluster: Cluster, relay: FlowerRelay) -> None:
    control = FlowerControl(cluster.api, cluster.path("ca.pem"))
    relay.close(True, "")
    assert control.run_status(relay.flower_run_id) == "completed"
    control.stop_run(relay.flower_run_id)
    stopped = control.start_run(shell_bundle())
    control.stop_run(stopped)
    assert control.run_status(stopped) == "stopped"
    assert control.run_status(12345) == "unknown"
    control.close()
    process = cluster.processes["superlink"]
    process.terminate()
    assert process.wait(10) == 0
