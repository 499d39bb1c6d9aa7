"""A picture as SVG text from a handful of shapes: bars and cells need no drawing library, larger than all else here.

Sizes are those of a phone's width with large type. The page's style sheet sets the fonts of texts; the stack here serves whoever
saves one picture alone. Everything that comes from a record is escaped.
"""

from html import escape

WIDTH = 440
FONT_SIZE = 14
LINE_HEIGHT = 26
INK, SOFT, GRID = "#1d2733", "#4d5863", "#e6eaee"
# Okabe and Ito's palette, safe for colour blindness; colour is never the only sign.
BLUE, ORANGE, GREY, SKY = "#0072b2", "#d55e00", "#6b7580", "#9ecae8"
_FONTS = "Arial, Liberation Sans, Noto Sans CJK SC, PingFang SC, Microsoft YaHei, WenQuanYi Micro Hei, sans-serif"
_FIRST_WIDE = 0x2E80


class Picture:
    """Shapes under each other; `name` makes ids unique among the pictures of a page."""

    def __init__(self, name: str, title: str, description: str, height: float, width: float = WIDTH) -> None:
        self._name, self._title, self._description = name, title, description
        self.width, self.height = width, height
        self._shapes: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        colour: str = INK,
        bold: bool = False,
        size: int = 0,
    ) -> None:
        """Write words with their baseline at y."""
        more = ' font-weight="bold"' if bold else ""
        more += f' font-size="{size}"' if size else ""
        self._shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{more}>{escape(words)}</text>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *, stroke: str = "none", opacity: float = 1
    ) -> None:
        """Draw a rectangle; one without width is drawn a hair wide, so that one is seen."""
        seen = max(width, 1.0)
        more = f' fill-opacity="{opacity:.3f}"' if opacity < 1 else ""
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{seen:.1f}" height="{height:.1f}" fill="{fill}" stroke="{stroke}"{more}/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = GRID, width: float = 1) -> None:
        """Draw a line."""
        self._shapes.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"/>'
        )

    def legend(self, y: float, entries: list[tuple[str, str, str]]) -> None:
        """Write (fill, stroke, words) side by side from the left, as far as they fit, then on the next line."""
        x = 0.0
        for fill, stroke, words in entries:
            needed = 20 + text_width(words) + 14
            if x and x + needed > self.width:
                x, y = 0.0, y + LINE_HEIGHT - 4
            self.box(x + 0.5, y - 11, 13, 13, fill, stroke=stroke)
            self.text(x + 20, y, words, colour=SOFT)
            x += needed

    def svg(self) -> str:
        """Return the element, with role, title and description."""
        title, description = f"{self._name}-title", f"{self._name}-desc"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{title} {description}" '
            f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}" '
            f'font-family="{_FONTS}" font-size="{FONT_SIZE}">'
            f'<title id="{title}">{escape(self._title)}</title><desc id="{description}">{escape(self._description)}</desc>'
            f"{''.join(self._shapes)}</svg>"
        )


def text_width(words: str) -> float:
    """Return about how many pixels words take; a Chinese character is as wide as it is high."""
    return sum(FONT_SIZE if ord(character) >= _FIRST_WIDE else 0.62 * FONT_SIZE for character in words)


def shortened(words: str, most: float) -> str:
    """Return words that fit into so many pixels, with an ellipsis where they were cut; tables have the whole."""
    if text_width(words) <= most:
        return words
    while words and text_width(words) + FONT_SIZE > most:
        words = words[:-1]
    return f"{words}…"
