"""What calls cost by the platform's public rules: instances are billed from their first call to the
end of their last one, by vCPU and memory, and each call besides (docs/platform.md section 7). The
prices are the user's, with their date.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..sizes import InstanceSize

PRICES_EXAMPLE = 'date = "2026-11-01", currency = "CNY", vcpu_second, gb_second and million_calls'


@dataclass(frozen=True, slots=True)
class Prices:
    """Of a second of a vCPU, a second of a GB, and a million calls."""

    date: str
    currency: str
    vcpu_second: float
    gb_second: float
    million_calls: float


def read_prices(path: Path) -> Prices:
    """Read a file of TOML. Raises UsageError, which says what belongs there."""
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Prices(
            date=str(said.pop("date")),
            currency=str(said.pop("currency")),
            **{name: _price(name, said.pop(name)) for name in _NUMBERS},
            **said,
        )
    except OSError as reason:
        raise UsageError(f"--prices {path.name}: cannot be read: {reason.strerror}") from None
    except KeyError as missing:
        raise UsageError(
            f"--prices {path.name}: {missing.args[0]} is missing; it takes {PRICES_EXAMPLE}"
        ) from None
    except (ValueError, TypeError) as reason:
        raise UsageError(f"--prices {path.name}: {reason}; it takes {PRICES_EXAMPLE}") from None


_NUMBERS = ("vcpu_second", "gb_second", "million_calls")


def _price(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise ValueError(f"{name} is no price")
    return float(value)


@dataclass(frozen=True, slots=True)
class FleetBill:
    """What a million calls take: seconds of vCPU and of GB; their price, None without prices."""

    vcpu_seconds: float
    gb_seconds: float
    price: float | None


def bill_of(billed: float, calls: int, size: InstanceSize, prices: Prices | None) -> FleetBill:
    """Return what a million calls take if `calls` of them had instances of a size for `billed`
    seconds.
    """
    seconds = billed / max(calls, 1) * 1e6
    vcpu, memory = seconds * size.cpu, seconds * size.memory / 1024
    price = None
    if prices is not None:
        price = vcpu * prices.vcpu_second + memory * prices.gb_second + prices.million_calls
    return FleetBill(vcpu, memory, price)
