"""What stands between a request and the department's data: grant, manifest and site policy, checked offline at every step.

The coordinator delivers grants and manifests but is trusted for neither: signatures are verified with the keys that this
department has pinned in its own list. Anything that is not named in the grant is refused with a code. Pure: no database, no
clock.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto.errors import DoudiError
from department_nodes.config import NodeConfig
from department_nodes.home import Trust
from department_nodes.lines.clauses import verify_line_clauses
from policies.contracts.framing import parse_frame
from policies.contracts.grant import Grant, LineGrant, Operation, SignedGrant, verify_grant_signatures
from policies.contracts.grant_terms import Share
from policies.contracts.line_rounds import LARGEST_ROUND
from policies.contracts.manifest import Manifest, Mode, SignedManifest, verify_offers, verify_run_terms
from policies.contracts.steps import LINE_STEPS, OPERATION_OF_STEP, Step
from policies.standards.loader import load_dataset_standard

ROLE_OF_STEP: Mapping[Step, str] = {Step.RELEASE: "lead", Step.TRAIN: "supporting", Step.COMBINE: "lead"}
CLOCK_TOLERANCE_S = 60
RUN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LARGEST_ATTEMPT = 10


@dataclass(frozen=True)
class Site:
    """What the guard compares a grant with: all of it is the department's own."""

    config: NodeConfig
    trust: Trust
    program_hash: str
    identity_key: str
    approval_key: str
    scheduling_key: str


@dataclass(frozen=True)
class Request:
    """A request that has passed the guard."""

    step: Step
    signed_grant: SignedGrant
    grant_hash: str
    signed_manifest: SignedManifest
    me: Share
    round: int
    terms: Mapping[str, Any]
    parts: Mapping[str, bytes]

    @property
    def project_id(self) -> str:
        """The grant's project."""
        return self.signed_grant.grant.project_id

    @property
    def grant(self) -> Grant:
        """The verified grant of a region. Raises `grant.wrong_kind` in a line."""
        return self.signed_grant.region_grant

    @property
    def line(self) -> LineGrant:
        """The verified grant of a line. Raises `grant.wrong_kind` in the main job."""
        return self.signed_grant.line_grant

    @property
    def manifest(self) -> Manifest:
        """The verified manifest."""
        return self.signed_manifest.manifest

    @property
    def mode(self) -> Mode:
        """The run's mode."""
        return self.manifest.mode

    def part(self, name: str) -> bytes:
        """Return a part of the request. Raises `request.part_missing`."""
        if name not in self.parts:
            raise DoudiError("request.part_missing", f"the request has no part {name}")
        return self.parts[name]


@dataclass(frozen=True)
class UnverifiedRequest:
    """The fields by which a request names its run; nothing of it is verified."""

    step: Step
    run_id: str
    attempt: int
    round: int
    terms: Mapping[str, Any]
    parts: Mapping[str, bytes]


def parse_request(data: bytes) -> UnverifiedRequest:
    """Return the fields of an untrusted request. Raises `frame.malformed` or `request.malformed`."""
    frame = parse_frame(data)
    header = frame.header
    step, run_id, attempt, terms = (header.get(field) for field in ("step", "run_id", "attempt", "terms"))
    round_number = header.get("round")
    if (
        header.get("kind") != "request"
        or not isinstance(step, str)
        or step not in set(Step)
        or not isinstance(run_id, str)
        or not RUN_NAME.fullmatch(run_id)
        or not isinstance(attempt, int)
        or isinstance(attempt, bool)
        or not 1 <= attempt <= LARGEST_ATTEMPT
        or not isinstance(round_number, int)
        or isinstance(round_number, bool)
        or not (1 <= round_number <= LARGEST_ROUND if step in LINE_STEPS else round_number == 0)
        or not isinstance(terms, dict)
        or not {"grant", "manifest"} <= set(frame.parts)
    ):
        raise DoudiError("request.malformed", "the request has the wrong form")
    return UnverifiedRequest(Step(step), run_id, attempt, round_number, terms, frame.parts)


def verify_request(unverified: UnverifiedRequest, site: Site, now_s: int) -> Request:
    """Return the request, verified against grant, manifest and site policy; raises the code of the first clause that fails.

    1. The grant, as `verify_grant` says.
    2. The manifest: the scheduling key signed it, it belongs to this grant, run and attempt, and it is in time.
    3. The run: its number and attempt are granted, its mode is granted, its participants are the grant's.
    4. The offers: each is signed by the identity key that the grant pins, none is longer than declared or of another program.
    5. The step: this department's role and the granted operations allow it.
    """
    signed_grant = SignedGrant.parse(unverified.parts["grant"])
    me = verify_grant(signed_grant, site, now_s)  # 1
    grant, grant_hash = signed_grant.grant, signed_grant.grant_hash

    signed_manifest = SignedManifest.parse(unverified.parts["manifest"])
    manifest = signed_manifest.manifest
    signed_manifest.verify(grant.scheduler.key)  # 2
    if manifest.grant_hash != grant_hash:
        raise DoudiError("manifest.wrong_grant", "the manifest belongs to another grant")
    if (manifest.run_id, manifest.attempt) != (unverified.run_id, unverified.attempt):
        raise DoudiError("manifest.wrong_run", "the manifest belongs to another run or attempt")
    if not manifest.created_at - CLOCK_TOLERANCE_S <= now_s <= manifest.expires_at:
        raise DoudiError("manifest.expired", "the manifest is not valid now", "Have the scheduler sign a new one.")

    verify_run_terms(grant, manifest)  # 3
    verify_offers(grant, manifest)  # 4

    step = unverified.step
    if me.department not in manifest.departments:
        raise DoudiError("manifest.not_a_participant", "this department is not named in the run's manifest")
    if (step in LINE_STEPS) != isinstance(grant, LineGrant):
        raise DoudiError("grant.wrong_kind", "the step belongs to another kind of grant")
    verify_operation(me, step, manifest.mode)  # 5
    terms, parts = unverified.terms, unverified.parts
    return Request(step, signed_grant, grant_hash, signed_manifest, me, unverified.round, terms, parts)


def verify_grant(signed: SignedGrant, site: Site, now_s: int) -> Share:
    """Return this department's share of a grant; raises the code of the first clause that fails.

    1. Every required party signed. 2. The keys are those that this department pinned, and its own are its own.
    3. It is in time. 4. It names the program that is installed here. 5. The asset, its data standard and its columns are this
    node's. 6. The site policy allows it.
    """
    verify_grant_signatures(signed)  # 1
    return verify_grant_terms(signed.grant, site, now_s)


def verify_grant_terms(grant: Grant | LineGrant, site: Site, now_s: int) -> Share:
    """Check clauses 2 to 6 of `verify_grant`: what an officer wants to know before signing."""
    config = site.config
    me = grant.share(config.department)
    if me.identity_key != site.identity_key or me.approval_key != site.approval_key:  # 2
        raise DoudiError(
            "grant.wrong_key",
            "the grant names other keys for this department than its own",
            "Give the lead this node's present card and ask for a new draft.",
        )
    if site.trust.centre is None or site.trust.centre.approval_key != grant.centre_key:
        raise DoudiError(
            "grant.untrusted_key",
            "the centre's key is not the one that this department pinned",
            "Compare fingerprints with the centre, then `doudi node trust`.",
        )
    for participant in grant.shares:
        if participant.department == config.department:
            continue
        card = site.trust.department(participant.department)
        if (card.identity_key, card.approval_key) != (participant.identity_key, participant.approval_key):
            raise DoudiError(
                "grant.untrusted_key",
                f"the keys of {participant.department} are not the ones that this department pinned",
                "Compare fingerprints with that department before you trust its new card.",
            )
    _verify_scheduler(grant, site)
    if now_s < grant.not_before - CLOCK_TOLERANCE_S:  # 3
        raise DoudiError("grant.not_yet_valid", "the grant is not valid yet", "Wait for its first day.")
    if now_s > grant.expires_at:
        raise DoudiError("grant.expired", "the grant has expired", "Ask for a new grant.")
    if grant.program_hash != site.program_hash:  # 4
        raise DoudiError(
            "grant.wrong_program",
            "the grant names another program than the one installed here",
            "Install that version.",
        )
    standard = load_dataset_standard(config.dataset, config.standard_version)  # 5
    if (me.dataset, me.standard_version, me.standard_hash) != (
        config.dataset,
        config.standard_version,
        standard.standard_hash(),
    ):
        raise DoudiError(
            "grant.wrong_standard",
            "the grant names another data standard than this node's",
            "Install the standard that the grant names, or ask for a new draft.",
        )
    unknown = set(me.columns) - set(standard.feature_names)
    if unknown or set(me.columns) & set(config.policy.excluded_columns):
        raise DoudiError(
            "grant.column_not_allowed",
            "the grant names a column that this department does not give",
            "See excluded_columns in node.toml.",
        )
    if isinstance(grant, LineGrant):
        verify_line_clauses(grant, config, {card.department: card for card in site.trust.departments})  # 5, 6
        return me
    outcomes = {column.name for column in standard.columns if column.role == "outcome"}
    if me.role == "lead" and grant.label.target not in outcomes:
        raise DoudiError(
            "grant.unknown_target",
            "the lead's data standard has no such outcome",
            f"It has: {', '.join(outcomes) or '–'}.",
        )
    _verify_site_policy(grant, me, site)  # 6
    return me


def _verify_scheduler(grant: Grant | LineGrant, site: Site) -> None:
    """The scheduling key must be pinned too: it alone can start runs."""
    name = grant.scheduler.department
    own = name == site.config.department
    pinned = site.scheduling_key if own else site.trust.department(name).scheduling_key
    if pinned != grant.scheduler.key:
        raise DoudiError("grant.untrusted_key", "the scheduling key is not the one that this department pinned")


def _verify_site_policy(grant: Grant, me: Share, site: Site) -> None:
    policy = site.config.policy
    refusals = [
        (grant.region != site.config.region, "policy.region", "the grant is for another region"),
        (
            grant.label.epsilon_milli > policy.max_epsilon_milli,
            "policy.epsilon",
            "the grant's ε is above the site's cap",
        ),
        (
            grant.linkage.min_key_holders < policy.min_key_holders,
            "policy.min_key_holders",
            "the grant accepts fewer key holders than the site does",
        ),
        (
            len(grant.participants) < policy.min_declared_parties,
            "policy.parties",
            "the grant has fewer parties than the site asks for",
        ),
        (grant.evidence.levels > policy.max_levels, "policy.levels", "the grant asks for more evidence levels"),
        (
            grant.evidence.bits_per_person_and_year > policy.max_evidence_bits_per_person_and_year,
            "policy.evidence_bits",
            "the grant's yearly evidence is above the site's cap",
        ),
        (
            Operation.EVIDENCE in me.operations and not policy.allow_evidence,
            "policy.evidence",
            "the site does not give evidence",
        ),
        (
            Operation.SUM_ONLY in me.operations and not policy.allow_sum_only,
            "policy.sum_only",
            "the site takes no part in sums",
        ),
    ]
    for refused, code, message in refusals:
        if refused:
            raise DoudiError(code, message, "See [policy] in node.toml; only this department changes it.")


def verify_operation(me: Share, step: Step, mode: Mode) -> None:
    """Raise `grant.operation_not_granted` or `grant.wrong_role` unless this department may do this step in this mode."""
    role = ROLE_OF_STEP.get(step)
    if role is not None and me.role != role:
        raise DoudiError("grant.wrong_role", f"the step {step.value} is not this department's")
    needed = {OPERATION_OF_STEP[step]}
    if step is Step.TRAIN:
        needed |= {Operation.EVIDENCE} if mode in ("evidence", "both") else set()
        needed |= {Operation.SUM_ONLY} if mode in ("sum_only", "both") else set()
    if not needed <= set(me.operations):
        raise DoudiError("grant.operation_not_granted", f"the grant does not allow {step.value} here")
