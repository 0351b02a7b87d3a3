"""An instance under any order of what may happen to it: calls of every kind, clients that stop half
way or leave, freezes, initializers, stops and signals, chosen by hypothesis (row G5).

MODEL_EXAMPLES sets how many instances are tried, and MODEL_STEPS how much happens to each.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.process.signals import SAME_SIGNAL
from tests.harness import ANSWERS_WITHIN, ServerProcess, request

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "4"))
STEPS = int(os.environ.get("MODEL_STEPS", "40"))
SLOTS = 20
SPARE = 2
"""Connections that are left open for calls that come after the stop has begun."""

MOST = 12
"""Calls that are under way at once: a slot is left for one that is asked and waited for."""

SHARED = """
    import asyncio, os, pathlib, time
    from service import EventStream

    LEDGER = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what, context):
        os.write(LEDGER, f"{what} {context.request_id}\\n".encode())

    def initialize(context):
        if pathlib.Path("broken").exists():
            raise RuntimeError("not yet")

    def pre_stop(context):
        os.write(LEDGER, b"stopped -\\n")

    def result(size, context):
        note("ended", context)
        print(f"says {context.request_id} ended")
        if context.function.name == "failing":
            raise ValueError("told")
        return {"id": context.request_id, "size": size}
"""
SOURCES = {
    "async": """
    async def handler(event: EventStream, context):
        kind, size = context.function.name, 0
        note("began", context)
        print(f"says {context.request_id} began")
        if kind == "streamed":
            async for chunk in event:
                size += len(chunk)
        else:
            size = len(await event.read())
        while kind == "slow" and not pathlib.Path(f"go-{context.request_id}").exists():
            await asyncio.sleep(0.01)
        if kind == "hanging":
            await asyncio.sleep(100)
        return result(size, context)
""",
    "sync": """
    def handler(event, context):
        kind = context.function.name
        note("began", context)
        print(f"says {context.request_id} began")
        while kind == "slow" and not pathlib.Path(f"go-{context.request_id}").exists():
            time.sleep(0.01)
        if kind == "hanging":
            time.sleep(1)
        return result(len(event), context)
""",
}
KINDS = {"small": 50, "large": 300_000, "streamed": 100_000, "failing": 10, "hanging": 10}
"""The kinds of call that end by themselves, and the bytes of their events."""

ANY_KIND = st.sampled_from([*KINDS, "slow"])
SOUND = {"failing": "ValueError", "hanging": "FunctionTimeout"}
"""How a call of a kind ends; others with a result."""

HEALTH = request(b"", path="/health", method="GET")
GAUGES = ("inFlight", "running", "queued", "bodyBytes", "lost")
MARKER = re.compile(r"FC (\w+) (Start|End) RequestId: (\S+?)(?:, Error: .*)?")
SAYS = re.compile(r"\S+Z (\S+) \[STDOUT\] says (\S+) (?:began|ended)")


def written(request_id: str, kind: str) -> bytes:
    """The bytes of a call; a streamed one's event is in chunks."""
    event = b"e" * KINDS.get(kind, 50)
    fields = {"request_id": request_id, "x_fc_function_name": kind}
    if kind == "hanging":
        fields["x_fc_function_timeout"] = "0.25"
    if kind != "streamed":
        return request(event, **fields)
    head = request(b"", Content_Length="", Transfer_Encoding="chunked", **fields)
    size = len(event) // 10
    chunks = b"".join(b"%x\r\n%b\r\n" % (size, event[:size]) for _ in range(10))
    return head + chunks + b"0\r\n\r\n"


class Wire:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), ANSWERS_WITHIN)

    def send(self, data: bytes) -> None:
        """Send; a connection that the server has closed takes nothing."""
        with suppress(ConnectionError):
            self.sock.sendall(data)

    def answer(self) -> dict[str, Any] | None:
        """The JSON of the next answer; None when the connection ends without one."""
        data = b""
        with suppress(ConnectionError):
            while b"\r\n\r\n" not in data and (more := self.sock.recv(65536)):
                data += more
            head, found, body = data.partition(b"\r\n\r\n")
            if found:
                size = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
                while len(body) < size and (more := self.sock.recv(65536)):
                    body += more
                assert len(body) == size, "one answer, and it is whole"
                value: dict[str, Any] = orjson.loads(body or b"{}")
                return value
        assert not data, "no half of an answer"
        return None

    def close(self, reset: bool = False) -> None:
        """Leave, by an RST as a host that crashes, or by the book."""
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@dataclass(eq=False)
class Call:
    """A request that has no answer yet. `rest` is what was not sent of it."""

    request_id: str
    kind: str
    wire: Wire
    rest: bytes = b""
    head_sent: bool = True
    cut: bool = False  # it was not sent in one piece
    early: bool = False  # the initializer had not succeeded yet
    late: bool = False  # it may have come after the stop: its head did
    refused: bool = False  # it was sent when `pre_stop` had run
    ready: bool = True  # nothing of ours holds it up


@dataclass
class Outcome:
    """How often a call may have run, and whether it was answered."""

    runs: tuple[int, ...] = (0, 1)
    answered: int = 0
    ends: tuple[int, ...] = (0, 1)


@dataclass
class Known:
    """What the model knows of the instance."""

    unready: bool = False
    frozen: bool = False
    draining: bool = False
    terminated: float | None = None  # when the first SIGTERM was sent
    stopped: bool = False  # /pre-stop was answered
    killed: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict)


class Instance(RuleBasedStateMachine):
    """A service process, what was done to it, and what must then be true of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="model-"))
        self.known = Known()
        self.open: list[Call] = []
        self.idle: list[Wire] = []
        self.number = 0
        self.abandoned = 0
        self.server: ServerProcess | None = None

    # --- conditions

    def serving(self) -> bool:
        """New connections are taken and answered at once."""
        return not (self.known.frozen or self.known.draining)

    def reachable(self) -> bool:
        """A call can be sent: on a new connection, or on one that is open after the stop began."""
        return not self.known.killed and (not self.known.draining or bool(self.idle))

    def has_lived(self) -> bool:
        """It may be stopped now."""
        return self.number >= self.life

    def room(self) -> bool:
        """Few enough calls are under way."""
        return len(self.open) + self.abandoned < MOST and self.reachable()

    # --- the life of an instance

    @initialize(
        loop=st.sampled_from(["uvloop", "asyncio"]),
        kind=st.sampled_from(sorted(SOURCES)),
        broken=st.sampled_from([False, False, True]),
        life=st.sampled_from([12, 8, 4, 0]),
    )
    def start(self, loop: str, kind: str, broken: bool, life: int) -> None:
        """Start an instance, with an initializer that works or does not yet, which is not stopped
        before so many requests.
        """
        self.life = life
        if broken:
            (self.folder / "broken").touch()
        self.known.unready = broken
        flags = ("--loop", loop, "--concurrency", str(SLOTS), "--queue", "0")
        self.server = ServerProcess(
            self.folder, SHARED + SOURCES[kind], *flags, "--deadline-margin", "0"
        )
        self.port = self.server.port
        self.health = Wire(self.port)

    @property
    def process(self) -> ServerProcess:
        """The instance."""
        assert self.server is not None
        return self.server

    @precondition(lambda self: self.serving() and self.known.unready)
    @rule()
    def mend(self) -> None:
        """From now on the initializer succeeds."""
        (self.folder / "broken").unlink(missing_ok=True)

    @precondition(serving)
    @rule()
    def ask_to_initialize(self) -> None:
        """/initialize says whether the initializer has succeeded."""
        failing = self.known.unready and (self.folder / "broken").exists()
        wire = Wire(self.port)
        wire.send(request(b"", path="/initialize", request_id=self.next_id("initialize")))
        answer = wire.answer()
        assert answer is not None
        assert answer.get("errorType") == ("InitializationError" if failing else None)
        self.known.unready = failing
        wire.close()

    @precondition(lambda self: not self.known.frozen and not self.known.killed)
    @rule()
    def freeze(self) -> None:
        """Stop the process where it is."""
        self.process.signal(signal.SIGSTOP)
        self.known.frozen = True

    @precondition(lambda self: self.known.frozen)
    @rule()
    def thaw(self) -> None:
        """Let it go on: what was sent meanwhile is answered."""
        self.process.signal(signal.SIGCONT)
        self.known.frozen = False
        self.settle()

    @precondition(lambda self: self.serving() and self.has_lived())
    @rule()
    def pre_stop(self) -> None:
        """Tell it that it will be destroyed; answered when nothing is in flight."""
        wire = Wire(self.port)
        request_id = self.next_id("pre-stop")
        wire.send(request(b"", path="/pre-stop", method="GET", request_id=request_id))
        self.process.wait_for(f"PreStop Start RequestId: {request_id}")
        self.open.append(Call(request_id, "pre-stop", wire, ready=False))
        self.known.draining = True
        self.settle()

    @precondition(lambda self: self.known.terminated is None and self.has_lived())
    @rule()
    def terminate(self) -> None:
        """SIGTERM, also to a frozen process."""
        self.process.signal(signal.SIGTERM)
        self.known.draining, self.known.terminated = True, time.monotonic()
        for call in self.open:
            call.late = call.late or not call.head_sent

    @precondition(
        lambda self: self.known.terminated and not (self.known.frozen or self.known.killed)
    )
    @rule()
    def terminate_again(self) -> None:
        """SIGTERM when the first one is no echo any more: what is in flight is lost."""
        self.process.wait_for("SIGTERM: stopping")
        assert self.known.terminated is not None
        time.sleep(SAME_SIGNAL + 0.1)  # from when the process has seen the first one
        self.process.signal(signal.SIGTERM)
        self.process.wait()
        self.known.killed = True

    @precondition(lambda self: self.known.killed)
    @rule()
    def stay_away(self) -> None:
        """What has ended stays so."""
        assert self.process.process.poll() is not None

    # --- calls

    def next_id(self, kind: str) -> str:
        """A request id that was not used yet."""
        self.number += 1
        return f"{kind}-{self.number}"

    def begin(self, kind: str, cut: float = 1.0) -> Call:
        """Send a part of a call, on an open connection if there is one."""
        request_id = self.next_id(kind)
        data = written(request_id, kind)
        at = int(len(data) * cut)
        spare = len(self.idle) > SPARE or self.known.draining
        wire = self.idle.pop() if spare else Wire(self.port)
        call = Call(request_id, kind, wire, data[at:], data.index(b"\r\n\r\n") + 4 <= at)
        call.cut = cut < 1
        call.ready = kind != "slow"
        call.early, call.late = self.known.unready, self.known.terminated is not None
        call.refused = self.known.stopped
        self.known.outcomes[request_id] = Outcome()
        wire.send(data[:at])
        self.open.append(call)
        return call

    @precondition(room)
    @rule(kind=ANY_KIND)
    def invoke(self, kind: str) -> None:
        """Send a call; what ends by itself is waited for."""
        self.begin(kind)
        self.settle()

    @precondition(room)
    @rule(kind=ANY_KIND, cut=st.floats(0, 1, exclude_max=True))
    def half_send(self, kind: str, cut: float) -> None:
        """Send a part of a call, from nothing to all but its last byte."""
        self.begin(kind, cut)

    @precondition(room)
    @rule(kind=ANY_KIND, cut=st.floats(0, 1), reset=st.booleans())
    def vanish(self, kind: str, cut: float, reset: bool) -> None:
        """Send a part of a call or all of it, and leave at once."""
        self.leave(self.begin(kind, cut), reset)

    @precondition(lambda self: self.open and not self.known.killed)
    @rule(which=st.integers(0, MOST))
    def go_on(self, which: int) -> None:
        """Send what is left of a call, and let it end."""
        call = self.open[which % len(self.open)]
        call.wire.send(call.rest)
        call.head_sent, call.rest = True, b""
        self.release(call)
        self.settle()

    @precondition(lambda self: self.open and not self.known.killed)
    @rule(which=st.integers(0, MOST), reset=st.booleans())
    def disconnect(self, which: int, reset: bool) -> None:
        """Leave a call that is under way."""
        self.leave(self.open[which % len(self.open)], reset)

    def leave(self, call: Call, reset: bool) -> None:
        """Close a call's connection. It may go on, and ends in its time."""
        self.open.remove(call)
        call.wire.close(reset)
        if call.kind == "slow" and reset:
            self.release(call)
        elif call.kind == "slow":
            self.abandoned += 1
        self.settle()

    def release(self, call: Call) -> None:
        """Let a slow call end."""
        (self.folder / f"go-{call.request_id}").touch()
        call.ready = call.kind != "pre-stop"

    def settle(self) -> None:
        """Read the answers of all calls that nothing holds up."""
        if self.known.frozen:
            return
        for call in [each for each in self.open if each.ready and not each.rest]:
            self.open.remove(call)
            self.check(call, call.wire.answer())
        if [call.kind for call in self.open] == ["pre-stop"] and not self.abandoned:
            call = self.open.pop()
            self.check(call, call.wire.answer())
            self.known.stopped = True

    def check(self, call: Call, answer: dict[str, Any] | None) -> None:
        """Say whether a call may have been answered so, and note what that means."""
        outcome = self.known.outcomes.setdefault(call.request_id, Outcome())
        if answer is None:
            call.wire.close()
            # Lost: by a second signal; or never begun, since its head came after the stop.
            # Or refused long before it was whole: what was still sent has reset the connection.
            refused = call.early or (call.kind == "hanging" and call.cut)
            assert self.known.killed or call.late or refused, call
            if call.late and not self.known.killed:
                outcome.runs = (0,)
            return
        outcome.answered += 1
        code = answer.get("errorType")
        assert code == "Stopping" or not call.refused
        if code == "InitializationError":
            assert call.early
            outcome.runs = (0,)
        elif code == "Stopping":
            assert self.known.draining
            outcome.runs = (0,)
        elif call.kind == "pre-stop":
            assert code is None
        else:
            assert code == SOUND.get(call.kind), (call, answer)
            assert code or answer == {"id": call.request_id, "size": KINDS.get(call.kind, 50)}
            if code != "FunctionTimeout":  # its time may be over before it has begun
                outcome.runs = outcome.ends = (1,)
            self.known.unready = False
        if call.early or self.known.draining:
            call.wire.close()
        else:
            self.idle.append(call.wire)

    # --- what is true at any time, and in the end

    @invariant()
    def gauges_are_sound(self) -> None:
        """No gauge is negative, and no call runs that was not sent."""
        if self.server is None or not self.serving():
            return
        self.health.send(HEALTH)
        state = self.health.answer()
        assert state is not None
        assert all(state[name] >= 0 for name in GAUGES)
        assert state["running"] <= len(self.known.outcomes)

    def teardown(self) -> None:
        """Let all end, and check the books."""
        if self.server is None:
            return
        try:
            if sys.exc_info()[0] is None:
                self.end()
        finally:
            self.process.kill()
            for wire in [self.health, *self.idle, *(call.wire for call in self.open)]:
                wire.close()
            shutil.rmtree(self.folder)

    def end(self) -> None:
        """Let every call end, stop the instance if it was not, and look at what it did."""
        if self.known.frozen:
            self.process.signal(signal.SIGCONT)
            self.known.frozen = False
        for request_id in self.known.outcomes:
            (self.folder / f"go-{request_id}").touch()
        for call in self.open:
            call.wire.send(call.rest)
            call.rest, call.ready = b"", True
        # The answer to /pre-stop comes when those of all others have.
        self.open.sort(key=lambda call: call.kind == "pre-stop")
        self.settle()
        self.comes_to_rest()
        if self.known.terminated is None:
            self.process.signal(signal.SIGTERM)
        code = self.process.wait()
        assert code == 0 or (self.known.killed and code == 128 + signal.SIGTERM)
        assert not psutil.pid_exists(self.process.process.pid)
        for wire in self.idle:  # nothing was sent that nobody asked for
            with suppress(ConnectionError):
                assert wire.sock.recv(1) == b""
        self.check_ledger(code)
        self.check_log()

    def comes_to_rest(self) -> None:
        """Wait until every gauge is 0."""
        if not self.serving():
            return
        end = time.monotonic() + ANSWERS_WITHIN
        left = {"inFlight": 1}
        while left and time.monotonic() < end:
            self.health.send(HEALTH)
            state = self.health.answer()
            assert state is not None
            left = {name: state[name] for name in GAUGES if state[name]}
        assert left == {}

    def check_ledger(self, code: int) -> None:
        """Each call ran as often as its answer says; `pre_stop` ran once."""
        text = (self.folder / "ledger").read_text()
        notes = Counter(tuple(line.split(" ")) for line in text.splitlines())
        for request_id, outcome in self.known.outcomes.items():
            assert outcome.answered <= 1, request_id
            assert notes["began", request_id] in outcome.runs, (request_id, outcome)
            assert notes["ended", request_id] in outcome.ends, (request_id, outcome)
        assert {request_id for _, request_id in notes} <= {*self.known.outcomes, "-"}
        assert notes["stopped", "-"] == 1 or (code != 0 and not notes["stopped", "-"])

    def check_log(self) -> None:
        """Start and End lines are pairs, of calls that there were; each line has its own id."""
        starts, ends = Counter[str](), Counter[str]()
        for line in self.process.lines:
            if marker := MARKER.fullmatch(line):
                (starts if marker[2] == "Start" else ends)[marker[3]] += 1
            elif said := SAYS.fullmatch(line):
                assert said[1] == said[2], line
                assert starts[said[1]] == 1, line
                assert not ends[said[1]] or said[1].startswith("hanging"), line
        assert all(count == 1 for count in (starts | ends).values()), (starts, ends)
        assert all(starts[request_id] == 1 for request_id in ends)
        assert set(starts) == set(ends) or self.known.killed
        assert "Traceback" not in "\n".join(self.process.errors)


@pytest.mark.timeout(max(150, EXAMPLES * 10))
def test_whatever_happens_in_any_order_the_books_are_balanced() -> None:
    """G5: each call is answered at most once, and ran exactly once where it was answered; no gauge
    is negative, and all are 0 in the end; Start and End lines are pairs and no line has another
    call's id; the exit code of a stop is 0, and no process is left.
    """
    run_state_machine_as_test(
        Instance,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Shrinking takes as many processes again: worth it where somebody searches.
            phases=tuple(Phase) if "MODEL_EXAMPLES" in os.environ else (Phase.generate,),
        ),
    )
