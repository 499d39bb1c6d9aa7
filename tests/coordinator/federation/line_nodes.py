"""A small line in this process: nodes that do the real protocol over scripted updates, and a relay that loses and interrupts."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.federation.line_run import LineRun
from coordinator.federation.relay import Lost, OnReply
from coordinator.federation.run_folder import RunFolder
from crypto.envelope import EnvelopeHeader, open_envelope, seal_envelope
from crypto.errors import DoudiError
from crypto.fixed_point import encode
from crypto.masking import generate_mask_key, mask_public_key
from crypto.sealing import generate_sealing_key, sealing_public_key
from crypto.secure_aggregation import commit_to_seed, mask_update, recovery_threshold
from crypto.shamir import split_secret
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.framing import Frame, frame_digest, parse_frame
from policies.contracts.grant import LineGrant, SignedGrant
from policies.contracts.line_grant import FRACTION_BITS, SHARE_SIGMA_BITS, distributed_scale
from policies.contracts.line_rounds import (
    Consent,
    RoundKeys,
    RoundName,
    Shares,
    Survivors,
    Unmasking,
    mask_context,
    model_digest,
    roster_digest,
    sign_survivors,
    verify_consent,
)
from policies.contracts.manifest import KeyOffer, Manifest, SignedManifest, sign_manifest
from policies.contracts.steps import Step, pack_refusal, pack_reply
from policies.standards.tier_loader import load_tier

PARTIES = ("east-tax", "north-tax", "ohio-tax", "south-tax", "west-tax")
PEOPLE = {name: 100 * number for number, name in enumerate(PARTIES, start=1)}
PARAMETERS = 6
RANGE = 4.0
MASKED_STEPS = (Step.LINE_KEYS, Step.LINE_SHARES, Step.LINE_UPDATE, Step.LINE_CONSENT, Step.LINE_UNMASK)

Update = Callable[[str, int, Any], Any]


class Interrupted(Exception):
    """The coordinator's process ends here."""


def pulled(name: str, number: int, offset: Any) -> Any:
    """Return an honest change of the model: half of the way to a point near 1 that differs between nodes and rounds."""
    spread = np.linspace(-0.1, 0.1, PARAMETERS) * (1 + PARTIES.index(name)) + number / 100
    return 0.5 * (1 + spread - offset)


class Node:
    """One department's node. Answers each step of a round once, like the real one; `update` may lie."""

    def __init__(self, line: "Line", name: str) -> None:
        self.line, self.name, self.identity = line, name, generate_signing_key()
        self.update: Update = pulled
        self.values: dict[tuple[int, int, str], Any] = {}
        self.replies: dict[tuple[int, int, str], tuple[bytes, bytes]] = {}
        self.model: bytes | None = None

    def answer(self, request: bytes) -> bytes:
        frame = parse_frame(request)
        attempt, number, step = frame.header["attempt"], frame.header["round"], frame.header["step"]
        stored = self.replies.get((attempt, number, step))
        if stored is not None:
            if stored[0] != frame_digest(request):
                return pack_refusal(self.identity, request, step, self.name, "step.different_request")
            return stored[1]
        try:
            parts = getattr(self, step)(frame, attempt, number)
        except DoudiError as error:
            return pack_refusal(self.identity, request, step, self.name, error.code)
        reply = pack_reply(self.identity, request, step, self.name, {}, parts)
        self.replies[attempt, number, step] = (frame_digest(request), reply)
        return reply

    def line_keys(self, frame: Frame, attempt: int, number: int) -> dict[str, bytes]:
        mask, sealing = generate_mask_key(), generate_sealing_key()
        self.values[attempt, number, "keys"] = (mask, sealing)
        keys = RoundKeys(
            name=self._round(attempt, number),
            department=self.name,
            mask_key=mask_public_key(mask).hex(),
            sealing_key=sealing_public_key(sealing).hex(),
        )
        return {"keys": keys.signed(self.identity).to_bytes()}

    def line_shares(self, frame: Frame, attempt: int, number: int) -> dict[str, bytes]:
        name = self._round(attempt, number)
        roster = {part[5:]: RoundKeys.parse(data) for part, data in frame.parts.items() if part.startswith("keys/")}
        digest, members, seed = roster_digest(list(roster.values())), sorted(roster), os.urandom(32)
        threshold = recovery_threshold(len(SignedManifest.parse(frame.parts["manifest"]).manifest.departments))
        seeds = split_secret(seed, threshold, len(roster))
        masks = split_secret(self.values[attempt, number, "keys"][0], threshold, len(roster))
        parts = {"commitment": commit_to_seed(seed, name.to_bytes() + bytes.fromhex(digest))}
        for place, other in enumerate(members):
            shares = Shares(roster=digest, self_seed_share=seeds[place].hex(), mask_key_share=masks[place].hex())
            if other == self.name:
                own = shares
                continue
            header = self._header(attempt, number, self.name, other, len(roster))
            key = bytes.fromhex(roster[other].sealing_key)
            parts[f"shares/{other}"] = seal_envelope(header, shares.to_bytes(), key, self.identity)
        self.values[attempt, number, "roster"] = (roster, digest, seed, own)
        return parts

    def line_update(self, frame: Frame, attempt: int, number: int) -> dict[str, bytes]:
        grant, model = self.line.grant, frame.parts["model"]
        offset = np.frombuffer(model, "<f4") if model else np.zeros(PARAMETERS, np.float32)
        delta = np.asarray(self.update(self.name, number, offset))
        if grant.aggregation.method != "secure":
            return {"update": delta.astype("<f4").tobytes()}
        roster, digest, seed, own = self.values[attempt, number, "roster"]
        mask, sealing = self.values[attempt, number, "keys"]
        members = frame.header["terms"]["members"]
        held = {self.name: own}
        for other in members:
            if other != self.name:
                header = self._header(attempt, number, other, self.name, len(roster))
                sender = signing_public_key(self.line.nodes[other].identity)
                held[other] = Shares.parse(open_envelope(frame.parts[f"shares/{other}"], header, sealing, sender))
        context = mask_context(self._round(attempt, number), digest, members, model_digest(model))
        peers = {other: bytes.fromhex(roster[other].mask_key) for other in members if other != self.name}
        if delta.dtype == np.uint64:
            values = delta
        elif grant.training.placement == "local":
            values = encode(delta, RANGE, FRACTION_BITS, self.line.people[self.name])
        else:
            noise = np.random.default_rng(number).normal(0, 2**SHARE_SIGMA_BITS, PARAMETERS)
            values = np.rint(delta * distributed_scale(grant) + noise).astype(np.int64).view(np.uint64)
        self.values[attempt, number, "members"] = (members, held, model_digest(model))
        return {"update": mask_update(values, self.name, mask, peers, seed, context).astype("<u8").tobytes()}

    def line_consent(self, frame: Frame, attempt: int, number: int) -> dict[str, bytes]:
        members, _, digest = self.values[attempt, number, "members"]
        survivors = Survivors(
            name=self._round(attempt, number),
            roster=self.values[attempt, number, "roster"][1],
            members=tuple(members),
            survivors=tuple(frame.header["terms"]["survivors"]),
            model=digest,
        )
        self.values[attempt, number, "survivors"] = survivors
        return {"consent": sign_survivors(survivors, self.name, self.identity).to_bytes()}

    def line_unmask(self, frame: Frame, attempt: int, number: int) -> dict[str, bytes]:
        survivors = self.values[attempt, number, "survivors"]
        _, held, _ = self.values[attempt, number, "members"]
        for part, data in frame.parts.items():
            if part.startswith("consent/"):
                other = part[8:]
                key = signing_public_key(self.line.nodes[other].identity).hex()
                verify_consent(Consent.parse(data), survivors, other, key)
        unmasking = Unmasking(
            survivors_digest=survivors.digest(),
            self_seed_shares={name: held[name].self_seed_share for name in survivors.survivors},
            mask_key_shares={
                name: held[name].mask_key_share for name in survivors.members if name not in survivors.survivors
            },
        )
        return {"unmask": unmasking.to_bytes()}

    def line_model(self, frame: Frame, attempt: int, number: int) -> dict[str, bytes]:
        self.model = frame.parts["model"]
        return {}

    def _round(self, attempt: int, number: int) -> RoundName:
        grant = self.line.grant
        return RoundName(
            project_id=grant.project_id,
            grant_hash=self.line.signed.grant_hash,
            run_id="run-1",
            attempt=attempt,
            round=number,
        )

    def _header(self, attempt: int, number: int, sender: str, receiver: str, count: int) -> EnvelopeHeader:
        return EnvelopeHeader(
            self.line.signed.grant_hash, "run-1", attempt, f"line_shares-{number}", sender, receiver, count
        )


class LineRelay:
    """Carries requests to nodes. `lose(step, name, round)`: it never arrives. `die(step, round, answers)`: see `Interrupted`."""

    def __init__(
        self,
        nodes: Mapping[str, Node],
        lose: Callable[[Step, str, int], bool] = lambda *_: False,
        die: tuple[Step, int, int] | None = None,
        alter: Callable[[Step, str, int, bytes, bytes], bytes] = lambda _s, _n, _r, _request, reply: reply,
    ) -> None:
        self.nodes, self.lose, self.die, self.alter = nodes, lose, die, alter
        self.seen: list[tuple[int, Step, str, bytes]] = []

    @property
    def messages_pushed(self) -> int:
        return len(self.seen)

    def exchange(
        self, requests: Mapping[str, bytes], timeout_s: float, on_reply: OnReply | None = None
    ) -> dict[str, bytes | Lost]:
        outcomes: dict[str, bytes | Lost] = {}
        for count, (name, request) in enumerate(requests.items()):
            header = parse_frame(request).header
            step, number = Step(header["step"]), header["round"]
            if self.die == (step, number, count):
                raise Interrupted
            self.seen.append((number, step, name, request))
            if self.lose(step, name, number):
                outcomes[name] = Lost("node.unreachable")
            else:
                outcomes[name] = self.alter(step, name, number, request, self.nodes[name].answer(request))
            if on_reply is not None:
                on_reply(name, outcomes[name])
        return outcomes

    def asked(self, step: Step, number: int) -> list[str]:
        return [name for each, found, name, _ in self.seen if (each, found) == (number, step)]


class Recorded:
    """Marks in a list of (round, state, step, department)."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, str, str]] = []
        self.announced: list[tuple[int, str, frozenset[str]]] = []

    def of(self, number: int) -> Any:
        outer, announced = self.rows, self.announced

        class Marks:
            def announce(self, step: Step, sizes: Mapping[str, int]) -> None:
                announced.append((number, step.value, frozenset(sizes)))

            def sent(self, step: Step, department: str, size_bytes: int) -> None:
                outer.append((number, "sent", step.value, department))

            def answered(self, step: Step, department: str, size_bytes: int) -> None:
                outer.append((number, "answered", step.value, department))

            def refused(self, step: Step, department: str, code: str) -> None:
                outer.append((number, code, step.value, department))

            def lost(self, step: Step, department: str, code: str) -> None:
                outer.append((number, code, step.value, department))

        return Marks()


class Line:
    """A grant, its nodes, and the coordinator's folder."""

    def __init__(self, folder: Path, parties: tuple[str, ...] = PARTIES, **changes: Any) -> None:
        self.folder, self.parties = folder, parties
        self.people = {name: PEOPLE[name] for name in parties}
        self.nodes = {name: Node(self, name) for name in parties}
        self.scheduling = generate_signing_key()
        self.grant = line_grant(self, **changes)
        self.signed = SignedGrant(grant=self.grant)

    def manifest(self, attempt: int = 1, parties: tuple[str, ...] | None = None) -> SignedManifest:
        offers = [
            KeyOffer(
                grant_hash=self.signed.grant_hash,
                run_id="run-1",
                attempt=attempt,
                department=name,
                sealing_key="11" * 64,
                mask_key="22" * 32,
                people=self.people[name],
                program_hash="ab" * 32,
            ).signed(self.nodes[name].identity)
            for name in parties or self.parties
        ]
        manifest = Manifest(
            grant_hash=self.signed.grant_hash,
            run_id="run-1",
            run_number=1,
            attempt=attempt,
            mode="line",
            created_at=1,
            expires_at=1000,
            offers=tuple(offers),
        )
        return sign_manifest(manifest, self.scheduling)

    def run(self, relay: LineRelay | None = None, attempt: int = 1, marks: Recorded | None = None) -> dict[str, Any]:
        relay, marks = relay or LineRelay(self.nodes), marks or Recorded()
        folder = RunFolder(self.folder, "run-1", attempt)
        self.offers = self.manifest(attempt)
        return LineRun(self.signed, self.offers, relay, folder, marks.of, 60).execute()

    def run_folder(self, attempt: int = 1) -> RunFolder:
        return RunFolder(self.folder, "run-1", attempt)

    def final(self, attempt: int = 1) -> Any:
        return np.frombuffer((self.run_folder(attempt).path / "model.bin").read_bytes(), "<f4")


def line_grant(line: Line, **changes: Any) -> LineGrant:
    """Return a grant; `changes` are of the training or the aggregation."""
    training = {
        "model": "perceptron",
        "model_version": 1,
        "model_hash": "cd" * 32,
        "placement": "local",
        "clip_norm_milli": 1000,
        "noise_multiplier_milli": 1000,
        "sample_rate_ppm": 10_000,
        "local_steps": 5,
        "rounds": 3,
        "delta_exponent": 6,
        "local_rate_micro": 100_000,
    }
    aggregation = {"min_survivors": 3, "update_range_milli": int(1000 * RANGE), "update_norm_milli": 10_000}
    for name, value in changes.items():
        (training if name in training or name == "honest_percent" else aggregation)[name] = value
    participants = [
        {
            "department": name,
            "region": name.partition("-")[0],
            "role": "lead" if name == line.parties[0] else "supporting",
            "dataset": "tax",
            "standard_version": 1,
            "standard_hash": "cd" * 32,
            "columns": ["income"],
            "operations": ["line"],
            "declared_people": 10_000,
            "tier": "general_2",
            "tier_version": 1,
            "tier_hash": load_tier("general_2").standard_hash(),
            "identity_key": signing_public_key(line.nodes[name].identity).hex(),
            "approval_key": signing_public_key(line.nodes[name].identity).hex(),
            "revocation_key": signing_public_key(line.nodes[name].identity).hex(),
        }
        for name in line.parties
    ]
    return LineGrant.model_validate(
        {
            "grant_id": "grant-1",
            "project_id": "line-1",
            "purpose": "social_assistance",
            "region": "usa",
            "not_before": 1,
            "expires_at": 1000,
            "program_hash": "ab" * 32,
            "runs_allowed": 2,
            "scheduler": {"department": line.parties[0], "key": signing_public_key(line.scheduling).hex()},
            "centre_key": "ef" * 32,
            "centre_revocation_key": "ee" * 32,
            "participants": participants,
            "target": "coverage",
            "label_period": "y2026",
            "training": training,
            "aggregation": aggregation,
        }
    )
