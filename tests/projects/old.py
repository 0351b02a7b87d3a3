"""Projects of the built-in runtime, as people write them."""

from __future__ import annotations

import textwrap
from pathlib import Path

CASES = Path(__file__).parents[1] / "cases"
BUILT_IN = CASES / "built_in"

SPEC = """\
edition: 3.0.0
name: app
access: default
resources:
  one:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: one
      runtime: python3.10
      code: ./code
      handler: index.handler
"""
HANDLER = "def handler(event, context):\n    return 'ok'\n"


def old_project(folder: Path, source: str = HANDLER, spec: str = SPEC, more: str = "") -> Path:
    """A project with such code, and lines more in its props."""
    (folder / "old" / "code").mkdir(parents=True, exist_ok=True)
    (folder / "old" / "code" / "index.py").write_text(textwrap.dedent(source))
    lines = textwrap.indent(textwrap.dedent(more), " " * 6)
    (folder / "old" / "s.yaml").write_text(f"{spec}{lines}")
    return folder / "old"
