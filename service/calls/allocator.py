"""How the C library gives memory back, for bodies that arrive in parts."""

from __future__ import annotations

import contextlib
from functools import cache

MB = 1024 * 1024
SETTINGS = (
    (-1, 8 * MB),  # M_TRIM_THRESHOLD: free memory at the heap's end that is kept
    (-2, 1 * MB),  # M_TOP_PAD: what the heap grows by at least
    (-3, 2 * MB),  # M_MMAP_THRESHOLD: from here on a block is given back when it is freed
)
"""Options of glibc's mallopt(3). By itself it gives the memory of each part of a body back and
fetches it again for the next one, page by page, which takes a tenth of the time that a large body
streams, and two thirds of what one of 1 MB takes that is read whole. And it raises the last one to
the largest block ever freed: larger blocks in the heap leave it in holes that are not given back,
100 MB of them after bodies of all sizes up to 7 MB.
"""


@cache
def keep_a_little() -> None:
    """Set the options, once. Nothing happens if the C library is not glibc."""
    import ctypes  # takes 6 ms, which no start should wait for

    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in SETTINGS:
            mallopt(option, value)
