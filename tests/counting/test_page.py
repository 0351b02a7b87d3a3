"""A page of series: written by one process, read by all, and counted on by a successor."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.counting.page import FamilyShape, Page, PageFull
from tests.harness import RUNS_WITHIN

ORDERS = FamilyShape("orders_total", "counter", "Orders.", ("shop",))
DEPTH = FamilyShape("depth", "gauge", "")
SUCCEEDED = """
import os
from fc_event_service.counting.page import FamilyShape, Page

ORDERS = FamilyShape("orders_total", "counter", "Orders.", ("shop",))
DEPTH = FamilyShape("depth", "gauge", "")
page = Page(4096)
if os.fork() == 0:
    page.cells[page.place_of(ORDERS, ("north",))] += 2
    page.cells[page.place_of(DEPTH)] += 5
    os._exit(0)
os.wait()
page.clear("gauge")
page.cells[page.place_of(ORDERS, ("south",))] += 1
page.cells[page.place_of(ORDERS, ("north",))] += 1
print([[*family.samples.values()] for family in page.families()])
"""
TOOK = FamilyShape("took_seconds", "histogram", "", (), (0.1, 1.0))


def test_what_is_counted_is_read() -> None:
    """A number by its labels, and a histogram as the counts of all that is not above an end."""
    page = Page(4096)
    page.cells[page.place_of(ORDERS, ("north",))] += 2
    page.cells[page.place_of(ORDERS, ("north",))] += 1
    start = page.place_of(TOOK)
    for offset, amount in ((0, 2), (2, 1), (3, 7.5)):
        page.cells[start + offset] += amount
    orders, took = page.families()
    assert orders.samples == {("orders_total", (("shop", "north"),)): 3}
    assert took.samples == {
        ("took_seconds_bucket", (("le", "0.1"),)): 2,
        ("took_seconds_bucket", (("le", "1"),)): 2,
        ("took_seconds_bucket", (("le", "+Inf"),)): 3,
        ("took_seconds_sum", ()): 7.5,
        ("took_seconds_count", ()): 3,
    }


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(0, 99)), max_size=50))
def test_any_label_keeps_its_number(counted: list[tuple[str, int]]) -> None:
    """Whatever characters it has, among many others."""
    page, expected = Page(65536), dict[str, int]()
    for shop, amount in counted:
        page.cells[page.place_of(ORDERS, (shop,))] += amount
        expected[shop] = expected.get(shop, 0) + amount
    found = {labels[0][1]: v for f in page.families() for (_, labels), v in f.samples.items()}
    assert found == expected


def test_another_process_reads_it_and_a_successor_counts_on() -> None:
    """What a process has counted is there after its end; its gauges are cleared."""
    done = subprocess.run(
        [sys.executable, "-c", SUCCEEDED],
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("[[3.0, 1.0], [0.0]]\n", "")


def test_a_page_that_is_full_says_so_and_keeps_what_it_has() -> None:
    """Further series have no room; those that are there are counted on."""
    page = Page(1024)

    def fill() -> None:
        for number in range(100):
            page.cells[page.place_of(ORDERS, (f"shop {number}",))] += 1

    with pytest.raises(PageFull):
        fill()
    page.cells[page.place_of(ORDERS, ("shop 0",))] += 1
    (orders,) = page.families()
    assert orders.samples["orders_total", (("shop", "shop 0"),)] == 2
    with pytest.raises(PageFull):
        page.place_of(FamilyShape("x" * 1000, "gauge", ""))
    assert len(page.families()) == 1
