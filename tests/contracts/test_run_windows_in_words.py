"""Run windows as people write them, and when the next one opens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DoudiError
from policies.contracts.run_windows import RunWindow, is_open, next_opening, parse_window, window_in_words

MONDAY_S = 1_800_230_400  # 2027-01-18T00:00:00Z
DAY_S, HOUR_S = 24 * 3600, 3600

WINDOWS = st.builds(
    lambda days, start, length, offset: RunWindow(
        weekdays=tuple(sorted(days)),
        start_minute=start,
        end_minute=min(24 * 60, start + length),
        utc_offset_minutes=offset,
    ),
    st.sets(st.integers(1, 7), min_size=1),
    st.integers(0, 24 * 60 - 1),
    st.integers(1, 24 * 60),
    st.integers(-14 * 60, 14 * 60),
)


@pytest.mark.parametrize(
    ("text", "days", "start", "end", "offset"),
    [
        ("mon-fri 22:00-24:00+08:00", (1, 2, 3, 4, 5), 1320, 1440, 480),
        ("sat,sun 00:00-24:00+00:00", (6, 7), 0, 1440, 0),
        (" Mon,wed-thu 08:30-09:15-03:30 ", (1, 3, 4), 510, 555, -210),
    ],
)
def test_a_window_is_read_as_it_is_written(text: str, days: tuple[int, ...], start: int, end: int, offset: int) -> None:
    window = parse_window(text)
    assert (window.weekdays, window.start_minute, window.end_minute, window.utc_offset_minutes) == (
        days,
        start,
        end,
        offset,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mon",
        "mon 22:00-24:00",
        "mon 24:00-25:00+08:00",
        "mon 23:00-22:00+08:00",
        "mon 22:00-22:00+08:00",
        "mon 22:70-23:00+08:00",
        "mon 22:00-23:00+08:60",
        "mon 22:00-23:00+15:00",
        "fri-mon 22:00-23:00+08:00",
        "mon,mon 22:00-23:00+08:00",
        "mon-wed,tue 22:00-23:00+08:00",
        "day 22:00-23:00+08:00",
        "mon-fri-sun 22:00-23:00+08:00",
    ],
)
def test_what_is_no_window_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(DoudiError, match=r"window\.malformed") as caught:
        parse_window(text)
    assert "mon-fri 22:00-24:00+08:00" in caught.value.next_step


@given(WINDOWS)
def test_words_and_window_are_the_same(window: RunWindow) -> None:
    assert parse_window(window_in_words(window)) == window


@given(WINDOWS, st.integers(0, 21 * DAY_S))
def test_the_next_opening_is_open_and_nothing_before_it_is(window: RunWindow, after_s: int) -> None:
    at_s = MONDAY_S + after_s
    opening = next_opening((window,), at_s)
    assert at_s <= opening <= at_s + 8 * DAY_S
    assert is_open((window,), opening)
    assert opening == at_s or not is_open((window,), opening - 1)


def test_the_first_of_several_windows_counts_and_none_means_now() -> None:
    night, weekend = parse_window("mon-fri 22:00-24:00+08:00"), parse_window("sun 00:00-24:00+08:00")
    assert next_opening((weekend, night), MONDAY_S) == MONDAY_S + 14 * HOUR_S
    assert next_opening((), MONDAY_S) == MONDAY_S
