"""The look of every picture: one font, one palette, on light and on dark ground.

A PNG has one ground, and a page shows one of two files. An SVG has both (`svg.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

FONT_NAME = "DejaVu Sans"
"""Which matplotlib brings along."""


class PictureLook(NamedTuple):
    """The colours of a picture. `ours` is what the picture is about, `other` what stands beside it;
    `pale` ones are for what is older or less.
    """

    suffix: str
    """What a picture's file has in its name, behind the light one's."""
    ground: str
    text: str
    quiet: str
    grid: str
    ours: str
    ours_pale: str
    other: str
    other_pale: str
    third: str
    mark: str

    @property
    def style(self) -> dict[Any, Any]:
        """Matplotlib's settings."""
        return {
            "font.family": FONT_NAME,
            "font.size": 10.5,
            "text.color": self.text,
            "axes.facecolor": self.ground,
            "figure.facecolor": self.ground,
            "savefig.facecolor": self.ground,
            "axes.labelcolor": self.text,
            "axes.edgecolor": self.quiet,
            "xtick.color": self.text,
            "ytick.color": self.text,
            "grid.color": self.grid,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "fc-event-service",  # the same figures make the same file
            "svg.fonttype": "path",
        }

    def shade(self, colour: str, share: float) -> str:
        """Return a colour of which `share` is the ground."""
        pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(self.ground[1:]), strict=True)
        return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


LIGHT = PictureLook(
    suffix="",
    ground="#ffffff",
    text="#343a40",
    quiet="#6c757d",
    grid="#e9ecef",
    ours="#d9480f",
    ours_pale="#ffa94d",
    other="#868e96",
    other_pale="#ced4da",
    third="#1971c2",
    mark="#2b8a3e",
)
DARK = PictureLook(
    suffix="-dark",
    ground="#14161a",
    text="#dee2e6",
    quiet="#909aa5",
    grid="#2b3036",
    ours="#ff922b",
    ours_pale="#b3611a",
    other="#868e96",
    other_pale="#4d555d",
    third="#74c0fc",
    mark="#69db7c",
)
DARK_FOR_LIGHT = dict(zip(LIGHT[1:], DARK[1:], strict=True))
"""The dark look's colour for each of the light one's."""


def on_both_grounds(files: Iterable[Path]) -> Iterator[tuple[PictureLook, Path]]:
    """Yield each file with the light look, and with the dark one the file beside it."""
    for file in files:
        for look in (LIGHT, DARK):
            yield look, file.with_stem(file.stem + look.suffix)
