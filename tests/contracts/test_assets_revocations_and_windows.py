"""Registrations of assets, revocation lists, node reports and run windows as documents."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.assets import AssetRegistration, SignedAsset, sign_asset
from policies.contracts.node_reports import BudgetReport, NodeReport, SignedNodeReport, sign_report
from policies.contracts.revocations import (
    RevocationList,
    RevokedGrant,
    SignedRevocationList,
    require_successor,
    sign_revocations,
)
from policies.contracts.run_windows import RunWindow, is_open

KEY, OTHER = generate_signing_key(), generate_signing_key()
PUBLIC, OTHER_PUBLIC = (signing_public_key(key).hex() for key in (KEY, OTHER))
HASH, NOW = "ab" * 32, 1_800_000_000


def asset(**changes: Any) -> AssetRegistration:
    values = {
        "owner": "tax",
        "region": "kentucky",
        "dataset": "tax",
        "standard_version": 1,
        "standard_hash": HASH,
        "people": 100,
        "columns": ("WAGP",),
        "tier": "general_3",
        "tier_version": 1,
        "tier_hash": HASH,
        "steward": "statistics-office",
        "allowed_purposes": ("social_assistance",),
        "revision": 1,
        "registered_at": NOW,
    }
    return AssetRegistration.model_validate(values | changes)


def entry(digest: str = HASH, **changes: Any) -> RevokedGrant:
    values = {"grant_hash": digest, "reason": "misuse", "revoked_at": NOW, "expires_at": NOW + 1000}
    return RevokedGrant.model_validate(values | changes)


def revocations(number: int = 1, *revoked: RevokedGrant, **changes: Any) -> SignedRevocationList:
    values = {"party": "tax", "number": number, "issued_at": NOW, "revoked": revoked}
    return sign_revocations(RevocationList.model_validate(values | changes), KEY)


def report(**changes: Any) -> NodeReport:
    values = {
        "department": "tax",
        "number": 1,
        "made_at": NOW,
        "program_hash": HASH,
        "people": 100,
        "faults": 0,
        "active_runs": 0,
        "max_concurrent_runs": 2,
        "budgets": (BudgetReport(name="lines", unit="epsilon_milli", spent=1, reserved=2, cap=8000),),
    }
    return NodeReport.model_validate(values | changes)


def code_of(act: Any) -> str:
    with pytest.raises(DoudiError) as caught:
        act()
    return caught.value.code


def test_documents_come_back_from_their_canonical_form() -> None:
    for document in (sign_asset(asset(), KEY), revocations(2, entry()), sign_report(report(), KEY)):
        assert type(document).parse(document.to_bytes()) == document


def test_a_registration_counts_with_its_owners_signature_only() -> None:
    signed = sign_asset(asset(), KEY)
    signed.verify(PUBLIC)
    assert code_of(lambda: signed.verify(OTHER_PUBLIC)) == "asset.bad_signature"
    for field, value in (("owner", "housing"), ("tier", "general_1"), ("people", 101), ("withdrawn", True)):
        changed = SignedAsset(asset=asset(**{field: value}), signature=signed.signature)
        assert code_of(lambda changed=changed: changed.verify(PUBLIC)) == "asset.bad_signature"
    with pytest.raises(ValidationError):
        asset(columns=("WAGP", "WAGP"))


def test_a_report_counts_with_its_nodes_signature_only() -> None:
    signed = sign_report(report(), KEY)
    signed.verify(PUBLIC)
    changed = SignedNodeReport(report=report(faults=1), signature=signed.signature)
    assert code_of(lambda: changed.verify(PUBLIC)) == "report.bad_signature"


@pytest.mark.parametrize("budget", ["identities", "Labels"])
def test_a_report_has_no_place_for_other_things(budget: str) -> None:
    with pytest.raises(ValidationError):
        BudgetReport.model_validate({"name": budget, "unit": "epsilon_milli", "spent": 0, "reserved": 0, "cap": 1})
    with pytest.raises(ValidationError):
        report(note="text")


def test_a_signature_of_one_kind_of_document_is_none_of_another() -> None:
    listed = revocations()
    forged = SignedAsset(asset=asset(), signature=listed.signature)
    assert code_of(lambda: forged.verify(PUBLIC)) == "asset.bad_signature"


def test_a_revocation_list_counts_with_its_partys_key_only() -> None:
    signed = revocations(1, entry())
    signed.verify(PUBLIC)
    assert code_of(lambda: signed.verify(OTHER_PUBLIC)) == "revocation.bad_signature"
    emptied = SignedRevocationList(
        content=signed.content.model_copy(update={"revoked": ()}), signature=signed.signature
    )
    assert code_of(lambda: emptied.verify(PUBLIC)) == "revocation.bad_signature"


def test_a_newer_list_replaces_an_older_one_and_the_same_changes_nothing() -> None:
    first = revocations(1)
    assert require_successor(None, first)
    assert not require_successor(first, revocations(1))
    assert require_successor(first, revocations(2, entry(), issued_at=NOW + 1))


@pytest.mark.parametrize(
    ("offered", "code"),
    [
        (revocations(2), "revocation.rollback"),
        (revocations(4, entry(), issued_at=NOW - 1), "revocation.rollback"),
        (revocations(3, entry(), entry("cd" * 32)), "revocation.fork"),
        (revocations(4, issued_at=NOW + 1), "revocation.dropped"),
    ],
    ids=["older number", "older time", "same number, other content", "entry left out"],
)
def test_a_list_that_goes_back_forks_or_forgets_is_refused(offered: SignedRevocationList, code: str) -> None:
    assert code_of(lambda: require_successor(revocations(3, entry()), offered)) == code


def test_an_entry_never_goes_whatever_end_it_names() -> None:
    """A party that dates an entry's end back would bring a grant to life at nodes that have forgotten what they had answered."""
    short = entry(expires_at=NOW)
    assert code_of(lambda: require_successor(revocations(3, short), revocations(4, issued_at=NOW + 1001))) == (
        "revocation.dropped"
    )
    following = revocations(3, short).content.following(NOW + 1001)
    assert (following.number, following.revoked, following.issued_at) == (4, (short,), NOW + 1001)


def test_a_clock_that_errs_makes_no_list_that_nobody_can_follow() -> None:
    # A little back: no list looks older than the one before. Far ahead for a moment: that list was accepted by nobody.
    assert revocations(3).content.following(NOW - 50).issued_at == NOW
    ahead = revocations(3, issued_at=NOW + 10**8).content
    assert ahead.following(NOW).issued_at == NOW


def window(**changes: Any) -> RunWindow:
    values = {"weekdays": (1, 2), "start_minute": 22 * 60, "end_minute": 24 * 60, "utc_offset_minutes": 480}
    return RunWindow.model_validate(values | changes)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_a_window_is_in_local_time() -> None:
    # Monday 22:00 in Beijing is Monday 14:00 UTC.
    assert window().contains(at("2026-11-23T14:00:00"))
    assert window().contains(at("2026-11-23T15:59:59"))
    assert not window().contains(at("2026-11-23T13:59:59"))
    assert not window().contains(at("2026-11-23T16:00:00"))
    assert not window().contains(at("2026-11-25T14:30:00"))


def test_without_windows_runs_may_happen_at_any_time_and_with_some_in_any_of_them() -> None:
    assert is_open((), NOW)
    other = window(weekdays=(3,), start_minute=0, end_minute=60)
    assert is_open((window(), other), at("2026-11-23T14:00:00"))
    assert is_open((window(), other), at("2026-11-24T16:30:00"))
    assert not is_open((window(), other), at("2026-11-24T18:30:00"))


@pytest.mark.parametrize(
    "changes",
    [{"end_minute": 22 * 60}, {"weekdays": (1, 1)}, {"weekdays": ()}, {"weekdays": (8,)}, {"end_minute": 1441}],
)
def test_a_window_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        window(**changes)


def test_a_time_beyond_the_calendar_is_in_no_window() -> None:
    assert not is_open((window(weekdays=(1,), start_minute=0, end_minute=1),), 2**60)
