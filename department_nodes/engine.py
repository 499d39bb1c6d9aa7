"""The node's engine: the guard checks a request, the intent is witnessed, a step computes, the reply is durable, it is sent.

The order of one request, with its crash points:

1. Parse. 2. Verify grant, manifest and policy. 3. A finished step asked again with the same request gets the stored reply byte
for byte; a different request for it is refused. 4. The step is marked as started and its intent is in the journal, durable in one
transaction: from here the run has its number, and its place among the unfinished runs. 5. Wait at the gate until a quorum of
witnesses has cosigned the intent, then verify that the grant still holds. Nothing has been computed or charged before.
6. Compute; charges become durable before what they pay for. Then verify that nobody has revoked the grant meanwhile. 7. Reply,
sealed values, account of what is sent and outcome become durable in one transaction. 8. Send.

A crash between 4 and 7 leaves an intent without an outcome: it becomes `step.unknown`, once, when the node starts again, and the
step asked again begins at 4 with an intent of its own (nothing had left). After 7 a crash repeats only the send. A refusal is
recorded and needs no gate; what cannot be recorded is not done, and not answered.

Across the border only codes travel: a refusal is a signed code, an unexpected error is `node.internal_error`.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from crypto.canonical import parse_canonical
from crypto.errors import DoudiError
from crypto.pseudonyms import random_scalar
from department_nodes.ended_grants import require_not_ended
from department_nodes.extract import ExtractCache
from department_nodes.grant_clauses import Site
from department_nodes.guard import Request, UnverifiedRequest, parse_request, verify_request, verify_still_granted
from department_nodes.home import IDENTITY_KEY, STORAGE_KEY, NodeHome
from department_nodes.ledger.gate import Gate
from department_nodes.ledger.intents import record_intent, record_unknown_outcomes, refused_step, step_event
from department_nodes.lines.order import enter_round, finish_line_step
from department_nodes.privacy.randomness import NoiseSource, OperatingSystemNoise
from department_nodes.run_order import begin_step, finish_step
from department_nodes.site import site_of
from department_nodes.steps import linkage
from department_nodes.steps.accounts import Accounts
from department_nodes.steps.context import RunKeys, StepContext, StepResult
from department_nodes.steps.release import release
from department_nodes.store.journal import EventType, record
from department_nodes.store.models import (
    GrantRow,
    LinkageScalarRow,
    ReportRow,
    RunKeyRow,
    SentRow,
    StepRow,
)
from department_nodes.store.session import migrate, open_engine, transaction
from department_nodes.store.vault import Vault
from policies.contracts.framing import frame_digest
from policies.contracts.steps import Step, pack_refusal, pack_reply

if TYPE_CHECKING:
    from department_nodes.lines.start import StartingModel
    from department_nodes.lines.training import LineTrainer

log = logging.getLogger("doudi.node")


class NodeEngine:
    """Answers step requests for one department. One request at a time."""

    def __init__(
        self,
        home: NodeHome,
        clock: Callable[[], float] = time.time,
        noise: NoiseSource | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.home = home
        self.clock = clock
        self.noise: NoiseSource = noise or OperatingSystemNoise()
        self._line_trainer: LineTrainer | None = None
        self.db: Engine = open_engine(home.database_url)
        migrate(self.db)
        self.vault = Vault(home.key(STORAGE_KEY))
        self.extract = ExtractCache(home)
        self._identity = home.key(IDENTITY_KEY)
        self._lock = threading.Lock()
        self._gate: Gate | None = None
        if gate is not None:
            self.serve_behind(gate)

    def serve_behind(self, gate: Gate) -> None:
        """Answer steps from now on, each behind the gate. Only one process of a node may do this.

        Steps that an earlier process began, and whose outcome nobody recorded, become unknown.
        """
        with transaction(self.db) as session:
            unknown = record_unknown_outcomes(session, int(self.clock()))
        if unknown:
            log.warning("%d steps had begun when the node's process ended; their outcome is unknown", unknown)
        self._gate = gate

    @property
    def identity_private(self) -> bytes:
        """The private key that signs what leaves this node."""
        return self._identity

    def site(self) -> Site:
        """Return what the guard compares grants with."""
        return site_of(self.home)

    def answer(self, data: bytes) -> bytes:
        """Return the signed reply to a request, or a signed refusal.

        Raises only when the node's own database fails: then nothing can be recorded, so nothing is answered.
        """
        department = self.home.config.department
        try:
            unverified = parse_request(data)  # 1
        except DoudiError as error:
            self._record_refusal(None, data, error)
            return pack_refusal(self._identity, data, "unknown", department, error.code)
        with self._lock:
            try:
                return self._answer(data, unverified)
            except DoudiError as error:
                self._forget_unfinished(unverified, frame_digest(data))
                self._record_refusal(unverified, data, error)
                log.warning("step %s refused: %s", unverified.step.value, error.code)
                return pack_refusal(self._identity, data, unverified.step.value, department, error.code)
            except Exception as error:  # noqa: BLE001 - the outermost border: only a code may leave
                self._forget_unfinished(unverified, frame_digest(data))
                internal = DoudiError("node.internal_error", "the step failed")
                self._record_refusal(unverified, data, internal, EventType.STEP_FAILED)
                log.error("step %s failed: %s at %s", unverified.step.value, type(error).__name__, _place(error))
                return pack_refusal(self._identity, data, unverified.step.value, department, internal.code)

    def _answer(self, data: bytes, unverified: UnverifiedRequest) -> bytes:
        now_s = int(self.clock())
        request = verify_request(unverified, self.site(), now_s)  # 2
        digest = frame_digest(data)
        with transaction(self.db) as session:
            stored = self._stored_reply(session, request, digest, now_s)  # 3
            if stored is not None:
                return stored
            gate = self._required_gate()
            keys, intent = self._begin(session, request, digest, now_s)  # 4
        gate.wait(intent)  # 5
        now_s = max(now_s, int(self.clock()))
        verify_still_granted(request, self.site(), now_s)
        started = monotonic()
        result = self._compute(request, keys, now_s)  # 6
        reply = pack_reply(
            self._identity, data, request.step.value, self.home.config.department, result.facts, result.parts
        )
        # A step may compute for long: what leaves must be granted when it leaves.
        finished_s = max(now_s, int(self.clock()))
        verify_still_granted(request, self.site(), finished_s)
        with transaction(self.db) as session:  # 7
            self._finish(session, request, result, reply, finished_s, int(1000 * (monotonic() - started)))
        log.info("step %s answered in %.1f s, %d bytes", request.step.value, monotonic() - started, len(reply))
        return reply  # 8

    def _required_gate(self) -> Gate:
        if self._gate is None:
            raise DoudiError(
                "ledger.no_gate", "this process has no gate to wait at", "Start the node: `doudi node run`."
            )
        return self._gate

    def _stored_reply(self, session: Session, request: Request, digest: bytes, now_s: int) -> bytes | None:
        # A project that was left, or a grant that has ended, answers nothing, not even what it had answered.
        self.vault.join(session, request.project_id, now_s)
        require_not_ended(session, request.grant_hash)
        manifest = request.manifest
        row = session.get(StepRow, (manifest.run_id, manifest.attempt, request.round, request.step.value))
        if request.round and (row is None or row.reply is None):
            enter_round(session, request)
        if row is None:
            return None
        if row.request_digest != digest:
            raise DoudiError("step.different_request", "this step was asked before with another request")
        if row.reply == b"":
            raise DoudiError("line.round_passed", "this round of the line is over", "Ask for the present one.")
        if row.reply is not None:
            record(session, step_event(EventType.STEP_REPEATED, request, now_s, hashes={"request": digest.hex()}))
        return row.reply

    def _begin(self, session: Session, request: Request, digest: bytes, now_s: int) -> tuple[RunKeys, int]:
        """Mark the step as started; return the run's keys and the number of the intent."""
        manifest, project_id = request.manifest, request.project_id
        if session.get(GrantRow, request.grant_hash) is None:
            session.add(
                GrantRow(
                    grant_hash=request.grant_hash,
                    project_id=project_id,
                    document=request.signed_grant.to_bytes(),
                    first_seen_at=now_s,
                )
            )
            session.flush()
        begin_step(session, request, self.home.config.policy.max_concurrent_runs, now_s)
        row = session.get(RunKeyRow, (manifest.run_id, manifest.attempt))
        if row is None or row.offer != manifest.offer(self.home.config.department).to_bytes():
            raise DoudiError("manifest.wrong_keys", "the manifest names other run keys than this node offered")
        secrets = parse_canonical(
            self.vault.open(session, project_id, f"run-keys|{manifest.run_id}|{manifest.attempt}", row.sealed)
        )
        if session.get(StepRow, (manifest.run_id, manifest.attempt, request.round, request.step.value)) is None:
            session.add(
                StepRow(
                    run_id=manifest.run_id,
                    attempt=manifest.attempt,
                    round=request.round,
                    step=request.step.value,
                    grant_hash=request.grant_hash,
                    request_digest=digest,
                    started_at=now_s,
                )
            )
        intent = record_intent(session, request, digest, now_s)
        return RunKeys(bytes.fromhex(secrets["sealing"]), bytes.fromhex(secrets["mask"])), intent

    def _compute(self, request: Request, keys: RunKeys, now_s: int) -> StepResult:
        manifest, project_id = request.manifest, request.project_id

        def value(name: str) -> bytes:
            with transaction(self.db) as session:
                return self.vault.get(session, project_id, manifest.run_id, manifest.attempt, name)

        accounts = Accounts(self.db, project_id, request.grant_hash, manifest.run_id, manifest.attempt, now_s)
        config = self.home.config
        context = StepContext(request, config, self.extract, keys, self._identity, accounts, value, now_s, self._start)
        match request.step:
            case Step.BLIND:
                return linkage.blind(context)
            case Step.EVALUATE:
                return linkage.evaluate(context, self._scalar(request))
            case Step.FINISH:
                return linkage.finish(context, self._scalar(request))
            case Step.RELEASE:
                return release(context, self.home)
            case Step.TRAIN:
                # torch is imported by supporting departments only, and scikit-learn by the lead only.
                from department_nodes.steps.train import train

                return train(context)
            case Step.COMBINE:
                from department_nodes.steps.combine import combine

                return combine(context, self.home)
        # torch again, and only at nodes that take part in a line.
        from department_nodes.lines.round_steps import answer_line_step

        return answer_line_step(context, self.line_trainer())

    def line_trainer(self) -> "LineTrainer":
        """Return what trains for this node's lines, made at the first use."""
        from department_nodes.lines.training import LineTrainer

        if self._line_trainer is None:
            self._line_trainer = LineTrainer(self.db, self.vault, self.noise)
        return self._line_trainer

    def _start(
        self, dataset: str, standard_version: int, target: str, columns: tuple[str, ...]
    ) -> "StartingModel | None":
        from department_nodes.lines.start import find_start

        return find_start(self.db, dataset, standard_version, target, columns)

    def _scalar(self, request: Request) -> bytes:
        """Return this node's share of the grant's pseudonym key, made at first use and stored sealed."""
        context = f"scalar|{request.grant_hash}"
        with transaction(self.db) as session:
            row = session.get(LinkageScalarRow, request.grant_hash)
            if row is None:
                sealed = self.vault.seal(session, request.project_id, context, random_scalar())
                row = LinkageScalarRow(grant_hash=request.grant_hash, sealed=sealed)
                session.add(row)
            return self.vault.open(session, request.project_id, context, row.sealed)

    def _finish(
        self, session: Session, request: Request, result: StepResult, reply: bytes, now_s: int, took_ms: int
    ) -> None:
        manifest, project_id = request.manifest, request.project_id
        run_id, attempt, step = manifest.run_id, manifest.attempt, request.step.value
        row = session.get(StepRow, (run_id, attempt, request.round, step))
        if row is None:
            raise DoudiError("step.interrupted", "the step was withdrawn while it was computed")
        if row.reply is not None:
            raise DoudiError("step.answered_elsewhere", "another process of this node answered the step")
        row.reply, row.finished_at, row.seconds_milli = reply, now_s, took_ms
        finish_step(session, request, now_s)
        for name, data in result.values.items():
            self.vault.put(session, project_id, request.grant_hash, run_id, attempt, name, data)
        for kind, document in result.reports.items():
            text = json.dumps(document, sort_keys=True, ensure_ascii=False)
            session.merge(ReportRow(run_id=run_id, attempt=attempt, kind=kind, document=text))
        if request.round:
            finish_line_step(session, request, result, now_s)
        for sent in result.sent:
            session.add(
                SentRow(
                    run_id=run_id,
                    attempt=attempt,
                    round=request.round,
                    step=step,
                    receiver=sent.receiver,
                    kind=sent.kind,
                    items=sent.items,
                    size_bytes=sent.size_bytes,
                    grant_hash=request.grant_hash,
                    sent_at=now_s,
                )
            )
        for event in result.events:
            record(session, event)
        counts = {"bytes": len(reply), "milliseconds": took_ms}
        hashes = {"request": row.request_digest.hex(), "reply": frame_digest(reply).hex()}
        record(session, step_event(EventType.STEP_ANSWERED, request, now_s, counts, hashes))

    def _forget_unfinished(self, unverified: UnverifiedRequest, digest: bytes) -> None:
        """Withdraw a step that gave no reply, so that a corrected request may be answered. Charges stay."""
        with transaction(self.db) as session:
            row = session.get(StepRow, (unverified.run_id, unverified.attempt, unverified.round, unverified.step.value))
            if row is not None and row.reply is None and row.request_digest == digest:
                session.delete(row)

    def _record_refusal(
        self,
        unverified: UnverifiedRequest | None,
        data: bytes,
        error: DoudiError,
        kind: EventType = EventType.STEP_REFUSED,
    ) -> None:
        with transaction(self.db) as session:
            record(session, refused_step(kind, unverified, frame_digest(data), error.code, int(self.clock())))


def _place(error: BaseException) -> str:
    """Return file and line where an unexpected error arose: what an engineer needs, and no value of a person."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "unknown"
