"""The map of the wings as an SVG: those that import stand above what they import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import fsum

from service.pictures.look import LIGHT
from service.pictures.svg import svg_head, svg_text

BOX, ROW, GAP, BEND, FONT = 24, 62, 14, 16, 12
"""Pixels: a box's height, from row to row, between boxes, what a line that passes takes, text."""

Place = tuple[str, str, int]
"""A wing as `(name, "", row)`, or where a line from one to another passes a row."""


def wings_svg(depths: dict[str, int], arrows: Iterable[tuple[str, str]]) -> str:
    """Draw wings in rows by their depth, the deepest above, with a line for each arrow. A line that
    passes rows has a place of its own in each, so it runs behind no box.
    """
    lines = [list(_way(depths, upper, lower)) for upper, lower in arrows]
    rows: dict[int, list[Place]] = {row: [] for row in range(max(depths.values()) + 1)}
    for place in sorted({*(place for line in lines for place in line), *_alone(depths)}):
        rows[place[2]].append(place)
    _untangle(rows, lines)
    middle, width = _middles(rows)
    height = len(rows) * ROW
    top = {row: height - (row + 1) * ROW + (ROW - BOX) // 2 for row in rows}
    drawn = [svg_head(width, height, FONT)]
    drawn += (_line(line, middle, top) for line in lines)
    for name, row in sorted(depths.items()):
        drawn.append(_box(name, middle[name, "", row], top[row]))
    return "\n".join([*drawn, "</svg>\n"])


def _alone(depths: dict[str, int]) -> Iterator[Place]:
    return ((name, "", row) for name, row in depths.items())


def _way(depths: dict[str, int], upper: str, lower: str) -> Iterator[Place]:
    yield upper, "", depths[upper]
    for row in range(depths[upper] - 1, depths[lower], -1):
        yield upper, lower, row
    yield lower, "", depths[lower]


def _untangle(rows: dict[int, list[Place]], lines: Sequence[Sequence[Place]]) -> None:
    """Order each row by where its neighbours stand, up and down again, so that few lines cross."""
    near: dict[Place, list[Place]] = {place: [] for row in rows.values() for place in row}
    for line in lines:
        for one, other in pairwise(line):
            near[one].append(other)
            near[other].append(one)
    for turn in range(24):
        step = 1 if turn % 2 else -1
        for row in sorted(rows, reverse=step < 0):
            beside = _shares(rows.get(row - step, []))
            own = _shares(rows[row])
            rows[row].sort(key=lambda place: _mean(near[place], beside, own[place]))


def _shares(row: Sequence[Place]) -> dict[Place, float]:
    return {place: (number + 0.5) / len(row) for number, place in enumerate(row)}


def _mean(near: Sequence[Place], beside: dict[Place, float], own: float) -> float:
    found = [beside[place] for place in near if place in beside]
    return fsum(found) / len(found) if found else own  # `sum` of Python 3.11 has another end


def _middles(rows: dict[int, list[Place]]) -> tuple[dict[Place, float], int]:
    """Return each place's middle, the rows spread over the width, and the width."""
    wide = {row: sum(_wide(place) + GAP for place in places) for row, places in rows.items()}
    width = max(wide.values()) + GAP
    middle = {}
    for row, places in rows.items():
        spare = (width - wide[row]) / (len(places) + 1)
        x = spare + GAP / 2
        for place in places:
            middle[place] = x + _wide(place) / 2
            x += _wide(place) + GAP + spare
    return middle, width


def _wide(place: Place) -> int:
    return BEND if place[1] else round(len(place[0]) * FONT * 0.64) + 20


def _line(line: Sequence[Place], middle: dict[Place, float], top: dict[int, int]) -> str:
    """Draw a line from below the upper box, straight through the rows it passes, to the lower."""
    x, y = middle[line[0]], top[line[0][2]] + BOX
    path = f"M{x:.0f} {y}"
    for place in line[1:]:
        x, above = middle[place], top[place[2]]
        half = (y + above) // 2
        path += f"C{middle[line[line.index(place) - 1]]:.0f} {half} {x:.0f} {half} {x:.0f} {above}"
        y = above + BOX if place[1] else above
        path += f"V{y}" if place[1] else ""
    return f'<path d="{path}" fill="none" stroke="{LIGHT.other}"/>'


def _box(name: str, middle: float, top: int) -> str:
    wide = _wide((name, "", 0))
    return (
        f'<rect x="{middle - wide / 2:.0f}" y="{top}" width="{wide}" height="{BOX}" rx="4"'
        f' fill="{LIGHT.ground}" stroke="{LIGHT.ours}"/><text x="{middle:.0f}" y="{top + 16}"'
        f' text-anchor="middle">{svg_text(name)}</text>'
    )
