"""Installs the packages of a lock file into a folder, by their hashes, and compiles nothing.

`python bundling/packages.py FOLDER LOCK [uv's flags]`, as `make bundle` and the Dockerfile have it.
uv (`run_uv.py`) is the one beside this Python, which has setuptools, too (requirements-uv.lock).

Most packages come as wheels. Some, Alibaba's own SDKs among them, exist as source only: these are
built here if they are Python alone. What has to be compiled would be for this machine and not for
the function's, so it is refused with one line.
"""

import re
import subprocess
import sys
from pathlib import Path

from run_uv import environment, uv

HERE = Path(__file__).resolve().parent
REMEDIES = {"psycopg2": "take psycopg2-binary in its place"}
OTHERWISE = "take another version or another package that has a wheel for the function's Python"


def main(folder, lock, *flags):
    """Install; return the exit code."""
    command = [uv(), "pip", "install", "--quiet", "--no-config"]
    command += ["--python", sys.executable, "--target", folder, "--link-mode", "copy"]
    command += ["--require-hashes", "--no-deps", "--no-build-isolation", *flags]
    # Of its own: what was built elsewhere may have been compiled.
    command += ["--cache-dir", HERE.parent / "build" / "uv-cache", "--requirements", lock]
    builds = {**environment(), "PYTHONPATH": str(HERE / "builds"), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=builds, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print(told(done.stderr), file=sys.stderr)
    return done.returncode


def told(text):
    """Return what uv's complaint comes to: a line for a package that cannot be built."""
    compiled = re.search(r"COMPILED (\S+): (.*)", text)
    failed = re.search(r"Failed to build `([^`=]+)", text)
    backend = re.search(r"No module named '([^']+)'", text)
    if compiled:
        name, why = compiled[1], f"has compiled parts ({compiled[2]})"
    elif failed and backend:
        name, why = failed[1], f"is built with {backend[1]}, which is not among the tools here"
    elif failed:
        name, why = (
            failed[1],
            f"cannot be built: {(text.strip().splitlines() or ['?'])[-1].strip()}",
        )
    else:
        return text.strip()
    return f"{name} exists as source only and {why}: {REMEDIES.get(name, OTHERWISE)}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
