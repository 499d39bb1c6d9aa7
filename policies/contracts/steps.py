"""The steps of runs, who takes part in each, and the form of requests and replies.

A run of a region (the main job) has six steps:

| step | asked | parts of the request | parts of the reply |
| --- | --- | --- | --- |
| blind | all | – | `blinded/<holder>`: the own list, shuffled and blinded, sealed to each other key holder |
| evaluate | all | `blinded/<owner>` | `evaluated/<owner>`: that list, multiplied by the own scalar, sealed to its owner |
| finish | all | `evaluated/<holder>` | `pseudonyms`: the own pseudonyms in byte order |
| release | lead | `union`: the pseudonyms of all slots | `cells`: bit and flag per slot; `cell-key/<department>`; `commitment` |
| train | supporting | `slots`, `cells`, `cell-key` of the own slots | `evidence`, `evidence-key`; `sum`, `sum-key` |
| combine | lead | `evidence/<department>`, `evidence-key/<department>`, `sum/…`, `sum-key/…` | `metrics` |

A run of a line has rounds of up to five steps, and one at its end (messages: `line_rounds`):

| step | asked | parts of the request | parts of the reply |
| --- | --- | --- | --- |
| line_keys | all | – | `keys`: fresh keys of this round, signed |
| line_shares | who gave keys | `keys/<department>` of all of them (the roster) | `shares/<department>`, sealed; `commitment` |
| line_update | whose shares came | `model`, `shares/<department>`; terms: members | `update`: masked, or plain where granted |
| line_consent | whose update came | terms: the survivors | `consent`: signature over the survivors |
| line_unmask | whose consent came | `consent/<department>` | `unmask`: one share for every member |
| line_model | all | `model`: the final one | – |

Without secure aggregation a round is `line_update` alone. Every request also carries the parts `grant` and `manifest`; every
reply is signed by the node. `round` is 0 in the main job, and from 1 in a line. May import crypto.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from crypto import signing
from crypto.errors import DoudiError
from policies.contracts.framing import Frame, frame_digest, pack_frame, parse_frame
from policies.contracts.grant import Operation, SignedGrant
from policies.contracts.manifest import SignedManifest

REPLY_SIGNATURE_DOMAIN = "step-reply"


class Step(StrEnum):
    """The steps of runs, in order."""

    BLIND = "blind"
    EVALUATE = "evaluate"
    FINISH = "finish"
    RELEASE = "release"
    TRAIN = "train"
    COMBINE = "combine"
    LINE_KEYS = "line_keys"
    LINE_SHARES = "line_shares"
    LINE_UPDATE = "line_update"
    LINE_CONSENT = "line_consent"
    LINE_UNMASK = "line_unmask"
    LINE_MODEL = "line_model"


LINE_STEPS = (Step.LINE_KEYS, Step.LINE_SHARES, Step.LINE_UPDATE, Step.LINE_CONSENT, Step.LINE_UNMASK, Step.LINE_MODEL)
REGION_STEPS = tuple(step for step in Step if step not in LINE_STEPS)

OPERATION_OF_STEP: Mapping[Step, Operation] = {
    Step.BLIND: Operation.LINK,
    Step.EVALUATE: Operation.LINK,
    Step.FINISH: Operation.LINK,
    Step.RELEASE: Operation.RELEASE,
    Step.TRAIN: Operation.TRAIN,
    Step.COMBINE: Operation.COMBINE,
    **dict.fromkeys(LINE_STEPS, Operation.LINE),
}


def pack_request(
    step: Step,
    grant: SignedGrant,
    manifest: SignedManifest,
    terms: Mapping[str, Any] | None = None,
    parts: Mapping[str, bytes] | None = None,
    round_number: int = 0,
) -> bytes:
    """Return the bytes of a request. `terms` are the step's own header fields, for example `holders`."""
    header = {
        "kind": "request",
        "step": step.value,
        "run_id": manifest.manifest.run_id,
        "attempt": manifest.manifest.attempt,
        "round": round_number,
        "terms": dict(terms or {}),
    }
    return pack_frame(
        Frame(header, {"grant": grant.to_bytes(), "manifest": manifest.to_bytes(), **(parts or {})}),
    )


def pack_reply(
    identity_private: bytes,
    request: bytes,
    step: str,
    department: str,
    facts: Mapping[str, Any] | None = None,
    parts: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return the bytes of a good reply, signed over the request's digest, the header and every part."""
    return _pack_signed(identity_private, request, step, department, "ok", "", facts, parts)


def pack_refusal(identity_private: bytes, request: bytes, step: str, department: str, code: str) -> bytes:
    """Return the bytes of a refusal: a code, and nothing else."""
    return _pack_signed(identity_private, request, step, department, "refused", code, None, None)


def _pack_signed(
    identity_private: bytes,
    request: bytes,
    step: str,
    department: str,
    status: str,
    code: str,
    facts: Mapping[str, Any] | None,
    parts: Mapping[str, bytes] | None,
) -> bytes:
    header = {
        "kind": "reply",
        "step": step,
        "department": department,
        "status": status,
        "code": code,
        "request_digest": frame_digest(request).hex(),
        "facts": dict(facts or {}),
    }
    body = pack_frame(Frame(header, dict(parts or {})))
    signature = signing.sign(identity_private, REPLY_SIGNATURE_DOMAIN, frame_digest(body))
    return signature + body


def open_reply(data: bytes, request: bytes, step: Step, department: str, identity_key: str) -> Frame:
    """Return the frame of a reply that this department signed for this request.

    Raises `reply.bad_signature` or `reply.wrong_request`; a refusal raises `DoudiError` with the node's code.
    """
    if len(data) < 64:
        raise DoudiError("reply.bad_signature", "the reply is too short")
    signature, body = data[:64], data[64:]
    try:
        signing.verify(bytes.fromhex(identity_key), REPLY_SIGNATURE_DOMAIN, frame_digest(body), signature)
    except DoudiError as error:
        raise DoudiError("reply.bad_signature", f"the reply is not signed by {department}") from error
    frame = parse_frame(body)
    header = frame.header
    expected = {"kind": "reply", "department": department, "request_digest": frame_digest(request).hex()}
    if any(header.get(field) != value for field, value in expected.items()) or header.get("step") != step.value:
        raise DoudiError("reply.wrong_request", f"the reply of {department} answers another request")
    if header.get("status") != "ok":
        code = header.get("code")
        raise NodeRefusal(str(code) if isinstance(code, str) and len(code) < 80 else "node.refused", department)
    return frame


class NodeRefusal(DoudiError):
    """A node said no; `code` is the node's."""

    def __init__(self, code: str, department: str) -> None:
        super().__init__(code, f"{department} refused the step", "See `doudi node status` at that department.")
        self.department = department
