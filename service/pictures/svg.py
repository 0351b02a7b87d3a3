"""What every SVG of ours has: the look's fonts, and both of its grounds in the one file."""

from __future__ import annotations

import html
from collections.abc import Mapping

from .look import DARK_FOR_LIGHT, FONT_NAME, LIGHT

FONTS = f"{FONT_NAME}, Verdana, sans-serif"


def svg_head(
    width: int,
    height: int,
    size: float,
    colours: Mapping[str, str] | None = None,
    *,
    fills_the_page: bool = False,
) -> str:
    """Return how an SVG begins: its fonts, of `size`, its ground, and its dark colours. `colours`
    are those that it has beside the look's: the dark one for each light one. One that fills the
    page is as wide as what shows it.
    """
    measures = "" if fills_the_page else f' width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"{measures}'
        f' font-family="{FONTS}" font-size="{size}" fill="{LIGHT.text}">\n'
        f"{dark_style({**DARK_FOR_LIGHT, **(colours or {})})}\n"
        f'<rect width="{width}" height="{height}" fill="{LIGHT.ground}"/>'
    )


def dark_style(colours: Mapping[str, str]) -> str:
    """Return the `<style>` by which an SVG in light colours has the dark ones if who looks at it
    prefers that. A viewer that knows no style sheets shows the light ones.
    """
    rules = (
        f'[{kind}="{light}"],[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in colours.items()
        for kind in ("fill", "stroke")
    )
    return "<style>@media (prefers-color-scheme: dark){" + "".join(rules) + "}</style>"


def on_dark_too(svg: str) -> str:
    """Return an SVG that was drawn with the light look with the dark one's colours in it."""
    head = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:head]}\n{dark_style(DARK_FOR_LIGHT)}{svg[head:]}"


def svg_text(text: str) -> str:
    """Return text for XML, which has no control characters: a file's name may have them."""
    return html.escape("".join(each if each.isprintable() else "?" for each in text))
