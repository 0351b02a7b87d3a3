"""What a function sets before its calls is there in each, and what a call sets in no other."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import Serve
from tests.harness import request


@pytest.mark.parametrize("concurrency", ["1", "100"])
@pytest.mark.parametrize("initializer", ["async def", "def"])
@pytest.mark.parametrize("handler", ["async def", "def"])
async def test_a_call_begins_with_what_import_and_initializer_have_set(
    serve: Serve, initializer: str, handler: str, concurrency: str
) -> None:
    """Context variables and decimal's precision; the hooks that follow see them, too."""
    source = f"""
        import decimal
        from contextvars import ContextVar

        at_import = ContextVar("at_import", default="unset")
        at_start = ContextVar("at_start", default="unset")
        at_import.set("import")
        decimal.getcontext().rounding = decimal.ROUND_UP

        {initializer} initialize(context):
            at_start.set("initializer")
            decimal.getcontext().prec = 50

        {handler} handler(event, context):
            found = [at_import.get(), at_start.get()]
            numbers = decimal.getcontext()
            found += [numbers.prec, numbers.rounding == decimal.ROUND_UP]
            at_start.set("call")
            numbers.prec = 5
            return found

        def pre_stop(context):
            print("pre_stop sees", at_import.get(), at_start.get(), decimal.getcontext().prec)
    """
    server = serve(source, "--concurrency", concurrency)
    for _ in range(3):
        assert (await server.ask(request())).json() == ["import", "initializer", 50, True]
    assert await asyncio.to_thread(server.stop) == 0
    assert "pre_stop sees import initializer 50" in server.log()


async def test_a_plain_initializer_that_returns_a_coroutine_sets_variables_too(
    serve: Serve,
) -> None:
    """What a decorator has made plain is waited for, and what it sets is kept."""
    source = """
        from contextvars import ContextVar

        mode = ContextVar("mode", default="unset")

        async def begin():
            mode.set("set")

        def initialize(context):
            return begin()

        def handler(event, context):
            return mode.get()
    """
    server = serve(source)
    assert (await server.ask(request())).body == b"set"
