"""Asking several departments one step: what is sent is stored first, what comes back is verified and then stored.

Used by both schedules (`schedule.py`, `line_run.py`). A killed process asks again with the same bytes, and only those who have
not answered; a step whose outcome is stored is not asked again. Opens no envelope: the coordinator has no key.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from coordinator.federation.relay import Lost, Relay
from coordinator.federation.run_folder import StepFiles
from crypto.errors import DoudiError
from policies.contracts.framing import Frame
from policies.contracts.grant_terms import GrantBase
from policies.contracts.steps import Step, open_reply

Check = Callable[[str, Frame], None]


class Marks(Protocol):
    """Where progress is recorded; each call is one transaction with its event."""

    def announce(self, step: Step, sizes: Mapping[str, int]) -> None:
        """These departments are to be asked (bytes by department): returns when the record of it is witnessed.

        Nothing leaves before. Raises `ledger.not_witnessed`.
        """

    def sent(self, step: Step, department: str, size_bytes: int) -> None:
        """A request was handed to the relay."""

    def answered(self, step: Step, department: str, size_bytes: int) -> None:
        """A verified reply arrived."""

    def refused(self, step: Step, department: str, code: str) -> None:
        """The department refused with a code, or its reply was not acceptable."""

    def lost(self, step: Step, department: str, code: str) -> None:
        """The department did not answer in time."""


@dataclass
class Answers:
    """The outcome of one step: the frames of those who answered, the codes of the others, and the time."""

    frames: dict[str, Frame] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Asker:
    """Asks the departments of one grant over one relay."""

    def __init__(
        self, grant: GrantBase, relay: Relay, timeout_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._grant, self._relay, self._timeout_s, self._clock = grant, relay, timeout_s, clock

    def ask(
        self,
        step: Step,
        requests: Mapping[str, bytes],
        files: StepFiles,
        marks: Marks,
        check: Check = lambda *_: None,
        once: bool = True,
    ) -> Answers:
        """Ask the departments at once and return what came; a finished step of these files is not asked again.

        Without `once` the step is finished only when everybody has answered.

        `check(department, frame)` raises when a reply is not acceptable: that department then counts as missing, with the
        code. Raises what the relay raises when it fails itself; what was stored by then is kept.
        """
        started = self._clock()
        answers = Answers()
        done = files.done(step)
        stored = {name: files.save_request(step, name, data) for name, data in requests.items()}
        identity = {name: self._grant.share(name).identity_key for name in stored}
        for name, request in stored.items():
            reply = files.reply(step, name)
            if reply is not None:
                answers.frames[name] = open_reply(reply, request, step, name, identity[name])
        if done is not None:
            answers.missing = dict(done["missing"])
            answers.seconds = float(done["seconds"])
            return answers

        def on_reply(name: str, reply: bytes | Lost) -> None:
            if isinstance(reply, Lost):
                answers.missing[name] = reply.code
                marks.lost(step, name, reply.code)
                return
            try:
                frame = open_reply(reply, stored[name], step, name, identity[name])
                check(name, frame)
            except DoudiError as error:
                answers.missing[name] = error.code
                marks.refused(step, name, error.code)
                return
            # The reply is durable before it counts: a crash after this line does not ask again.
            files.save_reply(step, name, reply)
            answers.frames[name] = frame
            marks.answered(step, name, len(reply))

        waiting = {name: request for name, request in stored.items() if name not in answers.frames}
        if waiting:
            marks.announce(step, {name: len(request) for name, request in waiting.items()})
        # The intent is witnessed from here. A crash below leaves it without an outcome, and the run that goes on announces anew.
        for name, request in waiting.items():
            marks.sent(step, name, len(request))
        if waiting:
            self._relay.exchange(waiting, self._timeout_s, on_reply)
        for name in waiting:
            if name not in answers.frames and name not in answers.missing:
                answers.missing[name] = "node.timeout"
                marks.lost(step, name, "node.timeout")
        answers.seconds = self._clock() - started
        if answers.missing and not once:
            # What is only delivered is delivered again, when the run goes on, to those who did not take it.
            return answers
        files.save_done(step, {"missing": answers.missing, "seconds": answers.seconds})
        return answers


def required_part(frame: Frame, name: str) -> bytes:
    """Return a part of a reply. Raises `reply.part_missing`."""
    if name not in frame.parts:
        raise DoudiError("reply.part_missing", "a reply lacks a part")
    return frame.parts[name]
