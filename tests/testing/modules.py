"""Handlers that are files, and events for them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

AtOnce = Callable[..., Any]
"""What `fc_at_once` gives."""

Loading = Callable[[str], ModuleType]
"""What the fixture `module` gives: it imports source text as the module `index`."""


def imported(file: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A file as a module of its name, until the test ends."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, found)
    spec.loader.exec_module(found)
    return found


def user(number: int) -> dict[str, str]:
    """An event that differs from the others."""
    return {"user": f"user-{number}"}
