"""What the start says of the function, its limits, and how to try it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.calls.callables import HandlerKind
from service.calls.function import Function, Handlers
from service.commands.banner import banner_lines
from service.settings.load import load_settings

URL = "http://127.0.0.1:9000/"


def banner(*flags: str, kind: Any = "async", workers: Any = 1, **more: Any) -> str:
    """Return the banner's lines as one text."""
    url = more.pop("url", URL)
    handlers = Handlers(Function("index.handler", print, kind), **more)
    loaded = load_settings(dict(each.split("=") for each in flags), {}, Path("/nowhere"))
    return "\n".join(banner_lines(loaded, handlers, url, workers))


def test_the_first_line_says_what_is_served_and_where() -> None:
    """With the address as it was given."""
    (first, *_) = banner(url="http://0.0.0.0:9000/").splitlines()
    assert first.endswith(" serves index.handler on http://0.0.0.0:9000/")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("async", "async: calls share the event loop"),
        ("sync", "plain def: each call has a thread, up to 7"),
        ("stream", "async generator: its parts are joined into one answer"),
    ],
)
def test_the_kind_of_the_handler_is_told(kind: HandlerKind, told: str) -> None:
    """It decides how calls run beside each other."""
    assert f"  handler  {told}\n" in banner("concurrency=7", kind=kind)


def test_the_handlers_of_a_router_are_told() -> None:
    """Each by its name."""
    routes = tuple(Function(f"index.{name}", print, "sync") for name in ("uploaded", "report"))
    handlers = Handlers(Function("index.handler", print, "routed", routes=routes))
    lines = banner_lines(load_settings({}, {}, Path("/nowhere")), handlers, URL)
    assert "  handler  a Router of index.uploaded, index.report" in lines


@pytest.mark.parametrize(
    ("url", "tried"),
    [
        (URL, "http://127.0.0.1:9000/invoke"),
        ("http://0.0.0.0:9000/", "http://127.0.0.1:9000/invoke"),
        ("http://[::]:9000/", "http://[::1]:9000/invoke"),
    ],
)
def test_the_command_to_try_names_an_address_that_can_be_asked(url: str, tried: str) -> None:
    """Any address is none that a client can ask."""
    assert f'curl -d \'{{"name":"you"}}\' {tried}\n' in banner(url=url)


def test_the_limits_are_told_in_units() -> None:
    """A time limit that is not set is the platform's."""
    flags = ("concurrency=3", "queue=2", "max_body=1MiB")
    limits = "  limits   3 calls at once, 2 in the queue, time limit"
    assert f"{limits} the platform's, 1MiB an event\n" in banner(*flags)
    assert f"{limits} 1.5 s, 1MiB an event\n" in banner(*flags, "timeout=1.5")


def test_hooks_and_workers_are_told_if_there_are_any() -> None:
    """Of the hooks the names that the module gives them."""
    alone = banner()
    assert "  hooks  " not in alone
    assert "  workers" not in alone
    hooks = {what: Function(f"index.{what}", print, "sync") for what in ("pre_stop", "initializer")}
    told = banner(workers=4, **hooks)
    assert "  hooks    index.initializer, index.pre_stop\n" in told
    assert "  workers  4 processes, which share these limits\n" in told
    assert [line.split()[0] for line in told.splitlines()[1:]] == [
        *("handler", "hooks", "limits", "workers", "try", "stop"),
    ]
