"""The scheduler's act at the lead's node: gather the departments' keys, verify them, sign the manifest."""

import time
from collections.abc import Callable
from typing import Any

from crypto.errors import DoudiError
from department_nodes.client import CoordinatorClient
from department_nodes.engine import NodeEngine
from department_nodes.guard import verify_grant
from department_nodes.home import NodeHome
from department_nodes.officers import make_manifest, record_schedule
from policies.contracts.base import malformed
from policies.contracts.grant import SignedGrant
from policies.contracts.manifest import KeyOffer, SignedManifest

POLL_S = 0.5


def schedule_run(
    home: NodeHome,
    client: CoordinatorClient,
    run_id: str,
    wait_s: float,
    partial: bool,
    on_waiting: Callable[..., None] = lambda **_: None,
) -> SignedManifest:
    """Return the manifest that was signed and handed in.

    Waits up to `wait_s` for the keys of every department of the grant. Raises `run.keys_missing` when some are missing then and
    `partial` is not set; a sum-only run always needs everyone.
    """
    engine = NodeEngine(home)
    run = client.get(f"/v1/runs/{run_id}")
    signed = _own_grant(client, run)
    verify_grant(signed, engine.site(), int(time.time()))
    wanted = {participant.department for participant in signed.grant.participants}
    offers = _gather(client, run_id, run["attempt"], wanted, wait_s, on_waiting)
    missing = sorted(wanted - {offer.department for offer in offers})
    if missing and not (partial and run["mode"] == "evidence"):
        raise DoudiError(
            "run.keys_missing",
            f"no keys from {', '.join(missing)}",
            "See `doudi node status` at those departments; an evidence run may go on with --partial.",
        )
    manifest = make_manifest(home, signed, run, offers, run["mode"], int(time.time()))
    client.put_bytes(f"/v1/runs/{run_id}/manifest", manifest.to_bytes())
    record_schedule(engine, manifest.manifest, signed.grant.project_id)
    return manifest


def _own_grant(client: CoordinatorClient, run: dict[str, Any]) -> SignedGrant:
    path = f"/v1/projects/{run['project_id']}/grant?grant_hash={run['grant_hash']}"
    signed = SignedGrant.parse(client.get_bytes(path))
    if signed.grant_hash != run["grant_hash"]:
        raise DoudiError("grant.wrong_hash", "the coordinator delivered another grant than the run names")
    return signed


def _gather(
    client: CoordinatorClient,
    run_id: str,
    attempt: int,
    wanted: set[str],
    wait_s: float,
    on_waiting: Callable[..., None],
) -> list[KeyOffer]:
    deadline = time.monotonic() + wait_s
    shown = -1
    while True:
        answer = client.get(f"/v1/runs/{run_id}/offers")
        try:
            offers = [KeyOffer.model_validate(item) for item in answer["offers"]]
        except (KeyError, TypeError, ValueError):
            raise malformed("KeyOffer", "the coordinator's list of offers has the wrong form") from None
        current = [offer for offer in offers if offer.attempt == attempt and offer.department in wanted]
        if len(current) == len(wanted) or time.monotonic() > deadline:
            return current
        if len(current) != shown:
            shown = len(current)
            on_waiting(offered=shown, wanted=len(wanted))
        time.sleep(POLL_S)
