"""Draws a table as an SVG, without a library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .look import LIGHT
from .svg import svg_head, svg_text

TEXT_SIZE, LINE_HEIGHT, COLUMN_GAP, TABLE_MARGIN = 14, 28, 24, 16
LETTER_WIDTH = 0.66
"""What a character takes, as a share of the font's size."""


def drawn_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an SVG with light and dark ground: a title, heads and rows, aligned to the right. The
    last of several rows, which sums up, is bold.
    """
    columns = zip(heads, *rows, strict=True)
    ends, right = [], TABLE_MARGIN - COLUMN_GAP
    for column in columns:
        right += COLUMN_GAP + round(max(map(len, column)) * TEXT_SIZE * LETTER_WIDTH)
        ends.append(right)
    width = max(right, round(len(title) * TEXT_SIZE * LETTER_WIDTH)) + TABLE_MARGIN
    height = (len(rows) + 2) * LINE_HEIGHT + TABLE_MARGIN
    lines = [
        svg_head(width, height, TEXT_SIZE),
        f'<text x="{TABLE_MARGIN}" y="{LINE_HEIGHT}" font-weight="bold">{svg_text(title)}</text>',
        *_row(heads, ends, 2, f' fill="{LIGHT.quiet}"'),
    ]
    for number, row in enumerate(rows, 3):
        lines.append(_rule((number - 1) * LINE_HEIGHT + 9, width))
        is_sum = len(rows) > 1 and number == len(rows) + 2
        bold = f' font-weight="bold" fill="{LIGHT.ours}"' if is_sum else ""
        lines += _row(row, ends, number, bold)
    return "\n".join([*lines, "</svg>\n"])


def _row(cells: Sequence[str], ends: Sequence[int], number: int, style: str) -> Iterator[str]:
    for cell, end in zip(cells, ends, strict=True):
        place = f'x="{end}" y="{number * LINE_HEIGHT}" text-anchor="end"'
        yield f"<text {place}{style}>{svg_text(cell)}</text>"


def _rule(y: int, width: int) -> str:
    across = f'x="{TABLE_MARGIN}" width="{width - 2 * TABLE_MARGIN}"'
    return f'<rect {across} y="{y}" height="1" fill="{LIGHT.grid}"/>'
