"""The pytest plugin of fc-event-service, which loads by itself: docs/testing.md.

It stands beside the package, not in it: a test run that asks for none of the fixtures imports
nothing but this.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # a run that asks for no fixture imports nothing of it
    from fc_event_service.emulator.testing import emulator
    from fc_event_service.testing.call_logs import CallLogs
    from fc_event_service.testing.contexts import GivenContext
    from fc_event_service.testing.invoking import CallHandler
    from fc_event_service.testing.serving import ServedFunction


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest know the marker."""
    config.addinivalue_line(
        "markers", "fc_context(**values): what fc_context and the calls of fc_invoke have"
    )


@pytest.fixture
def fc_context(request: pytest.FixtureRequest) -> GivenContext:
    """A call's context; `fc_context(timeout=3, region="cn-hangzhou")` makes another one. The marker
    `fc_context` gives values to all of them.
    """
    from fc_event_service.testing.contexts import GivenContext

    return GivenContext.of(**_marked(request))


@pytest.fixture
def fc_event() -> Callable[..., bytes]:
    """Makes sample events: `fc_event("oss.put", key="a.jpg")`."""
    from fc_event_service.testing.samples import changed_sample

    return changed_sample


@pytest.fixture
def fc_logs(request: pytest.FixtureRequest) -> Iterator[CallLogs]:
    """The log of the test's calls: `fc_logs.of(request_id)`. It is part of the report of a test
    that fails.
    """
    from fc_event_service.testing.call_logs import CallLogs

    log = CallLogs()
    request.node.stash[LOG] = log
    yield log
    del request.node.stash[LOG]
    log.close()


@pytest.fixture
def fc_invoke(request: pytest.FixtureRequest, fc_logs: CallLogs) -> CallHandler:
    """Calls a handler in this process: `fc_invoke(handler, event)`, in an async test with
    `await`.
    """
    from fc_event_service.testing.invoking import CallHandler

    return CallHandler(fc_logs, _marked(request), is_async=_is_async(request))


@pytest.fixture
def fc_at_once(request: pytest.FixtureRequest, fc_logs: CallLogs) -> Callable[..., Any]:
    """Calls a handler many times at once, and fails if the calls are not apart:
    `fc_at_once(handler, events, n=200)`, in an async test with `await`.
    """
    from fc_event_service.testing.at_once import call_at_once
    from fc_event_service.testing.invoking import run_or_return

    def at_once(
        handler: Any,
        events: Any = b"{}",
        *,
        n: int = 200,
        shared: tuple[str, ...] = (),
        ignore: tuple[str, ...] = (),
        **settings: Any,
    ) -> Any:
        __tracebackhide__ = True
        names: dict[str, Any] = {"n": n, "shared": shared, "ignore": ignore}
        names |= {"values": _marked(request), "settings": settings}
        return run_or_return(
            lambda: call_at_once(handler, events, fc_logs, **names), is_async=_is_async(request)
        )

    return at_once


@pytest.fixture
def fc_service(fc_logs: CallLogs) -> Iterator[Callable[..., ServedFunction]]:
    """Serves a handler on a socket until the test ends: `fc_service(handler, concurrency=10).url`,
    with any settings by name.
    """
    from fc_event_service.testing.serving import ServedFunction

    served: list[ServedFunction] = []

    def serve(handler: Any, **settings: Any) -> ServedFunction:
        served.append(ServedFunction(handler, fc_logs, settings))
        served[-1].start()
        return served[-1]

    try:
        yield serve
    finally:
        for each in reversed(served):
            each.stop()


@pytest.fixture
def fc_emulator() -> Callable[..., emulator]:
    """Plays Function Compute: `with fc_emulator("s.yaml") as fc`, or `async with`."""
    from fc_event_service.emulator.testing import emulator

    return emulator


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Show the log of the test's calls with its failure."""
    log = item.stash.get(LOG, None)
    if call.when == "call" and call.excinfo is not None and log is not None:
        lines = log.lines()
        more = [f"... {len(lines) - SHOWN_LINES} lines before these"] * (len(lines) > SHOWN_LINES)
        if text := "\n".join([*more, *map(str, lines[-SHOWN_LINES:])]):
            item.add_report_section("call", "log of the function's calls", text)


SHOWN_LINES = 50
"""Lines of the log, the last ones, that are shown with a failure."""

LOG = pytest.StashKey["CallLogs"]()


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    marks = list(request.node.iter_markers("fc_context"))
    return {name: value for mark in reversed(marks) for name, value in mark.kwargs.items()}


def _is_async(request: pytest.FixtureRequest) -> bool:
    return inspect.iscoroutinefunction(getattr(request.node, "obj", None))
