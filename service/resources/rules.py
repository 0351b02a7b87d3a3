"""What a shared function was told: how long a value is kept, by what, and how many there are."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from ..context.call import Context

LONG_KEY = 1024
"""Characters or bytes of an argument from which on its digest is kept in its place."""


@dataclass(frozen=True, slots=True)
class SharingRules:
    """How a shared function is kept. Times are seconds, counted from when a fetch began."""

    name: str
    ttl: float
    stale: float
    timeout: float
    max_entries: int
    key: Callable[..., Hashable] | None


def check_rules(rules: SharingRules, function: object) -> None:
    """Raise TypeError or ValueError for a function that cannot be shared, or a value that cannot
    be.
    """
    if not callable(function) or inspect.isclass(function):
        raise TypeError(f"@shared is for a function, and {rules.name} is none")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"@shared: {rules.name} is a generator, whose items only one caller can have: return a"
            " list"
        )
    if rules.key is not None and not callable(rules.key):
        raise TypeError(f"@shared: key of {rules.name} is a function of the same arguments")
    for what in ("ttl", "timeout"):
        if not getattr(rules, what) > 0:
            raise ValueError(f"@shared: {what} of {rules.name} is more than 0 seconds")
    if not rules.stale >= 0:
        raise ValueError(f"@shared: stale of {rules.name} is seconds from 0 on")
    if not math.isfinite(rules.timeout):
        raise ValueError(f"@shared: timeout of {rules.name} is a number of seconds")
    if rules.max_entries < 1:
        raise ValueError(f"@shared: max_entries of {rules.name} is 1 or more")


def key_of(
    rules: SharingRules,
    signature: inspect.Signature | None,
    arguments: tuple[Any, ...],
    named: Mapping[str, Any],
) -> Hashable:
    """Return what tells this call of a shared function from others. Raises TypeError for what has
    no hash, and whatever `key` raises.
    """
    if rules.key is not None:
        key = _short(rules.key(*arguments, **named))
        _check_hash(key, f"what key= of {rules.name} returned")
        return key
    if not arguments and not named:
        return ()
    if named and signature is not None:
        bound = signature.bind(*arguments, **named)
        arguments, named = bound.args, bound.kwargs
    values = (*arguments, *named.values())
    for value in values:
        if isinstance(value, Context):
            raise TypeError(
                f"{rules.name} is shared by all calls, so it takes no call's context: use"
                " current_context() inside of it, or say with key= what its result depends on"
            )
        _check_hash(value, f"an argument of {rules.name}")
    # 1, 1.0 and True are equal, and not the same argument.
    kinds = tuple(map(type, values))
    return kinds, tuple(map(_short, arguments)), *((n, _short(named[n])) for n in sorted(named))


def _check_hash(value: object, what: str) -> None:
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"{what} is of the type {type(value).__name__}, which has no hash: say with key= what"
            " tells results apart, key=lambda order: order['id'] for example"
        ) from None


def _short(value: Any) -> Hashable:
    """Return a value, or the digest of a long text: keys are kept as long as results."""
    if isinstance(value, str | bytes) and len(value) > LONG_KEY:
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return "digest of", hashlib.sha256(data).digest()
    return value  # type: ignore[no-any-return] # whether it has a hash is checked
