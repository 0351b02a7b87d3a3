"""Packages of layers are found after all else, as in the built-in runtime."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service.calls.layers import add_layers


def test_packages_of_layers_come_last_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer's own site-packages come before its root, and behind everything that was there."""
    packages = tmp_path / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", ["/first"])
    add_layers(tmp_path)
    add_layers(tmp_path)
    assert sys.path == ["/first", str(packages), str(tmp_path)]


def test_without_layers_the_path_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not there is not put on the path."""
    monkeypatch.setattr(sys, "path", ["/first"])
    add_layers(tmp_path / "absent")
    assert sys.path == ["/first"]
