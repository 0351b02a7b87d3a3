"""Section C of the catalogue: what is not HTTP, not whole, or made to be read in two ways."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import re
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
import pytest

from tests.conftest import LOOPS
from tests.harness import ANSWERS_WITHIN, ECHO, ServerProcess, request
from tests.system.conformance import CASES
from tests.system.conformance.case import Case, Reply, coded, message, post
from tests.system.conformance.exchange import exchange, read_reply
from tests.system.conformance.grammar import read_requests
from tests.system.mutants import mutated

LEDGER = """
    import hashlib, os

    ledger = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def handler(event, context):
        digest = hashlib.sha256(event).hexdigest()
        os.write(ledger, digest.encode() + b"\\n")
        return digest
"""
MUTANTS = int(os.environ.get("MUTANTS", "1500"))
"""How many mutants of good requests are sent to each kind of loop."""

SECRET = "CANARY/8c1+f0d2=e7"
"""In every place of the good requests where a secret may be."""

HEALTH = request(b"", path="/health", method="GET")


class Recorded:
    """A service whose handler answers with the digest of its event, and writes it to a ledger."""

    def __init__(self, folder: Path, *flags: str, **options: Any) -> None:
        self.server = ServerProcess(folder, LEDGER, *flags, **options)
        self.port = self.server.port
        self._ledger = folder / "ledger"
        self._read = 0

    def ran(self) -> Counter[str]:
        """The digests of the events that ran since this was asked last."""
        with self._ledger.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        return Counter(new.decode().split())

    @contextmanager
    def connections(self, count: int) -> Iterator[list[socket.socket]]:
        """Return open connections, which are closed in the end."""
        with ExitStack() as stack:
            found = []
            for _ in range(count):
                one = socket.create_connection(("127.0.0.1", self.port), ANSWERS_WITHIN)
                found.append(stack.enter_context(one))
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield found

    async def turn(self, times: int = 2) -> None:
        """Wait until the service has read what was sent, and has answered what it answers."""
        async with self.server.client() as beside:
            for _ in range(times):
                assert (await beside.ask(HEALTH)).status == 200

    async def is_alive(self) -> None:
        """The liveness check: a good request is answered."""
        answer = await self.server.ask(request(b"alive"))
        assert (answer.status, answer.body) == (200, digest_of(b"alive").encode())
        assert self.ran()[digest_of(b"alive")] == 1


@pytest.fixture(scope="module", params=LOOPS)
def loop_kind(request: pytest.FixtureRequest) -> str:
    """The event loop under the service."""
    return str(request.param)


@pytest.fixture(scope="module")
def shared(loop_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """One service of each loop for all tests."""
    folder = tmp_path_factory.mktemp("recorded")
    flags = ("--loop", loop_kind, "--log-level", "DEBUG", "--concurrency", "200")
    # Hundreds of half-sent bodies are to wait for nothing but their own rest.
    service = Recorded(folder, *flags, "--queue", "10000", "--max-body", "100KiB")
    yield service
    service.server.kill()


@pytest.fixture
def recorded(shared: Recorded) -> Recorded:
    """The service, with nothing new in its ledger."""
    shared.ran()
    return shared


def digest_of(body: bytes) -> str:
    """What the handler answers to an event."""
    return hashlib.sha256(body).hexdigest()


def run_of(data: bytes) -> list[str]:
    """The digests of the events that a server may run of these bytes, in their order."""
    return [digest_of(one.body) for one in read_requests(data)]


def sent(connection: socket.socket, data: bytes) -> None:
    """Send bytes, unless the service has refused what came before and closed."""
    try:
        connection.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        return


async def answers_of(connection: socket.socket, *, head: bool = False) -> list[Reply]:
    """Everything that has been answered by now; each answer must be sound HTTP, the first one
    without a body where it is to `head`.
    """
    reader = asyncio.StreamReader()
    connection.setblocking(False)
    try:
        while part := connection.recv(1 << 20):
            reader.feed_data(part)
    except (BlockingIOError, ConnectionResetError):
        pass
    reader.feed_eof()
    found: list[Reply] = []
    while reply := await read_reply(reader, bodiless=head and not found):
        found.append(reply)
    return found


def digests_of(replies: list[Reply]) -> list[str]:
    """The results of calls among the answers."""
    return [r.body.decode() for r in replies if r.status == 200 and len(r.body) == 64]


def is_in_order(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Say whether `part` is left of `whole` when some of it is taken away."""
    rest = iter(whole)
    return all(one in rest for one in part)


def told_of(replies: list[Reply]) -> list[tuple[int, bytes]]:
    """What a caller acts on: status and result, the kind of error where it is one."""
    kind = re.compile(rb'.*"errorType":"(\w+)".*', re.DOTALL)
    return [(reply.status, kind.sub(rb"\1", reply.body)) for reply in replies]


# --- the table


async def test_the_conformance_table(tmp_path: Path, loop_kind: str) -> None:
    """C: Every MUST of the table passes, and of the rest all but those that are named here."""
    server = ServerProcess(tmp_path, ECHO, "--loop", loop_kind)
    turn = asyncio.Semaphore(8)
    port = await asyncio.to_thread(lambda: server.port)

    async def ask(case: Case) -> tuple[Case, str, str]:
        async with turn, server.client() as beside:

            async def settle() -> None:
                await beside.ask(HEALTH)

            seen = await exchange(port, case, settle, ANSWERS_WITHIN)
            return case, case.verdict(seen), str(seen)

    try:
        found = await asyncio.gather(*map(ask, CASES))
        alive = await server.ask(request(b"alive"))
    finally:
        server.kill()
    missed = {case.name: seen for case, verdict, seen in found if verdict != "pass"}
    assert {case.name: missed.get(case.name) for case in CASES if case.level == "MUST"} == {
        case.name: None for case in CASES if case.level == "MUST"
    }
    assert set(missed) == NOT_PASSED
    assert not [seen for _, _, seen in found if "stuck" in seen or "garbled" in seen]
    assert alive.body == b"alive"
    assert "Traceback" not in server.log()


NOT_PASSED = {
    # The parser takes two spaces for one.
    "line-two-spaces",
    "line-two-spaces-version",
    # 501 is not for us: what Function Compute makes of a 5xx is unknown (docs/platform.md
    # section 3).
    "method-long",
    "method-unknown",
    "method-lower-case",
    "coding-gzip-chunked",
    "coding-two-lines",
    "coding-identity-chunked",
    # There is nothing to tell of the server as a whole.
    "options-asterisk",
    # The parser knows the minor versions 0 and 1.
    "version-1.2",
    "version-1.9",
}


def test_the_table_holds_together() -> None:
    """Names are unique, and the strict reading agrees: it reads no case that must be refused, and
    each that must be served.
    """
    assert len({case.name for case in CASES}) == len(CASES) >= 150
    for case in CASES:
        data = b"".join(case.packets)
        if case.passes == "200=hello open" and case.level == "MUST":
            assert run_of(data) == [digest_of(b"hello")], case.name
        if case.passes == "400 closed" and case.section in ("9112 6.3", "9112 7.1", "9112 2.2"):
            assert case.name.startswith(("version-", "line-answer")) or not run_of(data), case.name


async def test_no_case_hides_a_request(recorded: Recorded) -> None:
    """C: Whatever stands before it, a marker behind a case runs where a strict reader finds it, or
    not at all: nothing runs from inside of another's body.
    """
    marker = post(body="marker")
    streams = {case.name: b"".join(case.packets) for case in CASES}
    for apart in (False, True):
        with recorded.connections(len(streams)) as connections:
            for connection, data in zip(connections, streams.values(), strict=True):
                sent(connection, data if apart else data + marker)
            await recorded.turn(5)
            if apart:
                for connection in connections:
                    sent(connection, marker)
                await recorded.turn(5)
            for connection, (name, data) in zip(connections, streams.items(), strict=True):
                head = data.startswith(b"HEAD ")
                digests = digests_of(await answers_of(connection, head=head))
                assert is_in_order(digests, run_of(data + marker)), name
        await recorded.turn()
        may_run = Counter(d for data in streams.values() for d in run_of(data + marker))
        assert recorded.ran() <= may_run
    await recorded.is_alive()


REFUSED = [case for case in CASES if case.passes in ("400", "400 closed")]
"""The cases for which nothing but 400 is right."""

AMBIGUOUS = {
    "both",
    "coding-empty-length",
    "coding-gzip-chunked",
    "coding-twice-lines",
    "coding-x",
    "cr-field",
    "fold",
    "old-coding",
    "version-0.9",
    "version-2.0",
    "version-h2-preface",
}
"""Cases that two readers may take for different requests, and which the table lets a server serve,
or refuse in another way.
"""


async def test_an_ambiguous_request_is_400_and_closes(recorded: Recorded) -> None:
    """F20: what two readers could take for different requests has one answer, our error JSON, after
    which the connection ends: the request behind it is not read.
    """
    cases = [*REFUSED, *(case for case in CASES if case.name in AMBIGUOUS)]
    cases = [case for case in cases if case.name not in NOT_PASSED - AMBIGUOUS]
    with recorded.connections(len(cases)) as connections:
        for connection, case in zip(connections, cases, strict=True):
            sent(connection, b"".join(case.packets) + post(body="smuggled"))
        await recorded.turn(5)
        for connection, case in zip(connections, cases, strict=True):
            (answer,) = await answers_of(connection, head=case.packets[0].startswith(b"HEAD "))
            told = orjson.loads(answer.body)
            assert (answer.status, told["errorType"]) == (400, "BadRequest"), case.name
            assert answer.fields["x-fc-status"] == "404", case.name
            assert answer.fields["x-fc-request-id"] == told["requestId"], case.name
            assert answer.has("close"), case.name
            connection.setblocking(True)
            assert connection.recv(1) == b"", case.name
    assert not recorded.ran()
    assert "Traceback" not in recorded.server.log()


# --- every byte around a name and a value


TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
VALUE = frozenset(b"\t ") | frozenset(range(0x21, 0x7F)) | frozenset(range(0x80, 0x100))
PLACES = {
    "before-name": (b"", b"x-a: b", TOKEN),
    "in-name": (b"x-", b"a: b", TOKEN | frozenset(b":")),
    "before-colon": (b"x-a", b": b", TOKEN | frozenset(b":")),
    "before-value": (b"x-a:", b"b", VALUE),
    "in-value": (b"x-a: b", b"c", VALUE),
    "behind-value": (b"x-a: b", b"", VALUE),
}
"""What stands before and behind the byte, and the bytes that the grammar has there."""


@pytest.mark.parametrize("place", PLACES)
async def test_every_byte_around_a_name_and_a_value(recorded: Recorded, place: str) -> None:
    """C: Of 256 bytes at each place those of the grammar are served, once, all others are 400."""
    before, behind, sound = PLACES[place]
    async with recorded.server.client() as beside:
        for number in range(256):
            byte = bytes([number])
            body = byte + place.encode()
            data = post("\0", body=body.decode("latin-1")).replace(b"\0", before + byte + behind)
            async with recorded.server.client() as client:
                answer = await client.ask(data)
                assert answer.status == (200 if number in sound else 400), byte
                assert answer.closes == (number not in sound), byte
            assert (await beside.ask(HEALTH)).status == 200
            assert recorded.ran() == Counter([digest_of(body)] if number in sound else []), byte


FRAMING = {
    "length-value": (b"Content-Length: ", b"5", b"hello"),
    "length-value-end": (b"Content-Length: 5", b"", b"hello"),
    "length-name": (b"Content-Length", b": 5", b"hello"),
    "length-before": (b"", b"Content-Length: 5", b"hello"),
    "coding-value": (b"Transfer-Encoding: ", b"chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    "coding-value-end": (b"Transfer-Encoding: chunked", b"", b"5\r\nhello\r\n0\r\n\r\n"),
    "coding-name": (b"Transfer-Encoding", b": chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    "coding-before": (b"", b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size": (b"Transfer-Encoding: chunked\r\n\r\n5", b"\r\nhello\r\n0\r\n", b""),
    "chunk-end": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello", b"\r\n0\r\n", b""),
    "last-chunk": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0", b"\r\n", b""),
}


async def test_every_byte_around_the_framing(recorded: Recorded) -> None:
    """No byte around Content-Length, Transfer-Encoding or a chunk's size makes a body end where a
    strict reader sees no end.
    """
    marker = post(body="marker")
    for name, (before, behind, body) in FRAMING.items():
        head = b"POST /invoke HTTP/1.1\r\nHost: a\r\n" + before
        tail = behind + b"\r\n\r\n" + body + marker
        streams = [head + bytes([number]) + tail for number in range(256)]
        with recorded.connections(len(streams)) as connections:
            for connection, data in zip(connections, streams, strict=True):
                sent(connection, data)
            await recorded.turn(3)
            for connection, data in zip(connections, streams, strict=True):
                digests = digests_of(await answers_of(connection))
                assert is_in_order(digests, run_of(data)), (name, data)
        await recorded.turn()
        assert recorded.ran() <= Counter(d for data in streams for d in run_of(data)), name
        await recorded.is_alive()


# --- mutants


SECRETS = (
    f"x-fc-security-token: {SECRET}-token",
    f"x-fc-access-key-secret: {SECRET}-secret",
    f"x-fc-access-key-id: {SECRET}-id",
    f"Authorization: Bearer {SECRET}-bearer",
    f"Cookie: a={SECRET}-cookie",
)
BODY = f'{{"password":"{SECRET}-body"}}'
CORPUS = (
    post(*SECRETS, body=BODY),
    post(*SECRETS, "x-fc-request-id: 1-6560a8d1-0123abcd-0123456789ab", body=BODY),
    coded(f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n", *SECRETS),
    coded(f"{len(BODY):x};a=b\r\n{BODY}\r\n3\r\nend\r\n0\r\nx-a: {SECRET}\r\n\r\n", *SECRETS),
    post(*SECRETS, line=f"POST /invoke?token={quote(SECRET)} HTTP/1.1", body=BODY),
    post(*SECRETS, "Connection: close", body=BODY),
    post(*SECRETS, line="POST http://a/invoke HTTP/1.1", body=BODY),
    post(*SECRETS, "Expect: 100-continue", body=BODY),
    post(*SECRETS, "Connection: Upgrade", "Upgrade: websocket", body=BODY),
    post(*SECRETS, line="POST /invoke HTTP/1.0", body=BODY),
    post(*SECRETS, body=BODY) + post(body="1") + coded("1\r\n2\r\n0\r\n\r\n"),
    message("GET /health HTTP/1.1", "Host: a", *SECRETS) + post(*SECRETS, body="3"),
    post(*SECRETS, body=post(body="inside").decode()) + post(body="4"),
)


def forms_of(secret: str) -> set[bytes]:
    """How a secret may look in an output: as it is, escaped, in base64 at any offset, its start."""
    raw = secret.encode()
    forms = {raw, raw[:16], quote(secret, safe="").encode(), quote_plus(secret).encode()}
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw)
        forms.add(whole[-(-offset * 8 // 6) + (offset > 0) : len(whole) // 4 * 4 - 4])
    return forms


async def test_mutants_of_good_requests(recorded: Recorded) -> None:
    """C: Mutants crash, hang, desynchronise and reveal nothing: each answer is sound HTTP, nothing
    runs that a strict reader does not find, and the log has one line for each at most.
    """
    await try_mutants(recorded, MUTANTS)


async def test_mutants_under_the_debug_modes_of_python(tmp_path: Path) -> None:
    """`-X dev` and `PYTHONASYNCIODEBUG` reveal nothing of a request either."""
    debug = {"PYTHONASYNCIODEBUG": "1"}
    flags = ("--loop", "asyncio", "--log-level", "DEBUG")
    recorded = Recorded(tmp_path, *flags, options=("-X", "dev"), environ=debug)
    try:
        await try_mutants(recorded, MUTANTS // 5)
    finally:
        recorded.server.kill()


async def try_mutants(recorded: Recorded, count: int) -> None:
    """Send mutants, 50 at a time, each on a connection of its own."""
    chance = random.Random(count)
    noted = len(recorded.server.lines)
    answered = b""
    for _ in range(0, count, 50):
        batch = [mutated(chance.choice(CORPUS), chance, CORPUS) for _ in range(50)]
        with recorded.connections(len(batch)) as connections:
            for connection, data in zip(connections, batch, strict=True):
                sent(connection, data)
            await recorded.turn(4)
            for connection, data in zip(connections, batch, strict=True):
                got = await answers_of(connection)
                assert is_in_order(digests_of(got), run_of(data)), data
                assert all(reply.status < 500 for reply in got), data
                answered += b"".join(str(dict(r.fields)).encode() + r.body for r in got)
        await recorded.turn()
        assert recorded.ran() <= Counter(digest for data in batch for digest in run_of(data))
        await recorded.is_alive()
    lines = recorded.server.lines[noted:] + recorded.server.errors
    own = [line for line in lines if re.search(r"\[(WARNING|ERROR|CRITICAL)\]", line)]
    assert len(own) <= count
    written = answered + "\n".join(lines).encode(errors="surrogateescape")
    assert not [form for form in forms_of(SECRET) if form in written]
    assert b"Traceback" not in written
    await at_rest(recorded)


async def at_rest(recorded: Recorded) -> None:
    """Nothing is left in flight, and no bytes are held."""
    async with asyncio.timeout(ANSWERS_WITHIN), recorded.server.client() as client:
        state = {"inFlight": 1}
        while state["inFlight"]:
            state = (await client.ask(HEALTH)).json()
    assert (state["running"], state["queued"], state["bodyBytes"]) == (0, 0, 0)


def test_the_search_for_secrets_finds_them() -> None:
    """A secret is found as it is, escaped, cut, and in base64 whatever stands before it."""
    forms = forms_of(SECRET)
    for before in ("", "a", "ab", "abc"):
        hidden = base64.b64encode(f"{before}{SECRET}-token".encode())
        assert any(form in hidden for form in forms), before
    assert any(form in quote(SECRET + "x", safe="").encode() for form in forms)
    assert any(form in SECRET[:16].encode() for form in forms)
    assert not any(form in b"CANARY" for form in forms)


# --- cut at every byte


CUT = {
    "plain": post(),
    "empty": message("POST /invoke HTTP/1.1", "Host: a"),
    "empty-line": b"\r\n" + post(),
    "id": post("x-fc-request-id: 1-6560a8d1-0123abcd-0123456789ab"),
    "secrets": post(*SECRETS[:2]),
    "length-first": message("POST /invoke HTTP/1.1", "Content-Length: 5", "Host: a", body="hello"),
    "binary": post(body="\0\r\n\r\n\xff"),
    "body-like-head": post(body=post(body="inside").decode()),
    "body-like-chunked": post(body=coded("0\r\n\r\n", coding="chunked \t").decode()),
    "absolute": post(line="POST http://a/invoke?b HTTP/1.1"),
    "old": post(line="POST /invoke HTTP/1.0"),
    "close": post("Connection: close"),
    "upgrade": post("Connection: Upgrade", "Upgrade: websocket"),
    "chunked": coded("5\r\nhello\r\n0\r\n\r\n"),
    "chunks": coded("1;a=b\r\nh\r\n4\r\nello\r\n000\r\n\r\n"),
    "trailer": coded("5\r\nhello\r\n0\r\nx-a: b\r\n\r\n"),
    "two": post(body="1") + post(body="2"),
    "two-chunked": coded("1\r\n1\r\n0\r\n\r\n") + post(body="2"),
    "bad-length": message("POST /invoke HTTP/1.1", "Host: a", "Content-Length: +5", body="hello"),
    "bad-host": post(host="Host: a/b"),
    "bad-chunk": coded("5\r\nhello\r\nzz\r\n\r\n"),
    "not-found": post(line="POST /nope HTTP/1.1"),
}


@pytest.mark.parametrize("name", CUT)
async def test_a_request_cut_at_every_byte(recorded: Recorded, name: str) -> None:
    """C: In two packets, cut anywhere, a request has the answer that it has whole, and runs once;
    where its sender closes at the cut, there is nothing half run.
    """
    data = CUT[name]
    cuts = range(1, len(data))
    with recorded.connections(1) as (whole,):
        sent(whole, data)
        await recorded.turn(3)
        expected = told_of(await answers_of(whole))
    ran = recorded.ran()
    assert expected
    assert ran == Counter(run_of(data)) - NOT_RUN.get(name, Counter())
    with recorded.connections(len(cuts)) as connections:
        for cut, connection in zip(cuts, connections, strict=True):
            sent(connection, data[:cut])
        await recorded.turn(3)
        for cut, connection in zip(cuts, connections, strict=True):
            sent(connection, data[cut:])
        await recorded.turn(3)
        await at_rest(recorded)
        for cut, connection in zip(cuts, connections, strict=True):
            assert told_of(await answers_of(connection)) == expected, cut
    assert recorded.ran() == Counter({digest: n * len(cuts) for digest, n in ran.items()})
    with recorded.connections(len(cuts)) as connections:
        for cut, connection in zip(cuts, connections, strict=True):
            sent(connection, data[:cut])
        await recorded.turn(3)
        for cut, connection in zip(cuts, connections, strict=True):
            told = told_of(await answers_of(connection))
            assert told == expected[: len(told)], cut
    await recorded.turn()
    assert recorded.ran() == Counter(
        digest for cut in cuts for digest in run_of(data[:cut]) if digest in ran
    )
    await recorded.is_alive()


NOT_RUN = {
    "bad-host": Counter([digest_of(b"hello")]),
    "not-found": Counter([digest_of(b"hello")]),
}
"""What the strict reading finds and the service refuses for what it means."""
