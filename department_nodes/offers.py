"""Fresh keys for one attempt of one run: made, stored and signed by the node before it shows them to anybody.

Before it offers keys the node has verified the grant and its own extract, so that a fault stops the run before anything leaves.
"""

from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from crypto.masking import generate_mask_key, mask_public_key
from crypto.sealing import generate_sealing_key, sealing_public_key
from department_nodes.ended_grants import require_not_ended
from department_nodes.engine import NodeEngine
from department_nodes.grant_clauses import verify_grant
from department_nodes.guard import LARGEST_ATTEMPT, RUN_NAME
from department_nodes.home import IDENTITY_KEY
from department_nodes.program import program_hash
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import GrantRow, RunKeyRow
from department_nodes.store.session import transaction
from policies.contracts.grant import SignedGrant
from policies.contracts.manifest import KeyOffer


def make_offer(engine: NodeEngine, signed: SignedGrant, run_id: str, attempt: int) -> KeyOffer:
    """Return this node's signed offer for an attempt: the stored one if there is one, else a new one, durable on return.

    Raises the guard's codes, `offer.bad_run`, `extract.faults`, or `offer.list_too_long`.
    """
    if not RUN_NAME.fullmatch(run_id) or not 1 <= attempt <= LARGEST_ATTEMPT:
        # Both come from the coordinator's list of runs.
        raise DoudiError("offer.bad_run", "the run's name or attempt has the wrong form")
    now_s = int(engine.clock())
    config = engine.home.config
    me = verify_grant(signed, engine.site(), now_s)
    extract = engine.extract.load()
    if extract.people > me.declared_people:
        raise DoudiError(
            "offer.list_too_long", "the extract has more people than the grant declares", "Ask for a wider grant."
        )
    project_id, grant_hash = signed.grant.project_id, signed.grant_hash
    with transaction(engine.db) as session:
        joined = engine.vault.join(session, project_id, now_s)
        require_not_ended(session, grant_hash)
        existing = session.get(RunKeyRow, (run_id, attempt))
        if existing is not None:
            if existing.grant_hash != grant_hash:
                raise DoudiError("offer.other_grant", "this run had keys under another grant")
            return KeyOffer.parse(existing.offer)
        if session.get(GrantRow, grant_hash) is None:
            session.add(
                GrantRow(grant_hash=grant_hash, project_id=project_id, document=signed.to_bytes(), first_seen_at=now_s)
            )
            session.flush()
        sealing, mask = generate_sealing_key(), generate_mask_key()
        offer = KeyOffer(
            grant_hash=grant_hash,
            run_id=run_id,
            attempt=attempt,
            department=config.department,
            sealing_key=sealing_public_key(sealing).hex(),
            mask_key=mask_public_key(mask).hex(),
            people=extract.people,
            program_hash=program_hash(),
        ).signed(engine.home.key(IDENTITY_KEY))
        secrets = canonical_json({"sealing": sealing.hex(), "mask": mask.hex()})
        sealed = engine.vault.seal(session, project_id, f"run-keys|{run_id}|{attempt}", secrets)
        session.add(
            RunKeyRow(
                run_id=run_id,
                attempt=attempt,
                grant_hash=grant_hash,
                sealed=sealed,
                offer=offer.to_bytes(),
                created_at=now_s,
            )
        )
        if joined:
            record(session, Event(EventType.PROJECT_JOINED, now_s, project_id=project_id, grant_hash=grant_hash))
        record(
            session,
            Event(
                EventType.KEYS_OFFERED,
                now_s,
                project_id=project_id,
                run_id=run_id,
                attempt=attempt,
                grant_hash=grant_hash,
                counts={"people": extract.people},
            ),
        )
        return offer
