"""Charts become accessible SVG text: drawn by vl-convert without a network, with title and description.

The page's style sheet sets the fonts of the text; the stack here serves a reader who saves one picture. Ids are made unique, so
that several pictures can stand in one page.
"""

import re
from html import escape
from typing import Any

import altair as alt
import vl_convert

__all__ = ["FONT_SIZE", "WIDTH", "Figure", "render_svg", "text_width", "warm_up"]

Figure = alt.Chart | alt.LayerChart | alt.FacetChart

# Narrow, with large type: a phone shows the picture at three quarters of this size and it stays readable.
WIDTH = 440
FONT_SIZE = 14
_FONTS = "Arial, Liberation Sans, Noto Sans CJK SC, PingFang SC, Microsoft YaHei, WenQuanYi Micro Hei, sans-serif"
_INK = "#1d2733"
_SOFT = "#c9d1d9"
_NOISE = re.compile(
    r' (?:role="graphics-[a-z]+"|aria-roledescription="[^"]*"|aria-hidden="true"|pointer-events="none")'
)
_FIRST_WIDE = 0x2E80


def text_width(text: str) -> int:
    """Return about how many pixels `text` takes; a Chinese character is as wide as it is high.

    vl-convert measures with the fonts of this computer, where none may have Chinese characters.
    """
    return round(sum(FONT_SIZE if ord(char) >= _FIRST_WIDE else 0.6 * FONT_SIZE for char in text))


def render_svg(chart: Figure, name: str, title: str, description: str) -> str:
    """Return the chart as one `<svg>` element with role, title and description. `name` prefixes its ids, unescaped."""
    axis = {
        "labelFontSize": FONT_SIZE,
        "titleFontSize": FONT_SIZE,
        "titleFontWeight": "normal",
        "labelColor": _INK,
        "titleColor": _INK,
        "domainColor": _SOFT,
        "tickColor": _SOFT,
        "gridColor": "#e6eaee",
        "labelLimit": WIDTH,
    }
    styled = (
        chart.configure(font=_FONTS, aria=False, padding={"left": 2, "right": 12, "top": 4, "bottom": 4})
        .configure_view(stroke=None)
        .configure_axis(**axis)
        .configure_legend(
            labelFontSize=FONT_SIZE,
            labelColor=_INK,
            labelLimit=WIDTH,
            orient="bottom",
            direction="vertical",
            title=None,
            symbolStrokeWidth=2,
        )
    )
    spec: dict[str, Any] = styled.to_dict()
    drawn: str = vl_convert.vegalite_to_svg(spec, vl_version=_VERSION, allowed_base_urls=[])
    body = _NOISE.sub("", drawn[drawn.index(">") + 1 :])
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', drawn)
    width, height = size.groups() if size else (str(WIDTH), "300")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{name}-title {name}-desc" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>{body}'
    )


def warm_up() -> None:
    """Start the renderer, which takes seconds, for example while a run is still going on."""
    render_svg(alt.Chart({"values": [{"x": 1}]}).mark_point().encode(x="x:Q"), "warm-up", "", "")


def _bundled_version() -> str:
    """Return the bundled Vega-Lite that has the major version of altair's schema, the newest that is not newer."""
    wanted = tuple(int(part) for part in alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    bundled = [tuple(int(part) for part in version.split(".")[:2]) for version in vl_convert.get_vegalite_versions()]
    fitting = [version for version in bundled if version[0] == wanted[0] and version <= wanted]
    return ".".join(str(part) for part in max(fitting, default=max(bundled)))


_VERSION = _bundled_version()
