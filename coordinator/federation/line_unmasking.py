"""From the survivors' shares to the sum of their updates: recovery of seeds and keys, checked against what was published. Pure.

A recovered self seed must be the one that its node committed to, a recovered mask key must belong to the public key of the
roster. Which of dealer and holder sent a wrong share cannot be told from here, so nobody is named for it.
"""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np

from coordinator.federation.line_strategy import Ring
from crypto.errors import CryptoError, DoudiError
from crypto.masking import mask_public_key
from crypto.secure_aggregation import unmask_sum, verify_seed
from crypto.shamir import combine_shares
from policies.contracts.line_rounds import RoundKeys, Survivors, Unmasking, mask_context

# With more shares than the threshold a few wrong ones are left out in turn: C(32, 2) + 32 + 1 sets at most.
MOST_SHARES_LEFT_OUT = 2


def sum_of_survivors(
    roster: Mapping[str, RoundKeys],
    survivors: Survivors,
    commitments: Mapping[str, bytes],
    unmaskings: Mapping[str, Unmasking],
    masked: Mapping[str, Ring],
    threshold: int,
    minimum: int,
) -> Ring:
    """Return the sum of the survivors' vectors mod 2^64, uint64 [parameters].

    `unmaskings`: by the department that gave them, about these survivors. Raises `line.bad_share` when a secret cannot be
    recovered, or a code of `crypto.secure_aggregation`; nothing of a single vector is known then.
    """
    places = {name: place for place, name in enumerate(sorted(roster), start=1)}
    context = survivors.name.to_bytes() + bytes.fromhex(survivors.roster)
    seeds: dict[str, bytes] = {}
    for dealer in survivors.survivors:
        shares = _shares(places, {giver: found.self_seed_shares[dealer] for giver, found in unmaskings.items()})
        commitment = commitments[dealer]

        def verify(secret: bytes, commitment: bytes = commitment) -> None:
            verify_seed(secret, commitment, context)

        seeds[dealer] = recover_secret(shares, threshold, verify)
    privates: dict[str, bytes] = {}
    for dealer in sorted(set(survivors.members) - set(survivors.survivors)):
        shares = _shares(places, {giver: found.mask_key_shares[dealer] for giver, found in unmaskings.items()})
        public = bytes.fromhex(roster[dealer].mask_key)

        def belongs(secret: bytes, public: bytes = public) -> None:
            if mask_public_key(secret) != public:
                raise _bad_share()

        privates[dealer] = recover_secret(shares, threshold, belongs)
    keys = {name: bytes.fromhex(roster[name].mask_key) for name in survivors.members}
    binding = mask_context(survivors.name, survivors.roster, survivors.members, survivors.model)
    return unmask_sum(masked, keys, seeds, privates, minimum, binding)


def recover_secret(shares: Mapping[str, bytes], threshold: int, verify: Callable[[bytes], None]) -> bytes:
    """Return the secret that `verify` accepts, from the shares by holder; up to two wrong ones among spare ones do no harm.

    Raises `line.bad_share`.
    """
    holders = sorted(shares)
    for left_out in range(min(MOST_SHARES_LEFT_OUT, len(holders) - threshold) + 1):
        for without in combinations(holders, left_out):
            chosen = [shares[holder] for holder in holders if holder not in without]
            try:
                secret = combine_shares(chosen, threshold)
                verify(secret)
            except DoudiError:
                continue
            return secret
    raise _bad_share()


def parse_masked(data: bytes) -> Ring:
    """Return a masked vector, uint64 [parameters]. Raises `reply.wrong_length`."""
    if not data or len(data) % 8:
        raise DoudiError("reply.wrong_length", "a masked update is not a vector of 64-bit integers")
    return np.frombuffer(data, "<u8").astype(np.uint64)


def _shares(places: Mapping[str, int], given: Mapping[str, str]) -> dict[str, bytes]:
    """Return the shares that stand at their holders' own places: the number of a place is the second byte of a share."""
    shares = {giver: bytes.fromhex(text) for giver, text in given.items()}
    return {giver: share for giver, share in shares.items() if share[1:2] == bytes([places[giver]])}


def _bad_share() -> CryptoError:
    return CryptoError(
        "line.bad_share",
        "a secret of the round cannot be recovered from its shares; which side sent a wrong one cannot be told",
        "The next round starts with fresh keys. If it happens again, look for the department that is in all such rounds.",
    )
