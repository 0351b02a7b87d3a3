"""The sample of a model behind `@batched`, under the local Function Compute."""

import asyncio
import json
from pathlib import Path

import pytest

from service.emulator.testing import emulator

pytest.importorskip("numpy", reason="numpy is not there for this Python")

SPEC = Path(__file__).parents[1] / "s.yaml"


def flat(**known: float) -> bytes:
    """An event."""
    return json.dumps({"area": 60, "rooms": 2, **known}).encode()


async def test_each_flat_has_its_own_price() -> None:
    """Forty calls at once get forty prices; one that makes no sense and one that is no flat fail
    alone.
    """
    async with emulator(SPEC) as fc:
        priced = [fc.invoke("model", flat(area=area)) for area in range(20, 60)]
        nowhere = fc.invoke("model", flat(area=0))
        wrong = fc.invoke("model", b'{"area": "large"}')
        *found, empty, refused = await asyncio.gather(*priced, nowhere, wrong)
    assert [json.loads(each.body) for each in found] == [3.75 * a + 10 for a in range(20, 60)]
    assert b"the area is more than 0" in empty.body
    assert json.loads(refused.body)["errorMessage"] == "$.area: Expected `float`, got `str`"
