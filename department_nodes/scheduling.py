"""The scheduler's act at the lead's node: gather the departments' keys, verify them, sign the manifest."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from command_line.documents import write_atomically
from crypto.errors import DoudiError
from department_nodes.acts import act_key
from department_nodes.client import CoordinatorClient
from department_nodes.engine import NodeEngine
from department_nodes.grant_clauses import verify_grant
from department_nodes.home import NodeHome
from department_nodes.officers import make_manifest, record_schedule
from policies.contracts.base import Document, Hash, Slug, malformed
from policies.contracts.grant import SignedGrant
from policies.contracts.manifest import KeyOffer, Mode, SignedManifest

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
    run = recall_run(home, run_id)
    _require_same(run, client.get(f"/v1/runs/{run_id}"))
    stored = _manifest_file(home, run)
    if stored.is_file():
        # One manifest per attempt: signed again, two would be valid, and the coordinator could use either.
        manifest = SignedManifest.parse(stored.read_bytes())
        client.put_bytes(f"/v1/runs/{run_id}/manifest", manifest.to_bytes())
        return manifest
    signed = _own_grant(client, run)
    verify_grant(signed, engine.site(), int(time.time()))
    wanted = set(signed.grant.departments)
    offers = _gather(client, run_id, run.attempt, wanted, wait_s, on_waiting)
    missing = sorted(wanted - {offer.department for offer in offers})
    if missing and not (partial and run.mode in ("evidence", "line")):
        raise DoudiError(
            "run.keys_missing",
            f"no keys from {', '.join(missing)}",
            "See `doudi node status` at those departments; an evidence or line run may go on with --partial.",
        )
    manifest = make_manifest(home, signed, run.model_dump(), offers, run.mode, int(time.time()))
    write_atomically(stored, manifest.to_bytes())
    client.put_bytes(f"/v1/runs/{run_id}/manifest", manifest.to_bytes())
    record_schedule(engine, manifest.manifest, signed.grant.project_id)
    return manifest


class CreatedRun(Document):
    """What the scheduler's officer started: the manifest is signed for this, whatever the coordinator says later."""

    run_id: Slug
    project_id: Slug
    grant_hash: Hash
    run_number: Annotated[int, Field(ge=1)]
    attempt: Annotated[int, Field(ge=1, le=10)]
    mode: Mode


def create_run(home: NodeHome, client: CoordinatorClient, project_id: str, mode: str) -> CreatedRun:
    """Return a new run of the project's grant. Called again after its answer was lost, it returns that run and starts no other.

    Raises `run.not_as_asked`.
    """
    path, document = f"/v1/projects/{project_id}/runs", {"mode": mode}
    with act_key(_folder(home), path, document) as key:
        return remember_run(home, client.post(path, document, key), project_id, mode)


def restart_run(home: NodeHome, client: CoordinatorClient, run_id: str) -> CreatedRun:
    """Return the next attempt of a run that was created here; repeatable as `create_run`.

    Raises `run.not_created_here`, `run.not_as_asked`.
    """
    before = recall_run(home, run_id)
    path = f"/v1/runs/{run_id}/restart"
    with act_key(_folder(home), path, {}, before.attempt) as key:
        return remember_run(home, client.post(path, {}, key), before.project_id, before.mode)


def remember_run(
    home: NodeHome, answer: dict[str, Any], project_id: str | None = None, mode: str | None = None
) -> CreatedRun:
    """Store a run that this officer has just created or restarted, and return it.

    Raises `run.not_as_asked` when the coordinator created another run than was asked for.
    """
    try:
        run = CreatedRun.model_validate({name: answer[name] for name in CreatedRun.model_fields})
    except (KeyError, TypeError, ValidationError):
        raise malformed("CreatedRun", "the coordinator's answer has the wrong form") from None
    if (project_id or run.project_id, mode or run.mode) != (run.project_id, run.mode):
        raise DoudiError(
            "run.not_as_asked", "the coordinator created another run than was asked for", "Ask the centre."
        )
    write_atomically(_folder(home) / f"{run.run_id}.json", run.to_bytes())
    return run


def recall_run(home: NodeHome, run_id: str) -> CreatedRun:
    """Return a run that was created with this node's folder. Raises `run.not_created_here`."""
    path = _folder(home) / f"{Path(run_id).name}.json"
    if not path.is_file():
        raise DoudiError(
            "run.not_created_here",
            "this run was not created here",
            "Use `doudi node create-run` or `restart-run` first.",
        )
    return CreatedRun.parse(path.read_bytes())


def _require_same(run: CreatedRun, answer: Any) -> None:
    """Raise `run.not_as_asked` when the coordinator now tells another project, grant, number, attempt or mode."""
    told = {name: answer.get(name) for name in CreatedRun.model_fields} if isinstance(answer, dict) else {}
    if told != run.model_dump(mode="json"):
        raise DoudiError(
            "run.not_as_asked", "the coordinator tells another run than the one created here", "Ask the centre."
        )


def _folder(home: NodeHome) -> Path:
    return home.path / "scheduled"


def _manifest_file(home: NodeHome, run: CreatedRun) -> Path:
    return _folder(home) / f"{run.run_id}-{run.attempt}.manifest.json"


def _own_grant(client: CoordinatorClient, run: CreatedRun) -> SignedGrant:
    path = f"/v1/projects/{run.project_id}/grant?grant_hash={run.grant_hash}"
    signed = SignedGrant.parse(client.get_bytes(path))
    if signed.grant_hash != run.grant_hash:
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
        current = list(
            {item.department: item for item in offers if item.attempt == attempt and item.department in wanted}.values()
        )
        if len(current) == len(wanted) or time.monotonic() > deadline:
            return current
        if len(current) != shown:
            shown = len(current)
            on_waiting(offered=shown, wanted=len(wanted))
        time.sleep(POLL_S)
