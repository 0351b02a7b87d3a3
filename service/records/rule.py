"""What `@each` was asked for, checked once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..calls.callables import check_takes, judge_kind
from ..errors import StartError
from .attempts import Tries, tries_of
from .keys import KeyOf, key_reader

MOST_AT_ONCE = 1000
"""Records of one call that may run at once."""


@dataclass(frozen=True)
class EachRule:
    """How a batch is handled."""

    handle: Callable[..., Any]
    is_plain: bool
    """Whether the handler runs in threads."""
    concurrency: int
    key: KeyOf
    tries: Tries
    on_failure: Callable[..., Any] | None
    sink_is_plain: bool
    margin: float | None
    """Seconds of the call's time that are kept to report; None for a share of it."""
    lines: bool


def rule_of(
    handle: Callable[..., Any],
    concurrency: int,
    key: Any,
    retry: Any,
    on_failure: Callable[..., Any] | None,
    margin: float | None,
    lines: bool,
) -> EachRule:
    """Return the rule. Raises TypeError and ValueError for what cannot be, ImportError for an extra
    that is missing.
    """
    if type(concurrency) is not int or not 1 <= concurrency <= MOST_AT_ONCE:
        raise ValueError(
            f"concurrency is a number from 1 to {MOST_AT_ONCE}, and not {concurrency!r}"
        )
    if margin is not None and not 0 <= margin < math.inf:
        raise ValueError(f"margin is a number of seconds, and not {margin!r}")
    sink_is_plain = on_failure is not None and _is_plain(
        "on_failure", on_failure, "(record, error, context)"
    )
    return EachRule(
        handle=handle,
        is_plain=_is_plain("@each", handle, "(record, context)"),
        concurrency=concurrency,
        key=key_reader(key),
        tries=tries_of(retry),
        on_failure=on_failure,
        sink_is_plain=sink_is_plain,
        margin=margin,
        lines=lines,
    )


def _is_plain(what: str, function: Callable[..., Any], takes: str) -> bool:
    try:
        kind = judge_kind(what, function)
        check_takes(what, function, takes)
    except StartError as reason:
        raise TypeError(str(reason)) from None
    if kind == "stream":
        raise TypeError(f"{what}: an async generator cannot handle a record: return, do not yield")
    return kind == "sync"
