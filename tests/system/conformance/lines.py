"""The request line: its form, the target, the method, the version."""

from __future__ import annotations

from tests.system.conformance.case import LINE, Case, message, post, rule

SERVED = "200=hello open"
REFUSED = "400 closed"
"""What 9112 2.2 asks for where the bytes are not the grammar's."""
STILL_REFUSED = "4xx | 501 | 505 | closed"


def target(text: str, line: str = "POST {} HTTP/1.1") -> bytes:
    """Return a POST for this request target."""
    return post(line=line.format(text))


def get(path: str = "/health", *fields: str, method: str = "GET") -> bytes:
    """Return a request without content."""
    return message(f"{method} {path} HTTP/1.1", "Host: a", *fields)


CASES: tuple[Case, ...] = (
    *rule(
        "9110 9.1",
        "MUST",
        "GET and HEAD are supported; an answer to HEAD has no content (9110 9.3.2)",
        "200 open",
        {"get": get(), "head": get(method="HEAD")},
    ),
    *rule(
        "9110 2.4",
        "MUST",
        "A sound request line means what the grammar says",
        SERVED,
        {
            "line-sound": post(),
            "line-query": target("/invoke?a=b&c=/d?e"),
            "line-query-empty": target("/invoke?"),
            "line-query-escaped": target("/invoke?a=%20%C3%A9"),
            "line-query-marks": target("/invoke?-._~!$&'()*+,;=:@"),
            "line-in-pieces": (b"PO", b"ST /inv", b"oke HT", b"TP/1.1\r", post()[len(LINE) + 1 :]),
        },
    ),
    *rule(
        "9112 2.2",
        "SHOULD",
        "At least one empty line before the request line is ignored",
        SERVED,
        {
            "line-behind-empty": b"\r\n" + post(),
            "line-behind-empty-packet": (b"\r\n", post()),
            "line-empty-between": post() + b"\r\n",
        },
        warns="400 closed | 200=hello 400 closed",
    ),
    *rule(
        "9112 2.2",
        "MAY",
        "More than one empty line may be ignored",
        SERVED,
        {"line-behind-three-empty": b"\r\n\r\n\r\n" + post()},
        warns=REFUSED,
    ),
    *rule(
        "9112 2.2",
        "MAY",
        "A single LF may be taken for a line's end; refusing it leaves nothing to guess",
        REFUSED,
        {
            "lf-everywhere": post().replace(b"\r\n", b"\n"),
            "lf-request-line": post().replace(b"\r\n", b"\n", 1),
            "lf-field": post().replace(b"Host: a\r\n", b"Host: a\n"),
            "lf-empty-line": post().replace(b"\r\n\r\n", b"\r\n\n"),
        },
        warns=SERVED,
    ),
    *rule(
        "9112 3",
        "MAY",
        "White space other than a single SP may be parsed as one; refusing it is safe",
        REFUSED,
        {
            "line-two-spaces": post(line="POST  /invoke HTTP/1.1"),
            "line-two-spaces-version": post(line="POST /invoke  HTTP/1.1"),
            "line-tab": post(line="POST\t/invoke HTTP/1.1"),
            "line-tab-version": post(line="POST /invoke\tHTTP/1.1"),
            "line-vertical-tab": post(line="POST\x0b/invoke HTTP/1.1"),
            "line-form-feed": post(line="POST /invoke\x0cHTTP/1.1"),
            "line-leading-space": post(line=" POST /invoke HTTP/1.1"),
            "line-trailing-space": post(line="POST /invoke HTTP/1.1 "),
        },
        warns=f"{SERVED} | 4xx",
    ),
    *rule(
        "9112 2.2",
        "MUST",
        "A bare CR makes its element invalid or counts as a space, never as a line's end",
        f"{REFUSED} | {SERVED}",
        {
            "cr-request-line": post(line="POST /invoke\rHTTP/1.1"),
            "cr-field": post("x-a: b\rContent-Length: 99"),
            "cr-name": post("x\r-a: b"),
        },
    ),
    *rule(
        "9112 2.2",
        "SHOULD",
        "What is not the grammar of a request is 400, and the connection is closed",
        REFUSED,
        {
            "line-no-version": message("GET /health", "Host: a"),
            "line-no-target": post(line="POST HTTP/1.1"),
            "line-four-words": post(line="POST /invoke HTTP/1.1 x"),
            "line-one-word": post(line="POST"),
            "line-nonsense": b"nonsense\r\n\r\n",
            "line-binary": bytes(range(128, 160)) + b"\r\n\r\n",
            "line-nul": b"\0" * 32 + b"\r\n\r\n",
            "line-answer": message("HTTP/1.1 200 OK", "Content-Length: 0"),
            "line-tls": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"a" * 32,
            "version-lower-case": post(line="POST /invoke http/1.1"),
            "version-one-digit": post(line="POST /invoke HTTP/1"),
            "version-three-digits": post(line="POST /invoke HTTP/1.1.1"),
            "version-long-minor": post(line="POST /invoke HTTP/1.10"),
            "version-long-major": post(line="POST /invoke HTTP/11.1"),
            "version-space": post(line="POST /invoke HTTP/ 1.1"),
            "version-comma": post(line="POST /invoke HTTP/1,1"),
            "version-letter": post(line="POST /invoke HTTP/1.a"),
            "version-cr": post(line="POST /invoke HTTP/1.1\rx-a: b"),
            "version-other-name": post(line="POST /invoke HTTPS/1.1"),
            "method-empty": post(line=" /invoke HTTP/1.1"),
            "method-parenthesis": post(line="PO(ST /invoke HTTP/1.1"),
            "method-colon": post(line="POST: /invoke HTTP/1.1"),
            "method-nul": post(line="PO\0ST /invoke HTTP/1.1"),
            "method-latin": post(line="P\xd6ST /invoke HTTP/1.1"),
        },
        warns=STILL_REFUSED,
    ),
    *rule(
        "9112 3.2",
        "SHOULD",
        "A request target that is not the grammar's is 400 and not put right",
        "400",
        {
            "target-space": target("/in voke"),
            "target-no-slash": target("invoke"),
            "target-fragment": target("/invoke#part"),
            "target-query-fragment": target("/invoke?a#part"),
            "target-quote": target('/invoke?"'),
            "target-angle": target("/invoke?<a>"),
            "target-backslash": target("/invoke?\\"),
            "target-caret": target("/invoke?^"),
            "target-backtick": target("/invoke?`"),
            "target-brace": target("/invoke?{a}"),
            "target-bar": target("/invoke?a|b"),
            "target-bracket": target("/invoke?a[0]=1"),
            "target-latin": target("/invoke?\xe9"),
            "target-utf-8": target("/invoke?\xc3\xa9"),
            "target-percent": target("/invoke?%"),
            "target-percent-half": target("/invoke?%4"),
            "target-percent-letters": target("/invoke?%zz"),
            "target-nul": target("/invoke?\0"),
            "target-control": target("/invoke?\x01"),
            "target-delete": target("/invoke?\x7f"),
            "target-asterisk-post": target("*"),
            "target-asterisk-get": get("*"),
            "target-authority-get": get("a:80"),
            "target-connect-path": get("/invoke", method="CONNECT"),
            "target-bad-address": target("http://[::1/invoke"),
            "target-no-authority": target("http:invoke"),
            "target-bad-port": target("http://a:b/invoke"),
        },
        warns="404 | 405+allow | 501",
    ),
    *rule(
        "9110 4.2.1",
        "MUST",
        "An http URI with an empty host is refused",
        "4xx",
        {
            "target-empty-host": target("http:///invoke"),
            "target-only-port": target("http://:80/invoke"),
        },
    ),
    *rule(
        "9110 4.2.4",
        "SHOULD",
        "User information in a target is treated as an error",
        "4xx",
        {
            "target-user": target("http://user@a/invoke"),
            "target-password": target("http://user:word@a/invoke"),
        },
    ),
    *rule(
        "9112 3.2.2",
        "MUST",
        "The absolute form is accepted, and its host counts instead of the Host field's",
        SERVED,
        {
            "absolute": target("http://a/invoke"),
            "absolute-port": target("http://a:9000/invoke?b"),
            "absolute-address": target("http://[::1]:9000/invoke"),
            "absolute-other-host": post(line="POST http://b/invoke HTTP/1.1"),
            "absolute-upper-case": target("HTTP://A/invoke"),
        },
    ),
    *rule(
        "9112 3.2.2",
        "MUST",
        "The absolute form without a path is accepted: it is the path /",
        "404 open | 2xx open",
        {"absolute-no-path": get("http://a"), "absolute-query": get("http://a?b")},
    ),
    *rule(
        "9112 3",
        "SHOULD",
        "A request line of 8,000 octets is supported (RECOMMENDED)",
        SERVED,
        {"line-8000": target("/invoke?" + "a" * (8000 - len("POST /invoke? HTTP/1.1")))},
        warns="414 | 431",
    ),
    *rule(
        "9112 3",
        "MUST",
        "A target longer than the server wishes to parse is 414",
        f"414 | {SERVED}",
        {
            "target-20-kb": target("/invoke?" + "a" * 20_000),
            "target-100-kb": target("/invoke?" + "a" * 100_000),
        },
    ),
    *rule(
        "9112 3",
        "SHOULD",
        "A method longer than any that is implemented is 501",
        "501",
        {"method-long": post(line="A" * 1000 + " /invoke HTTP/1.1")},
        warns="400 | 405+allow | 414 | 431",
    ),
    *rule(
        "9110 9.1",
        "SHOULD",
        "A method that is not implemented is 501; methods are case-sensitive",
        "501",
        {
            "method-unknown": post(line="BREW /invoke HTTP/1.1"),
            "method-lower-case": post(line="post /invoke HTTP/1.1"),
        },
        warns="400 | 405+allow",
    ),
    *rule(
        "9110 9.1",
        "SHOULD",
        "A method that is implemented and not allowed for the target is 405",
        "405",
        {"method-not-allowed": post(line="PUT /invoke HTTP/1.1")},
        warns="501 | 400 | 404",
    ),
    *rule(
        "9110 15.5.6",
        "MUST",
        "A 405 has an Allow field",
        "405+allow | 501",
        {
            "allow-put": post(line="PUT /invoke HTTP/1.1"),
            "allow-get": get("/invoke"),
            "allow-delete": get("/health", method="DELETE"),
            "allow-trace": get("/invoke", method="TRACE"),
        },
    ),
    *rule(
        "9110 9.3.6",
        "MAY",
        "An origin server may refuse CONNECT; it must not say that there is a tunnel",
        "4xx | 501",
        {"connect": message("CONNECT a:80 HTTP/1.1", "Host: a:80")},
    ),
    *rule(
        "9110 9.3.7",
        "MAY",
        "OPTIONS for the whole server may be supported",
        "2xx open",
        {"options-asterisk": get("*", method="OPTIONS")},
        warns="4xx | 501",
    ),
    *rule(
        "9110 2.5",
        "SHOULD",
        "A higher minor version is served as the highest one that is known",
        SERVED,
        {
            "version-1.2": post(line="POST /invoke HTTP/1.2"),
            "version-1.9": post(line="POST /invoke HTTP/1.9"),
        },
        warns="400 | 505",
    ),
    *rule(
        "9110 15.6.6",
        "MAY",
        "Another major version may be refused; it is not served as HTTP/1",
        "505 | 400",
        {
            "version-0.9": post(line="POST /invoke HTTP/0.9"),
            "version-2.0": post(line="POST /invoke HTTP/2.0"),
            "version-3.0": post(line="POST /invoke HTTP/3.0"),
            "version-h2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        },
        warns="closed",
    ),
)
