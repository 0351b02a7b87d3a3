"""Put the pages of the site together: `python -m tests.site.pages build/pages`.

The site has the repository's Markdown files as they are, each at its own path, so that a link leads
to the same page on a forge and on the site. What else they link to and show is copied beside them.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("*.md", "docs/**/*.md", "examples/*.md", "examples/*/*.md")
ASSETS = "docs/assets"
"""What the site's own pages need beside them."""

_LINK = re.compile(r"""\]\((?!\w+:|\#)([^)\#\s]+)[^)]*\)|srcset="([^"]+)""")
_BLOCK = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def pages(root: Path = ROOT) -> list[Path]:
    """Return the Markdown files that are pages, each once, in order of their paths."""
    found = {path for pattern in PAGES for path in root.glob(pattern)}
    return sorted(path for path in found if path.name != "AGENTS.md")


def linked(page: Path) -> Iterator[Path]:
    """Return the files to which a page links or which it shows."""
    for linked_to, shown in _LINK.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        yield (page.parent / (linked_to or shown)).resolve()


def put_together(target: Path, root: Path = ROOT) -> int:
    """Copy the pages and what they link to into an empty folder; return how many pages there are.

    Raises FileNotFoundError for a link that leads nowhere.
    """
    shutil.rmtree(target, ignore_errors=True)
    found = pages(root)
    beside = {path for page in found for path in linked(page) if path.suffix != ".md"}
    beside |= {path for path in (root / ASSETS).iterdir() if path.suffix in (".js", ".css")}
    for path in (*found, *sorted(beside)):
        if path.is_dir():
            continue
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return len(found)


if __name__ == "__main__":
    put_together(Path(sys.argv[1]))
