"""The node's service: it offers keys for granted runs, answers steps through Flower, and keeps its SuperNode running.

One process with a worker thread (steps), two threads of the audit ledger (own events, witness) and this loop (key offers,
revocation lists, ended grants, reports); the SuperNode is its child process.
"""

import fcntl
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from command_line.documents import write_atomically
from command_line.paging import every_item
from crypto.errors import DoudiError
from department_nodes.client import CoordinatorClient
from department_nodes.engine import NodeEngine
from department_nodes.governance.reports import Reporter
from department_nodes.governance.revocation_exchange import RevocationExchange
from department_nodes.home import FLOWER_KEY, IDENTITY_KEY, NodeHome
from department_nodes.ledger.exchange import LedgerExchange
from department_nodes.ledger.gate import WitnessedGate
from department_nodes.lines.budgets import budget_account
from department_nodes.offers import make_offer
from department_nodes.privacy.randomness import require_protecting
from department_nodes.program import program_hash
from department_nodes.retention import end_grants
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.session import transaction
from policies.contracts.base import Hash, Slug
from policies.contracts.grant import SignedGrant
from policies.standards.loader import load_dataset_standard

log = logging.getLogger("doudi.node")
SUPERNODE_RESTART_PAUSE_S = 2.0
ENDING_INTERVAL_S = 600.0
LISTS_INTERVAL_S = 30.0
REPORT_INTERVAL_S = 60.0
FINAL_FAMILIES = frozenset({"offer", "policy", "project"})


class WaitingRun(BaseModel):
    """A run in the coordinator's list: untrusted, so every field has its form."""

    model_config = ConfigDict(extra="ignore", strict=True)

    run_id: Slug
    attempt: Annotated[int, Field(ge=1, le=10)]
    project_id: Slug
    grant_hash: Hash


class KeyOfferer:
    """Looks for runs that wait for this department's keys, and offers them when the guard allows it."""

    def __init__(self, engine: NodeEngine, client: CoordinatorClient, lists: RevocationExchange) -> None:
        self._engine = engine
        self._client = client
        self._lists = lists
        self._settled: set[tuple[str, int]] = set()
        self._recorded: set[tuple[str, int, str]] = set()

    def look(self) -> None:
        """Offer keys once for every waiting run. A refusal is recorded once, and tried again unless it is final."""
        department = self._engine.home.config.department
        for run in _runs(every_item(self._client.get, f"/v1/runs?state=gathering_keys&department={department}")):
            if (run.run_id, run.attempt) in self._settled:
                continue
            try:
                path = f"/v1/projects/{run.project_id}/grant?grant_hash={run.grant_hash}"
                signed = SignedGrant.parse(self._client.get_bytes(path))
                if signed.grant_hash != run.grant_hash:
                    raise DoudiError("grant.wrong_hash", "the coordinator delivered another grant than the run names")
                self._lists.exchange_if_lacking(signed.grant)
                offer = make_offer(self._engine, signed, run.run_id, run.attempt)
                self._client.put_bytes(f"/v1/runs/{run.run_id}/offers/{department}", offer.to_bytes())
                log.info("keys offered for %s, attempt %d", run.run_id, run.attempt)
            except DoudiError as error:
                if error.code == "coordinator.unreachable":
                    raise
                self._record_refusal(run, error.code)
                # An extract can be corrected and a card pinned while the run waits; these will not change.
                if error.code.partition(".")[0] not in FINAL_FAMILIES:
                    continue
            self._settled.add((run.run_id, run.attempt))

    def _record_refusal(self, run: WaitingRun, code: str) -> None:
        if (run.run_id, run.attempt, code) in self._recorded:
            return
        self._recorded.add((run.run_id, run.attempt, code))
        log.warning("no keys offered for %s: %s", run.run_id, code)
        with transaction(self._engine.db) as session:
            event = Event(
                EventType.OFFER_REFUSED,
                int(self._engine.clock()),
                project_id=run.project_id,
                run_id=run.run_id,
                attempt=run.attempt,
                code=code,
            )
            record(session, event)


@dataclass
class Duty:
    """Something that the node does again and again. What goes wrong in one is logged, and stops no other."""

    name: str
    act: Callable[[], object]
    every_s: float = 0.0
    due_s: float = 0.0

    def do_if_due(self, now_s: float) -> None:
        """Do it if its time has come, in seconds of a clock that never goes back."""
        if now_s < self.due_s:
            return
        self.due_s = now_s + self.every_s
        try:
            self.act()
        except DoudiError as error:
            # The coordinator may be away for a while; the node keeps asking.
            log.warning("%s: %s", self.name, error.code)
        except Exception as error:  # noqa: BLE001 - the service's border: one bad answer must not end the node
            log.error("%s: %s", self.name, type(error).__name__)


def duties_of(engine: NodeEngine, client: CoordinatorClient) -> list[Duty]:
    """Return what the running node does besides answering steps, in this order: keys are offered with recent lists."""
    lists = RevocationExchange(engine, client)
    return [
        Duty("exchanging revocation lists", lists.exchange, LISTS_INTERVAL_S),
        Duty("ending grants", lambda: _end(engine), ENDING_INTERVAL_S),
        Duty("looking for runs", KeyOfferer(engine, client, lists).look),
        Duty("reporting", Reporter(engine, client).report, REPORT_INTERVAL_S),
    ]


def _end(engine: NodeEngine) -> None:
    end_grants(engine)
    budget_account(engine.db, engine.home.config, int(engine.clock())).settle_overdue()


def _runs(items: Iterable[Any]) -> list[WaitingRun]:
    """Return the coordinator's list. Raises `coordinator.bad_answer`."""
    try:
        return [WaitingRun.model_validate(run) for run in items]
    except ValidationError:
        raise DoudiError("coordinator.bad_answer", "the coordinator's list of runs has the wrong form") from None


def run_node(home: NodeHome) -> None:
    """Run the node until SIGTERM or SIGINT."""
    config = home.config
    lock = _lock(home)
    # Now, not at the first request: files that change later do not change what is running.
    program_hash()
    engine = NodeEngine(home)
    # Refused at the start rather than in the middle of a run: without the system's randomness nothing here protects anybody.
    require_protecting(engine.noise)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    secret = home.path / "keys" / "superexec.secret"
    if not secret.is_file():
        write_atomically(secret, secrets.token_hex(32).encode())
    supernode = threading.Thread(target=_keep_supernode, args=(home, secret, stop), daemon=True)
    supernode.start()
    exchange = LedgerExchange(engine, lambda: _connect(home))
    exchange.start()
    # No step is answered before its intent has witnesses: the gate is there before the worker is.
    engine.serve_behind(WitnessedGate(engine.db, exchange.notify, config.witness_timeout_s))
    worker = threading.Thread(target=_serve, args=(engine, config.worker_port, secret, stop), daemon=True)
    worker.start()
    client = _connect(home)
    duties = duties_of(engine, client)
    _warm(engine)
    log.info("node %s is running", config.department)
    while not stop.wait(config.poll_interval_s):
        for duty in duties:
            duty.do_if_due(time.monotonic())
        if not worker.is_alive():
            log.error("the worker has ended; the node ends with it, for it could no longer answer")
            stop.set()
    client.close()
    supernode.join(timeout=10)
    worker.join(timeout=10)
    # Last: a step that was being answered is in the ledger's hands as soon as the node runs again.
    exchange.stop()
    lock.close()


def _connect(home: NodeHome) -> CoordinatorClient:
    config = home.config
    return CoordinatorClient(config.coordinator_url, home.ca_file, config.department, home.key(IDENTITY_KEY))


def _lock(home: NodeHome) -> IO[bytes]:
    """Hold the node's lock until the process ends: two processes of one node would answer a step twice.

    Raises `node.already_running`.
    """
    file = (home.path / "node.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise DoudiError("node.already_running", "another process runs this node", "Stop it first.") from None
    return file


def _warm(engine: NodeEngine) -> None:
    """Read the extract and import what the steps need, so that no step waits for it.

    A fault of the extract is told here, and again with its code when keys are asked for.
    """
    config = engine.home.config
    try:
        engine.extract.load()
    except DoudiError as error:
        log.warning("extract of %s: %s", config.department, error.code)
    # The department that holds an outcome leads, and combines; the others train. torch and scikit-learn take seconds to import.
    standard = load_dataset_standard(config.dataset, config.standard_version)
    leads = any(column.role == "outcome" for column in standard.columns)
    import_module(f"department_nodes.steps.{'combine' if leads else 'train'}")


def _serve(engine: NodeEngine, port: int, secret: Path, stop: threading.Event) -> None:
    from department_nodes.federation.worker import serve

    serve(engine.answer, f"127.0.0.1:{port}", secret, stop)


def _keep_supernode(home: NodeHome, secret: Path, stop: threading.Event) -> None:
    """Run the SuperNode as a child, start it again when it ends, and end it with the node."""
    config = home.config
    command = [
        sys.executable,
        "-m",
        "department_nodes.federation.supernode",
        "--superlink",
        config.superlink_address,
        "--ca",
        str(home.ca_file),
        "--key",
        str(home.path / "keys" / FLOWER_KEY),
        "--worker-port",
        str(config.worker_port),
        "--superexec-secret-file",
        str(secret),
    ]
    environment = {**os.environ, "FLWR_HOME": str(home.path / "flower")}
    while not stop.is_set():
        with (home.path / "supernode.log").open("ab") as output:
            child = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, preexec_fn=_die_with_parent
            )
        while child.poll() is None and not stop.wait(0.2):
            pass
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        elif not stop.is_set():
            log.warning("the SuperNode ended with status %s; it is started again", child.returncode)
            time.sleep(SUPERNODE_RESTART_PAUSE_S)


def _die_with_parent() -> None:
    """Ask the kernel to end the SuperNode when the node's process dies (PR_SET_PDEATHSIG, Linux)."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
