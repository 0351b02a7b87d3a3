"""The function's own metrics: what a name may be, and what is counted."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from service import metrics
from service.counting.page import Page
from service.counting.pages import USER_PAGE
from tests.harness import RUNS_WITHIN


@pytest.fixture(autouse=True)
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    """A page of the test's own, and no metric of another test."""
    monkeypatch.setattr(metrics, "_metrics", {})
    page = Page(64 * 1024)
    monkeypatch.setattr(USER_PAGE, "page", page)
    return page


def told(page: Page) -> dict[str, float]:
    """Each sample by its name and the values of its labels."""
    return {
        " ".join([name, *(value for _, value in labels)]): number
        for family in page.families()
        for (name, labels), number in family.samples.items()
    }


def test_counters_gauges_and_histograms_count(page: Page) -> None:
    """With labels and without; a histogram by its buckets."""
    orders = metrics.counter("orders_total", "Orders.", labels=["shop"])
    orders.inc(shop="north")
    orders.inc(2.5, shop="north")
    orders.inc(shop=7)
    depth = metrics.gauge("depth")
    depth.set(5)
    depth.inc(2)
    depth.dec()
    took = metrics.histogram("took_seconds", buckets=[1, 2, float("inf")])
    for value in (0.5, 1, 1.5, 99):
        took.observe(value)
    assert told(page) == {
        "orders_total north": 3.5,
        "orders_total 7": 1,
        "depth": 6,
        "took_seconds_bucket 1": 2,
        "took_seconds_bucket 2": 3,
        "took_seconds_bucket +Inf": 4,
        "took_seconds_sum": 102,
        "took_seconds_count": 4,
    }


def test_the_same_name_is_the_same_metric(page: Page) -> None:
    """A module that is imported twice counts on; another kind of that name is refused."""
    first = metrics.counter("orders_total", "Orders.")
    assert metrics.counter("orders_total", "Orders.") is first
    with pytest.raises(ValueError, match="a metric orders_total already, a counter"):
        metrics.counter("orders_total", labels=["shop"])
    metrics.gauge("depth")
    with pytest.raises(ValueError, match="a metric depth already, a gauge"):
        metrics.histogram("depth")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: metrics.counter("orders"), "orders_total, say"),
        (lambda: metrics.gauge("my depth!"), "my_depth, not"),
        (lambda: metrics.gauge("\n"), "orders_total, not"),
        (lambda: metrics.gauge("fc_depth"), "depth, say"),
        (lambda: metrics.gauge("x" * 101), "letters, digits"),
        (lambda: metrics.gauge("depth", labels="shop"), r"\['shop'\]"),
        (lambda: metrics.gauge("depth", labels=["a-b"]), "'a-b' has not"),
        (lambda: metrics.gauge("depth", labels=["le"]), "choose another name"),
        (lambda: metrics.gauge("depth", labels=["a", "a"]), "choose another name"),
        (lambda: metrics.gauge("depth", labels=["security_token"]), "no secret any more"),
        (lambda: metrics.histogram("t", buckets=[]), "from the least on"),
        (lambda: metrics.histogram("t", buckets=[2, 1]), "from the least on"),
        (lambda: metrics.histogram("t", buckets=range(99)), "there can be 50"),
        (lambda: metrics.counter("a_total").inc(-1), "only grows"),
        (lambda: metrics.counter("a_total").inc(float("nan")), "only grows"),
        (lambda: metrics.counter("a_total").inc(shop="x"), "takes no labels"),
        (lambda: metrics.counter("a_total", labels=["b"]).inc(), "takes b; it was given none"),
        (lambda: metrics.histogram("t").observe(float("nan")), "no number"),
    ],
)
def test_what_cannot_be_is_told_with_what_to_do(make: Callable[[], object], why: str) -> None:
    """Names by Prometheus' rules, labels that were declared, and numbers."""
    with pytest.raises(ValueError, match=why):
        make()


def test_labels_without_number_are_capped_and_told_once(
    page: Page, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes beyond the most is in one series, so that the total is right."""
    orders = metrics.counter("orders_total", labels=["customer"])
    with caplog.at_level(logging.WARNING):
        for customer in range(metrics.MOST_SERIES + 50):
            orders.inc(customer=customer)
    found = told(page)
    assert len(found) == metrics.MOST_SERIES + 1
    assert found["orders_total (others)"] == 50
    assert sum(found.values()) == metrics.MOST_SERIES + 50
    (line,) = caplog.messages
    assert line.startswith("the metric orders_total has over 200 values of its labels")


def test_a_page_that_is_full_is_told_once_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The metric is not told."""
    monkeypatch.setattr(USER_PAGE, "page", Page(64))
    orders = metrics.counter("orders_total", labels=["customer"])
    with caplog.at_level(logging.WARNING):
        orders.inc(customer="a")
        orders.inc(customer="b")
        metrics.gauge("depth").set(1)
    assert [line.split(":")[0] for line in caplog.messages] == [
        "the metric orders_total has no room",
        "the metric depth has no room",
    ]


def test_values_of_labels_are_cut_and_never_raise(page: Page) -> None:
    """Whatever their `__str__` does, and whatever is in them."""

    class Hostile:
        def __str__(self) -> str:
            raise KeyError("no")

    orders = metrics.counter("orders_total", labels=["of"])
    for value in (Hostile(), "x" * 1_000_000, "\udce9"):
        orders.inc(of=value)
    assert [*told(page)] == [
        "orders_total <no text: KeyError>",
        f"orders_total {'x' * 97}...",
        "orders_total ?",
    ]


def test_threads_lose_nothing(page: Page) -> None:
    """Four count at the same time."""
    orders = metrics.counter("orders_total")

    def count() -> None:
        for _ in range(2000):
            orders.inc()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told(page) == {"orders_total": 8000}


def test_a_worker_takes_the_place_of_another_one(page: Page) -> None:
    """A counter goes on where the predecessor's was, a gauge begins anew; what was made before
    the page was shared counts there, too.
    """
    orders, depth = metrics.counter("orders_total"), metrics.gauge("depth")
    orders.inc()
    depth.inc()
    USER_PAGE.share(page)
    orders.inc()
    depth.inc()
    assert told(page) == {"orders_total": 2, "depth": 1}


def test_without_a_service_it_counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a test of the function, say."""
    monkeypatch.setattr(USER_PAGE, "page", None)
    metrics.counter("orders_total").inc()
    assert told(USER_PAGE.made()) == {"orders_total": 1}


@pytest.mark.parametrize(
    "source",
    ["from service import metrics", "import service; metrics = service.metrics"],
)
def test_it_is_imported_by_those_who_use_it(source: str) -> None:
    """By either name of the package; the package itself imports it for nobody."""
    code = f"""
import sys, fc_event_service
assert "fc_event_service.metrics" not in sys.modules
{source}
from fc_event_service.metrics import counter
assert metrics.counter is counter
"""
    subprocess.run([sys.executable, "-c", code], timeout=RUNS_WITHIN, check=True)
