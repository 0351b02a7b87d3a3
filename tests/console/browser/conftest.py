"""A browser for the console's tests, one for all of a file; a page, and a server that pretends."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.console.browser.pretended import PretendedConsole
from tests.harness import held_port

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Page

playwright = pytest.importorskip("playwright.async_api", reason="Playwright is not installed")

CHROMIUM = shutil.which("chromium")
WITHIN = 90_000
"""Milliseconds that a page has for whatever a test waits for, on a busy machine."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: the console's page is not tried in a browser")
    playwright.expect.set_options(timeout=WITHIN)
    async with playwright.async_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu"]
        opened = await driver.chromium.launch(executable_path=CHROMIUM, args=flags, timeout=WITHIN)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page with a profile of its own. What its scripts raise, or the policy forbids, fails."""
    context = await browser.new_context(
        viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = await context.new_page()
    opened.set_default_timeout(WITHIN)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if _is_fault(said) else None)
    yield opened
    await context.close()
    assert not faults


def _is_fault(said: ConsoleMessage) -> bool:
    """Return whether a message tells of a fault, and not of a server that does not answer."""
    return said.type == "error" and "Failed to load resource" not in said.text


@pytest_asyncio.fixture(loop_scope="module")
async def pretended() -> AsyncIterator[PretendedConsole]:
    """A server that says what the test wants. Its port is its own while it is stopped, too."""
    with held_port() as port:
        server = PretendedConsole(port=port)
        await server.start()
        yield server
        await server.stop()
