"""How user code is called: nothing that it raises passes."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.calls.callables import HandlerKind
from service.calls.deadline import Call
from service.calls.function import Function, run
from service.calls.threads import ThreadPool
from service.errors import HandlerFailed, InvalidEvent, ServiceError, UnserializableResult

RAISED = [
    ValueError("x"),
    SystemExit(3),
    KeyboardInterrupt(),
    StopAsyncIteration(1),
    GeneratorExit(),
    asyncio.CancelledError(),
    BaseException("x"),
]


async def test_a_cancellation_without_a_word_is_told_as_what_it_is() -> None:
    """A handler that cancels its own task and waits gets an error with a message."""

    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(HandlerFailed, match="the handler cancelled its own task"):
        await called("async", handler)


async def called(kind: HandlerKind, code: Any, *arguments: Any) -> Any:
    """Call `code` as the service does."""
    pool = ThreadPool(2)
    try:
        return await run(Function("index.handler", code, kind), pool, Call(None), *arguments)
    finally:
        pool.close()


async def test_an_async_function_runs_on_the_loop() -> None:
    """An `async def` handler runs in the loop's thread."""

    async def handler(event: bytes, context: str) -> Any:
        await asyncio.sleep(0)
        return event, context, threading.current_thread()

    assert await called("async", handler, b"e", "c") == (b"e", "c", threading.current_thread())


async def test_a_plain_function_runs_in_a_thread() -> None:
    """A `def` handler runs in a thread of the pool, which the call knows while it runs."""
    call = Call(None)

    def handler(event: bytes, context: str) -> Any:
        return event, context, threading.get_ident(), call.thread

    pool = ThreadPool(1)
    event, context, thread, known = await run(
        Function("index.handler", handler, "sync"), pool, call, b"e", "c"
    )
    pool.close()
    assert (event, context) == (b"e", "c")
    assert thread == known != threading.get_ident()
    assert call.thread is None
    assert call.stage == "running index.handler"


async def test_a_plain_function_around_an_async_one_is_awaited() -> None:
    """What a decorator made plain runs on the loop all the same, once."""

    async def inner(event: bytes, _context: object) -> Any:
        await asyncio.sleep(0)
        return event, threading.current_thread()

    @functools.wraps(inner)
    def handler(*arguments: Any) -> Any:
        return inner(*arguments)

    assert await called("sync", handler, b"e", None) == (b"e", threading.current_thread())


async def test_the_failure_of_a_wrapped_async_function_is_the_handlers() -> None:
    """A coroutine that a plain function returns may fail like any other."""

    async def inner() -> None:
        raise SystemExit(3)

    def handler() -> Any:
        return inner()

    with pytest.raises(HandlerFailed) as caught:
        await called("sync", handler)
    assert caught.value.code == "SystemExit"


async def test_an_async_generators_parts_are_joined() -> None:
    """bytes, bytearray, memoryview and str parts make one result."""

    async def handler(event: bytes, _context: object) -> AsyncIterator[Any]:
        yield event
        await asyncio.sleep(0)
        yield "é"
        yield bytearray(b"a")
        yield memoryview(b"b")

    assert await called("stream", handler, b"e", None) == b"e\xc3\xa9ab"


async def test_a_part_that_is_neither_bytes_nor_text_is_named() -> None:
    """An async generator that yields something else has a result that cannot become bytes."""

    async def handler() -> AsyncIterator[Any]:
        yield {"a": 1}

    with pytest.raises(UnserializableResult, match="the handler yielded dict"):
        await called("stream", handler)


@pytest.mark.parametrize("kind", ["async", "sync", "stream"])
@pytest.mark.parametrize("failure", RAISED, ids=lambda failure: type(failure).__name__)
async def test_whatever_user_code_raises_is_that_calls_failure(
    kind: HandlerKind, failure: BaseException
) -> None:
    """Every BaseException becomes HandlerFailed, with the exception's class as its code."""

    async def coroutine() -> None:
        raise failure

    def plain() -> None:
        raise failure

    async def parts() -> AsyncIterator[bytes]:
        yield b""
        raise failure

    code = {"async": coroutine, "sync": plain, "stream": parts}[kind]
    with pytest.raises(HandlerFailed) as caught:
        await called(kind, code)
    if kind == "stream" and isinstance(failure, StopAsyncIteration):
        assert caught.value.code == "RuntimeError"  # Python's own rule for generators
    else:
        assert caught.value.failure is failure
        assert caught.value.code == type(failure).__name__
    assert caught.value.__cause__ is caught.value.failure


async def test_a_stop_iteration_is_told() -> None:
    """StopIteration, which no future takes, fails a call like anything else."""

    def plain() -> None:
        raise StopIteration("end")

    async def coroutine() -> None:
        raise StopIteration("end")

    with pytest.raises(HandlerFailed) as caught:
        await called("sync", plain)
    assert (caught.value.code, str(caught.value)) == ("StopIteration", "end")
    with pytest.raises(HandlerFailed) as caught:
        await called("async", coroutine)
    assert caught.value.code == "RuntimeError"


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_the_services_own_errors_pass_as_they_are(kind: HandlerKind) -> None:
    """A bad item that a handler meets in `json_lines` is InvalidEvent to the caller."""
    failure = InvalidEvent("line 3: no")

    async def coroutine() -> None:
        raise failure

    def plain() -> None:
        raise failure

    with pytest.raises(ServiceError) as caught:
        await called(kind, coroutine if kind == "async" else plain)
    assert caught.value is failure


async def test_an_async_function_that_refuses_its_arguments_fails_its_call() -> None:
    """A handler that cannot even be called is that call's failure."""

    async def handler(_event: bytes) -> None:
        pass

    with pytest.raises(HandlerFailed, match="positional"):
        await called("async", handler, 1, 2)
