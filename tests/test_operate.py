"""The page for who operates it: nothing that an instance tells is missing there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from service.app import assemble_app
from service.context.call import Platform
from service.errors import StartError, UsageError
from service.instance.assembly import SERVICE
from service.instance.health import health_of, summed
from service.settings.table import Settings
from tests.assembly import handlers_of, logged

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operate.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def named(section: str) -> set[str]:
    """What the first cells of a section's table name."""
    cells = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@cache
def families() -> set[str]:
    """Each name of a metric in the modules that count."""
    found = set()
    for path in (ROOT / "service").rglob("*.py"):
        text = path.read_text()
        if re.search(r"^from \.+counting", text, re.MULTILINE):
            found |= set(re.findall(r'"(fc_[a-z_]+)"', text))
    return {each for each in found if not each.endswith(("_bucket", "_count"))}


async def test_each_field_of_the_health_is_explained() -> None:
    """Those of one worker, and those of several."""
    with logged() as (logs, _):
        handlers = handlers_of(lambda event: event)
        service = assemble_app(Settings(), Platform(), handlers, logs)[SERVICE]
        one = await health_of(service)
    several = summed([one, one])
    assert named("Health") == {*one, *several, *several["each"][0]}


def test_each_family_of_metrics_is_explained() -> None:
    """Those of the service, and those of what a function may use."""
    assert len(families()) > 25
    assert named("Metrics") == families()


def test_each_error_of_the_platform_that_the_emulator_plays_is_explained() -> None:
    """By its code, wherever it is raised."""
    text = "".join(path.read_text() for path in (ROOT / "service" / "emulator").rglob("*.py"))
    codes = set(re.findall(r'PlatformError\(\s*[\w.]+,\s*"([\w.]+)"', text))
    codes |= set(re.findall(r'"([A-Z]\w+NotFound)"', text))
    assert {"FunctionNotStarted", "CAExited", "SignatureNonceUsed", "AliasNotFound"} <= codes
    codes -= {"ProcessExitedUnexpectedly"}  # which the page has by its text
    assert {
        code for code in codes if f"`{code}`" not in SECTIONS["What the platform says"]
    } == set()


@pytest.mark.parametrize("kind", [StartError, UsageError])
def test_each_exit_code_of_a_start_is_explained(kind: type[StartError]) -> None:
    """With what the platform's text has of it."""
    assert f" {kind.exit_code}, " in SECTIONS["What the platform says"]
