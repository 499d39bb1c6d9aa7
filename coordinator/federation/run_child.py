"""The process of one run: it takes the run's task from the SuperLink, follows the schedule, and stores the outcome.

One process per run, because Flower keeps a task's identity per process (flwr 1.41). It ends with its parent; the supervisor
starts it again, and it goes on from the run folder. Exit codes: 0 the run has ended (well or not), 3 try again (the SuperLink
was away).
"""

import argparse
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Engine

from coordinator.config import LOOPBACK, CoordinatorConfig, load_config
from coordinator.db import tables as _tables  # noqa: F401 - all tables must be known before the first query
from coordinator.db.session import begin, open_engine, read
from coordinator.federation.exchange import Patience
from coordinator.federation.flower_relay import FlowerRelay
from coordinator.federation.line_run import LineRun
from coordinator.federation.relay import Relay
from coordinator.federation.run_folder import RunFolder
from coordinator.federation.schedule import ScheduleSettings, VerticalRun
from coordinator.federation.union import Numbering, PaddingPolicy
from coordinator.ledger.recording import recorded_batches
from coordinator.ledger.waiting import wait_for_witnesses
from coordinator.runs.services import (
    RunView,
    claim_running,
    fail_run,
    finish_run,
    get_run,
    load_run,
    mark_step,
    record_numbering,
)
from crypto.errors import DoudiError
from policies.contracts.manifest import SignedManifest
from policies.contracts.steps import Step

EXIT_ENDED = 0
EXIT_TRY_AGAIN = 3
TASK_TIMEOUT_S = 60.0
LINE_ASK_AGAIN_S, LINE_MOST_PUSHES = 10.0, 12
TRY_AGAIN_CODES = frozenset({"relay.superlink_lost", "relay.no_task", "flower.unreachable"})
log = logging.getLogger("doudi.run")


class DatabaseMarks:
    """Writes each mark of one round in a transaction of its own, so that progress is seen at once. The main job is round 0.

    `witness_timeout_s`: how long an announcement waits until enough departments have cosigned its record.
    """

    def __init__(
        self, engine: Engine, run_id: str, attempt: int, round_number: int = 0, witness_timeout_s: float = 60
    ) -> None:
        self._engine, self._run_id, self._attempt, self._round = engine, run_id, attempt, round_number
        self._witness_timeout_s = witness_timeout_s
        self._unwitnessed: list[int] = []

    def announce(self, step: Step, sizes: Mapping[str, int]) -> None:
        """Record that these departments are to be asked, and wait until that is witnessed. Raises `ledger.not_witnessed`."""
        with begin(self._engine) as session:
            for department, size in sizes.items():
                mark_step(
                    session,
                    self._run_id,
                    self._attempt,
                    step,
                    department,
                    "waiting",
                    request_bytes=size,
                    round_number=self._round,
                )
        # The intent is durable from here; it is an act only when its record is witnessed.
        self._unwitnessed += recorded_batches(session)
        wait_for_witnesses(self._engine, self._unwitnessed, self._witness_timeout_s)
        self._unwitnessed.clear()

    def numbered(self, numbering: Numbering) -> None:
        """Record how the union was numbered; the next announcement waits for its witnesses too."""
        counts = {"slots": numbering.slots, "padding": numbering.padding, "lists": numbering.list_count}
        hashes = {"seed": numbering.seed, "lists": numbering.lists, "union": numbering.union}
        with begin(self._engine) as session:
            record_numbering(session, self._run_id, self._attempt, counts, hashes)
        self._unwitnessed += recorded_batches(session)

    def _mark(
        self,
        step: Step,
        department: str,
        state: str,
        code: str = "",
        request_bytes: int | None = None,
        reply_bytes: int | None = None,
    ) -> None:
        with begin(self._engine) as session:
            mark_step(
                session,
                self._run_id,
                self._attempt,
                step,
                department,
                state,
                code,
                request_bytes,
                reply_bytes,
                self._round,
            )

    def sent(self, step: Step, department: str, size_bytes: int) -> None:
        """Mark that a request was handed to the relay."""
        self._mark(step, department, "sent", request_bytes=size_bytes)

    def answered(self, step: Step, department: str, size_bytes: int) -> None:
        """Mark that a verified reply arrived."""
        self._mark(step, department, "answered", reply_bytes=size_bytes)

    def refused(self, step: Step, department: str, code: str) -> None:
        """Mark a refusal, or a reply that was not acceptable."""
        self._mark(step, department, "refused", code)

    def lost(self, step: Step, department: str, code: str) -> None:
        """Mark a department that did not answer."""
        self._mark(step, department, "lost", code)


def patience_of(mode: str) -> Patience:
    """Return how long a relay waits before it asks again.

    A line's messages are small and its steps take seconds, so a lost one is asked for soon: a coordinator that was killed leaves
    a few behind, and each would cost a round a minute.
    """
    return Patience(ask_again_s=LINE_ASK_AGAIN_S, most_pushes=LINE_MOST_PUSHES) if mode == "line" else Patience()


def acquire_task(config: CoordinatorConfig, flower_run_id: int, patience: Patience | None = None) -> FlowerRelay:
    """Return the relay of this Flower run; tasks that earlier, killed processes left behind are closed on the way."""
    deadline = time.monotonic() + TASK_TIMEOUT_S
    while True:
        relay = FlowerRelay.acquire(
            f"{LOOPBACK}:{config.superlink_api_port}",
            config.path(config.tls_ca_file),
            config.path(config.superexec_secret_file),
            max(1.0, deadline - time.monotonic()),
            patience,
        )
        if relay.flower_run_id == flower_run_id:
            return relay
        relay.close(False, "run.superseded")


def schedule_of(
    config: CoordinatorConfig, engine: Engine, view: RunView, manifest: SignedManifest, relay: Relay
) -> VerticalRun | LineRun:
    """Return what the run's mode asks for: the steps of a region's run, or the rounds of a line."""
    folder = RunFolder(config.path(config.runs_folder), view.run_id, view.attempt)
    if manifest.manifest.mode == "line":

        def marks_of_round(number: int) -> DatabaseMarks:
            return DatabaseMarks(engine, view.run_id, view.attempt, number, config.ledger.witness_timeout_s)

        return LineRun(view.signed_grant, manifest, relay, folder, marks_of_round, config.step_timeout_s)
    padding = PaddingPolicy(config.min_padding_percent, config.max_padding_percent)
    marks = DatabaseMarks(engine, view.run_id, view.attempt, witness_timeout_s=config.ledger.witness_timeout_s)
    return VerticalRun(
        view.signed_grant, manifest, relay, folder, marks, ScheduleSettings(config.step_timeout_s, padding)
    )


def execute(config: CoordinatorConfig, engine: Engine, run_id: str, flower_run_id: int) -> int:
    """Carry a scheduled or interrupted run to its end and return the exit code."""
    with read(engine) as session:
        mode = get_run(session, run_id).mode
    relay = acquire_task(config, flower_run_id, patience_of(mode))
    ended_well, code = False, ""
    try:
        with begin(engine) as session:
            claim_running(session, run_id, flower_run_id)
        # That the run begins, or goes on, is witnessed before its first message leaves.
        wait_for_witnesses(engine, recorded_batches(session), config.ledger.witness_timeout_s)
        with read(engine) as session:
            view = load_run(session, run_id)
        if view.signed_manifest is None:
            raise DoudiError("run.not_scheduled", "the run has no manifest")
        outcome = schedule_of(config, engine, view, view.signed_manifest, relay).execute()
        with begin(engine) as session:
            finish_run(session, run_id, outcome)
        ended_well = True
        return EXIT_ENDED
    except DoudiError as error:
        code = error.code
        if code in TRY_AGAIN_CODES:
            return EXIT_TRY_AGAIN
        log.warning("run %s ends: %s", run_id, code)
        with begin(engine) as session:
            fail_run(session, run_id, code)
        return EXIT_ENDED
    finally:
        relay.close(ended_well, code)


def main(arguments: list[str] | None = None) -> int:
    """Run one run's process."""
    parser = argparse.ArgumentParser(prog="coordinator.federation.run_child", description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="the coordinator's home folder")
    parser.add_argument("--run-id", required=True, help="the run")
    parser.add_argument("--flower-run-id", type=int, required=True, help="the Flower run started for it")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = load_config(chosen.home)
    engine = open_engine(config.resolved_database_url)
    try:
        return execute(config, engine, chosen.run_id, chosen.flower_run_id)
    except DoudiError as error:
        log.warning("run %s: %s", chosen.run_id, error.code)
        return EXIT_TRY_AGAIN if error.code in TRY_AGAIN_CODES else 1
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
