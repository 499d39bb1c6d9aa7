"""The ledger's next terms, made from those in force: the officer's decision, before it is signed. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crypto.errors import DoudiError
from policies.contracts.cards import DepartmentCard
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms, Witness, tolerable_faults


@dataclass(frozen=True)
class Changes:
    """What the officer wants otherwise; `None`: as it is. `faulty`: how many witnesses may be faulty. `log_key`: hexadecimal."""

    faulty: int | None = None
    checkpoint_max_age_s: int | None = None
    log_key: str | None = None
    auditors: tuple[AuditorCard, ...] | None = None


def next_terms(
    known: LedgerTerms, cards: Iterable[DepartmentCard], now_s: int, wanted: Changes | None = None
) -> LedgerTerms | None:
    """Return the terms that follow, or `None` when nothing changes.

    `cards`: of the departments that the officer compared and registered: they are the witnesses. Unless told otherwise the number
    of witnesses that may be faulty stays the proposed one where it was that, and else what was chosen before.
    Raises `ledger.bad_terms` for what cannot be terms, for example more faulty witnesses than leave a quorum.
    """
    wanted = wanted or Changes()
    witnesses = tuple(
        Witness(department=card.department, key=card.identity_key)
        for card in sorted(cards, key=lambda card: card.department)
    )
    values = {
        "witnesses": witnesses,
        "tolerated_faulty_witnesses": _faulty(known, len(witnesses)) if wanted.faulty is None else wanted.faulty,
        "checkpoint_max_age_s": known.checkpoint_max_age_s
        if wanted.checkpoint_max_age_s is None
        else wanted.checkpoint_max_age_s,
        "log_key": known.log_key if wanted.log_key is None else wanted.log_key,
        "auditors": known.auditors if wanted.auditors is None else wanted.auditors,
    }
    if all(getattr(known, name) == value for name, value in values.items()):
        return None
    try:
        return LedgerTerms.model_validate(
            {**known.model_dump(), **values, "number": known.number + 1, "issued_at": max(now_s, known.issued_at)}
        )
    except ValueError as error:
        reason = str(error).partition("\n")[2].partition("[")[0].strip() or "a value is out of range"
        raise DoudiError("ledger.bad_terms", f"these cannot be terms: {reason}", "Choose other values.") from None


def with_auditor(auditors: Sequence[AuditorCard], card: AuditorCard) -> tuple[AuditorCard, ...]:
    """Return the auditors with one more, or with the new keys of one that is there."""
    others = [other for other in auditors if other.auditor != card.auditor]
    return (*others, card) if card not in auditors else tuple(auditors)


def without_auditor(auditors: Sequence[AuditorCard], name: str) -> tuple[AuditorCard, ...]:
    """Return the auditors without one. Raises `ledger.unknown_auditor`, `ledger.no_auditor` for the last one."""
    left = tuple(card for card in auditors if card.auditor != name)
    if len(left) == len(auditors):
        raise DoudiError(
            "ledger.unknown_auditor", "the terms name no such auditor", "See `doudi centre ledger status`."
        )
    if not left:
        raise DoudiError(
            "ledger.no_auditor", "this is the last auditor: nobody could open the ledger", "Add another one first."
        )
    return left


def _faulty(known: LedgerTerms, witnesses: int) -> int:
    proposed = tolerable_faults(witnesses)
    if known.tolerated_faulty_witnesses == tolerable_faults(len(known.witnesses)):
        return proposed
    # What was chosen stays, as far as a quorum is left.
    return min(known.tolerated_faulty_witnesses, max(0, witnesses - 1))
