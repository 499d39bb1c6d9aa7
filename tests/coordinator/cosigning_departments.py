"""The departments of a test's coordinator as witnesses of its log: named in the terms, cosigning what is published."""

from collections.abc import Sequence
from typing import Any

from coordinator_world import DEPARTMENTS, World, public

from coordinator.ledger.log_reader import checkpoint_note
from coordinator.ledger.terms_store import newest_terms, store_terms
from crypto.checkpoint import cosign
from policies.contracts.ledger.terms import LedgerTerms, Witness, sign_terms


def name_witnesses(world: World, departments: Sequence[str] = DEPARTMENTS, **changes: Any) -> LedgerTerms:
    """Put terms into force in which these departments are the witnesses; `changes` are of other fields."""
    with world.begin() as session:
        before = newest_terms(session)
        witnesses = tuple(
            Witness(department=name, key=public(world.keys[name].identity)) for name in sorted(departments)
        )
        values = {**before.model_dump(), "number": before.number + 1, "witnesses": witnesses, **changes}
        signed = sign_terms(LedgerTerms.model_validate(values), world.approval_key)
        assert store_terms(session, signed)
    return signed.terms


def cosign_newest(world: World, departments: Sequence[str] = DEPARTMENTS, at: int | None = None) -> int:
    """Publish what is recorded and have these departments cosign it; return the checkpoint's size."""
    sequencer = world.context.ledger.sequencer
    sequencer.advance()
    with world.begin() as session:
        note = checkpoint_note(session)
    assert note is not None
    size = int(note.text.splitlines()[1])
    for name in departments:
        time_s = int(world.now) if at is None else at
        sequencer.add_cosignature(name, size, cosign(note, name, world.keys[name].identity, time_s).line())
    return size
