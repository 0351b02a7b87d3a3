"""Metrics of the function's own: `counter`, `gauge` and `histogram`, told at `/metrics`.

    from fc_event_service import metrics

    ORDERS = metrics.counter("orders_total", "Orders that were taken.", labels=("shop",))
    ORDERS.inc(shop="north")

They count in all threads, in all workers, and in processes that the function forks. Counting
raises nothing but TypeError and ValueError for a call that is wrong each time.
"""

from __future__ import annotations

import logging
import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from .counting.locks import FORK_LOCK
from .counting.page import FamilyShape, PageFull
from .counting.pages import USER_PAGE
from .protocol import SERVICE_LOGGER

MOST_SERIES = 200
"""Different values of its labels that a metric has in a process; what comes then is in one series
whose labels are all `OTHER_VALUES`.
"""

OTHER_VALUES = "(others)"
LONGEST_VALUE, LONGEST_HELP, MOST_BUCKETS = 100, 500, 50
"""Characters of a label's value, and of what a metric is: longer ones are cut. Buckets."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of a histogram's buckets, if none are named."""

METRIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
RESERVED = ("le", "quantile", "worker")
CREDENTIAL = re.compile("secret|token|password|access_?key", re.IGNORECASE)

_log = logging.getLogger(SERVICE_LOGGER)


def counter(name: str, help: str = "", *, labels: Sequence[str] = ()) -> UserCounter:
    """Return the counter of that name, which ends in `_total`. Raises ValueError for a name that
    cannot be.
    """
    if not name.endswith("_total"):
        raise ValueError(f"a counter's name ends in _total: {name}_total, say")
    return _registered(UserCounter, name, help, labels)


def gauge(name: str, help: str = "", *, labels: Sequence[str] = ()) -> UserGauge:
    """Return the gauge of that name. Raises ValueError for a name that cannot be."""
    return _registered(UserGauge, name, help, labels)


def histogram(
    name: str,
    help: str = "",
    *,
    labels: Sequence[str] = (),
    buckets: Sequence[float] = SECONDS,
) -> UserHistogram:
    """Return the histogram of that name; `buckets` are their upper ends. Raises ValueError for a
    name or buckets that cannot be.
    """
    ends = tuple(float(end) for end in buckets if end != math.inf)
    if not ends or list(ends) != sorted(set(ends)) or not all(map(math.isfinite, ends)):
        raise ValueError(f"the buckets of {name} are their upper ends, from the least on: {ends}")
    if len(ends) > MOST_BUCKETS:
        raise ValueError(f"{name} has {len(ends)} buckets: there can be {MOST_BUCKETS}")
    return _registered(UserHistogram, name, help, labels, ends)


class UserMetric:
    """What the three kinds have in common: a name, what it is, and the names of its labels."""

    kind = ""

    def __init__(self, shape: FamilyShape) -> None:
        self.shape = shape
        self._places: dict[tuple[str, ...], int | None] = {}
        self._page = USER_PAGE.page
        self._is_told = False

    def _add(self, labels: dict[str, object], changes: Sequence[tuple[int, float]]) -> None:
        """Add to numbers of a series, each by its place in it."""
        FORK_LOCK.do(partial(self._add_now, self._values(labels), changes))

    def _add_now(self, values: tuple[str, ...], changes: Sequence[tuple[int, float]]) -> None:
        place = self._place(values)
        if place is not None:
            cells = USER_PAGE.made().cells
            for offset, amount in changes:
                cells[place + offset] += amount

    def _place(self, values: tuple[str, ...]) -> int | None:
        if USER_PAGE.page is not self._page:  # a test's, or a worker's that takes a place
            self._page, self._places = USER_PAGE.page, {}
        if values in self._places:
            return self._places[values]
        if len(self._places) >= MOST_SERIES:
            self._tell_once(f"has over {MOST_SERIES} values of its labels: further ones are one")
            values = tuple(OTHER_VALUES for _ in values)
        try:
            place = USER_PAGE.made().place_of(self.shape, values)
        except PageFull:
            place = None
        if place is None:
            self._tell_once("has no room: there are too many metrics, or their labels are long")
        self._page = USER_PAGE.page
        self._places[values] = place
        return place

    def _values(self, labels: dict[str, object]) -> tuple[str, ...]:
        names = self.shape.labels
        if len(labels) != len(names) or any(name not in labels for name in names):
            wanted = ", ".join(names) or "no labels"
            given = ", ".join(labels) or "none"
            raise ValueError(f"{self.shape.name} takes {wanted}; it was given {given}")
        return tuple([_text(labels[name]) for name in names])

    def _tell_once(self, what: str) -> None:
        if not self._is_told:
            self._is_told = True
            _log.warning("the metric %s %s", self.shape.name, what)


class UserCounter(UserMetric):
    """A number that only grows. Over workers it is added up."""

    kind = "counter"

    def inc(self, amount: float = 1, /, **labels: object) -> None:
        """Add to it. Raises ValueError for less than nothing, and for labels that it has not."""
        if not 0 <= amount < math.inf:
            raise ValueError(f"{self.shape.name} only grows: {amount!r} cannot be added")
        self._add(labels, [(0, float(amount))])


class UserGauge(UserMetric):
    """A number that goes up and down. Over workers it is added up, too: `/metrics?by=worker` tells
    each one's.
    """

    kind = "gauge"

    def set(self, value: float, /, **labels: object) -> None:
        """Set it. Raises ValueError for labels that it has not."""
        FORK_LOCK.do(partial(self._set_now, self._values(labels), float(value)))

    def _set_now(self, values: tuple[str, ...], number: float) -> None:
        place = self._place(values)
        if place is not None:
            USER_PAGE.made().cells[place] = number

    def inc(self, amount: float = 1, /, **labels: object) -> None:
        """Add to it. Raises ValueError for labels that it has not."""
        self._add(labels, [(0, float(amount))])

    def dec(self, amount: float = 1, /, **labels: object) -> None:
        """Take from it. Raises ValueError for labels that it has not."""
        self._add(labels, [(0, -float(amount))])


class UserHistogram(UserMetric):
    """How often a value was in which bucket, how many there were, and their sum."""

    kind = "histogram"

    def observe(self, value: float, /, **labels: object) -> None:
        """Count a value. Raises ValueError for one that is no number, and for labels that it has
        not.
        """
        if value != value:
            raise ValueError(f"{self.shape.name}: {value!r} is no number")
        bounds = self.shape.bounds
        self._add(labels, [(bisect_left(bounds, value), 1), (len(bounds) + 1, float(value))])


MetricKind = TypeVar("MetricKind", bound=UserMetric)

_metrics: dict[str, UserMetric] = {}


def _registered(
    kind: type[MetricKind],
    name: str,
    help: str,
    labels: Sequence[str],
    bounds: tuple[float, ...] = (),
) -> MetricKind:
    """Return a metric; the same one each time that it is asked for."""
    _check_name(name)
    _check_labels(name, labels)
    shape = FamilyShape(name, kind.kind, help[:LONGEST_HELP] or name, tuple(labels), bounds)
    metric = _metrics.setdefault(name, kind(shape))
    if not isinstance(metric, kind) or metric.shape != shape:
        was = f"a {metric.kind} with labels ({', '.join(metric.shape.labels)})"
        raise ValueError(f"there is a metric {name} already, {was}: give this one another name")
    return metric


def _check_name(name: str) -> None:
    if not METRIC_NAME.fullmatch(name) or len(name) > LONGEST_VALUE:
        near = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:40] or "orders_total"
        raise ValueError(f"a metric's name has letters, digits and _: {near}, not {name[:80]!r}")
    if name.startswith("fc_"):
        raise ValueError(f"names that begin with fc_ are the service's: {name[3:]}, say")


def _check_labels(name: str, labels: Sequence[str]) -> None:
    if isinstance(labels, str):
        raise ValueError(f"the labels of {name} are a list of names: [{labels!r}]")
    for label in labels:
        if not METRIC_NAME.fullmatch(label) or label.startswith("__"):
            raise ValueError(f"a label's name has letters, digits and _: {label[:80]!r} has not")
        if label in RESERVED or list(labels).count(label) > 1:
            raise ValueError(f"{name} cannot have this label {label}: choose another name for it")
        if CREDENTIAL.search(label):
            raise ValueError(
                f"{name} has a label {label}: what it tells would be no secret any more"
            )


def _text(value: object) -> str:
    """Return a label's value as a text that can be told, whatever its `__str__` does."""
    try:
        text = str(value)
    except Exception as failure:
        text = f"<no text: {type(failure).__name__}>"
    if len(text) > LONGEST_VALUE:
        text = text[: LONGEST_VALUE - 3] + "..."
    return text.encode("utf-8", "replace").decode()
