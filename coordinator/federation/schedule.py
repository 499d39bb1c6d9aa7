"""The schedule of a vertical run: six steps over a relay, what is passed from whom to whom, and who may be missing.

1. blind, evaluate, finish: the lists go round once; a department that is lost drops out of every sum while enough holders remain.
2. The union is numbered and padded, its seed recorded. 3. release: the lead's cells; each department gets its own slots' only.
4. train: evidence for every slot comes back; the lead is passed the slots of its register only. 5. combine: metrics come back.

The coordinator opens no envelope: it has no key. Every outcome is stored before the next step, so that a killed process resumes.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from coordinator.federation.asking import Answers, Asker, Check, Marks, required_part
from coordinator.federation.relay import Relay
from coordinator.federation.run_folder import RunFolder
from coordinator.federation.union import (
    SEED_BYTES,
    Numbering,
    PaddingPolicy,
    check_pseudonyms,
    describe_numbering,
    number_union,
    slots_of,
)
from crypto.errors import DoudiError
from crypto.pseudonyms import POINT_BYTES
from policies.contracts.framing import Frame
from policies.contracts.grant import SignedGrant
from policies.contracts.manifest import SignedManifest
from policies.contracts.steps import REGION_STEPS, Step, pack_request

LABEL_CELL_BYTES = 17
EVIDENCE_CELL_BYTES = 17
SUM_CELL_BYTES = 18

MAXIMUM_METRICS_BYTES = 200 * 1024


@dataclass(frozen=True)
class ScheduleSettings:
    """Timeouts and padding, from the coordinator's configuration."""

    step_timeout_s: float
    padding: PaddingPolicy


class RunMarks(Marks, Protocol):
    """Where progress of a region's run is recorded."""

    def numbered(self, numbering: Numbering) -> None:
        """The union was numbered; the record waits for its witnesses with the next announcement."""


class VerticalRun:
    """One attempt of one run."""

    def __init__(
        self,
        grant: SignedGrant,
        manifest: SignedManifest,
        relay: Relay,
        folder: RunFolder,
        marks: RunMarks,
        settings: ScheduleSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signed_grant, self._signed_manifest = grant, manifest
        self._grant, self._manifest = grant.region_grant, manifest.manifest
        self._folder, self._marks, self._settings = folder, marks, settings
        self._clock = clock
        self._asker = Asker(self._grant, relay, settings.step_timeout_s, clock)
        self._seconds: dict[str, float] = {}
        # A department of the grant that offered no keys is missing from the start, and said to be.
        named = set(self._manifest.departments)
        self._missing = {
            participant.department: "run.no_keys"
            for participant in self._grant.participants
            if participant.department not in named
        }
        self._lead = self._grant.lead.department

    def execute(self) -> dict[str, Any]:
        """Run all steps and return metrics and account of the run. Raises the code that ends it."""
        started = self._clock()
        pseudonyms = self._link()
        union = self._number(pseudonyms)
        slots = {name: slots_of(union, own) for name, own in pseudonyms.items()}
        cells, keys = self._release(union, slots)
        trained = self._train(len(union) // POINT_BYTES, slots, cells, keys)
        metrics = self._combine(len(union) // POINT_BYTES, slots, trained)
        self._seconds["total"] = self._clock() - started
        return {
            "metrics": metrics,
            "run": {
                "mode": self._manifest.mode,
                "persons": self._manifest.offer(self._lead).people,
                "slots": len(union) // POINT_BYTES,
                "lists": {offer.department: offer.people for offer in self._manifest.offers},
                "departments": sorted(slots),
                "missing": dict(self._missing),
                "seconds": {name: round(value, 3) for name, value in self._seconds.items()},
                "bytes_sent": self._bytes_sent(),
                "messages": sum(1 for _ in self._requests()),
            },
        }

    def _link(self) -> dict[str, bytes]:
        """Return each department's pseudonyms in byte order."""
        started = self._clock()
        everyone = list(self._manifest.departments)

        def has_all(prefix: str, others: list[str]) -> Callable[[str, Frame], None]:
            # A reply without a part for somebody counts as no reply: one bad department must not end the run.
            def check(name: str, frame: Frame) -> None:
                for other in others:
                    if other != name:
                        required_part(frame, f"{prefix}/{other}")

            return check

        blinded = self._ask(
            Step.BLIND, {name: self._request(Step.BLIND) for name in everyone}, has_all("blinded", everyone)
        )
        self._require_lead(Step.BLIND, blinded)

        def passed(prefix: str, frames: Mapping[str, Frame], receiver: str) -> dict[str, bytes]:
            return {
                f"{prefix}/{sender}": required_part(frame, f"{prefix}/{receiver}")
                for sender, frame in frames.items()
                if sender != receiver
            }

        evaluated = self._ask(
            Step.EVALUATE,
            {
                name: self._request(Step.EVALUATE, {}, passed("blinded", blinded.frames, name))
                for name in blinded.frames
            },
            has_all("evaluated", list(blinded.frames)),
        )
        self._require_lead(Step.EVALUATE, evaluated)
        holders = sorted(evaluated.frames)
        if len(holders) < self._grant.linkage.min_key_holders:
            raise DoudiError("run.too_few_key_holders", "too few departments are left to link")
        finished = self._ask(
            Step.FINISH,
            {
                name: self._request(Step.FINISH, {"holders": holders}, passed("evaluated", evaluated.frames, name))
                for name in holders
            },
            lambda name, frame: check_pseudonyms(required_part(frame, "pseudonyms"), self._manifest.offer(name).people),
        )
        self._require_lead(Step.FINISH, finished)
        self._seconds["link"] = self._clock() - started
        return {name: required_part(frame, "pseudonyms") for name, frame in finished.frames.items()}

    def _number(self, pseudonyms: Mapping[str, bytes]) -> bytes:
        """Return the numbered union, whose seed and commitments are recorded before any of it leaves."""
        seed = self._folder.save_once("numbering.seed", secrets.token_bytes(SEED_BYTES))
        made = number_union(pseudonyms, self._settings.padding, seed)
        # The seed is durable from here: after a crash the same numbering is made again, and recorded again if it was not yet.
        if self._folder.save_once("union.bin", made) != made:
            raise DoudiError("run.numbering_lost", "the run's folder holds another numbering than its seed makes")
        if self._folder.read("numbering.recorded") is None:
            self._marks.numbered(describe_numbering(pseudonyms, made, seed))
            # A crash in between records the same numbering twice.
            self._folder.save_once("numbering.recorded", b"")
        return made

    def _release(self, union: bytes, slots: Mapping[str, Any]) -> tuple[Any, dict[str, bytes]]:
        """Return the lead's cells uint8 [slots, 17] and the sealed cell key of each department."""
        departments = sorted(name for name in slots if name != self._lead)
        if not departments:
            raise DoudiError("run.no_supporting_department", "no supporting department is left")
        count = len(union) // POINT_BYTES

        def check(_: str, frame: Frame) -> None:
            _cells(frame, "cells", count, LABEL_CELL_BYTES)
            for name in departments:
                required_part(frame, f"cell-key/{name}")

        request = self._request(Step.RELEASE, {"departments": departments}, {"union": union})
        answers = self._ask(Step.RELEASE, {self._lead: request}, check)
        self._require_lead(Step.RELEASE, answers)
        self._seconds["release"] = answers.seconds
        frame = answers.frames[self._lead]
        return (
            _cells(frame, "cells", count, LABEL_CELL_BYTES),
            {name: required_part(frame, f"cell-key/{name}") for name in departments},
        )

    def _train(self, count: int, slots: Mapping[str, Any], cells: Any, keys: Mapping[str, bytes]) -> Answers:
        departments = sorted(keys)

        def check(_: str, frame: Frame) -> None:
            for part, width in (("evidence", EVIDENCE_CELL_BYTES), ("sum", SUM_CELL_BYTES)):
                if part in frame.parts:
                    _cells(frame, part, count, width)
                    required_part(frame, f"{part}-key")

        requests = {
            name: self._request(
                Step.TRAIN,
                {"slots": count, "departments": departments},
                {
                    "slots": slots[name].astype("<u4").tobytes(),
                    "cells": cells[slots[name]].tobytes(),
                    "cell-key": keys[name],
                },
            )
            for name in departments
        }
        answers = self._ask(Step.TRAIN, requests, check)
        # Departments work at the same time, so a phase takes as long as its slowest department.
        training = max((_milliseconds(frame, "train_milli") for frame in answers.frames.values()), default=0) / 1000
        self._seconds["train"] = min(training, answers.seconds)
        self._seconds["evidence"] = answers.seconds - self._seconds["train"]
        return answers

    def _combine(self, count: int, slots: Mapping[str, Any], trained: Answers) -> dict[str, Any]:
        register = slots[self._lead]
        parts: dict[str, bytes] = {}
        given: dict[str, list[str]] = {"evidence": [], "sum": []}
        for name, frame in sorted(trained.frames.items()):
            for kind, width in (("evidence", EVIDENCE_CELL_BYTES), ("sum", SUM_CELL_BYTES)):
                if kind in frame.parts:
                    given[kind].append(name)
                    parts[f"{kind}/{name}"] = _cells(frame, kind, count, width)[register].tobytes()
                    parts[f"{kind}-key/{name}"] = required_part(frame, f"{kind}-key")
        supporting = sorted(participant.department for participant in self._grant.supporting)
        if given["sum"] != supporting:
            # The sum over the exact set is impossible; the vectors that came stay unopened, whatever the mode.
            parts = {name: data for name, data in parts.items() if not name.startswith("sum")}
            given["sum"] = []
            if self._manifest.mode == "sum_only":
                raise DoudiError("sum_only.department_missing", "a department of the grant is missing: no sum is taken")
        if self._manifest.mode != "sum_only" and not given["evidence"]:
            raise DoudiError("run.no_evidence", "no department sent evidence")

        def check(_: str, frame: Frame) -> None:
            _metrics(frame)

        request = self._request(Step.COMBINE, {"slots": count, **given}, parts)
        answers = self._ask(Step.COMBINE, {self._lead: request}, check)
        self._require_lead(Step.COMBINE, answers)
        self._seconds["combine"] = answers.seconds
        return _metrics(answers.frames[self._lead])

    def _ask(self, step: Step, requests: Mapping[str, bytes], check: Check = lambda *_: None) -> Answers:
        answers = self._asker.ask(step, requests, self._folder, self._marks, check)
        self._missing.update(answers.missing)
        return answers

    def _require_lead(self, step: Step, answers: Answers) -> None:
        if self._lead not in answers.frames:
            reason = answers.missing.get(self._lead, "node.unreachable")
            raise DoudiError(
                "run.lead_missing", f"the lead is missing in step {step.value} ({reason})", "Start it again."
            )

    def _request(
        self, step: Step, terms: Mapping[str, Any] | None = None, parts: Mapping[str, bytes] | None = None
    ) -> bytes:
        return pack_request(step, self._signed_grant, self._signed_manifest, terms, parts)

    def _requests(self) -> list[tuple[str, Step, bytes]]:
        """Return every request of this attempt that was stored, that is, pushed."""
        found = []
        for step in REGION_STEPS:
            for name in self._manifest.departments:
                data = self._folder.request(step, name)
                if data is not None:
                    found.append((name, step, data))
        return found

    def _bytes_sent(self) -> dict[str, int]:
        """Return bytes by sender, before Flower's framing: each department's replies and the coordinator's requests."""
        totals = {"coordinator": sum(len(data) for _, _, data in self._requests())}
        for name in self._manifest.departments:
            replies = [self._folder.reply(step, name) for step in REGION_STEPS]
            totals[name] = sum(len(reply) for reply in replies if reply is not None)
        return totals


def _cells(frame: Frame, name: str, count: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the cells of a reply, uint8 [slots, width]. Raises `reply.wrong_length`."""
    data = required_part(frame, name)
    if len(data) != count * width:
        raise DoudiError("reply.wrong_length", "a reply does not have one cell per slot")
    return np.frombuffer(data, np.uint8).reshape(count, width)


def _milliseconds(frame: Frame, name: str) -> int:
    facts = frame.header.get("facts")
    value = facts.get(name) if isinstance(facts, dict) else None
    return value if isinstance(value, int) and 0 <= value < 10**9 else 0


def _metrics(frame: Frame) -> dict[str, Any]:
    """Return the lead's metrics: JSON of at most 200 KB. Raises `reply.bad_metrics`."""
    data = required_part(frame, "metrics")
    try:
        metrics = json.loads(data) if len(data) <= MAXIMUM_METRICS_BYTES else None
    except ValueError:
        metrics = None
    if not isinstance(metrics, dict):
        raise DoudiError("reply.bad_metrics", "the lead's metrics are not a JSON object, or too long")
    return metrics
