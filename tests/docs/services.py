"""A service that a page starts, as its reader asks it and reads its log."""

from __future__ import annotations

import re
import shlex
import subprocess

from tests.harness import ANSWERS_WITHIN, ServerProcess

NO_HANDLER = "\n\nasync def handler(event, context):\n    return 1 // len(event)\n"
"""A handler for a page that shows what is around one; it fails for an empty event."""

LINES: dict[str, str] = {r"\.py:\d+": ".py:N", r"line \d+": "line N"}
"""Where a line of code stands, which the page shows of a file of its own."""


def curled(command: str, server: ServerProcess) -> str:
    """Run a `curl` of a page; return what it prints, the headers too if it asks for them."""
    words = shlex.split(command.replace(":9000", f":{server.port}"))
    done = subprocess.run(
        [*words, "-sS"], capture_output=True, text=True, timeout=ANSWERS_WITHIN, check=True
    )
    return done.stdout.replace("\r\n", "\n")


def written(
    server: ServerProcess, but: str = "the request has no request id|has been blocked"
) -> str:
    """The lines of the calls by now, without those that pages leave out or a busy machine adds."""
    served = [line for line in server.lines if re.match(r"\d{4}-\d\d-", line)]
    return "".join(f"{line}\n" for line in served if not re.search(but, line))
