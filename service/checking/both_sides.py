"""What the file says and the service is set to: the same numbers on both sides."""

from __future__ import annotations

from collections.abc import Iterator

from ..emulator.disagreements import compared_settings, hooks_not_run, setting_said
from ..emulator.spec.document import FilePlace
from ..settings.load import Loaded
from ..settings.table import ROWS
from .checked import CheckedFunction
from .finding import CheckFinding

LIFECYCLE = ("instanceLifecycleConfig",)
KEYS: dict[str, FilePlace] = {
    "concurrency": ("instanceConcurrency",),
    "initialize_timeout": (*LIFECYCLE, "initializer", "timeout"),
    "drain_timeout": (*LIFECYCLE, "preStop", "timeout"),
    "body_budget": ("memorySize",),
    "session_header": ("sessionAffinityConfig",),
    "workers": ("sessionAffinity",),
}
"""Where in the file the other side of a setting stands; the port's key depends on the runtime."""
REMEDIES = {
    "concurrency": "set instanceConcurrency and SERVICE_CONCURRENCY to the same number",
    "port": "leave SERVICE_PORT and --port out: the platform tells its port",
    "initialize_timeout": "set SERVICE_INITIALIZE_TIMEOUT a little below initializer.timeout",
    "drain_timeout": "set SERVICE_DRAIN_TIMEOUT below preStop.timeout, by what pre_stop needs",
    "body_budget": "set SERVICE_BODY_BUDGET to half of the memory or less, or raise memorySize",
    "session_header": "set SERVICE_SESSION_HEADER to affinityHeaderFieldName",
    "workers": "set SERVICE_WORKERS=1",
}
SOURCES = {
    "concurrency": "7",
    "port": "1.3",
    "initialize_timeout": "6",
    "drain_timeout": "6",
    "body_budget": "8",
    "session_header": "13",
    "workers": "13",
}
STOPS_IT = {"port"}
"""Settings whose disagreement keeps an instance from starting."""


def agreement_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what does not agree, and the pairs that do."""
    if function.refusal:
        yield function.fault(
            "settings", ("environmentVariables",), function.refusal, remedy="mend the setting"
        )
    loaded = function.loaded
    if loaded is None:
        return
    wrong = set()
    deployed = function.placed.deployed
    for name, platform, what in compared_settings(deployed, loaded.settings):
        wrong.add(name)
        say = function.fault if name in STOPS_IT else function.doubt
        yield say(
            name,
            other_side(function, name),
            f"{platform}, {setting_said(name, loaded)}: {what}",
            remedy=_remedy(function, name),
            source=SOURCES[name],
        )
    yield from _agreed(function, loaded, wrong)
    for hook, told in hooks_not_run(deployed, loaded.settings):
        setting = "initializer" if hook == "initializer" else "pre_stop"
        yield function.doubt(
            "hooks",
            (*LIFECYCLE, hook, "handler"),
            told,
            remedy=f"set {ROWS[setting].variable}",
            source="1.1",
        )


def other_side(function: CheckedFunction, name: str) -> FilePlace:
    """Return where the other side of a setting stands."""
    return (function.config_key, "port") if name == "port" else KEYS[name]


def _remedy(function: CheckedFunction, name: str) -> str:
    """Return what to do; session affinity sets the platform's side."""
    if name == "concurrency" and function.placed.deployed.sessions is not None:
        return "set SERVICE_CONCURRENCY=200"
    return REMEDIES[name]


def _agreed(function: CheckedFunction, loaded: Loaded, wrong: set[str]) -> Iterator[CheckFinding]:
    deployed, mine = function.placed.deployed, loaded.settings
    pairs = [
        ("concurrency", f"calls at once are {deployed.concurrency}, on both sides"),
        ("port", f"the port is {deployed.port}, on both sides"),
    ]
    if deployed.initializer_timeout is not None:
        told = f"the service's {mine.initialize_timeout:g} s are within"
        pairs.append(("initialize_timeout", f"{told} {deployed.initializer_timeout:g} s"))
    if deployed.pre_stop_timeout is not None:
        told = f"{mine.drain_timeout:g} s for calls in flight are within"
        pairs.append(("drain_timeout", f"{told} {deployed.pre_stop_timeout:g} s"))
    for name, text in pairs:
        if name not in wrong:
            yield function.fits(name, other_side(function, name), text, source=SOURCES[name])
