"""One round of a line: five questions under masks, or one where the grant allows plain updates.

Masked (Bonawitz et al. 2017; documents: `policies/contracts/line_rounds.py`):
1. line_keys: who takes part, with which fresh keys (the roster). 2. line_shares: sealed shares, passed on unopened.
3. line_update: masked vectors of the members. 4. line_consent: the survivors sign who the survivors are.
5. line_unmask: with the consents of more than two thirds, shares that remove the masks of the sum.
Below the quorum the round is aborted before anything is unmasked. A department that is lost is out of this round only.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from coordinator.federation.asking import Answers, Asker, Check, Marks, required_part
from coordinator.federation.line_robust import fewest_updates, robust_average
from coordinator.federation.line_strategy import Vector, decode_average
from coordinator.federation.line_unmasking import parse_masked, sum_of_survivors
from coordinator.federation.run_folder import StepFiles
from crypto.envelope import unverified_header, verify_envelope
from crypto.errors import DoudiError
from crypto.sealing import seal
from crypto.secure_aggregation import (
    COMMITMENT_BYTES,
    MIN_PARTIES,
    recovery_threshold,
    verify_mask_key,
)
from policies.contracts.framing import Frame
from policies.contracts.grant import SignedGrant
from policies.contracts.line_rounds import (
    Consent,
    RoundKeys,
    RoundName,
    Survivors,
    Unmasking,
    model_digest,
    roster_digest,
    verify_consent,
)
from policies.contracts.manifest import SignedManifest
from policies.contracts.steps import Step, pack_request


class RoundAborted(DoudiError):
    """The round gives no sum, and nothing of it was unmasked. Its number is used up."""


class LineRound:
    """One round, from its number and the model that it starts from. `play` may be called again after a crash."""

    def __init__(
        self,
        grant: SignedGrant,
        manifest: SignedManifest,
        asker: Asker,
        number: int,
        files: StepFiles,
        marks: Marks,
        model: bytes,
    ) -> None:
        self._signed_grant, self._signed_manifest = grant, manifest
        self._grant, self._manifest = grant.line_grant, manifest.manifest
        self._terms = self._grant.aggregation
        self._asker, self._files, self._marks = asker, files, marks
        self._number, self._model = number, model
        self._name = RoundName(
            project_id=self._grant.project_id,
            grant_hash=grant.grant_hash,
            run_id=self._manifest.run_id,
            attempt=self._manifest.attempt,
            round=number,
        )
        self.seconds = 0.0
        # Why each department's update does not count, and who was silent after its update had come.
        self.dropped: dict[str, str] = {}
        self.silent: dict[str, str] = {}
        self.survivors: tuple[str, ...] = ()

    def play(self) -> Vector:
        """Return the averaged update, float64 [parameters]. Raises `RoundAborted` with its code."""
        return self._play_masked() if self._terms.method == "secure" else self._play_plain()

    def _play_plain(self) -> Vector:
        everyone = sorted(self._manifest.departments)
        parts = {"model": self._model}
        answers = self._ask(
            Step.LINE_UPDATE,
            {name: self._request(Step.LINE_UPDATE, {"members": everyone}, parts) for name in everyone},
            lambda _, frame: self._require_plain(frame),
        )
        updates = self._of_one_length({name: self._plain(frame) for name, frame in answers.frames.items()})
        self._require(len(updates), fewest_updates(self._terms))
        self.survivors = tuple(sorted(updates))
        method: Literal["median", "krum"] = "krum" if self._terms.method == "krum" else "median"
        return robust_average(method, updates, self._terms.krum_malicious)

    def _play_masked(self) -> Vector:
        roster = self._gather_keys()
        digest = roster_digest(list(roster.values()))
        threshold, quorum = self._threshold, self._quorum

        shares = self._gather_shares(roster)
        members = sorted(shares.frames)
        self._require(len(members), quorum)

        masked = self._gather_updates(members, shares)
        self._require(len(masked), quorum)
        self.survivors = tuple(sorted(masked))
        survivors = Survivors(
            name=self._name,
            roster=digest,
            members=tuple(members),
            survivors=self.survivors,
            model=model_digest(self._model),
        )

        unmaskings = self._unmask(survivors, threshold)
        commitments = {name: required_part(frame, "commitment") for name, frame in shares.frames.items()}
        people = sum(self._manifest.offer(name).people for name in self.survivors)
        try:
            total = sum_of_survivors(
                roster, survivors, commitments, unmaskings, masked, threshold, self._terms.min_survivors
            )
            return decode_average(total, people, self._grant)
        except DoudiError as error:
            raise RoundAborted(error.code, error.message, error.next_step) from error

    def _gather_keys(self) -> dict[str, RoundKeys]:
        """Return the roster: the keys of those who gave usable ones."""
        everyone = sorted(self._manifest.departments)
        requests = {name: self._request(Step.LINE_KEYS) for name in everyone}

        def check(name: str, frame: Frame) -> None:
            keys = RoundKeys.parse(required_part(frame, "keys"))
            keys.verify(self._name, name, self._grant.share(name).identity_key)
            _require_usable(keys)

        answers = self._ask(Step.LINE_KEYS, requests, check)
        roster = {name: RoundKeys.parse(required_part(frame, "keys")) for name, frame in answers.frames.items()}
        # Nodes refuse a roster with one key twice. Who took whose cannot be told, so neither is in this round.
        uses = Counter(keys.mask_key for keys in roster.values())
        for name in [name for name, keys in roster.items() if uses[keys.mask_key] > 1]:
            self.dropped[name] = "line.same_mask_key"
            del roster[name]
        self._require(len(roster), self._quorum)
        return dict(sorted(roster.items()))

    @property
    def _threshold(self) -> int:
        """More than two thirds of the run's departments, as every node computes it from the signed manifest."""
        return recovery_threshold(len(self._manifest.departments))

    @property
    def _quorum(self) -> int:
        return max(self._terms.min_survivors, MIN_PARTIES, self._threshold)

    def _gather_shares(self, roster: Mapping[str, RoundKeys]) -> Answers:
        parts = {f"keys/{name}": keys.to_bytes() for name, keys in roster.items()}

        def check(name: str, frame: Frame) -> None:
            for other in roster:
                if other != name:
                    envelope = required_part(frame, f"shares/{other}")
                    header = unverified_header(envelope)
                    if (header.sender, header.receiver) != (name, other):
                        raise DoudiError("line.bad_envelope", "a sealed share names another sender or receiver")
                    # A member that could not be believed would push every receiver out of the round.
                    verify_envelope(envelope, header, bytes.fromhex(self._grant.share(name).identity_key))
            if len(required_part(frame, "commitment")) != COMMITMENT_BYTES:
                raise DoudiError("reply.wrong_length", "a commitment has the wrong length")

        return self._ask(Step.LINE_SHARES, {name: self._request(Step.LINE_SHARES, {}, parts) for name in roster}, check)

    def _gather_updates(self, members: Sequence[str], shares: Answers) -> dict[str, Any]:
        """Return the masked vectors that came, uint64 [parameters] by department."""
        requests = {
            name: self._request(
                Step.LINE_UPDATE,
                {"members": list(members)},
                {
                    "model": self._model,
                    **{
                        f"shares/{other}": required_part(shares.frames[other], f"shares/{name}")
                        for other in members
                        if other != name
                    },
                },
            )
            for name in members
        }

        def check(_: str, frame: Frame) -> None:
            self._require_length(parse_masked(required_part(frame, "update")).size)

        answers = self._ask(Step.LINE_UPDATE, requests, check)
        found = {name: parse_masked(required_part(frame, "update")) for name, frame in answers.frames.items()}
        return self._of_one_length(found)

    def _unmask(self, survivors: Survivors, threshold: int) -> dict[str, Unmasking]:
        """Return what the consenting survivors gave, at least `threshold` of them."""
        terms = {"survivors": list(survivors.survivors)}

        def check_consent(name: str, frame: Frame) -> None:
            consent = Consent.parse(required_part(frame, "consent"))
            verify_consent(consent, survivors, name, self._grant.share(name).identity_key)

        requests = {name: self._request(Step.LINE_CONSENT, terms) for name in survivors.survivors}
        consents = self._ask(Step.LINE_CONSENT, requests, check_consent, late=True)
        self._require(len(consents.frames), threshold)

        parts = {f"consent/{name}": required_part(consents.frames[name], "consent") for name in sorted(consents.frames)}
        dropped = set(survivors.members) - set(survivors.survivors)

        def check_shares(_: str, frame: Frame) -> None:
            found = Unmasking.parse(required_part(frame, "unmask"))
            about = (found.survivors_digest, set(found.self_seed_shares), set(found.mask_key_shares))
            if about != (survivors.digest(), set(survivors.survivors), dropped):
                raise DoudiError("line.bad_unmasking", "the shares are about other survivors than were asked for")

        asked = {name: self._request(Step.LINE_UNMASK, {}, parts) for name in sorted(consents.frames)}
        answers = self._ask(Step.LINE_UNMASK, asked, check_shares, late=True)
        self._require(len(answers.frames), threshold)
        return {name: Unmasking.parse(required_part(frame, "unmask")) for name, frame in answers.frames.items()}

    def _ask(self, step: Step, requests: Mapping[str, bytes], check: Check, late: bool = False) -> Answers:
        answers = self._asker.ask(step, requests, self._files, self._marks, check)
        self.seconds += answers.seconds
        (self.silent if late else self.dropped).update(answers.missing)
        return answers

    def _request(
        self, step: Step, terms: Mapping[str, Any] | None = None, parts: Mapping[str, bytes] | None = None
    ) -> bytes:
        return pack_request(step, self._signed_grant, self._signed_manifest, terms, parts, self._number)

    def _plain(self, frame: Frame) -> Any:
        """Return an update that came without masks, float32 [parameters]: finite, and within the granted range."""
        data = required_part(frame, "update")
        if not data or len(data) % 4:
            raise DoudiError("reply.wrong_length", "an update is not a vector of 32-bit floats")
        update = np.frombuffer(data, "<f4").astype(np.float32)
        self._require_length(update.size)
        # The range of one coordinate holds here too; a value that is no number would poison every average.
        if not (np.abs(update) <= np.float32(self._terms.update_range)).all():
            raise DoudiError("line.update_out_of_range", "an update is beyond the granted range")
        return update

    def _require_plain(self, frame: Frame) -> None:
        self._plain(frame)

    def _require_length(self, parameters: int) -> None:
        # Before the first sum the length is the nodes' word; `_of_one_length` compares them with each other.
        if self._model and 4 * parameters != len(self._model):
            raise DoudiError("reply.wrong_length", "an update has another length than the model")

    def _of_one_length(self, updates: Mapping[str, Any]) -> dict[str, Any]:
        """Return the updates of the length that most have; the others are dropped."""
        lengths = Counter(update.size for update in updates.values())
        usual = max(lengths, key=lambda size: (lengths[size], size), default=0)
        for name, update in updates.items():
            if update.size != usual:
                self.dropped[name] = "reply.wrong_length"
        return {name: update for name, update in updates.items() if update.size == usual}

    def _require(self, count: int, needed: int) -> None:
        if count < needed:
            raise RoundAborted(
                "line.too_few_survivors",
                f"{count} departments are left in the round, {needed} are needed; nothing was unmasked",
                "See which departments are lost with `doudi centre runs`.",
            )


def _require_usable(keys: RoundKeys) -> None:
    """Raise unless others can seal to and agree with these keys: one bad key must not stop everybody who would use it."""
    seal(bytes.fromhex(keys.sealing_key), b"", b"")
    verify_mask_key(bytes.fromhex(keys.mask_key))
