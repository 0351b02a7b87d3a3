"""Draws stacks as a flame graph: an SVG in which each frame is as wide as its share."""

from __future__ import annotations

import colorsys
import html
from collections.abc import Callable, Mapping

Stack = tuple[str, ...]
"""Frames as they are labelled, the outermost first."""

WIDTH, HEIGHT, FONT = 1200, 18, 11
LEAST = 0.002
"""Share of the whole below which a frame is not drawn."""

OWN, OTHERS = 200 / 360, 35 / 360
"""The hues of own code and of others'."""

WAITING = "[await]"
"""The frame of a wait, which is drawn grey."""

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
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' font-family="sans-serif" font-size="{FONT}">'
    )
    lines = [head, f'<text x="2" y="13">{_escaped(title)}</text>'] if title else [head]
    lines += (_box(box, height, _fill(box, is_own), describe) for box in boxes)
    return "\n".join([*lines, "</svg>\n"])


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


def _fill(box: Box, is_own: Callable[[str], bool]) -> str:
    level, _, _, frame = box
    lightness = 0.7 + level % 3 * 0.05
    hue, saturation = OWN if is_own(frame) else OTHERS, 0.65
    if frame == WAITING:
        lightness, saturation = lightness + 0.05, 0.0
    parts = colorsys.hls_to_rgb(hue, lightness, saturation)
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)  # few viewers know `hsl`


def _box(box: Box, height: int, fill: str, describe: Callable[[str, float], str]) -> str:
    level, left, share, frame = box
    x, width, y = left * WIDTH, share * WIDTH, height - (level + 1) * HEIGHT
    text = _escaped(frame[: int(width / (FONT * 0.6))])
    shown = f'<text x="{x + 2:.1f}" y="{y + 13}">{text}</text>' if width > 30 else ""
    return (
        f"<g><title>{_escaped(describe(frame, share))}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.5):.1f}" height="{HEIGHT - 1}"'
        f' fill="{fill}"/>{shown}</g>'
    )


def _escaped(text: str) -> str:
    """Return text for XML, which has no control characters: a file's name may have them."""
    return html.escape("".join(each if each.isprintable() else "?" for each in text))
