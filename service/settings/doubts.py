"""What settings say that is allowed, and is not likely to be meant."""

from __future__ import annotations

from collections.abc import Iterator

from ..protocol import SESSION_CALLS
from .table import Settings


def session_doubts(settings: Settings) -> Iterator[str]:
    """Yield what does not fit session affinity, if a header field of sessions is named."""
    if settings.session_header is None:
        return
    if settings.concurrency < SESSION_CALLS:
        yield (
            f"session_header is set and concurrency is {settings.concurrency}: with session"
            f" affinity the platform sends an instance up to {SESSION_CALLS} calls at once, and"
            f" further ones wait here: set SERVICE_CONCURRENCY={SESSION_CALLS}"
        )
    if settings.workers != 1:
        yield (
            f"session_header is set and workers is {settings.workers}: a session's calls come to"
            " one instance, and there to any worker: keep what sessions share outside of the"
            " process, or set SERVICE_WORKERS=1"
        )
