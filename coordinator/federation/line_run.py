"""The schedule of a line: rounds until the granted number is used, a checkpoint after each, and the model at the end.

1. The state is read: the own checkpoint, else that of the newest former attempt of this run, else the published initial model.
2. Rounds (`line_round.py`). What a round gave is durable in the checkpoint before the next round's first message goes out; then
the round's requests and replies are deleted. 3. The final model is stored and sent to everybody.

A killed process goes on in the middle of a round with the same bytes. A round below its quorum is aborted and its number is used
up; three such rounds in a row fail the run. The coordinator sees masked vectors, sums and models; with `median` and `krum` also
each update, private by its node's own noise.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from coordinator.federation.asking import Answers, Asker, Marks
from coordinator.federation.line_account import LineAccount, bounded_rows
from coordinator.federation.line_round import LineRound, RoundAborted
from coordinator.federation.line_strategy import (
    NOISE_ROOM,
    ServerState,
    apply_average,
    pack_checkpoint,
    parse_checkpoint,
)
from coordinator.federation.relay import Relay
from coordinator.federation.run_folder import RunFolder
from crypto.errors import DoudiError
from crypto.fixed_point import CAPACITY, require_room
from policies.contracts.grant import SignedGrant
from policies.contracts.line_grant import FRACTION_BITS, distributed_scale
from policies.contracts.line_rounds import model_digest
from policies.contracts.manifest import SignedManifest
from policies.contracts.steps import Step, pack_request

MOST_ABORTED_IN_A_ROW = 3
# Who is away while the model is handed out is asked again: without it the line was for nothing there.
MOST_DELIVERIES = 3
MODEL_FILE = "model.bin"

MarksOfRound = Callable[[int], Marks]


class LineRun:
    """One attempt of one run of a line. `marks` gives the marks of a round by its number.

    `step_timeout_s`: the longest time for one question of a round.
    """

    def __init__(
        self,
        grant: SignedGrant,
        manifest: SignedManifest,
        relay: Relay,
        folder: RunFolder,
        marks: MarksOfRound,
        step_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signed_grant, self._signed_manifest = grant, manifest
        self._grant, self._manifest = grant.line_grant, manifest.manifest
        self._folder, self._marks = folder, marks
        self._asker = Asker(self._grant, relay, step_timeout_s, clock)

    def execute(self) -> dict[str, Any]:
        """Play all rounds and return the account of the run. Raises the code that ends it."""
        self._require_room()
        state, account = self._restored()
        # A process that was killed between a checkpoint and this line left the closed round's files.
        self._folder.forget_rounds(account.closed)
        self._require_progress(account)
        while account.closed < self._grant.training.rounds:
            state, account = self._play(state, account)
            self._require_progress(account)
        if not account.done:
            raise DoudiError(account.last_code or "line.no_round", "no round of the line gave an average")
        return self._deliver(state, account)

    def _restored(self) -> tuple[ServerState, LineAccount]:
        """Return the state and account to go on from."""
        attempt = self._manifest.attempt
        own = self._folder.checkpoint()
        if own is not None:
            state, values = parse_checkpoint(own)
            return state, LineAccount.of(values)
        former = self._folder.former_checkpoint()
        if former is None:
            return ServerState.initial(), LineAccount(attempt)
        state, values = parse_checkpoint(former)
        account = LineAccount.of(values).of_attempt(attempt)
        # Kept as this attempt's own, so that it has one beginning whatever happens to the former folders.
        self._folder.save_checkpoint(pack_checkpoint(state, account.as_dict()))
        return state, account

    def _play(self, state: ServerState, account: LineAccount) -> tuple[ServerState, LineAccount]:
        """Return state and account after one more round, done or aborted, once they are durable."""
        number = account.closed + 1
        files, marks = self._folder.round(number), self._marks(number)
        played = LineRound(self._signed_grant, self._signed_manifest, self._asker, number, files, marks, state.model())
        row: dict[str, Any] = {}
        code = ""
        try:
            applied = apply_average(state, played.play(), self._grant.aggregation)
            state = applied.state
            row |= {"norm": round(applied.norm, 6), "clipped": applied.clipped}
        except RoundAborted as error:
            code = error.code
            row["code"] = code
        requests, replies, messages = files.sizes()
        row |= {
            "survivors": list(played.survivors),
            "dropped": dict(sorted(played.dropped.items())),
            "silent": dict(sorted(played.silent.items())),
            "seconds": round(played.seconds, 3),
            "up": sum(replies.values()),
            "down": sum(requests.values()),
        }
        account = account.with_traffic((requests, replies, messages)).with_round(row, played.seconds, code)
        self._folder.save_checkpoint(pack_checkpoint(state, account.as_dict()))
        # The round is durable from here; a crash repeats only the deletion.
        self._folder.forget_rounds(number)
        return state, account

    def _deliver(self, state: ServerState, account: LineAccount) -> dict[str, Any]:
        """Store the final model, send it to everybody, and return the account of the run."""
        model = self._folder.save_once(MODEL_FILE, state.model())
        # The number of the last round that was begun: a node refuses a number below one that it has seen.
        number = account.closed
        request = pack_request(
            Step.LINE_MODEL,
            self._signed_grant,
            self._signed_manifest,
            {"rounds": account.done},
            {"model": model},
            number,
        )
        requests = dict.fromkeys(sorted(self._manifest.departments), request)
        marks = self._marks(number)
        for _ in range(MOST_DELIVERIES):
            answers = self._asker.ask(Step.LINE_MODEL, requests, self._folder, marks, once=False)
            if not answers.missing:
                break
        if not answers.frames:
            raise DoudiError(
                "line.model_not_delivered",
                "no department took the final model",
                "Start the run again: it goes on with the delivery.",
            )
        account = account.with_traffic(self._folder.sizes())
        return {"line": self._line_facts(state, account, model), "run": self._run_facts(account, answers)}

    def _line_facts(self, state: ServerState, account: LineAccount, model: bytes) -> dict[str, Any]:
        return {
            "planned": self._grant.training.rounds,
            "done": account.done,
            "rounds": bounded_rows(account.rows),
            "parameters": int(state.offset.size),
            "model": model_digest(model),
            "offset_norm": round(float(np.linalg.norm(state.offset.astype(np.float64))), 6),
            "method": self._grant.aggregation.method,
            "placement": self._grant.training.placement,
        }

    def _run_facts(self, account: LineAccount, answers: Answers) -> dict[str, Any]:
        named = set(self._manifest.departments)
        # A department of the grant that offered no keys is missing from the start, and said to be.
        missing = {name: "run.no_keys" for name in self._grant.departments if name not in named}
        return {
            "mode": self._manifest.mode,
            "persons": sum(offer.people for offer in self._manifest.offers),
            "lists": {offer.department: offer.people for offer in self._manifest.offers},
            "departments": sorted(answers.frames),
            "missing": {**missing, **answers.missing},
            "seconds": {
                "rounds": round(account.seconds, 3),
                "deliver": round(answers.seconds, 3),
                "total": round(account.seconds + answers.seconds, 3),
            },
            "bytes_sent": dict(account.bytes_sent),
            "messages": account.messages,
        }

    def _require_room(self) -> None:
        """Raise `fixed_point.no_room` unless the sum over everybody fits into the ring, before anybody trains."""
        people = sum(offer.people for offer in self._manifest.offers)
        training = self._grant.training
        if self._grant.aggregation.method != "secure":
            return
        if training.placement == "local":
            require_room(people, self._grant.aggregation.update_range, FRACTION_BITS)
        elif training.clip_norm * distributed_scale(self._grant) * people + NOISE_ROOM >= CAPACITY:
            raise DoudiError(
                "fixed_point.no_room", "the sum of everybody's gradients could wrap", "Ask for a grant with more noise."
            )

    def _require_progress(self, account: LineAccount) -> None:
        if account.aborted_in_a_row >= MOST_ABORTED_IN_A_ROW:
            raise DoudiError(
                account.last_code,
                f"{MOST_ABORTED_IN_A_ROW} rounds in a row gave no average",
                "Start the run again when the departments are back: it goes on from the last checkpoint.",
            )
