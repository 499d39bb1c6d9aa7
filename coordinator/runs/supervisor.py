"""Starts a child process for each scheduled run whose turn it is, starts it again when it was killed, ends it when asked to.

What a run did lies in the database and in the run folder, so killing the coordinator, a child or the SuperLink loses nothing:
the next child goes on from there, and a run that cannot go on ends with a code. Times are stated below; nothing waits for ever.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from coordinator.config import LOOPBACK, CoordinatorConfig
from coordinator.db import tables as _tables  # noqa: F401 - all tables must be known before the first query
from coordinator.db.session import begin, open_engine, read
from coordinator.federation.flower_control import FlowerControl
from coordinator.federation.run_child import EXIT_ENDED
from coordinator.federation.shell_bundle import shell_bundle
from coordinator.runs.queueing import load_queue
from coordinator.runs.services import STOPPED_CODE, RunView, fail_run, load_run, runs_in_state, stop_requested
from coordinator.runs.states import RunState
from crypto.errors import DoudiError

LOOK_EVERY_S = 0.3
MAXIMUM_STARTS = 4
SUPERLINK_PATIENCE_S = 120.0
PAUSE_BETWEEN_STARTS_S = 2.0
log = logging.getLogger("doudi.supervisor")


@dataclass
class _Watched:
    """One attempt of one run under supervision."""

    attempt: int
    process: subprocess.Popen[bytes] | None = None
    flower_run_id: int | None = None
    starts: int = 0
    not_before: float = 0.0
    waiting_since: float | None = None


class Supervisor:
    """One thread that looks after all runs of this coordinator."""

    def __init__(self, config: CoordinatorConfig) -> None:
        self._config = config
        self._engine: Engine = open_engine(config.resolved_database_url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name="supervisor", daemon=True)
        self._watched: dict[str, _Watched] = {}

    def start(self) -> None:
        """Begin to look for scheduled and interrupted runs; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the children; their runs go on when the coordinator starts again."""
        self._stop.set()
        self._thread.join(timeout=10)
        for watched in self._watched.values():
            _end(watched.process)
        self._engine.dispose()

    def _keep_looking(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self._look()
            except DoudiError as error:
                log.warning("supervisor: %s", error.code)
            except Exception as error:  # noqa: BLE001 - the thread's border: one bad look must not end supervision
                log.error("supervisor: %s", type(error).__name__)

    def _look(self) -> None:
        with read(self._engine) as session:
            active = list(runs_in_state(session, RunState.SCHEDULED, RunState.RUNNING))
            views = {run_id: load_run(session, run_id) for run_id in active}
            stops = {run_id for run_id in active if stop_requested(session, run_id)}
        for run_id in set(self._watched) - set(active):
            watched = self._watched[run_id]
            if watched.process is None or watched.process.poll() is not None:
                self._forget(run_id)
        for run_id, view in views.items():
            watched = self._watched.setdefault(run_id, _Watched(view.attempt))
            if watched.attempt != view.attempt:
                self._forget(run_id)
                self._watched[run_id] = _Watched(view.attempt)
        startable = self._startable(views)
        for run_id in views:
            watched = self._watched[run_id]
            if run_id in stops:
                self._end_run(run_id, STOPPED_CODE)
            elif watched.process is None:
                if run_id in startable:
                    self._start_child(run_id, watched)
            elif watched.process.poll() is not None:
                self._child_ended(run_id, watched, watched.process.returncode)

    def _startable(self, views: Mapping[str, RunView]) -> frozenset[str]:
        """Return the runs that may have a process: those that had one, and those whose turn it is."""
        # A run that began keeps its place when its process is killed, else a crash would send it to the end of the queue.
        begun = frozenset(
            run_id
            for run_id, view in views.items()
            if view.state is RunState.RUNNING or self._watched[run_id].starts > 0
        )
        if len(begun) == len(views):
            return begun
        with read(self._engine) as session:
            return begun | load_queue(session, begun).startable

    def _start_child(self, run_id: str, watched: _Watched) -> None:
        if time.monotonic() < watched.not_before:
            return
        if watched.starts >= MAXIMUM_STARTS:
            self._end_run(run_id, "run.process_failed")
            return
        try:
            control = FlowerControl(
                f"{LOOPBACK}:{self._config.superlink_api_port}", self._config.path(self._config.tls_ca_file)
            )
            try:
                watched.flower_run_id = control.start_run(shell_bundle())
            finally:
                control.close()
        except DoudiError as error:
            now = time.monotonic()
            watched.waiting_since = watched.waiting_since or now
            watched.not_before = now + PAUSE_BETWEEN_STARTS_S
            if now - watched.waiting_since > SUPERLINK_PATIENCE_S:
                self._end_run(run_id, error.code)
            return
        watched.waiting_since = None
        watched.starts += 1
        command = [
            sys.executable,
            "-m",
            "coordinator.federation.run_child",
            "--home",
            str(self._config.home),
            "--run-id",
            run_id,
            "--flower-run-id",
            str(watched.flower_run_id),
        ]
        with self._config.path("runs.log").open("ab") as output:
            watched.process = subprocess.Popen(command, stdout=output, stderr=output, preexec_fn=_die_with_parent)
        log.info("process of %s started", run_id)

    def _child_ended(self, run_id: str, watched: _Watched, status: int) -> None:
        """A child that ended while its run is still active was killed or could not go on: start another one."""
        if status == EXIT_ENDED:
            # The run's end is in the database; the next look no longer finds it active.
            with read(self._engine) as session:
                if load_run(session, run_id).state not in (RunState.SCHEDULED, RunState.RUNNING):
                    return
        log.warning("process of %s ended with status %d", run_id, status)
        self._stop_flower_run(watched)
        watched.process = None
        watched.not_before = time.monotonic() + PAUSE_BETWEEN_STARTS_S

    def _end_run(self, run_id: str, code: str) -> None:
        self._forget(run_id)
        with begin(self._engine) as session:
            fail_run(session, run_id, code)

    def _forget(self, run_id: str) -> None:
        watched = self._watched.pop(run_id, None)
        if watched is not None:
            was_running = watched.process is not None and watched.process.poll() is None
            _end(watched.process)
            if was_running:
                self._stop_flower_run(watched)

    def _stop_flower_run(self, watched: _Watched) -> None:
        """End the Flower run of a child that is gone, so that its messages are not answered any more."""
        if watched.flower_run_id is None:
            return
        try:
            control = FlowerControl(
                f"{LOOPBACK}:{self._config.superlink_api_port}", self._config.path(self._config.tls_ca_file)
            )
            try:
                control.stop_run(watched.flower_run_id)
            finally:
                control.close()
        except DoudiError as error:
            log.warning("stopping a Flower run: %s", error.code)


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _die_with_parent() -> None:
    """Ask the kernel to end the child when the coordinator dies (PR_SET_PDEATHSIG, Linux).

    The kernel sends it when the thread that forked ends, so the children are started from the supervisor's only thread.
    """
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)
