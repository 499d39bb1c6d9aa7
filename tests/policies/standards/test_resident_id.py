"""Resident ID numbers: what stdnum accepts is accepted, everything else is refused without being repeated."""

import random

import pytest
from stdnum.cn import ric

from crypto.errors import DoudiError
from policies.standards.resident_id import normalise_resident_id, normalise_resident_ids

# Made up: the area and check digit are right, and nobody alive was born on these days.
VALID_WITH_X = next(
    number
    for number in (
        body + str(ric.calc_check_digit(body + "0")) for body in (f"11010118500307{n:03d}" for n in range(100))
    )
    if number.endswith("X")
)


def _with_check_digit(body: str) -> str:
    return body + str(ric.calc_check_digit(body + "0"))


def _stdnum_accepts(number: str) -> bool:
    try:
        return bool(ric.is_valid(number))
    except KeyError:  # stdnum 2.2, for an unknown county of a known province
        return False


def test_a_valid_number_stays_as_it_is() -> None:
    number = _with_check_digit("11010118500307899")
    assert normalise_resident_id(number) == number


@pytest.mark.parametrize("written", [f" {VALID_WITH_X}\n", VALID_WITH_X.lower(), f"\u3000{VALID_WITH_X}"])
def test_blanks_and_small_x_do_not_make_another_person(written: str) -> None:
    assert normalise_resident_id(written) == VALID_WITH_X


def test_fifteen_digits_become_the_eighteen_of_the_same_person() -> None:
    eighteen = _with_check_digit("11010119500307123")
    assert normalise_resident_id("110101500307123") == eighteen


GOOD = _with_check_digit("11010118500307123")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("", id="empty"),
        pytest.param(GOOD[:17], id="too short"),
        pytest.param(GOOD + "0", id="too long"),
        pytest.param(GOOD[:17] + ("0" if GOOD[17] != "0" else "1"), id="check digit"),
        pytest.param(
            GOOD.translate(str.maketrans("0123456789", "０１２３４５６７８９")), id="digits of another script"
        ),
        pytest.param("X" + GOOD[1:], id="X inside"),
        pytest.param(GOOD[:6] + " " + GOOD[7:], id="blank inside"),
        pytest.param(_with_check_digit("11010118500230123"), id="30 February"),
        pytest.param(_with_check_digit("11010100000307123"), id="year 0"),
        pytest.param(_with_check_digit("99999918500307123"), id="unknown province"),
        pytest.param(_with_check_digit("11019918500307123"), id="unknown county"),
        pytest.param(_with_check_digit("11011218500307123"), id="county founded later"),
        pytest.param("110101500230123", id="15 digits, 30 February"),
    ],
)
def test_a_bad_number_is_refused_and_not_repeated(bad: str) -> None:
    with pytest.raises(DoudiError) as caught:
        normalise_resident_id(bad)
    assert caught.value.code == "standard.bad_resident_id"
    assert not bad or bad not in str(caught.value)
    assert normalise_resident_ids([GOOD, bad, GOOD]) == ([GOOD, GOOD], [1])


def test_all_are_judged_as_stdnum_judges_them() -> None:
    """Random numbers over known and unknown areas, possible and impossible dates, right and wrong check digits."""
    draw = random.Random(1)
    areas = [
        "110101",
        "110112",
        "120110",
        "120111",
        "110201",
        "310104",
        "533100",
        "659012",
        "110199",
        "990101",
        "820000",
    ]
    numbers = []
    for _ in range(20_000):
        area = draw.choice([*areas, f"{draw.randint(110000, 660000)}"])
        day = f"{draw.randint(1840, 2030)}{draw.randint(0, 13):02d}{draw.randint(0, 32):02d}"
        body = f"{area}{day}{draw.randint(0, 999):03d}"
        numbers.append(_with_check_digit(body) if draw.random() < 0.9 else body + draw.choice("0123456789X"))
    expected = [_stdnum_accepts(number) for number in numbers]
    assert 500 < sum(expected) < 19_500
    normalised, bad = normalise_resident_ids(numbers)
    assert normalised == [number for number, good in zip(numbers, expected, strict=True) if good]
    assert bad == [position for position, good in enumerate(expected) if not good]


def test_every_area_of_stdnum_has_the_same_years_as_there() -> None:
    areas = [f"{province}{county:04d}" for province in ("11", "12", "31", "65") for county in range(0, 3000, 7)]
    numbers = [_with_check_digit(f"{area}{year}0101001") for area in areas for year in (1899, 1981, 1992, 2003, 2020)]
    _, bad = normalise_resident_ids(numbers)
    refused = set(bad)
    assert [position not in refused for position in range(len(numbers))] == [_stdnum_accepts(n) for n in numbers]
