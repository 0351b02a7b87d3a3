"""Runs in each Python that builds a package from its source: nothing is compiled, and what cannot
do without is refused.
"""

from __future__ import annotations

import sys
from typing import Any

_PURE = {"crcmod"}
"""Packages that do in Python what their compiled parts would do faster."""


def _judge(distribution: Any) -> None:
    """Leave out the compiled parts of a package that can do without, and refuse another's."""
    if not distribution.ext_modules:
        return
    name = distribution.get_name()
    if name not in _PURE:
        sys.exit(f"COMPILED {name}: {', '.join(part.name for part in distribution.ext_modules)}")
    distribution.ext_modules = None


def _install() -> None:
    """Judge each package once its setup.py has said all."""
    try:
        from setuptools.dist import Distribution  # type: ignore[import-untyped]
    except ImportError:  # another tool's build
        return
    original = Distribution.parse_command_line

    def parse_command_line(distribution: Any) -> Any:
        _judge(distribution)
        return original(distribution)

    Distribution.parse_command_line = parse_command_line


_install()
