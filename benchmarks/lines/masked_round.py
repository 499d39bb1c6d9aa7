"""What one masked round of a line costs: all computation of all nodes and of the coordinator, and the bytes sent up.

`python -m benchmarks.lines.masked_round` prints the figures as JSON. Everything runs in one process on one thread, with
the nodes' real functions and documents, one after the other: training, Flower, TLS and storage are left out. One node
is lost after it computed its masked update, so its work counts and its masks have to be removed.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from crypto import sealing, signing
from crypto.envelope import EnvelopeHeader, open_envelope, seal_envelope
from crypto.fixed_point import decode_sum, encode
from crypto.masking import generate_mask_key, mask_public_key
from crypto.secure_aggregation import (
    commit_to_seed,
    generate_self_seed,
    mask_update,
    recovery_threshold,
    unmask_sum,
    verify_seed,
)
from crypto.shamir import combine_shares, split_secret
from policies.contracts.line_grant import FRACTION_BITS
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

REPEATS = 5
LARGEST = 1.0
NAME = RoundName(project_id="benchmark", grant_hash="ab" * 32, run_id="run-1", attempt=1, round=1)
MODEL = model_digest(b"")


@dataclass
class _Clock:
    """Seconds by part of the round."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - started


@dataclass
class _Node:
    """What one node holds during the round, and how many bytes it sent up."""

    name: str
    weight: int
    values: npt.NDArray[np.float32]
    identity: bytes = field(default_factory=signing.generate_signing_key)
    mask_private: bytes = b""
    sealing_private: bytes = b""
    seed: bytes = b""
    shares: dict[str, Shares] = field(default_factory=dict)
    sent_bytes: int = 0

    def send(self, data: bytes) -> bytes:
        self.sent_bytes += len(data)
        return data


def measure(parameters: int = 1_000_000, nodes: int = 8) -> dict[str, Any]:
    """Return the figures of one round with one lost node, the fastest of five rounds: other work only slows it.

    `masked_round_s`: all nodes and the coordinator together, one thread. `masked_round_parts_s`: its parts.
    `masked_traffic_over_plain`: all bytes that a surviving node sends up in the round (keys, sealed shares, commitment,
    masked update, consent, unmasking shares; before Flower's framing), over 4 bytes for each parameter. A sum that is
    not the weighted mean of the survivors raises `RuntimeError`.
    """
    generator = np.random.default_rng(0)
    updates = [generator.normal(0, 0.01, parameters).astype(np.float32) for _ in range(nodes)]
    best: dict[str, float] = {}
    sent_bytes = 0
    for _ in range(REPEATS):
        parties = [_Node(f"region-{at:02}", 20_000 + 1_000 * at, update) for at, update in enumerate(updates)]
        clock = _Clock()
        mean = _hold_round(parties, clock)
        _require_mean(mean, parties[:-1])
        sent_bytes = max(node.sent_bytes for node in parties[:-1])
        if not best or sum(clock.seconds.values()) < sum(best.values()):
            best = clock.seconds
    return {
        "masked_round_s": round(sum(best.values()), 4),
        "masked_round_parts_s": {name: round(seconds, 4) for name, seconds in best.items()},
        "masked_round_parameters": parameters,
        "masked_round_nodes": nodes,
        "masked_round_lost_nodes": 1,
        "masked_round_sent_bytes_per_node": sent_bytes,
        "masked_traffic_over_plain": round(sent_bytes / (4 * parameters), 5),
    }


def _hold_round(nodes: list[_Node], clock: _Clock) -> npt.NDArray[np.float64]:
    identities = {node.name: signing.signing_public_key(node.identity) for node in nodes}
    names = sorted(identities)
    threshold = recovery_threshold(len(names))

    with clock.part("keys"):
        keys = {node.name: _send_keys(node) for node in nodes}

    with clock.part("shares"):
        sealed: dict[tuple[str, str], bytes] = {}
        commitments = {}
        for node in nodes:
            roster = _verify_roster(keys, identities)
            digest = roster_digest(list(roster.values()))
            commitments[node.name] = _send_shares(node, roster, digest, threshold, sealed)
    binding = mask_context(NAME, digest, names, MODEL)
    public = {name: bytes.fromhex(found.mask_key) for name, found in roster.items()}

    with clock.part("open_shares"):
        for node in nodes:
            _open_shares(node, names, digest, sealed, identities)

    received: dict[str, bytes] = {}
    for node in nodes:
        with clock.part("encode"):
            encoded = encode(node.values, LARGEST, FRACTION_BITS, node.weight)
        with clock.part("mask"):
            peers = {name: key for name, key in public.items() if name != node.name}
            masked = mask_update(encoded, node.name, node.mask_private, peers, node.seed, binding)
            received[node.name] = node.send(masked.astype("<u8", copy=False).tobytes())
    lost = received.popitem()[0]

    survivors = Survivors(
        name=NAME, roster=digest, members=tuple(names), survivors=tuple(sorted(received)), model=MODEL
    )
    stayed = [node for node in nodes if node.name != lost]
    with clock.part("consent"):
        consents = {
            node.name: node.send(sign_survivors(survivors, node.name, node.identity).to_bytes()) for node in stayed
        }
        for _ in stayed:
            for name, data in consents.items():
                verify_consent(Consent.parse(data), survivors, name, identities[name].hex())

    with clock.part("recover"):
        answers = [Unmasking.parse(_send_unmasking(node, survivors)) for node in stayed]
        seeds = {}
        for name in received:
            shares = [bytes.fromhex(answer.self_seed_shares[name]) for answer in answers]
            seeds[name] = combine_shares(shares, threshold)
            verify_seed(seeds[name], commitments[name], _commitment_context(digest))
        key_shares = [bytes.fromhex(answer.mask_key_shares[lost]) for answer in answers]
        dropped = {lost: combine_shares(key_shares, threshold)}

    with clock.part("unmask"):
        vectors = {name: np.frombuffer(data, dtype="<u8") for name, data in received.items()}
        total = unmask_sum(vectors, public, seeds, dropped, 3, binding)

    with clock.part("decode"):
        return decode_sum(total, sum(node.weight for node in stayed), LARGEST, FRACTION_BITS)


def _send_keys(node: _Node) -> bytes:
    node.mask_private, node.sealing_private = generate_mask_key(), sealing.generate_sealing_key()
    keys = RoundKeys(
        name=NAME,
        department=node.name,
        mask_key=mask_public_key(node.mask_private).hex(),
        sealing_key=sealing.sealing_public_key(node.sealing_private).hex(),
    )
    return node.send(keys.signed(node.identity).to_bytes())


def _verify_roster(keys: Mapping[str, bytes], identities: Mapping[str, bytes]) -> dict[str, RoundKeys]:
    roster = {name: RoundKeys.parse(data) for name, data in keys.items()}
    for name, found in roster.items():
        found.verify(NAME, name, identities[name].hex())
    return roster


def _send_shares(
    node: _Node, roster: Mapping[str, RoundKeys], digest: str, threshold: int, sealed: dict[tuple[str, str], bytes]
) -> bytes:
    """Put the envelopes under (sender, receiver), and return the commitment to the seed."""
    node.seed = generate_self_seed()
    seed_shares = split_secret(node.seed, threshold, len(roster))
    key_shares = split_secret(node.mask_private, threshold, len(roster))
    for place, receiver in enumerate(sorted(roster)):
        shares = Shares(roster=digest, self_seed_share=seed_shares[place].hex(), mask_key_share=key_shares[place].hex())
        if receiver == node.name:
            node.shares[receiver] = shares
            continue
        header = _header(node.name, receiver, len(roster))
        receiver_key = bytes.fromhex(roster[receiver].sealing_key)
        envelope = seal_envelope(header, shares.to_bytes(), receiver_key, node.identity)
        sealed[node.name, receiver] = node.send(envelope)
    return node.send(commit_to_seed(node.seed, _commitment_context(digest)))


def _open_shares(
    node: _Node,
    names: list[str],
    digest: str,
    sealed: Mapping[tuple[str, str], bytes],
    identities: Mapping[str, bytes],
) -> None:
    for sender in names:
        if sender == node.name:
            continue
        header = _header(sender, node.name, len(names))
        data = open_envelope(sealed[sender, node.name], header, node.sealing_private, identities[sender])
        node.shares[sender] = Shares.parse(data)
        if node.shares[sender].roster != digest:
            raise RuntimeError("the shares belong to another roster")


def _send_unmasking(node: _Node, survivors: Survivors) -> bytes:
    dropped = set(survivors.members) - set(survivors.survivors)
    answer = Unmasking(
        survivors_digest=survivors.digest(),
        self_seed_shares={name: node.shares[name].self_seed_share for name in survivors.survivors},
        mask_key_shares={name: node.shares[name].mask_key_share for name in sorted(dropped)},
    )
    return node.send(answer.to_bytes())


def _header(sender: str, receiver: str, count: int) -> EnvelopeHeader:
    return EnvelopeHeader(NAME.grant_hash, NAME.run_id, NAME.attempt, "line_shares-1", sender, receiver, count)


def _commitment_context(digest: str) -> bytes:
    return NAME.to_bytes() + bytes.fromhex(digest)


def _require_mean(mean: npt.NDArray[np.float64], stayed: list[_Node]) -> None:
    weights = [node.weight for node in stayed]
    expected = np.average([node.values for node in stayed], axis=0, weights=weights)
    if float(np.abs(mean - expected).max()) > 2.0**-FRACTION_BITS:
        raise RuntimeError("the masked round did not give the weighted mean of the survivors")


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
