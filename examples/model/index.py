"""Prices flats by a model that is asked for many of them at once."""

import json
from pathlib import Path

import numpy as np
from msgspec import Struct

from service import Context, batched

MODEL = json.loads(Path(__file__).with_name("model.json").read_text())
"""A network of one hidden layer, as it was trained elsewhere."""


class Flat(Struct):
    """What is known of a flat."""

    area: float
    rooms: int
    floor: int = 0
    age: float = 0.0


@batched(max_size=64, max_wait=0.005)
def handler(flats: list[Flat], contexts: list[Context]) -> list[float | ValueError]:
    """Return a price for each flat; one that makes no sense fails its own call alone."""
    rows = np.array([[flat.area, flat.rooms, flat.floor, flat.age] for flat in flats])
    for flat, context in zip(flats, contexts, strict=True):
        with context:  # the line is this call's
            context.logger.debug("a flat of %g square metres", flat.area)
    return [
        round(price, 2) if flat.area > 0 else ValueError("the area is more than 0")
        for flat, price in zip(flats, predict(rows), strict=True)
    ]


def predict(rows: np.ndarray) -> list[float]:
    """Ask the model: one pass for all rows takes little longer than one for a single row."""
    hidden = np.maximum(rows @ np.array(MODEL["hidden"]) + np.array(MODEL["bias"]), 0)
    prices: list[float] = (hidden @ np.array(MODEL["out"])).tolist()
    return prices
