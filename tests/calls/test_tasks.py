"""Tasks begin at once, and each is known by its call."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from service.calls.left_behind import task_factory
from service.calls.tasks import eager_task, variable_of
from service.process.loop import new_loop

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name")


class Running:
    """A loop, on which what is called runs outside of any task, as what arrives does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.told: list[Any] = []

    def tell(self, what: Any) -> None:
        """Note something."""
        self.told.append(what)

    def begin(
        self, work: Coroutine[Any, Any, Any], context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        """Begin a task."""
        return eager_task(work, self.loop, context)

    def callback(self, step: Callable[[], Any]) -> None:
        """Call something, as the loop does, and end."""
        self.loop.call_soon(step)
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()


@pytest.fixture(params=["uvloop", "asyncio"])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Each loop as the service makes it."""
    with contextlib.closing(new_loop(request.param)) as loop:
        loop.set_task_factory(task_factory)
        yield Running(loop)


def test_work_that_never_waits_is_done_at_once(running: Running) -> None:
    """In a task of its own, and in the context that it is given."""
    context = contextvars.copy_context()

    async def work() -> str:
        NAME.set("ann")
        current = asyncio.current_task()
        assert current is not None
        known: str | None = variable_of(current, NAME)
        return f"{NAME.get()} {known}"

    def step() -> None:
        task = running.begin(work(), context)
        running.tell((task.done(), task.result(), NAME.get("nobody"), variable_of(task, NAME)))

    running.callback(step)
    assert running.told == [(True, "ann ann", "nobody", "ann")]
    assert context[NAME] == "ann"


def test_work_goes_on_after_its_first_wait(running: Running) -> None:
    """Whether it waits for a future, or lets the loop turn; in the context that it is given, also
    if there is nothing in it yet.
    """

    async def work() -> None:
        NAME.set("begun")
        running.tell(NAME.get())
        await asyncio.sleep(0)
        running.tell(f"{NAME.get()}, turned")
        await asyncio.sleep(0.001)
        running.tell(f"{NAME.get()}, slept")

    tasks: list[asyncio.Task[None]] = []
    running.callback(lambda: tasks.append(running.begin(work(), contextvars.Context())))
    assert running.told[0] == "begun"
    assert variable_of(tasks[0], NAME) == "begun"
    running.loop.run_until_complete(tasks[0])
    assert running.told == ["begun", "begun, turned", "begun, slept"]


def test_a_failure_is_the_tasks(running: Running) -> None:
    """Who begins it goes on, and another one begins as ever."""

    async def fail() -> None:
        raise LookupError("no such order")

    async def work() -> int:
        return 1

    def step() -> None:
        failed = running.begin(fail())
        running.tell((repr(failed.exception()), running.begin(work()).result()))

    running.callback(step)
    assert running.told == [("LookupError('no such order')", 1)]


@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt()])
def test_an_end_of_the_process_passes(running: Running, end: BaseException) -> None:
    """As it does from any step of a task; the loop is what it was."""

    async def work() -> None:
        raise end

    def step() -> None:
        try:
            running.begin(work())
        except BaseException as raised:
            running.tell(raised)

    running.callback(step)
    assert running.told == [end]
    running.callback(lambda: running.tell("goes on"))
    assert running.told[1:] == ["goes on"]


def test_each_has_a_context_of_its_own(running: Running) -> None:
    """A copy of the current one, if none is given."""

    async def work() -> str:
        before = NAME.get()
        NAME.set("ann")
        return before

    def step() -> None:
        NAME.set("bob")
        running.tell([running.begin(work()).result() for _ in range(2)])
        running.tell(NAME.get())

    running.callback(step)
    assert running.told == [["bob", "bob"], "bob"]


def test_a_task_may_begin_one(running: Running) -> None:
    """Python 3.11 runs it in the next turn of the loop."""

    async def inner() -> str:
        running.tell("inner")
        return "result"

    async def outer() -> str:
        task = running.begin(inner())
        running.tell("outer")
        result: str = await task
        return result

    assert running.loop.run_until_complete(outer()) == "result"
    at_once = sys.version_info >= (3, 12)
    assert running.told == (["inner", "outer"] if at_once else ["outer", "inner"])


def test_what_others_give_the_loop_meanwhile_is_done(running: Running) -> None:
    """Garbage that is found as a task is made may have something to say to the loop."""

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            running.loop.call_soon(running.tell, "collected")

    async def work() -> str:
        return "done"

    def collecting(loop: asyncio.AbstractEventLoop, step: Any, **options: Any) -> Any:
        Garbage()
        gc.collect()
        return loop_task(step, loop=loop, **options)

    loop_task = asyncio.Task
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "Task", lambda work, *, loop, **o: collecting(loop, work, **o))
        running.callback(lambda: running.tell(running.begin(work()).result()))
    running.callback(lambda: None)
    assert sorted(running.told) == ["collected", "done"]


def test_what_others_give_the_loop_meanwhile_is_done_though_the_step_ends_the_process(
    running: Running,
) -> None:
    """It got there before: who goes on after that has the loop as it should be."""
    loop_task = asyncio.Task

    def giving(work: Any, *, loop: Any, **options: Any) -> Any:
        loop.call_soon(running.tell, "given")
        return loop_task(work, loop=loop, **options)

    async def work() -> None:
        raise SystemExit(3)

    def step() -> None:
        with contextlib.suppress(SystemExit):
            running.begin(work())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "Task", giving)
        running.callback(step)
    running.callback(lambda: None)
    assert running.told == ["given"]


def test_nothing_of_a_task_is_kept(running: Running) -> None:
    """Once it is done and nobody has it."""

    async def work() -> None: ...

    seen: list[weakref.ref[Any]] = []
    running.callback(lambda: seen.append(weakref.ref(running.begin(work()))))
    gc.collect()
    assert seen[0]() is None
    assert "call_soon" not in vars(running.loop)
