"""Time-outs against what the hooks take, and against each other (docs/platform.md section 6)."""

from __future__ import annotations

from collections.abc import Iterator

from ..protocol import HOOK_NAMES
from .both_sides import LIFECYCLE
from .checked import CheckedFunction
from .finding import CheckFinding

NEAR = 0.5
"""A hook that takes more of its time-out than this here may take all of it on an instance."""


def time_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is wrong with the time-outs."""
    yield from _initializer(function)
    yield from _pre_stop(function)
    loaded, deployed = function.loaded, function.placed.deployed
    if loaded is not None and deployed.pre_stop_timeout is not None:
        drain = loaded.settings.drain_timeout
        if deployed.timeout > drain:
            yield function.doubt(
                "drain_timeout",
                ("timeout",),
                f"a call may take {deployed.timeout:g} s, and a stop waits {drain:g} s for it: a"
                " call that runs longer is ended",
                remedy="set SERVICE_DRAIN_TIMEOUT to the call's time if preStop's 90 s allow it",
                source="6",
            )


def _initializer(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what the initializer takes, against what it has."""
    limit = function.placed.deployed.initializer_timeout
    figures = function.measured
    key = (*LIFECYCLE, "initializer", "timeout")
    if limit is None:
        return
    if figures is None or figures.failure:
        why = "not measured: --run does it" if figures is None else f"not measured: {_why(figures)}"
        yield function.unknown("initializer", key, f"the initializer is {why}", source="6")
    elif figures.initialize_time is None:
        yield function.fits("initializer", key, "the function has none: answered at once")
    else:
        yield _against(function, "initializer", figures.initialize_time, limit)


def _pre_stop(function: CheckedFunction) -> Iterator[CheckFinding]:
    limit = function.placed.deployed.pre_stop_timeout
    figures = function.measured
    if limit is None:
        yield from _never_told(function)
    elif figures is not None and figures.pre_stop_time is not None and not figures.failure:
        yield _against(function, "preStop", figures.pre_stop_time, limit)


def _against(function: CheckedFunction, hook: str, took: float, limit: float) -> CheckFinding:
    key = (*LIFECYCLE, hook, "timeout")
    told = f"{hook} took {took:.2f} s here, its time-out is {limit:g} s"
    if took >= limit:
        remedy = f"raise {hook}.timeout (at most {300 if hook == 'initializer' else 90})"
        return function.fault(hook, key, told, remedy=remedy, source="6")
    if took > limit * NEAR:
        return function.doubt(
            hook, key, f"{told}: an instance may be slower", remedy="leave it more", source="6"
        )
    return function.fits(hook, key, told, source="6")


def _never_told(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield a warning if there is a `pre_stop` that the platform does not ask for."""
    if not function.is_ours or function.handler_file is None:
        return
    names = function.module_names(function.handler_file) or {}
    if any(name in names for name in HOOK_NAMES["pre_stop"]):
        yield function.doubt(
            "preStop",
            LIFECYCLE,
            "the handler's module has a pre_stop, and the platform is not told to ask for it:"
            " whether it sends a signal instead is not documented",
            remedy="add instanceLifecycleConfig.preStop with handler and timeout",
            source="6",
        )


def _why(figures: object) -> str:
    return str(getattr(figures, "failure", ""))
