"""Revocation lists at a node: newer ones are taken, older, forked, forged and shortened ones are not, and none gets lost."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from region import Region

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.home import CENTRE, REVOCATION_KEY, NodeHome
from department_nodes.revocations import accept_list, is_due, issue_list, known_lists
from department_nodes.trust import pin
from policies.contracts.revocations import RevocationList, RevokedGrant, SignedRevocationList, sign_revocations

NODE, OTHER = "tax", "housing"
NOW_S = 1_800_000_000
HOUR_S = 3600


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    region = Region(tmp_path_factory.mktemp("lists") / "region", people=60, clock=lambda: float(NOW_S))
    yield region
    region.close()


@pytest.fixture
def region(made: Region, tmp_path: Path) -> Iterator[Region]:
    copy = made.copy(tmp_path / "region")
    yield copy
    copy.close()


def entry(number: int, expires_at: int = NOW_S + 1000) -> RevokedGrant:
    return RevokedGrant(grant_hash=f"{number:064x}", reason="misuse", revoked_at=NOW_S, expires_at=expires_at)


def signed(region: Region, number: int, *revoked: RevokedGrant, issued_at: int = NOW_S) -> SignedRevocationList:
    content = RevocationList(party=CENTRE, number=number, issued_at=issued_at, revoked=revoked)
    return sign_revocations(content, region.centre_revocation_key)


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(DoudiError) as caught:
        act()
    return caught.value.code


def test_a_newer_list_is_taken_and_the_same_again_changes_nothing(region: Region) -> None:
    home = region.homes[NODE]
    newer = signed(region, 5, entry(1))
    assert accept_list(home, newer, NOW_S)
    assert known_lists(home)[CENTRE] == newer
    assert not accept_list(home, newer, NOW_S)
    # Also after a restart of the process.
    assert known_lists(NodeHome(home.path))[CENTRE] == newer


REFUSED: list[tuple[str, Callable[[Region], SignedRevocationList], str]] = [
    ("older number", lambda r: signed(r, 4, entry(1), entry(2)), "revocation.rollback"),
    ("newer number, older time", lambda r: signed(r, 6, entry(1), issued_at=NOW_S - 1), "revocation.rollback"),
    ("same number, other content", lambda r: signed(r, 5, entry(1), entry(2)), "revocation.fork"),
    ("without what it had revoked", lambda r: signed(r, 6, entry(2)), "revocation.dropped"),
    ("from the future", lambda r: signed(r, 6, entry(1), issued_at=NOW_S + 121), "revocation.from_the_future"),
    (
        "signed by another key",
        lambda r: sign_revocations(signed(r, 6, entry(1)).content, generate_signing_key()),
        "revocation.bad_signature",
    ),
    (
        "signed by another party",
        lambda r: sign_revocations(signed(r, 6, entry(1)).content, r.homes[OTHER].key(REVOCATION_KEY)),
        "revocation.bad_signature",
    ),
    (
        "signed by the centre's approval key",
        lambda r: sign_revocations(signed(r, 6, entry(1)).content, r.centre_key),
        "revocation.bad_signature",
    ),
    (
        "changed after signing",
        lambda r: signed(r, 6, entry(1)).model_copy(update={"content": signed(r, 7, entry(1)).content}),
        "revocation.bad_signature",
    ),
    (
        "of a party that is not pinned",
        lambda r: sign_revocations(
            RevocationList(party="education", number=9, issued_at=NOW_S), r.centre_revocation_key
        ),
        "trust.unknown_party",
    ),
]


@pytest.mark.parametrize(("make", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_bad_list_is_refused_and_the_known_one_stays(
    region: Region, make: Callable[[Region], SignedRevocationList], code: str
) -> None:
    home = region.homes[NODE]
    known = signed(region, 5, entry(1))
    accept_list(home, known, NOW_S)
    assert refusal(lambda: accept_list(home, make(region), NOW_S)) == code
    assert known_lists(home)[CENTRE] == known


def test_a_list_never_drops_a_grant_whatever_end_its_party_names(region: Region) -> None:
    home = region.homes[NODE]
    accept_list(home, signed(region, 5, entry(1, expires_at=NOW_S - 1), entry(2)), NOW_S)
    assert refusal(lambda: accept_list(home, signed(region, 6, entry(2)), NOW_S)) == "revocation.dropped"


def test_a_clock_that_was_years_ahead_for_a_moment_blocks_nothing(region: Region) -> None:
    home = region.homes[NODE]
    issue_list(home, NOW_S, entry(1))
    issue_list(home, NOW_S + 10 * 365 * 24 * HOUR_S)
    after = issue_list(home, NOW_S)
    assert after.content.issued_at == NOW_S
    assert after.content.names(entry(1).grant_hash)
    assert accept_list(region.homes[OTHER], after, NOW_S)


def test_an_issued_list_keeps_what_was_revoked_and_has_the_next_number(region: Region) -> None:
    home = region.homes[NODE]
    first = issue_list(home, NOW_S, entry(1))
    second = issue_list(home, NOW_S + 10)
    third = issue_list(home, NOW_S + 20, entry(2))
    assert [item.content.number for item in (first, second, third)] == [
        first.content.number,
        first.content.number + 1,
        first.content.number + 2,
    ]
    assert [len(item.content.revoked) for item in (first, second, third)] == [1, 1, 2]
    # The others take each of them.
    for item in (first, second, third):
        assert accept_list(region.homes[OTHER], item, NOW_S + 20)


def test_a_host_whose_clock_went_back_signs_no_list_that_looks_older(region: Region) -> None:
    home = region.homes[NODE]
    before = issue_list(home, NOW_S + 500)
    after = issue_list(home, NOW_S)
    assert after.content.issued_at == before.content.issued_at
    assert after.content.number == before.content.number + 1


def test_revoking_while_the_running_node_renews_loses_no_revocation(region: Region) -> None:
    home = region.homes[NODE]
    before = known_lists(home)[NODE].content.number

    def act(number: int) -> SignedRevocationList:
        # A folder object of its own, as in another process.
        return issue_list(NodeHome(home.path), NOW_S, entry(number) if number % 2 else None)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(act, range(24)))
    assert sorted(item.content.number for item in made) == list(range(before + 1, before + 25))
    assert {item.grant_hash for item in known_lists(home)[NODE].content.revoked} == {
        f"{number:064x}" for number in range(1, 24, 2)
    }


def test_a_list_is_due_when_it_is_older_than_a_quarter_of_the_limit(region: Region) -> None:
    region.set_policy(NODE, max_revocation_age_hours=4)
    home = region.homes[NODE]
    issue_list(home, NOW_S)
    assert not is_due(home, NOW_S + HOUR_S)
    assert is_due(home, NOW_S + HOUR_S + 1)
    (home.path / "revocations" / f"{NODE}.json").unlink()
    assert is_due(home, NOW_S)


def test_without_its_key_a_node_issues_no_list(region: Region) -> None:
    home = region.homes[NODE]
    (home.path / "keys" / REVOCATION_KEY).unlink()
    known = known_lists(home)[NODE]
    assert refusal(lambda: issue_list(home, NOW_S, entry(1))) == "key.missing"
    assert known_lists(home)[NODE] == known


def test_another_key_under_the_true_ones_name_issues_no_list(region: Region) -> None:
    home = region.homes[NODE]
    shutil.copy(region.homes[OTHER].path / "keys" / REVOCATION_KEY, home.path / "keys" / REVOCATION_KEY)
    assert refusal(lambda: issue_list(home, NOW_S)) == "revocation.bad_signature"


def test_a_damaged_list_stops_the_node_rather_than_count_as_none(region: Region) -> None:
    home = region.homes[NODE]
    (home.path / "revocations" / f"{CENTRE}.json").write_bytes(b"{}")
    assert refusal(lambda: region.engines[NODE].site()) == "document.malformed"


def test_a_replaced_revocation_key_starts_a_new_list(region: Region) -> None:
    home = region.homes[NODE]
    accept_list(home, signed(region, 50, entry(1)), NOW_S)
    key = generate_signing_key()
    centre = home.trust.centre
    assert centre is not None
    card = centre.model_copy(update={"revocation_key": signing_public_key(key).hex()})
    assert refusal(lambda: pin(home, card)) == "trust.changed_key"
    pin(home, card, replace=True)
    assert CENTRE not in known_lists(home)
    first = sign_revocations(RevocationList(party=CENTRE, number=1, issued_at=NOW_S), key)
    assert accept_list(home, first, NOW_S)
    assert refusal(lambda: accept_list(home, signed(region, 51, entry(1)), NOW_S)) == "revocation.bad_signature"
