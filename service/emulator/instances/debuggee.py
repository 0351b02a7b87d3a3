"""What the Python of an instance runs before all else if it is debugged. It needs nothing of the
service, which the instance may not have.
"""

from __future__ import annotations

import os
import sys


def wait_for_debugger() -> None:
    """Listen on the port that a variable names, or on any if that is taken; say which; return once
    a debugger is there. Processes that this one starts do not listen.
    """
    port = os.environ.pop("FC_EMULATOR_DEBUG_PORT", "")
    if not port:
        return
    try:
        import debugpy
    except ImportError:
        _tell(f"debugpy is not installed for {sys.executable}: nobody is waited for")
        return
    try:
        host, number = debugpy.listen(("127.0.0.1", int(port)))
    except RuntimeError:  # somebody else has the port
        host, number = debugpy.listen(("127.0.0.1", 0))
    _tell(f"debugpy waits for a debugger on {host}:{number}")
    debugpy.wait_for_client()
    _tell("the debugger is there")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "debuggee":
    wait_for_debugger()
