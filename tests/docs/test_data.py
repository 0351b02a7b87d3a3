"""YAML, TOML, maps and lists of commands that pages show, read by what reads them."""

from __future__ import annotations

import importlib
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import yaml

from service.emulator.spec.model import Spec
from service.emulator.spec.read import read
from service.sizing.fleet.prices import read_prices
from tests.docs.blocks import Block, runs, runs_each
from tests.site.pages import ROOT
from tests.site.test_pages import parsed

faults: Any = importlib.import_module("benchmarks.faults")

SPEC = ROOT / "s.yaml"
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def spec_with(part: dict[str, Any], folder: Path) -> Spec:
    """Return this repository's `s.yaml` with a part in its place, as the emulator reads it."""
    whole = yaml.safe_load(SPEC.read_text())
    [resource] = whole["resources"].values()
    place = resource if "actions" in part else resource["props"]
    for key, value in part.items():
        held = place.get(key)
        place[key] = held | value if isinstance(held, dict) else value
    file = folder / "s.yaml"
    file.write_text(yaml.safe_dump(whole))
    return read(file, code=ROOT)


@runs_each(
    "docs/check.md#when-it-runs",
    "docs/how-to.md#trace-calls",
    "docs/sessions.md#sessions:2",
)
def test_a_part_of_a_spec_is_sound_in_its_place(block: Block, tmp_path: Path) -> None:
    """The emulator, which knows the platform's schema, reads the whole, and warns of nothing."""
    spec = spec_with(yaml.safe_load(block.code), tmp_path)
    assert spec.warnings == ()


@runs("docs/size.md#a-fleet:2")
def test_prices_are_read(shown: list[Block], tmp_path: Path) -> None:
    """As `size --prices FILE` does."""
    (tmp_path / "prices.toml").write_text(shown[0].code)
    prices = read_prices(tmp_path / "prices.toml")
    told = tomllib.loads(shown[0].code)
    assert (prices.date, prices.currency) == (told["date"], told["currency"])


@runs_each("CONTRIBUTING.md#commands", "docs/reliability.md#run-it")
def test_each_line_is_a_command_of_make(block: Block) -> None:
    """Its target is in the Makefile, and its arguments are those of what it starts."""
    named = re.findall(r"(?:^|; |, )make ([a-z-]+)", block.code, re.MULTILINE)
    assert named
    assert set(named) <= TARGETS
    for text in re.findall(r'make reliability ARGS=(".*?"|\S+)', block.code):
        faults.parsed(shlex.split(shlex.split(text)[0]))


@runs("docs/record.md#sending-them-again")
def test_each_way_to_send_calls_again_can_be_typed(shown: list[Block]) -> None:
    """What stands before the explanation."""
    for line in shown[0].code.splitlines():
        words = re.split(r"  +", line)[0].replace("FILE|DIR", "recorded").split()
        parsed("invoke", words[4:])


@runs("docs/how-a-call-flows.md#how-a-call-flows")
def test_the_way_of_a_call_names_what_there_is(shown: list[Block]) -> None:
    """Each step is a module of the service, or a function of one."""
    for step in re.findall(r"^ {2,}([a-z_/.]+(?:, [a-z]+)?) {2,}\S", shown[0].code, re.MULTILINE):
        for name in step.split(", "):
            module, _, function = name.partition(".")
            files = [*(ROOT / "service").glob(f"{module}.py"), *_within(module)]
            assert files, name
            assert not function or any(f"def {function}(" in f.read_text() for f in files), name


def _within(module: str) -> list[Path]:
    return [file for wing in ("", "*/") for file in (ROOT / "service").glob(f"{wing}{module}.py")]
