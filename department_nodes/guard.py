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
from department_nodes.grant_clauses import CLOCK_TOLERANCE_S, Site, verify_grant, verify_in_time, verify_not_revoked
from department_nodes.home import CENTRE
from policies.contracts.framing import parse_frame
from policies.contracts.grant import Grant, LineGrant, Operation, SignedGrant
from policies.contracts.grant_terms import Share
from policies.contracts.line_rounds import LARGEST_ROUND
from policies.contracts.manifest import Manifest, Mode, SignedManifest, verify_offers, verify_run_terms
from policies.contracts.run_windows import is_open
from policies.contracts.steps import LINE_STEPS, OPERATION_OF_STEP, Step

ROLE_OF_STEP: Mapping[Step, str] = {Step.RELEASE: "lead", Step.TRAIN: "supporting", Step.COMBINE: "lead"}
RUN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LARGEST_ATTEMPT = 10


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

    1. The grant, as `grant_clauses.verify_grant` says.
    2. The manifest: the scheduling key signed it, it belongs to this grant, run and attempt, it is in time, and now is within the
    grant's run windows.
    3. The run: its number and attempt are granted, its mode is granted, its participants are the grant's, and the revocation
    lists of all of them are recent; those of departments that the run leaves out may be seven times as old.
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

    if not is_open(grant.windows, now_s):
        raise DoudiError(
            "manifest.outside_window", "the grant allows no run at this time", "Restart the run within its windows."
        )

    verify_run_terms(grant, manifest)  # 3
    left_out = set(grant.departments) - set(manifest.departments)
    verify_not_revoked(grant_hash, grant.departments, (CENTRE, *manifest.departments), left_out, site, now_s)
    verify_offers(grant, manifest)  # 4

    step = unverified.step
    if me.department not in manifest.departments:
        raise DoudiError("manifest.not_a_participant", "this department is not named in the run's manifest")
    if (step in LINE_STEPS) != isinstance(grant, LineGrant):
        raise DoudiError("grant.wrong_kind", "the step belongs to another kind of grant")
    verify_operation(me, step, manifest.mode)  # 5
    terms, parts = unverified.terms, unverified.parts
    return Request(step, signed_grant, grant_hash, signed_manifest, me, unverified.round, terms, parts)


def verify_still_granted(request: Request, site: Site, now_s: int) -> None:
    """Raise unless grant and manifest hold to this moment, and nobody has revoked: asked again before a reply leaves."""
    grant, manifest = request.signed_grant.grant, request.manifest
    verify_in_time(grant, now_s)
    if now_s > manifest.expires_at:
        raise DoudiError(
            "manifest.expired", "the manifest expired during the step", "Have the scheduler sign a new one."
        )
    left_out = set(grant.departments) - set(manifest.departments)
    verify_not_revoked(request.grant_hash, grant.departments, (CENTRE, *manifest.departments), left_out, site, now_s)


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
