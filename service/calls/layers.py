"""Where the packages of layers lie."""

from __future__ import annotations

import sys
from pathlib import Path

LAYERS = Path("/opt/python")


def add_layers(root: Path = LAYERS) -> None:
    """Put the packages of layers last on the path, as the built-in runtime has them on it, if there
    are any (docs/platform.md section 9).
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in (root / "lib" / version / "site-packages", root):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.append(str(folder))
