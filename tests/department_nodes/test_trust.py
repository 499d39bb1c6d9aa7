"""Pinning cards: other keys need a word, one key is one person and one purpose, and nobody bears the centre's name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from region import Region

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.trust import pin
from policies.contracts.cards import DepartmentCard

NODE, OTHER = "tax", "housing"


def key() -> str:
    return signing_public_key(generate_signing_key()).hex()


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    made = Region(tmp_path / "region", people=60)
    yield made
    made.close()


def refusal(region: Region, card: Any, replace: bool = True) -> str:
    before = region.homes[NODE].trust
    with pytest.raises(DoudiError) as caught:
        pin(region.homes[NODE], card, replace)
    assert region.homes[NODE].trust == before
    return caught.value.code


@pytest.mark.parametrize("field", ["identity_key", "approval_key", "scheduling_key", "revocation_key", "flower_key"])
def test_a_card_with_another_key_is_pinned_only_when_the_officer_says_so(region: Region, field: str) -> None:
    card = region.cards[OTHER].model_copy(update={field: key()})
    assert refusal(region, card, replace=False) == "trust.changed_key"
    pin(region.homes[NODE], card, replace=True)
    assert region.homes[NODE].trust.department(OTHER) == card


def test_a_further_approver_is_another_key_too(region: Region) -> None:
    card = region.cards[OTHER].model_copy(update={"co_approval_keys": (key(),)})
    assert refusal(region, card, replace=False) == "trust.changed_key"


def test_more_people_in_the_extract_are_no_other_key(region: Region) -> None:
    card = region.cards[OTHER].model_copy(update={"people": 12345})
    pin(region.homes[NODE], card)
    assert region.homes[NODE].trust.department(OTHER).people == 12345


def test_a_key_for_two_people_or_two_purposes_is_refused(region: Region) -> None:
    card = region.cards[OTHER]
    for changes in (
        {"co_approval_keys": (card.approval_key,)},
        {"scheduling_key": card.identity_key},
        {"revocation_key": card.approval_key},
    ):
        assert refusal(region, card.model_copy(update=changes)) == "trust.shared_key"


def test_a_key_of_another_party_is_refused(region: Region) -> None:
    card, centre = region.cards[OTHER], region.homes[NODE].trust.centre
    assert centre is not None
    for theirs in (region.cards["public_security"].approval_key, centre.approval_key, centre.revocation_key):
        assert refusal(region, card.model_copy(update={"co_approval_keys": (theirs,)})) == "trust.shared_key"


@pytest.mark.parametrize("name", ["centre", "coordinator"])
def test_a_department_cannot_bear_a_name_that_stands_for_somebody_else(region: Region, name: str) -> None:
    stranger = DepartmentCard(
        **{
            **region.cards[OTHER].model_dump(),
            "department": name,
            **{field: key() for field in ("identity_key", "approval_key", "scheduling_key", "revocation_key")},
        }
    )
    assert refusal(region, stranger) == "trust.reserved_name"
