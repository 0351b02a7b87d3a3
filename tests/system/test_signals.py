"""The stop signals at moments when a process can hardly hear them: no stop is lost."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from service.process.signals import SAME_SIGNAL, STOPS
from tests.conftest import Serve
from tests.harness import ENDS_WITHIN, GATED, ServerProcess, request, run_service

ENDLESS = """
    def endless(event, context):
        print("running")
        while True:
            pass

    async def blocks(event, context):
        endless(event, context)
"""


async def second_signal(server: ServerProcess, number: signal.Signals) -> int:
    """Send a signal, and once more when that is no echo; return the exit code.

    On a busy machine a blocked process may have seen the first one so late that the second is its
    echo: then it has time until the next one.
    """
    server.signal(number)
    await asyncio.sleep(SAME_SIGNAL + 0.1)
    assert server.process.poll() is None
    for _ in range(5):
        server.signal(number)
        with suppress(subprocess.TimeoutExpired):
            return await server.ends(ENDS_WITHIN / 5)
    raise AssertionError(f"{number.name} does not end it: {server.log()}")


async def stops_by_the_book(server: ServerProcess) -> None:
    """SIGTERM finds a call of GATED; it is finished, and the service ends with 0."""
    async with server.client() as client:
        await client.send(request(b"kept"))
        await asyncio.to_thread(server.wait_for, "running")
        server.signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait_for, "SIGTERM: stopping")
        (server.folder / "go").touch()
        assert (await client.answer()).body == b"kept"
    assert await server.ends() == 0


# --- during the import


@pytest.mark.parametrize("number", STOPS)
async def test_a_signal_stops_a_service_that_imports(serve: Serve, number: signal.Signals) -> None:
    """A5: during a slow import, before the port is open, a signal ends the process with 0,
    quietly.
    """
    source = """
        import time
        print("importing", flush=True)
        time.sleep(100)

        def handler(event, context):
            return event
    """
    server = serve(source)
    await asyncio.to_thread(server.wait_for, "importing")
    server.signal(number)
    assert await server.ends() == 0
    assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    "swallows",
    [
        "weakref.finalize(thing, stop)",
        "thing.__class__.__del__ = stop",
        "threading.current_thread().excepted = catch(stop)",
    ],
    ids=["a weak reference's callback", "__del__", "except BaseException"],
)
async def test_a_stop_that_user_code_swallows_is_not_lost(serve: Serve, swallows: str) -> None:
    """A5: Python drops what is raised in `__del__` or in a callback of the collector, and a module
    may catch it. The service stops nonetheless, before it serves, with 0 and quietly.
    """
    source = f"""
        import os, signal, threading, weakref

        class Thing:
            pass

        def stop(*_):
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):
                pass

        def catch(step):
            try:
                step()
            except BaseException as caught:
                return repr(caught)

        thing = Thing()
        {swallows}
        del thing
        print("imported")

        def handler(event, context):
            return event
    """
    server = serve(source)
    assert await server.ends() == 0
    assert server.errors == []
    assert " serves " not in server.log()
    assert "Traceback" not in server.log()


async def test_a_stop_that_python_drops_is_raised_again_at_once(serve: Serve) -> None:
    """A5: an import that goes on for long is left where it is, by way of its `finally`."""
    source = """
        import os, signal, time

        class Thing:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.001)

        Thing()
        try:
            time.sleep(100)
        finally:
            print("left")
    """
    server = serve(source)
    assert await server.ends() == 0
    assert server.errors == []
    assert server.lines[-1].endswith("left")
    assert "Traceback" not in server.log()


async def test_a_handler_of_the_modules_own_does_not_keep_the_service_from_a_stop(
    serve: Serve, loop_kind: str
) -> None:
    """A1: a module that handles SIGTERM, as samples for other servers do, is drained like any."""
    source = GATED + "    import signal\n    signal.signal(signal.SIGTERM, lambda *_: None)\n"
    server = serve(source, "--loop", loop_kind)
    await stops_by_the_book(server)


TAKES = {
    "signal.signal": "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))",
    "SIG_IGN": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "the loop": "asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print, 'theirs')",
}


@pytest.mark.parametrize("takes", TAKES.values(), ids=TAKES)
async def test_an_initializer_does_not_take_the_signals(
    serve: Serve, loop_kind: str, takes: str
) -> None:
    """A1: what a client library sets up in `initialize` or later does not keep calls from being
    finished; where it is a handler, the log says that it is not called.
    """
    server = serve(
        GATED
        + f"""
    import signal, sys

    async def initialize(context):
        {takes}

    def pre_stop(context):
        print("pre_stop ran")
""",
        "--loop",
        loop_kind,
    )
    await stops_by_the_book(server)
    assert "pre_stop ran" in server.log()
    assert ("own handler of SIGTERM is not called" in server.log()) == ("IGN" not in takes)


async def test_a_loops_handler_of_a_stop_is_told_of_and_not_called(
    serve: Serve, loop_kind: str
) -> None:
    """A1: `loop.add_signal_handler` takes the stop no more than `signal.signal` does, and can be
    undone as ever.
    """
    source = (
        GATED
        + """
    import os, signal

    async def initialize(context):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, os._exit, 9)
        assert loop.remove_signal_handler(signal.SIGINT)
        assert not loop.remove_signal_handler(signal.SIGINT)
    """
    )
    server = serve(source, "--loop", loop_kind)
    await stops_by_the_book(server)
    for name in ("SIGTERM", "SIGINT"):
        assert f"own handler of {name} is not called" in server.log()


@pytest.mark.parametrize("where", ["module", "initializer", "async initializer", "handler"])
async def test_a_functions_handler_of_another_signal_is_called(
    serve: Serve, loop_kind: str, where: str
) -> None:
    """A function can set one from wherever its code runs, threads included."""
    source = f"""
        import asyncio, os, signal

        where = {where!r}

        def use():
            signal.signal(signal.SIGUSR1, lambda *_: print("called"))

        if where == "module":
            use()
        if where == "initializer":
            def initialize(context):
                use()
        if where == "async initializer":
            async def initialize(context):
                loop = asyncio.get_running_loop()
                loop.add_signal_handler(signal.SIGUSR1, print, "called")

        def handler(event, context):
            if where == "handler":
                use()
            os.kill(os.getpid(), signal.SIGUSR1)
            return "sent"
    """
    server = serve(source, "--loop", loop_kind)
    assert (await server.ask(request())).body == b"sent"
    await asyncio.to_thread(server.wait_for, "called")
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_plain_hook_that_takes_the_stop_signals_fails_no_call(
    serve: Serve, loop_kind: str
) -> None:
    """A1: what a plain `initialize` sets for SIGTERM is noted as anywhere else."""
    source = (
        GATED
        + """
    import signal, sys

    def initialize(context):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
        assert callable(signal.signal(signal.SIGTERM, signal.SIG_DFL))
    """
    )
    server = serve(source, "--loop", loop_kind)
    await stops_by_the_book(server)
    assert "own handler of SIGTERM is not called" in server.log()


async def test_an_alarm_that_cannot_interrupt_a_thread_is_told_of(
    serve: Serve, loop_kind: str
) -> None:
    """A plain handler of several at once that sets one works, and one line says why it is not
    interrupted.
    """
    source = """
        import signal

        def late(*_):
            raise TimeoutError("late")

        def handler(event, context):
            signal.signal(signal.SIGALRM, late)
            signal.alarm(60)
            signal.alarm(0)
            return "done"
    """
    server = serve(source, "--loop", loop_kind)
    assert (await server.ask(request())).body == b"done"
    await asyncio.to_thread(
        server.wait_for, "SIGALRM interrupts the main thread, .*concurrency to 1"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_hangup_that_is_ignored_stays_ignored(serve: Serve, workers: str) -> None:
    """A5: under `nohup` a terminal that closes ends nothing."""
    command = ["sh", "-c", 'trap "" HUP; exec "$0" "$@"', sys.executable, "-m", "service"]
    server = serve(GATED, command=[*command, "--port", "0", "--workers", workers])
    async with server.client() as client:
        await client.send(request(b"kept"))
        await asyncio.to_thread(server.wait_for, "running")
        server.signal(signal.SIGHUP)
        (server.folder / "go").touch()
        assert (await client.answer()).body == b"kept"
    assert await asyncio.to_thread(server.stop) == 0
    assert "SIGHUP" not in server.log()


# --- during calls


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_stop_while_the_process_leaves_says_nothing(serve: Serve, workers: str) -> None:
    """A process that cannot start says why in one line, also if the stop comes when it already
    leaves: to the workers of an instance it does, if another one has failed before.
    """
    source = """
        import os, signal, threading

        class Leaving(threading.Timer):
            def start(self):
                os.kill(os.getpid(), signal.SIGTERM)
                super().start()

        threading.Timer = Leaving  # one is started when a process leaves
        raise RuntimeError("broken")
    """
    server = serve(source, "--workers", workers)
    assert await server.ends() == 3
    (line,) = server.errors
    assert "RuntimeError: broken" in line


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_an_echo_that_comes_as_the_interpreter_comes_down_changes_nothing(
    serve: Serve, workers: str
) -> None:
    """An idle service is gone in a few milliseconds: no handler of Python's is left by then."""
    source = """
        import os, pathlib, signal

        class Last:
            def __del__(self, kill=os.kill, me=os.getpid, number=signal.SIGTERM, open=open):
                kill(me(), number)
                open(f"gone-{me()}", "w").close()

        last = Last()

        def handler(event, context):
            return event
    """
    server = serve(source, "--workers", workers)
    assert (await server.ask(request(b"{}"))).body == b"{}"
    assert await asyncio.to_thread(server.stop) == 0
    assert server.errors == []
    assert len(list(server.folder.glob("gone-*"))) == int(workers)


@pytest.mark.parametrize("number", STOPS)
async def test_a_second_signal_ends_at_once(serve: Serve, number: signal.Signals) -> None:
    """A5: a second signal is an echo of the first for half a second; later it ends with 128 + n."""
    server = serve(GATED)
    async with server.client() as client:
        await client.send(request())
        await asyncio.to_thread(server.wait_for, "running")
        server.signal(signal.SIGSTOP)
        for each in STOPS:  # both at once, when it goes on: as late as it may be, no later
            server.signal(each)
        server.signal(signal.SIGCONT)
        await asyncio.to_thread(server.wait_for, "stopping")
        await asyncio.sleep(SAME_SIGNAL + 0.1)
        assert server.process.poll() is None
        server.signal(number)
        assert await server.ends() == 128 + number
    assert any("again" in line for line in server.lines)


@pytest.mark.parametrize("number", STOPS)
async def test_a_second_signal_ends_a_service_whose_loop_is_blocked(
    serve: Serve, loop_kind: str, number: signal.Signals
) -> None:
    """A5: a handler that never lets the event loop run does not keep the process alive."""
    server = serve(ENDLESS, "--handler", "index.blocks", "--loop", loop_kind)
    async with server.client() as client:
        await client.send(request())
        await asyncio.to_thread(server.wait_for, "running")
        assert await second_signal(server, number) == 128 + number
    assert any(f"{number.name} again" in line for line in server.lines)


async def test_a_second_signal_ends_a_reload_whose_loop_is_blocked(serve: Serve) -> None:
    """A5: the supervisor of `--reload` takes its child along."""
    server = serve(ENDLESS, "--handler", "index.blocks", "--reload")
    async with server.client() as client:
        await client.send(request())
        await asyncio.to_thread(server.wait_for, "running")
        assert await second_signal(server, signal.SIGTERM) == 128 + signal.SIGTERM
        assert await client.ended()


async def test_a_signal_in_the_midst_of_a_call_is_not_logged_as_the_calls(
    serve: Serve, loop_kind: str
) -> None:
    """S2: the line that tells of the stop carries no call's request id."""
    source = """
        import os, signal

        async def handler(event, context):
            print("running")
            os.kill(os.getpid(), signal.SIGTERM)
            return event
    """
    server = serve(source, "--loop", loop_kind)
    assert (await server.ask(request(b"kept"))).body == b"kept"
    assert await server.ends() == 0
    (line,) = (line for line in server.lines if "SIGTERM: stopping" in line)
    assert line.split(" ")[1] == "-"


async def test_a_signal_in_the_last_moment_before_a_wait_is_heard(
    serve: Serve, loop_kind: str
) -> None:
    """Whatever loop the main thread waits in: Python tells a wait that begins nothing of a signal
    that has just come, but by this descriptor.
    """
    source = """
        import signal

        async def handler(event, context):
            wakes = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(wakes)
            return wakes
    """
    server = serve(source, "--loop", loop_kind)
    assert (await server.ask(request(b"{}"))).json() >= 0
    done = await asyncio.to_thread(
        run_service, server.folder, "invoke", "--loop", loop_kind, stdin=b"{}"
    )
    assert int(done.stdout) >= 0


# --- invoke


def invoke(serve: Serve, source: str, handler: str, *flags: str) -> ServerProcess:
    """Begin `python -m service invoke`."""
    command = [sys.executable, "-m", "service", "invoke", "--handler", f"index.{handler}", *flags]
    return serve(source, command=command)


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_a_signal_cancels_the_call_of_invoke(
    serve: Serve, loop_kind: str, number: signal.Signals, kind: str
) -> None:
    """Ctrl-C gives the call up: no result, the exit code of a process that a signal ended, and a
    coroutine has its `finally`.
    """
    source = """
        import asyncio, time

        async def coroutine(event, context):
            try:
                print("running")
                await asyncio.sleep(100)
            finally:
                print("cleaned up")

        def plain(event, context):
            print("running")
            time.sleep(100)
    """
    server = invoke(serve, source, kind, "--loop", loop_kind)
    await asyncio.to_thread(server.wait_for, "running")
    server.signal(number)
    assert await server.ends() == 128 + number
    assert server.lines == []
    log = server.log()
    assert f"{number.name}: the call is cancelled" in log
    assert ("cleaned up" in log) == (kind == "coroutine")
    assert "FC Invoke End" in log
    assert "Traceback" not in log


async def test_a_second_signal_ends_an_invoke_whose_loop_is_blocked(
    serve: Serve, loop_kind: str
) -> None:
    """An endless coroutine can be ended from the keyboard."""
    server = invoke(serve, ENDLESS, "blocks", "--loop", loop_kind)
    await asyncio.to_thread(server.wait_for, "running")
    assert await second_signal(server, signal.SIGINT) == 128 + signal.SIGINT
    assert server.lines == []


async def test_a_signal_stops_an_invoke_of_a_running_service(serve: Serve) -> None:
    """With `--url` the wait for the answer ends the same way."""
    server = serve(GATED)
    url = f"http://127.0.0.1:{await asyncio.to_thread(lambda: server.port)}"
    caller = invoke(serve, GATED, "handler", "--url", url)
    await asyncio.to_thread(server.wait_for, "running")
    caller.signal(signal.SIGINT)
    assert await caller.ends() == 128 + signal.SIGINT
    assert "Traceback" not in caller.log()
    (server.folder / "go").touch()
    await asyncio.to_thread(server.wait_for, "done")
