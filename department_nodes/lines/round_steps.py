"""One round of a line at a node: fresh keys, shares of them, the masked update, consent to the survivors, shares back.

Secure aggregation after Bonawitz et al. 2017 (double masking, signed consistency round). Who learns what. The coordinator: sums
over at least `min_survivors` departments; who dropped; sizes and times. The other departments: who takes part; sealed shares that
say nothing below the threshold, which is more than two thirds of the run's departments. Nobody: this department's update, unless
a third of the run's departments or more work with the coordinator, or all other survivors of a round do.

What a compromised coordinator could try, and what refuses it here:
- other keys for a peer: keys are signed by the identity key that the grant pins (`line.substituted_keys`);
- different rosters, members or models for different nodes: all three are in the masks' derivation, so the sum is noise, and in
  what every survivor signs (`line.bad_consent`);
- a live node declared dropped, or two sets of survivors: each node signs one set per round, more than two thirds must have signed
  the same one, and for each peer a node gives the share of its self mask or of its mask key, never both;
- an old message again: round and attempt are signed, and a round that was passed is refused (`line.round_passed`);
- the same round with other data: the first reply is stored and is the only one (`step.different_request`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crypto.canonical import canonical_json, parse_canonical
from crypto.envelope import open_envelope, seal_envelope
from crypto.errors import DoudiError
from crypto.masking import generate_mask_key, mask_public_key
from crypto.sealing import generate_sealing_key, sealing_public_key
from crypto.secure_aggregation import (
    commit_to_seed,
    generate_self_seed,
    mask_update,
    recovery_threshold,
    verify_mask_key,
)
from crypto.shamir import split_secret
from department_nodes.lines.order import round_value
from department_nodes.lines.training import LineTrainer
from department_nodes.steps.context import StepContext, StepResult, distinct_names
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
from policies.contracts.steps import Step

COORDINATOR = "coordinator"


def keys(context: StepContext) -> StepResult:
    """Make and sign fresh keys for the round."""
    mask_key, sealing_key = generate_mask_key(), generate_sealing_key()
    round_keys = RoundKeys(
        name=round_name(context),
        department=context.config.department,
        mask_key=mask_public_key(mask_key).hex(),
        sealing_key=sealing_public_key(sealing_key).hex(),
    ).signed(context.identity_private)
    result = StepResult()
    result.values[_value(context, "keys")] = canonical_json(
        {"mask": mask_key.hex(), "sealing": sealing_key.hex(), "public": round_keys.to_bytes().decode()}
    )
    result.send("keys", round_keys.to_bytes(), COORDINATOR, "keys of a line round", 1)
    return result


def shares(context: StepContext) -> StepResult:
    """Verify the roster's keys, split both secrets among the roster, and seal each member its shares."""
    name, me = round_name(context), context.config.department
    own = _stored(context, "keys")
    roster = _verified_roster(context, own["public"])
    digest = roster_digest(list(roster.values()))
    members = sorted(roster)
    seed = generate_self_seed()
    threshold = _threshold(context)
    seed_shares = split_secret(seed, threshold, len(members))
    mask_shares = split_secret(bytes.fromhex(own["mask"]), threshold, len(members))
    result = StepResult()
    own_shares: Shares | None = None
    for place, receiver in enumerate(members):
        document = Shares(
            roster=digest, self_seed_share=seed_shares[place].hex(), mask_key_share=mask_shares[place].hex()
        )
        if receiver == me:
            own_shares = document
            continue
        header = context.header(_shares_step(context), me, receiver, len(members))
        receiver_key = bytes.fromhex(roster[receiver].sealing_key)
        envelope = seal_envelope(header, document.to_bytes(), receiver_key, context.identity_private)
        result.send(f"shares/{receiver}", envelope, receiver, "shares of a line round", 1)
    commitment = commit_to_seed(seed, name.to_bytes() + bytes.fromhex(digest))
    result.send("commitment", commitment, COORDINATOR, "commitment to a line mask", 1)
    result.values[_value(context, "roster")] = canonical_json(
        {
            "seed": seed.hex(),
            "digest": digest,
            "masks": {member: roster[member].mask_key for member in members},
            "own": own_shares.to_bytes().decode() if own_shares is not None else "",
        }
    )
    return result


def update(context: StepContext, trainer: LineTrainer) -> StepResult:
    """Train on the released bits from the model that was sent out, and give the update under the round's masks."""
    model = context.request.part("model")
    if context.request.line.aggregation.method != "secure":
        trainer.prepare(context)
        plain = trainer.plain_update(context, model).astype("<f4").tobytes()
        result = StepResult()
        result.send("update", plain, COORDINATOR, "update of a line, unmasked", 1)
        return result
    me, roster = context.config.department, _stored(context, "roster")
    members = _members(context, roster["masks"])
    given = _open_shares(context, members, roster)
    binding = mask_context(round_name(context), roster["digest"], members, model_digest(model))
    values = trainer.integer_update(context, model)
    peers = {name: bytes.fromhex(roster["masks"][name]) for name in members if name != me}
    mask_private = bytes.fromhex(_stored(context, "keys")["mask"])
    masked = mask_update(values, me, mask_private, peers, bytes.fromhex(roster["seed"]), binding)
    # No seconds among the facts: how long a batch took would tell how many rows it had.
    result = StepResult()
    result.send("update", masked.astype("<u8").tobytes(), COORDINATOR, "masked update of a line", 1)
    result.values[_value(context, "members")] = canonical_json(
        {"members": members, "model": model_digest(model), "shares": given}
    )
    return result


def consent(context: StepContext) -> StepResult:
    """Sign the one set of survivors that this node will help to unmask in this round."""
    roster, joined = _stored(context, "roster"), _stored(context, "members")
    survivors = distinct_names(
        context.request.terms.get("survivors"), set(joined["members"]), "the request does not name the survivors"
    )
    _require_enough(context, len(survivors))
    if context.config.department not in survivors:
        raise DoudiError("line.left_out", "this department's own update is left out of the survivors")
    document = Survivors(
        name=round_name(context),
        roster=roster["digest"],
        members=tuple(joined["members"]),
        survivors=tuple(sorted(survivors)),
        model=joined["model"],
    )
    result = StepResult()
    result.values[_value(context, "survivors")] = document.to_bytes()
    signed = sign_survivors(document, context.config.department, context.identity_private)
    result.send("consent", signed.to_bytes(), COORDINATOR, "consent to the survivors", 1)
    return result


def unmask(context: StepContext) -> StepResult:
    """Give, for each survivor, the share of its self mask, and for each member that dropped, the share of its mask key."""
    joined = _stored(context, "members")
    survivors = Survivors.parse(context.value(_value(context, "survivors")))
    _verify_consents(context, survivors, _threshold(context))
    shares_of = {name: Shares.parse(text.encode()) for name, text in joined["shares"].items()}
    dropped = set(survivors.members) - set(survivors.survivors)
    document = Unmasking(
        survivors_digest=survivors.digest(),
        self_seed_shares={name: shares_of[name].self_seed_share for name in survivors.survivors},
        mask_key_shares={name: shares_of[name].mask_key_share for name in sorted(dropped)},
    )
    result = StepResult()
    result.send("unmask", document.to_bytes(), COORDINATOR, "shares that unmask a sum", len(survivors.members))
    # From here the round's secrets are of no use to anybody here: what is not kept cannot be asked for, or stolen.
    result.forget += [_value(context, kind) for kind in ("keys", "roster", "members", "survivors")]
    return result


def model(context: StepContext, trainer: LineTrainer) -> StepResult:
    """Keep the line's final model, and release what was reserved of the budget and not used."""
    result = StepResult()
    result.line_model = trainer.final_model(context, context.request.part("model"))
    return result


def round_name(context: StepContext) -> RoundName:
    """Return the name of the request's round."""
    manifest = context.request.manifest
    return RoundName(
        project_id=context.request.project_id,
        grant_hash=context.request.grant_hash,
        run_id=manifest.run_id,
        attempt=manifest.attempt,
        round=context.request.round,
    )


def _verified_roster(context: StepContext, own_public: str) -> dict[str, RoundKeys]:
    """Return the roster's keys by department: each signed for this round by its pinned identity, the own ones unchanged."""
    name, grant = round_name(context), context.request.line
    roster: dict[str, RoundKeys] = {}
    for part, data in context.request.parts.items():
        prefix, _, department = part.partition("/")
        if prefix != "keys":
            continue
        if department not in context.request.manifest.departments:
            raise DoudiError("line.unknown_member", "the roster names a department that is not in this run")
        found = RoundKeys.parse(data)
        found.verify(name, department, grant.share(department).identity_key)
        # Refused now, and not after the training was paid for.
        verify_mask_key(bytes.fromhex(found.mask_key))
        roster[department] = found
    if roster.get(context.config.department) != RoundKeys.parse(own_public.encode()):
        raise DoudiError("line.substituted_keys", "the roster does not hold this department's own keys")
    if len({keys.mask_key for keys in roster.values()}) != len(roster):
        raise DoudiError("line.substituted_keys", "two departments have the same mask key")
    _require_enough(context, len(roster))
    return roster


def _members(context: StepContext, masks: Mapping[str, str]) -> list[str]:
    members = distinct_names(
        context.request.terms.get("members"), set(masks), "the request does not name the round's members"
    )
    if context.config.department not in members:
        raise DoudiError("line.left_out", "this department is left out of the round's members")
    _require_enough(context, len(members))
    return sorted(members)


def _require_enough(context: StepContext, count: int) -> None:
    """Raise `line.too_few_survivors` when a sum would cover too few, or too few of the run's departments agree on it."""
    minimum = max(context.request.line.aggregation.min_survivors, context.config.policy.min_line_parties)
    needed = max(minimum, _threshold(context))
    if count < needed:
        raise DoudiError("line.too_few_survivors", f"fewer than {needed} departments are left in the round")


def _threshold(context: StepContext) -> int:
    """Return how many shares open a secret, and how many must agree: more than two thirds of the *run's* departments.

    Of the signed manifest's, never of a roster's: the coordinator chooses the roster, and with a small one a few colluding
    departments could be two thirds of it.
    """
    return recovery_threshold(len(context.request.manifest.departments))


def _open_shares(context: StepContext, members: Sequence[str], roster: Mapping[str, Any]) -> dict[str, str]:
    """Return the shares that this node holds of every member, the own ones included, as canonical JSON."""
    me = context.config.department
    private = bytes.fromhex(_stored(context, "keys")["sealing"])
    given = {me: str(roster["own"])}
    for sender in members:
        if sender == me:
            continue
        header = context.header(_shares_step(context), sender, me, len(roster["masks"]))
        sender_key = bytes.fromhex(context.request.line.share(sender).identity_key)
        data = open_envelope(context.request.part(f"shares/{sender}"), header, private, sender_key)
        if Shares.parse(data).roster != roster["digest"]:
            raise DoudiError(
                "line.other_roster", f"{sender} was shown another roster", "Stop the run and ask the centre."
            )
        given[sender] = data.decode()
    return given


def _verify_consents(context: StepContext, survivors: Survivors, threshold: int) -> None:
    consents = 0
    for part, data in context.request.parts.items():
        prefix, _, department = part.partition("/")
        if prefix != "consent":
            continue
        if department not in survivors.survivors:
            raise DoudiError("line.bad_consent", "a consent comes from a department that is not among the survivors")
        verify_consent(Consent.parse(data), survivors, department, context.request.line.share(department).identity_key)
        consents += 1
    if consents < threshold:
        raise DoudiError("line.too_few_consents", f"fewer than {threshold} survivors signed the same set")


def _shares_step(context: StepContext) -> str:
    return f"{Step.LINE_SHARES.value}-{context.request.round}"


def _value(context: StepContext, kind: str) -> str:
    return round_value(context.request.round, kind)


def _stored(context: StepContext, kind: str) -> Any:
    return parse_canonical(context.value(_value(context, kind)))


def answer_line_step(context: StepContext, trainer: LineTrainer) -> StepResult:
    """Return the result of the request's step. The budget is reserved at the first contact, before a key is made."""
    match context.request.step:
        case Step.LINE_KEYS:
            trainer.prepare(context)
            return keys(context)
        case Step.LINE_SHARES:
            return shares(context)
        case Step.LINE_UPDATE:
            return update(context, trainer)
        case Step.LINE_CONSENT:
            return consent(context)
        case Step.LINE_UNMASK:
            return unmask(context)
        case _:
            return model(context, trainer)
