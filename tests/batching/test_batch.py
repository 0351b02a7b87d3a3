"""What is around a batch while it runs: its variables, its lines."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar

import pytest

from service import Context, batched, current_context
from service.calls.lifecycle import HERE, Lifecycle
from service.calls.variables import Inherited
from tests.assembly import logged, untimed

MODEL: ContextVar[str] = ContextVar("model", default="none")
OWN: ContextVar[str] = ContextVar("own", default="nobody's")


def test_a_batch_begins_with_what_calls_begin_with() -> None:
    """What the initializer has set is set in it; what one of its calls has set is not."""
    lifecycle = Lifecycle(drain_timeout=1, hurry=lambda: None)

    @batched
    async def look(events: list[int]) -> list[tuple[str, str, bool]]:
        return [(MODEL.get(), OWN.get(), HERE.get() is lifecycle) for _ in events]

    async def call(number: int) -> tuple[str, str, bool]:
        OWN.set(f"of {number}")
        return await look(number)

    async def main() -> list[tuple[str, str, bool]]:
        MODEL.set("forest")
        lifecycle.enter_variables = Inherited().enter
        HERE.set(lifecycle)
        return await asyncio.gather(*map(call, range(2)))

    assert asyncio.run(main()) == [("forest", "nobody's", True)] * 2


def test_a_batchs_lines_have_its_first_id_and_its_size() -> None:
    """What the calls have bound is not in them; inside of `with` a line is that call's. The first
    one names all ids, for who wants to see that.
    """

    @batched
    def work(events: list[str], contexts: list[Context]) -> list[str]:
        logging.getLogger("work").info("begins")
        for each in contexts:
            with each:
                logging.getLogger("work").info("works")
        return events

    async def main() -> None:
        contexts = [Context({}, name) for name in ("first", "second")]
        for each in contexts:
            each.bind(order=each.request_id)
        await asyncio.gather(*(work("", each) for each in contexts))

    with logged(level="DEBUG") as (_, pipe):
        asyncio.run(main())
        lines = pipe.lines()
    name = f"{__name__}.{work.__qualname__}"
    assert untimed([line for line in lines if "selector" not in line]) == [
        f"first [DEBUG] {name} gets a batch of 2: first, second batchSize=2",
        "first [INFO] begins batchSize=2",
        "first [INFO] works order=first",
        "second [INFO] works order=second",
    ]


def test_with_contexts_ends_where_it_began() -> None:
    """Contexts may be entered within one another, and again; behind all of them is what was."""
    first, second = Context({}, "1"), Context({}, "2")
    found: list[str] = []
    with first:
        with second, first, second:
            found.append(current_context().request_id)
        found.append(current_context().request_id)
        with pytest.raises(ValueError, match="of the second"), second:
            raise ValueError("of the second")
        found.append(current_context().request_id)
    assert found == ["2", "1", "1"]
    with pytest.raises(LookupError):
        current_context()
