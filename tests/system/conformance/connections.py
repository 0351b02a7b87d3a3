"""Connections: their end, pipelining, Expect, Upgrade, and what every answer has."""

from __future__ import annotations

from tests.system.conformance.case import AWAIT, LINE, SMUGGLED, Case, coded, message, post, rule
from tests.system.conformance.lines import SERVED, get

OLD = "POST /invoke HTTP/1.0"
EXPECT = "Expect: 100-continue"


def asking(*fields: str, line: str = LINE) -> bytes:
    """Return the head of a POST whose five bytes of body are to follow."""
    return message(line, "Host: a", "Content-Length: 5", *fields)


def old(*fields: str) -> bytes:
    """Return an HTTP/1.0 request."""
    return post(*fields, line=OLD)


CASES: tuple[Case, ...] = (
    *rule(
        "9112 9.6",
        "MUST",
        "After the answer to a request that says close, the connection is closed",
        "200=hello closed",
        {
            "close": post("Connection: close"),
            "close-case": post("Connection: CLOSE"),
            "close-name-case": post("cONNECTION: close"),
            "close-list": post("Connection: x-a, close"),
            "close-list-first": post("Connection: close, x-a"),
            "close-two-lines": post("Connection: x-a", "Connection: close"),
            "close-old": old("Connection: close"),
        },
    ),
    *rule(
        "9112 9.6",
        "SHOULD",
        "The last answer of a connection says close",
        "200+close=hello closed",
        {
            "close-said": post("Connection: close"),
            "close-said-list": post("Connection: x-a, close"),
        },
        warns="200=hello closed",
    ),
    *rule(
        "9112 9.6",
        "MUST",
        "No request behind one that says close is processed",
        "200=hello closed | 400 closed | closed",
        {
            "close-then-request": post("Connection: close") + SMUGGLED.encode(),
            "close-then-later": (post("Connection: close"), SMUGGLED.encode()),
            "close-chunked-then-request": coded(
                "5\r\nhello\r\n0\r\n\r\n" + SMUGGLED, "Connection: close"
            ),
        },
    ),
    *rule(
        "9112 9.3",
        "SHOULD",
        "HTTP/1.1 connections persist",
        SERVED,
        {
            "persist": post(),
            "persist-said": post("Connection: keep-alive"),
            "persist-other-option": post("Connection: x-a", "x-a: b"),
        },
        warns="200=hello closed",
    ),
    *rule(
        "9112 9.3",
        "SHOULD",
        "Connections persist after a refusal that leaves no doubt where the request ended",
        "404 open",
        {
            "persist-not-found": get("/nope"),
            "persist-not-found-body": post(line="POST /no HTTP/1.1"),
        },
        warns="404 closed",
    ),
    *rule(
        "9112 9.3",
        "MUST",
        "An HTTP/1.0 connection that does not ask to be kept is closed after the answer",
        "200-coding=hello closed",
        {"old": old(), "old-no-host": message(OLD, "Content-Length: 5", body="hello")},
    ),
    *rule(
        "9112 9.3",
        "MAY",
        "An HTTP/1.0 connection may persist where its client asks for it",
        "200-coding=hello open",
        {"old-kept": old("Connection: keep-alive")},
        warns="200-coding=hello closed",
    ),
    *rule(
        "9112 9.3.2",
        "MUST",
        "Pipelined requests are answered in their order",
        "200=1 200=2 200=3 open",
        {
            "pipeline": post(body="1") + post(body="2") + post(body="3"),
            "pipeline-pieces": (
                post(body="1") + post(body="2")[:30],
                post(body="2")[30:] + post(body="3")[:-1],
                b"3",
            ),
        },
    ),
    *rule(
        "9112 9.3.2",
        "MUST",
        "Pipelined requests of different methods are answered in their order",
        "200 404 200=hello open",
        {"pipeline-methods": get() + get("/nope") + post()},
    ),
    *rule(
        "9112 9.3.2",
        "MUST",
        "Many pipelined requests are answered in their order",
        " ".join(f"200={number}" for number in range(100)) + " open",
        {"pipeline-100": b"".join(post(body=str(number)) for number in range(100))},
    ),
    *rule(
        "9112 2.2",
        "SHOULD",
        "A bad request behind good ones is 400 after their answers",
        "200=1 200=2 400 closed",
        {
            "pipeline-bad": post(body="1") + post(body="2") + post(line="POST  / HTTP/9"),
            "pipeline-bad-length": post(body="1")
            + post(body="2")
            + message(LINE, "Host: a", "Content-Length: x"),
        },
        warns="200=1 200=2 closed | 200=1 200=2 505 closed",
    ),
    *rule(
        "9110 10.1.1",
        "MUST",
        "Who expects 100-continue gets it before the content, or a final answer",
        f"100 {SERVED} | 4xx",
        {
            "expect": (asking(EXPECT), AWAIT, b"hello"),
            "expect-case": (asking("Expect: 100-Continue"), AWAIT, b"hello"),
            "expect-chunked": (
                message(LINE, "Host: a", "Transfer-Encoding: chunked", EXPECT),
                AWAIT,
                b"5\r\nhello\r\n0\r\n\r\n",
            ),
        },
    ),
    *rule(
        "9110 10.1.1",
        "MUST",
        "Who does not expect it gets no 100-continue",
        SERVED,
        {"expect-not": (asking(), b"hello")},
    ),
    *rule(
        "9110 10.1.1",
        "MUST",
        "An expectation in an HTTP/1.0 request is ignored; it gets no interim answer (15.2)",
        "200=hello closed",
        {"expect-old": (asking(EXPECT, line=OLD), b"hello")},
    ),
    *rule(
        "9110 10.1.1",
        "MAY",
        "100-continue may be left out where the content is here already",
        SERVED,
        {"expect-content-here": post(EXPECT)},
        warns=f"100 {SERVED}",
    ),
    *rule(
        "9110 10.1.1",
        "MAY",
        "100-continue may be left out where no content is announced",
        "200= open",
        {"expect-no-content": message(LINE, "Host: a", EXPECT)},
        warns="100 200= open",
    ),
    *rule(
        "9110 10.1.1",
        "MAY",
        "Another expectation may be 417",
        "417",
        {
            "expect-other": post("Expect: a-miracle"),
            "expect-other-beside": post("Expect: 100-continue, a-miracle"),
        },
        warns=f"{SERVED} | 100 {SERVED} | 400",
    ),
    *rule(
        "9112 9.3",
        "MUST",
        "What follows a final answer in place of 100 is the content, or the connection is closed",
        "4xx | 100 4xx",
        {
            "expect-refused": (
                message(
                    "POST /nope HTTP/1.1", "Host: a", EXPECT, f"Content-Length: {len(SMUGGLED)}"
                ),
                AWAIT,
                SMUGGLED.encode(),
            ),
        },
    ),
    *rule(
        "9110 7.8",
        "MAY",
        "A request to upgrade may be ignored; no protocol is switched to that is not spoken",
        "200=hello",
        {
            "upgrade-h2c": post("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
            "upgrade-unknown": post("Connection: Upgrade", "Upgrade: x/1"),
            "upgrade-websocket": post("Connection: Upgrade", "Upgrade: websocket"),
        },
        warns="4xx | 501",
    ),
    *rule(
        "9110 7.8",
        "MUST",
        "A request to upgrade in HTTP/1.0 is ignored",
        "200=hello",
        {"upgrade-old": old("Connection: Upgrade", "Upgrade: websocket")},
    ),
    *rule(
        "9110 7.8",
        "MUST",
        "Behind a request to upgrade that is not granted there is HTTP/1.1, or nothing",
        "200=hello 200=smuggled open | 200=hello closed | 4xx closed | 4xx 200=smuggled open",
        {
            "upgrade-then-request": post("Connection: Upgrade", "Upgrade: websocket")
            + SMUGGLED.encode()
        },
    ),
    *rule(
        "9110 14.2",
        "MUST",
        "A Range is ignored for a method that has none",
        SERVED,
        {"range-post": post("Range: bytes=0-1"), "range-nonsense": post("Range: a")},
    ),
    *rule(
        "9110 6.6.1",
        "MUST",
        "An answer of 2xx or 4xx has a Date, in the form of 5.6.7",
        "2xx+date | 4xx+date | closed",
        {
            "date": post(),
            "date-not-found": get("/nope"),
            "date-not-allowed": post(line="PUT /invoke HTTP/1.1"),
            "date-bad-request": message(LINE, "Host: a", "Content-Length: x"),
            "date-bad-line": b"nonsense\r\n\r\n",
            "date-no-host": message(LINE, "Content-Length: 0"),
        },
    ),
)
