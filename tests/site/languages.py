"""Tell each page of the site its language: `python -m tests.site.languages build/site`.

The site is built in one language. So the Chinese pages are told afterwards that they are Chinese,
and the choice of a language leads from each page to the one that says the same. The theme takes a
page's links to its other languages for sites of their own, and looks for their maps: they go.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

CHINESE = "docs/zh"
LANGUAGES = {"en": "en", "zh": "zh-CN"}
"""The languages that zensical.toml names, and what a page says of itself."""

_SAID = re.compile(r'<html lang="[\w-]+"')
_SITES = re.compile(r'\s*<link rel="alternate"[^>]*\bhreflang="[^>]*>')
_LINK = re.compile(r'(<a\b[^>]*?\bhref=")[^"]*("[^>]*?\bhreflang="(en|zh)")')


def counterparts(site: Path) -> dict[Path, Path]:
    """Return the English page of each Chinese one, by their files in the built site."""
    found = {}
    for page in sorted((site / CHINESE).glob("*.html")):
        english = site / ("index.html" if page.name == "index.html" else f"docs/{page.name}")
        found[page] = english
    return found


def told(text: str, page: Path, languages: dict[str, Path], own: str) -> str:
    """Return a page's HTML that says its language, and leads to the same in the others."""
    links = {name: os.path.relpath(other, page.parent) for name, other in languages.items()}
    text = _SAID.sub(f'<html lang="{LANGUAGES[own]}"', text, count=1)
    return _LINK.sub(lambda found: f"{found[1]}{links[found[3]]}{found[2]}", text)


def tell(site: Path) -> int:
    """Change the pages of a built site; return how many are there in both languages."""
    for page in site.rglob("*.html"):
        page.write_text(_SITES.sub("", page.read_text("utf-8")), "utf-8")
    pairs = counterparts(site)
    for chinese, english in pairs.items():
        languages = {"en": english, "zh": chinese}
        for own, page in languages.items():
            page.write_text(told(page.read_text("utf-8"), page, languages, own), "utf-8")
    return len(pairs)


if __name__ == "__main__":
    tell(Path(sys.argv[1]))
