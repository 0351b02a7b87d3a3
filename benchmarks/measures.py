"""How each work is done, once: it returns the figures of a round."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping

import orjson

from benchmarks import loads
from benchmarks.interpreters import ROOT
from benchmarks.lineup import Contender
from benchmarks.servers import NotRun, Server, Stage

Figures = Mapping[str, float]
Measure = Callable[[Stage, Contender, int], Figures]
"""Does the work once; its last argument is the seconds of a run of wrk."""

LARGE = 32 * loads.MB
BODIES = 4
ENDS_WITHIN = 120.0


def under_load(action: str, load: loads.Load, stage: Stage, contender: Contender) -> Figures:
    """Measure with wrk."""
    with stage.server(contender, action) as server:
        path = contender.url(action)
        loads.warm(server, path)
        figures = load.run(server, path, stage.folder)
        server.check_alive()
        return figures


def wrk(action: str, connections: int, least: float = 0.0) -> Measure:
    """Return what measures an action with so many connections."""

    def measure(stage: Stage, contender: Contender, seconds: int) -> Figures:
        return under_load(action, loads.Load(connections, seconds, least), stage, contender)

    return measure


def bodies(action: str, count: int) -> Measure:
    """Return what measures a process that gets so many large bodies at once, its first ones."""

    def measure(stage: Stage, contender: Contender, _: int) -> Figures:
        with stage.server(contender, action) as server:
            path = contender.url(action)
            loads.first_answer(server, path)
            time.sleep(0.1)  # what the start leaves behind
            server.forget_peak()
            before = server.resident()
            seconds, answers = loads.send_bodies(server.port, path, count, LARGE)
            growth = server.peak() - before
            for answer in answers:
                expect(answer, action, ("sha256", loads.digest(LARGE)), ("size", LARGE))
            return {"growth": growth / loads.MB, "seconds": seconds}

    return measure


def cold(stage: Stage, contender: Contender, _: int) -> Figures:
    """Measure from the start of the process to its first answer."""
    with stage.server(contender, "invoke") as server:
        loads.first_answer(server, contender.url("invoke"))
        return {"ms": (time.perf_counter() - server.began) * 1000}


def idle(stage: Stage, contender: Contender, _: int) -> Figures:
    """Measure the memory of all processes one second after an answer."""
    with stage.server(contender, "invoke") as server:
        loads.first_answer(server, contender.url("invoke"))
        time.sleep(1)
        server.check_alive()
        return {"mb": server.proportional() / loads.MB}


def program(module: str, *arguments: str, alone: bool = True, timed: str = "") -> Measure:
    """Return what runs a module of ours, which prints its figures as JSON, on the contender's
    interpreter: on the server's core, or else on all.

    Its last argument is the seconds, or what stands for them.
    """

    def measure(stage: Stage, contender: Contender, seconds: int) -> Figures:
        cores = {stage.cores.server} if alone else {stage.cores.server, stage.cores.load}
        command = [contender.interpreter.program, "-m", module, *arguments, timed or str(seconds)]
        ended = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=ENDS_WITHIN,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        if ended.returncode:
            raise NotRun((ended.stderr.strip() or "it said nothing").splitlines()[-1][-200:])
        found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
        return found

    return measure


# --- that nobody skips work


def verify(stage: Stage, contender: Contender, action: str) -> None:
    """Raise NotRun unless the answer is right and both lines are out when it arrives."""
    identity = loads.request_id(0xC0FFEE)
    with stage.server(contender, action, log="own") as server:
        answer = loads.first_answer(server, contender.url(action), identity)
        expected = hashlib.sha256(loads.BODY).hexdigest()
        expect(answer, action, ("sha256", expected), ("size", len(loads.BODY)), identity)
        if contender.marks:
            _expect_marks(_written(server), identity)


def expect(
    answer: loads.Answer,
    action: str,
    streamed: tuple[str, object],
    read: tuple[str, object],
    identity: str = "",
) -> None:
    """Raise NotRun unless it is the answer that everybody gives."""
    if answer.status != 200:
        raise NotRun(f"answered {answer.status}: {answer.body[:200]!r}")
    identity = identity or answer.headers.get("x-fc-request-id", "")
    key, value = {"stream": streamed, "read": read}.get(action, ("count", loads.ITEMS))
    if answer.body != orjson.dumps({key: value, "requestId": identity}):
        raise NotRun(f"answered {answer.body[:200]!r}")
    if answer.headers.get("x-fc-request-id") != identity:
        raise NotRun("answered without x-fc-request-id")


def _expect_marks(written: bytes, identity: str) -> None:
    lines = written.decode(errors="replace").splitlines()
    for word in ("Start", "End"):
        if f"FC Invoke {word} RequestId: {identity}" not in lines:
            raise NotRun(f"the line `FC Invoke {word}` was not out before the answer")


def _written(server: Server) -> bytes:
    assert server.output is not None
    try:
        return os.read(server.output, 1 << 20)
    except BlockingIOError:
        return b""
