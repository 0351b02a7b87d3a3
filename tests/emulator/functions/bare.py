"""A custom runtime that is nothing but Python's own HTTP server. An event says what a call does:
"sleep 0.1", for example; one that is not known comes back as it is.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEPT: list[Any] = []
TICKS = [0]


def note(text: str) -> str:
    print(text, flush=True)
    return "noted"


def sleep(argument: str) -> str:
    time.sleep(float(argument))
    return "slept"


def child(argument: str) -> str:
    """Start a process that sleeps; a "session" has one of its own, an "orphan" no parent either."""
    sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
    if argument == "orphan":
        shell = ["sh", "-c", '"$@" >/dev/null 2>&1 & echo $!', "sh", *sleep]
        return subprocess.check_output(shell, start_new_session=True).decode().strip()
    KEPT.append(subprocess.Popen(sleep, start_new_session=argument == "session"))
    return str(KEPT[-1].pid)


def grow(argument: str) -> str:
    """Take so many MB, and so many seconds."""
    size, _, seconds = argument.partition(" ")
    KEPT.append(b"\1" * (int(size) * 1024**2))
    time.sleep(float(seconds or 0))
    return "grown"


def until(argument: str) -> str:
    """Wait for a file to be there."""
    while not os.path.exists(argument):
        time.sleep(0.005)
    return "done"


def hang(argument: str) -> str:
    """Say so, and wait for ever, or for a file to be there."""
    note("hangs")
    return until(argument or "/none")


def flood(argument: str) -> str:
    """Write without end, in a thread."""

    def write() -> None:
        while True:
            os.write(1, b"a line of a flood\n" * 100)

    threading.Thread(target=write, daemon=True).start()
    return "flooding"


def write(argument: str) -> str:
    os.write(1, argument.encode().decode("unicode_escape").encode("latin-1"))
    return "written"


ACTS: dict[str, Callable[[str], Any]] = {
    "sleep": sleep,
    "exit": lambda argument: os._exit(int(argument)),
    "child": child,
    "grow": grow,
    "flood": flood,
    "write": write,
    "until": until,
    "hang": hang,
    "print": note,
    "environment": lambda _: json.dumps(dict(os.environ)),
    "pid": lambda _: str(os.getpid()),
    "ticks": lambda _: str(TICKS[0]),
}


def tick() -> None:
    while True:
        time.sleep(0.01)
        TICKS[0] += 1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        event = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/initialize":
            return self.answer(*self.hook("INITIALIZER"))
        name, _, argument = event.decode("latin-1").partition(" ")
        if name == "close":
            self.close_connection = True
            return None
        if name == "leave":
            self.close_connection = True
            assert isinstance(self.server, Server)
            # Closed alone it would go on to listen while the main thread waits for a connection.
            self.server.socket.shutdown(socket.SHUT_RDWR)
            self.server.socket.close()
            self.connection.shutdown(socket.SHUT_RDWR)
            time.sleep(float(argument))
            os._exit(7)
        if name == "garbage":
            self.close_connection = True
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            return None
        if name == "headers":
            return self.answer(json.dumps([*self.headers.items()]).encode())
        if name == "fail":
            return self.answer(b'{"errorMessage":"it failed"}', 404, verdict="404")
        act = ACTS.get(name)
        return self.answer(event if act is None else str(act(argument)).encode())

    def do_GET(self) -> None:
        if self.path == "/pre-stop":
            note("pre-stop " + self.headers["x-fc-control-path"])
            return self.answer(*self.hook("PRE_STOP"))
        sick = os.path.exists(os.environ.get("SICK", "/none"))
        return self.answer(b"", 503 if sick else 200)

    def hook(self, name: str) -> tuple[bytes, int]:
        act, _, argument = os.environ.get(name, "").partition(" ")
        if act == "refuse":
            return argument.encode(), 404
        if act == "fail":
            return json.dumps({"errorMessage": argument}).encode(), 404
        if act:
            ACTS[act](argument)
        note(f"{name} has run")
        return b"", 200

    def answer(self, body: bytes, status: int = 200, verdict: str = "") -> None:
        self.send_response(status)
        if verdict:
            self.send_header("x-fc-status", verdict)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


if __name__ == "__main__":
    threading.Thread(target=tick, daemon=True).start()
    if "DEAF" in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: note("SIGTERM"))
    until(os.environ.get("GATE", "/"))
    port = os.environ.get("PORT", os.environ["FC_CUSTOM_LISTEN_PORT"])
    place = os.environ.get("HOST", "0.0.0.0"), int(port)
    Server(place, Handler).serve_forever()
