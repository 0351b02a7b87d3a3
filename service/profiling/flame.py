"""Draws stacks as a flame graph: an SVG in which each frame is as wide as its share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..pictures.look import DARK, LIGHT, PictureLook
from ..pictures.svg import svg_head, svg_text

Stack = tuple[str, ...]
"""Frames as they are labelled, the outermost first."""

WIDTH, HEIGHT, FONT = 1200, 18, 11
LEAST = 0.002
"""Share of the whole below which a frame is not drawn."""

WAITING = "[await]"
"""The frame of a wait, which is drawn grey."""

SHADES = 3
"""Levels above each other that differ by their shade."""

Box = tuple[int, float, float, str]
"""A frame to draw: its level, where it begins and its share, both of the whole, and its label."""


def draw(
    stacks: Mapping[Stack, float],
    is_own: Callable[[str], bool],
    title: str = "",
    describe: Callable[[str, float], str] = lambda frame, share: f"{frame} {share:.1%}",
) -> str:
    """Return an SVG: each frame as wide as its share, above the one that calls it.

    `is_own` says whose code a frame is, which is its colour. `describe` makes the text that is
    shown when the pointer rests on a frame, of its label and its share. The title stands on top.
    """
    boxes: list[Box] = []
    levels = 1 + _add_boxes(boxes, stacks, 0, 0.0, sum(stacks.values()) or 1.0)
    top = HEIGHT if title else 0
    height = levels * HEIGHT + top
    dark_for_light = dict(zip(_shades(LIGHT), _shades(DARK), strict=True))
    lines = [
        svg_head(WIDTH, height, FONT, dark_for_light, fills_the_page=True),
        f'<text x="2" y="13">{svg_text(title)}</text>' if title else "",
    ]
    lines += (_box(box, height, _fill(box, is_own), describe) for box in boxes)
    return "\n".join([*filter(None, lines), "</svg>\n"])


def _add_boxes(
    boxes: list[Box], stacks: Mapping[Stack, float], level: int, left: float, whole: float
) -> int:
    """Add the boxes of the frames at `level` and above; return the highest level that has one."""
    groups: dict[str, dict[Stack, float]] = {}
    for stack, weight in stacks.items():
        if len(stack) > level:
            groups.setdefault(stack[level], {})[stack] = weight
    highest = level
    for frame in sorted(groups):
        share = sum(groups[frame].values()) / whole
        if share >= LEAST:
            boxes.append((level, left, share, frame))
            highest = max(highest, _add_boxes(boxes, groups[frame], level + 1, left, whole))
        left += share
    return highest


def _shades(look: PictureLook) -> list[str]:
    """Return the colours of own code, of others' and of waiting, so many steps each."""
    kinds = ((look.third, 0.5), (look.ours_pale, 0.25), (look.other_pale, 0.0))
    steps = range(SHADES)
    return [look.shade(colour, share + 0.1 * step) for colour, share in kinds for step in steps]


def _fill(box: Box, is_own: Callable[[str], bool]) -> str:
    level, _, _, frame = box
    kind = 2 if frame == WAITING else 0 if is_own(frame) else 1
    return _shades(LIGHT)[kind * SHADES + level % SHADES]


def _box(box: Box, height: int, fill: str, describe: Callable[[str, float], str]) -> str:
    level, left, share, frame = box
    x, width, y = left * WIDTH, share * WIDTH, height - (level + 1) * HEIGHT
    text = svg_text(frame[: int(width / (FONT * 0.6))])
    shown = f'<text x="{x + 2:.1f}" y="{y + 13}">{text}</text>' if width > 30 else ""
    return (
        f"<g><title>{svg_text(describe(frame, share))}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.5):.1f}" height="{HEIGHT - 1}"'
        f' fill="{fill}"/>{shown}</g>'
    )
