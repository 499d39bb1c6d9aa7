"""The plots: `charts.py`. They are read as XML, so that a text can never become markup."""

import re
from xml.etree import ElementTree

import pytest

from coordinator.console.charts import Bar, Budget, Series, bar_chart, budget_chart, line_chart
from coordinator.console.languages import CHINESE, ENGLISH

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '"><script>alert(1)</script>&'


def parsed(plot):
    return ElementTree.fromstring(str(plot))  # noqa: S314 - made by this program


def all_plots(label):
    yield bar_chart(ENGLISH, "a", label, [Bar(label, 1.5, label)], unit=label)
    yield budget_chart(ENGLISH, "b", label, [Budget(label, 1, 2, 3)], unit=label)
    series = [Series(label, [(1, 1), (2, 3)]), Series(label, [(1, 2), (2, 2)])]
    yield line_chart(ENGLISH, "c", label, series, x_title=label, unit=label)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_plot_has_a_role_a_title_and_a_description(index):
    plot = parsed(list(all_plots("Tax"))[index])
    assert plot.get("role") == "img"
    named = [plot.find(f".//{SVG}*[@id='{name}']") for name in plot.get("aria-labelledby").split()]
    assert [part.tag for part in named] == [f"{SVG}title", f"{SVG}desc"]
    assert named[0].text == "Tax"
    assert "Tax" in named[1].text


@pytest.mark.parametrize("index", [0, 1, 2])
def test_texts_stay_texts_and_no_plot_has_a_style(index):
    source = str(list(all_plots(HOSTILE))[index])
    plot = parsed(source)
    assert "<script" not in source
    assert HOSTILE in "".join(plot.itertext()) or HOSTILE[:20] in "".join(plot.itertext())
    assert all("style" not in element.attrib for element in plot.iter())
    assert not re.search(r"\son\w+=", source.replace(HOSTILE, ""))


def widths(plot, kind):
    return [float(part.get("width").rstrip("%")) for part in parsed(plot).iter() if part.get("class") == kind]


def test_bars_are_as_long_as_their_values():
    assert widths(bar_chart(ENGLISH, "a", "t", [Bar("x", 1), Bar("y", 4)]), "bar") == [25, 100]
    assert widths(bar_chart(ENGLISH, "a", "t", [Bar("x", 0.5)], maximum=1), "bar") == [50]
    # Without a value above nothing there is no scale, and no division by it.
    assert widths(bar_chart(ENGLISH, "a", "t", [Bar("x", 0)]), "bar") == [0]
    assert bar_chart(ENGLISH, "a", "t", [])


def test_negative_bars_go_the_other_way_from_a_marked_zero():
    plot = bar_chart(ENGLISH, "a", "t", [Bar("x", 3), Bar("y", -1)])
    assert widths(plot, "bar") == [75]
    assert widths(plot, "bar negative") == [25]
    assert parsed(plot).find(f".//{SVG}line[@class='zero']").get("x1") == "25.00%"


def test_a_budget_shows_spent_reserved_and_cap():
    plot = budget_chart(ENGLISH, "b", "t", [Budget("tax", 2, 3, 8)])
    assert (widths(plot, "spent"), widths(plot, "reserved")) == ([25], [12.5])
    assert parsed(plot).find(f".//{SVG}line[@class='cap']").get("x1") == "100.00%"
    assert "tax: spent 2.00, with what is reserved 3.00, cap 8.00" in str(plot)


def test_a_budget_beyond_its_cap_shows_it():
    plot = budget_chart(ENGLISH, "b", "t", [Budget("tax", 8, 10, 5)])
    assert widths(plot, "spent beyond") == [80]
    assert parsed(plot).find(f".//{SVG}line[@class='cap']").get("x1") == "50.00%"


@pytest.mark.parametrize(
    "points", [[(1, 5.0)], [(1, 5.0), (2, 5.0)], [(0, 0.0), (9, 0.0)], [(1, -3.0), (2, 4000.0)], []]
)
def test_lines_lie_within_their_frame(points):
    plot = parsed(line_chart(ENGLISH, "c", "t", [Series("x", points)]))
    for line in plot.iter(f"{SVG}polyline"):
        numbers = [float(number) for pair in line.get("points").split() for number in pair.split(",")]
        assert all(0 <= number <= 1000 for number in numbers)


def test_ticks_are_round_and_enclose_the_values():
    plot = parsed(line_chart(ENGLISH, "c", "t", [Series("x", [(1, 0.61), (2, 0.894)])]))
    ticks = [float(part.text) for part in plot.iter(f"{SVG}text") if part.get("class") == "tick"]
    assert ticks[:-2] == [0.6, 0.7, 0.8, 0.9]


def test_plots_are_told_in_the_readers_language():
    told = str(line_chart(CHINESE, "c", "t", [Series("税务", [(1, 1), (2, 3)])]))
    assert "税务：" in told
