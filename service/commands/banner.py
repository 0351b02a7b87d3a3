"""What the start says: what is served, where, with which limits, and how to try it."""

from __future__ import annotations

from .. import __version__
from ..calls.function import HOOKS, Handlers
from ..settings.kinds import size_text
from ..settings.load import Loaded


def banner_lines(loaded: Loaded, handlers: Handlers, url: str, workers: int = 1) -> list[str]:
    """Return the lines of the start."""
    s, handler = loaded.settings, handlers.handler
    kinds = {
        "async": "async: calls share the event loop",
        "sync": f"plain def: each call has a thread, up to {s.concurrency}",
        "stream": "async generator: its parts are joined into one answer",
        "routed": f"a Router of {', '.join(each.name for each in handler.routes)}",
    }
    shown = url.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    timeout = "the platform's" if s.timeout is None else f"{s.timeout:g} s"
    calls = "1 call" if s.concurrency == 1 else f"{s.concurrency} calls"
    lines = [
        f"fc-event-service {__version__} serves {handler.name} on {url}",
        f"  handler  {kinds[handler.kind]}",
        f"  limits   {calls} at once, {s.queue} in the queue, time limit {timeout},"
        f" {size_text(s.max_body)} an event",
        f'  try      curl -d \'{{"name":"you"}}\' {shown.rstrip("/")}/invoke',
        "  stop     Ctrl-C: calls in flight are finished",
    ]
    named = (*HOOKS, "lifespan", "around")
    hooks = [found.name for what in named if (found := getattr(handlers, what))]
    if handlers.middlewares:
        hooks.append(f"{len(handlers.middlewares)} middlewares")
    if hooks:
        lines.insert(2, f"  hooks    {', '.join(hooks)}")
    if workers > 1:
        lines.insert(-2, f"  workers  {workers} processes, which share these limits")
    return lines
