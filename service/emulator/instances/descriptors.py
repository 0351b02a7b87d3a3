"""How many files may be open: each instance takes several of the emulator's."""

from __future__ import annotations

import errno
import resource
from contextlib import suppress

LIMIT = 100_000
"""Files that a process may open on the platform (docs/platform.md section 8)."""

OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})
OUT_OF_MEANS = OUT_OF_FILES | {errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.ENOBUFS}
"""What the system says if the desk has no more files, processes, memory or disk."""


def raise_limit() -> None:
    """Let this process, and the instances that it starts, open as many files as on the platform, or
    as many as the system allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = LIMIT if hard == resource.RLIM_INFINITY else min(LIMIT, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a further limit, which nothing tells
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit() -> int:
    """Return how many files this process may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
