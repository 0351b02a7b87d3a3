"""Chunked bodies: sizes, extensions, data, trailers."""

from __future__ import annotations

from tests.system.conformance.case import SMUGGLED, Case, coded, post, rule
from tests.system.conformance.lines import REFUSED, SERVED

HEAD = coded("")
END = "0\r\n\r\n"


def chunk(size: str, data: str = "hello", end: str = "\r\n") -> bytes:
    """Return a POST with one chunk, whose size line is this text and its line end."""
    return coded(f"{size}{end}{data}\r\n{END}")


def trailed(*lines: str, behind: str = "") -> bytes:
    """Return a POST whose chunked body has these trailer lines."""
    return coded("\r\n".join(["5\r\nhello\r\n0", *lines, "", ""]) + behind)


CASES: tuple[Case, ...] = (
    *rule(
        "9112 7.1",
        "MUST",
        "A chunked body is decoded",
        SERVED,
        {
            "chunk-one": chunk("5"),
            "chunk-several": coded(f"1\r\nh\r\n3\r\nell\r\n1\r\no\r\n{END}"),
            "chunk-zeros": chunk("00005"),
            "chunk-many-zeros": chunk("0" * 15 + "5"),
            "chunk-last-zeros": coded("5\r\nhello\r\n0000\r\n\r\n"),
            "chunk-pieces": (HEAD, b"5\r\nhe", b"llo", b"\r", b"\n0\r", b"\n\r\n"),
            "chunk-byte-by-byte": (HEAD, *(bytes([b]) for b in b"5\r\nhello\r\n0\r\n\r\n")),
        },
    ),
    *rule(
        "9112 7.1",
        "MUST",
        "A size is hexadecimal in either case",
        "200=hello-worl open",
        {
            "chunk-lower-case": chunk("a", "hello-worl"),
            "chunk-upper-case": chunk("A", "hello-worl"),
        },
    ),
    *rule(
        "9112 7.1",
        "MUST",
        "A body of no chunks but the last is empty",
        "200= open",
        {"chunk-none": coded(END), "chunk-none-later": (HEAD, END.encode())},
    ),
    *rule(
        "9112 7.1.1",
        "MUST",
        "Extensions of a chunk that are not known are ignored",
        SERVED,
        {
            "extension-name": chunk("5;a"),
            "extension-value": chunk("5;a=b"),
            "extension-several": chunk("5;a=b;c;d=e"),
            "extension-quoted": chunk('5;a="b c;d"'),
            "extension-escaped": chunk('5;a="\\""'),
            "extension-last-chunk": coded("5\r\nhello\r\n0;a=b\r\n\r\n"),
            "extension-later-packet": (HEAD, b"5;a", b"=b\r\nhello\r\n0\r\n\r\n"),
        },
    ),
    *rule(
        "9112 7.1",
        "MUST",
        "A size beyond all integers does not wrap around (to wait for it is no fault)",
        "4xx closed | 5xx closed | closed | stuck",
        {
            "size-2-64": chunk("10000000000000005"),
            "size-17-f": chunk("f" * 17),
            "size-2-128": chunk("1" + "0" * 31 + "5"),
            "size-100-digits": chunk("f" * 100),
        },
    ),
    *rule(
        "9112 2.2",
        "SHOULD",
        "A chunk that is not the grammar's is 400, and the connection is closed",
        REFUSED,
        {
            "size-letter": chunk("g"),
            "size-prefix": chunk("0x5"),
            "size-plus": chunk("+5"),
            "size-minus": chunk("-5"),
            "size-underscore": chunk("0_5"),
            "size-space-before": chunk(" 5"),
            "size-space-behind": chunk("5 "),
            "size-tab-behind": chunk("5\t"),
            "size-none": chunk(""),
            "size-comma": chunk("5,5"),
            "size-fraction": chunk("5.0"),
            "size-later-packet": (HEAD, b"zz\r\n", b"hello\r\n0\r\n\r\n"),
            "size-second-chunk": (HEAD, b"5\r\nhello\r\n", b"zz\r\n"),
            "size-lf": chunk("5", end="\n"),
            "size-cr": chunk("5", end="\r"),
            "size-cr-letter": chunk("5", end="\rX\n"),
            "size-too-small": chunk("3"),
            "size-too-large": coded("6\r\nhello\r\n0\r\n\r\n"),
            "data-lf": coded("5\r\nhello\n0\r\n\r\n"),
            "data-no-end": coded("5\r\nhello0\r\n\r\n"),
            "data-cr": coded("5\r\nhello\r0\r\n\r\n"),
            "last-lf": coded("5\r\nhello\r\n0\n\n"),
            "last-minus-zero": coded("5\r\nhello\r\n-0\r\n\r\n"),
            "extension-no-name": chunk("5;"),
            "extension-only-value": chunk("5;=b"),
            "extension-lf": chunk("5;a\nb"),
            "extension-cr": chunk("5;a\rb"),
            "extension-nul": chunk("5;a\0b"),
            "extension-control": chunk("5;a=\x01"),
            "extension-open-quote": chunk('5;a="b'),
            "extension-comma": chunk("5,a=b"),
        },
        warns="closed | 4xx closed",
    ),
    *rule(
        "9110 5.6.3",
        "MUST",
        "White space around a chunk's extension is removed",
        SERVED,
        {
            "extension-blank-before": chunk("5 ;a=b"),
            "extension-blank-name": chunk("5; a=b"),
            "extension-blank-equals": chunk("5;a = b"),
            "extension-blank-tab": chunk("5\t;\ta"),
            "extension-blank-later": (HEAD, b"5 ;", b" a\r\nhello\r\n0\r\n\r\n"),
        },
    ),
    *rule(
        "9112 7.1",
        "MUST",
        "Trailer fields are parsed with the body they belong to (7.1.2: and may be discarded)",
        "200=hello",
        {
            "trailer": trailed("x-a: b"),
            "trailer-several": trailed("x-a: b", "x-c: d", "x-e:"),
            "trailer-later-packet": (trailed("x-a: b")[:-10], b"x-a: b\r\n\r\n"),
            "trailer-in-pieces": (trailed("x-a: b")[:-7], trailed("x-a: b")[-7:]),
        },
    ),
    *rule(
        "9112 7.1.2",
        "MUST",
        "A trailer field is never taken for a header: the framing and the next request stand",
        "200=hello | 400 closed",
        {
            "trailer-length": trailed("Content-Length: 99"),
            "trailer-coding": trailed("Transfer-Encoding: chunked"),
            "trailer-host": trailed("Host: b"),
            "trailer-close": trailed("Connection: close"),
            "trailer-expect": trailed("Expect: 100-continue"),
            "trailer-upgrade": trailed("Upgrade: h2c", "Connection: upgrade"),
        },
    ),
    *rule(
        "9112 7.1.2",
        "MUST",
        "A request behind trailer fields has none of them",
        "200=hello 200=smuggled open | 200=hello closed | 400 closed",
        {
            "trailer-then-request": trailed("x-a: b", behind=SMUGGLED),
            "trailer-length-then-request": trailed("Content-Length: 0", behind=SMUGGLED),
            "trailer-host-then-request": trailed("Host: b", behind=SMUGGLED),
        },
    ),
    *rule(
        "9112 2.2",
        "SHOULD",
        "A trailer that is no field is 400, and the connection is closed",
        REFUSED,
        {
            "trailer-no-colon": trailed("nonsense"),
            "trailer-space-colon": trailed("x-a : b"),
            "trailer-no-name": trailed(": b"),
            "trailer-bad-name": trailed("x(a: b"),
            "trailer-nul": trailed("x-a: \0"),
            "trailer-request": trailed("GET /health HTTP/1.1"),
        },
        warns="closed | 4xx closed",
    ),
    *rule(
        "9110 5.4",
        "MUST",
        "Trailers that are more than the server wishes are 4xx",
        "4xx | 200=hello",
        {
            "trailer-many": trailed(*["x-a: b"] * 2_000),
            "trailer-large": trailed("x-a: " + "b" * 300_000),
        },
    ),
    *rule(
        "9112 7.1.1",
        "MAY",
        "The length of extensions may be limited, with a 4xx",
        "4xx closed",
        {"extension-200-kb": chunk("5;" + "a" * 200_000)},
        warns=SERVED,
    ),
    *rule(
        "9112 9.3.2",
        "MUST",
        "A request behind a chunked one is answered next, or the connection is closed",
        "200=hello 200=smuggled open | 200+close=hello closed",
        {
            "chunk-then-request": chunk("5") + SMUGGLED.encode(),
            "request-then-chunk": post() + chunk("8", "smuggled"),
        },
    ),
)
