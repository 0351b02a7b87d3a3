"""The bill, by prices that are the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import UsageError
from service.sizing.fleet.prices import Prices, bill_of, read_prices
from service.sizing.sizes import InstanceSize

FILE = """\
date = "2026-11-01"
currency = "CNY"
vcpu_second = 0.0001
gb_second = 0.00001
million_calls = 1.5
"""


def test_prices_are_read_with_their_date(tmp_path: Path) -> None:
    """As the file has them."""
    (tmp_path / "prices.toml").write_text(FILE)
    found = read_prices(tmp_path / "prices.toml")
    assert found == Prices("2026-11-01", "CNY", 0.0001, 0.00001, 1.5)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("date = ", "it takes date"),
        (FILE.replace('date = "2026-11-01"\n', ""), "date is missing"),
        (FILE.replace("0.0001", '"dear"'), "vcpu_second is no price"),
        (FILE.replace("1.5", "-1"), "million_calls is no price"),
        (FILE + "disk = 1\n", "disk"),
    ],
    ids=["missing", "cut", "undated", "text", "negative", "unknown"],
)
def test_prices_that_are_none_are_told_in_a_line(
    content: str | None, told: str, tmp_path: Path
) -> None:
    """With what belongs there."""
    if content is not None:
        (tmp_path / "prices.toml").write_text(content)
    with pytest.raises(UsageError, match=told):
        read_prices(tmp_path / "prices.toml")


def test_a_million_calls_are_billed_by_the_instances_seconds() -> None:
    """vCPU and memory for as long as any call runs, however many do; and each call."""
    size = InstanceSize(0.5, 1024)
    found = bill_of(100.0, 1000, size, Prices("2026-11-01", "CNY", 0.0001, 0.00001, 1.5))
    assert found.vcpu_seconds == pytest.approx(50_000)
    assert found.gb_seconds == pytest.approx(100_000)
    assert found.price == pytest.approx(5 + 1 + 1.5)
    assert bill_of(100.0, 1000, size, None).price is None
    assert bill_of(0.0, 0, size, None).vcpu_seconds == 0
