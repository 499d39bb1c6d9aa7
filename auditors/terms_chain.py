"""The chain of a log's terms: numbered from 1 without a gap, each signed by the centre, all of one log. Offline.

The newest terms must be signed by an approver of the centre's card in force. Earlier ones may be signed by an approver of a
former card, as long as nothing signed by the card in force comes before them: a lost old key signs no new terms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from auditors.home import Cards
from auditors.store import TERMS, Store
from auditors.verification.findings import Findings, Severity
from crypto.checkpoint import NoteKey
from crypto.errors import DoudiError
from policies.contracts.cards import CentreCard
from policies.contracts.ledger.terms import COORDINATOR, LedgerTerms, SignedLedgerTerms, require_next_terms


@dataclass(frozen=True)
class TermsChain:
    """Verified terms as they were signed, by number. Never empty. Raises "crypto.bad_key" for terms whose keys are none."""

    signed: tuple[SignedLedgerTerms, ...]

    def __post_init__(self) -> None:
        _ = self.log_keys, self.witness_keys

    @cached_property
    def terms(self) -> tuple[LedgerTerms, ...]:
        """The terms alone."""
        return tuple(signed.terms for signed in self.signed)

    @property
    def newest(self) -> LedgerTerms:
        """The terms with the highest number."""
        return self.terms[-1]

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.newest.origin

    @cached_property
    def log_keys(self) -> dict[bytes, NoteKey]:
        """Return every key that the log ever had, by its short hash, the newest last."""
        return {terms.log_note_key.key_hash: terms.log_note_key for terms in self.terms}

    @cached_property
    def witness_keys(self) -> dict[tuple[str, bytes], NoteKey]:
        """Return every witness's every key, by name and short hash."""
        found = {}
        for terms in self.terms:
            for witness in terms.witnesses:
                key = witness.note_key
                found[key.name, key.key_hash] = key
        return found

    @cached_property
    def signer_numbers(self) -> dict[tuple[str, bytes], list[int]]:
        """Return by producer and public key the numbers of the terms in which the key signs the producer's batches."""
        found: dict[tuple[str, bytes], list[int]] = {}
        for terms in self.terms:
            signers = [(COORDINATOR, terms.log_key), *((item.department, item.key) for item in terms.witnesses)]
            for producer, key in signers:
                found.setdefault((producer, bytes.fromhex(key)), []).append(terms.number)
        return found


def verify_terms(store: Store, cards: Cards, findings: Findings) -> TermsChain | None:
    """Return the chain of the mirror's terms, as far as it is sound; `None` if none are.

    (1) There are terms of every number from 1. (2) Each stands under its own number. (3) The centre signed it, under the rule
    above. (4) All are of one log. Raises `audit.no_card` without the centre's card: nothing could be judged.
    """
    if cards.centre is None:
        raise DoudiError(
            "audit.no_card",
            "there is no card of the centre",
            "Collect it from the centre, compare its fingerprint, and put it into the folder `cards`.",
        )
    present, former = approver_keys(cards)
    chain: list[SignedLedgerTerms] = []
    seen_present = False
    numbers = store.terms_numbers()
    for number in sorted({*numbers, *range(1, len(numbers) + 1), 1}):
        place = f"{TERMS}/{number}"
        try:
            signed = store.terms(number)  # (1)
            is_present = signed.key in present
            signed.verify(present if seen_present else present + former)  # (3)
            if signed.terms.number != number:  # (2)
                raise DoudiError("terms.other_number", "the terms stand under another number than their own")
            require_next_terms(chain[-1].terms if chain else None, signed.terms)  # (4)
            require_keys(signed)
        except DoudiError as error:
            findings.add(error.code, place)
            continue
        seen_present = seen_present or is_present
        chain.append(signed)
    if chain and not seen_present:
        findings.add("terms.former_key", f"{TERMS}/{chain[-1].terms.number}")
    return TermsChain(tuple(chain)) if chain else None


def require_keys(signed: SignedLedgerTerms) -> None:
    """Raise `terms.bad_key` for terms that name a key with which nothing can be verified."""
    try:
        TermsChain((signed,))
    except DoudiError as error:
        raise DoudiError("terms.bad_key", "the terms name a key that is none") from error


def compare_witness_cards(chain: TermsChain, cards: Cards, findings: Findings) -> None:
    """Compare the witnesses of the newest terms with the cards that the auditor collected from the departments themselves.

    The centre chooses the witnesses: only this tells whether they are departments, and not keys of the centre's own.
    """
    place = f"{TERMS}/{chain.newest.number}"
    for witness in chain.newest.witnesses:
        card = cards.departments.get(witness.department)
        if card is None:
            findings.add("witness.no_card", place, Severity.NOTICE, department=witness.department)
        elif card.identity_key != witness.key:
            findings.add("witness.other_key", place, department=witness.department)


def approver_keys(cards: Cards) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the approvers' keys of the centre's card in force, and those of its former cards."""
    return _approvers([] if cards.centre is None else [cards.centre]), _approvers(cards.former)


def _approvers(cards: Sequence[CentreCard]) -> tuple[str, ...]:
    return tuple(key for card in cards for key in (card.approval_key, *card.co_approval_keys))
