"""The one look of pictures: each has a light and a dark ground, in one file or in two."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from service.pictures.look import DARK, DARK_FOR_LIGHT, LIGHT, on_both_grounds
from service.pictures.svg import on_dark_too
from service.pictures.table import drawn_table
from service.profiling.flame import WAITING, Stack, draw
from tests.site.pages import ROOT, pages

DRAWN = {file.name: file for file in sorted((ROOT / "docs").glob("*.svg"))}
STACKS: dict[Stack, float] = {("own", "others", WAITING): 1.0, ("own", "own", "own", WAITING): 1.0}
PLOT = re.compile(r'(?:<source media="([^"]*)" srcset="([^"]*)">\s*)?!\[[^]]*\]\(([\w/-]+\.png)\)')


def without_dark(svg: str) -> set[str]:
    """The colours of an SVG for which it has no dark one."""
    style = re.search(r"<style>@media \(prefers-color-scheme: dark\).*?</style>", svg)
    assert style
    rest = svg.replace(style[0], "")
    used = set(re.findall(r"""(?:fill|stroke)(?:="|: )([^";]+)""", rest)) - {"none"}
    assert used
    return {colour for colour in used if f'[fill="{colour}"]' not in style[0]}


def test_each_light_colour_has_one_dark_colour() -> None:
    """What stands out on one ground does so on the other: a colour is not two things."""
    assert len(DARK_FOR_LIGHT) == len(LIGHT) - 1
    assert DARK_FOR_LIGHT[LIGHT.ours] == DARK.ours


def test_a_shade_lies_between_a_colour_and_the_ground() -> None:
    """From the colour itself to the ground."""
    shades = [LIGHT.shade("#000000", share) for share in (0, 0.5, 1)]
    assert shades == ["#000000", "#808080", LIGHT.ground]


def test_what_is_drawn_here_has_both_grounds() -> None:
    """A flame graph and a table have no colour that stays light in the dark."""
    for drawn in (
        draw(STACKS, lambda frame: frame == "own", "title"),
        drawn_table("title", ["head"], [["a"], ["b"]]),
    ):
        assert without_dark(drawn) == set()


def test_what_matplotlib_draws_has_both_grounds(tmp_path: Path) -> None:
    """Its colours stand in `style`, in which nothing has precedence by itself."""
    pytest.importorskip("matplotlib", reason="the extra `size` has it, and not on Python 3.15")
    from service.sizing.picture import pyplot, save_picture

    plt = pyplot()
    with plt.rc_context(LIGHT.style):
        figure, axes = plt.subplots(figsize=(2, 2))
        axes.plot([1, 2], [1, 2], "o-", color=LIGHT.ours)
    assert save_picture(plt, figure, tmp_path / "plot.svg") == ""
    drawn = (tmp_path / "plot.svg").read_text()
    assert ElementTree.fromstring(drawn).tag.endswith("}svg")
    assert without_dark(drawn) == set()
    assert f'[style*="fill: {LIGHT.ours}"]{{fill:{DARK.ours}!important}}' in drawn


def test_any_svg_is_begun_by_its_dark_colours() -> None:
    """Behind the declaration and the element that opens it."""
    svg = '<?xml version="1.0"?>\n<svg width="1">\n<g/></svg>'
    drawn = on_dark_too(svg)
    assert drawn.startswith('<?xml version="1.0"?>\n<svg width="1">\n<style>@media')
    assert drawn.endswith("</style>\n<g/></svg>")


def test_text_of_a_table_breaks_no_file() -> None:
    """Neither marks of XML nor control characters of an address."""
    drawn = drawn_table("<a>\x00&", ["h"], [["\x1b[1m"]])
    ElementTree.fromstring(drawn)
    assert "&lt;a&gt;?&amp;" in drawn


def test_the_dark_file_stands_beside_the_light_one() -> None:
    """By its name."""
    names = [file.name for _, file in on_both_grounds([Path("speed.png")])]
    assert names == ["speed.png", "speed-dark.png"]


@pytest.mark.parametrize("name", DRAWN)
def test_each_svg_of_the_docs_has_both_grounds(name: str) -> None:
    """None was drawn before there was one look."""
    assert without_dark(DRAWN[name].read_text()) == set()


def test_each_plot_of_the_docs_is_shown_on_both_grounds() -> None:
    """A page that shows a PNG names the dark one for who prefers it."""
    shown = [(page, *found) for page in pages() for found in PLOT.findall(page.read_text())]
    assert shown
    for page, media, dark, light in shown:
        assert media == "(prefers-color-scheme: dark)", f"{page}: {light}"
        assert dark == light.replace(".png", "-dark.png")
