"""The emulator with its console, as a user starts it: a process, for a folder with two files."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness import ServerProcess

HANDLER = '''
"""Greets; other names have it wait, be let go, fail, stand still, or answer with markup."""

import asyncio
import json
import time

let_go = asyncio.Event()


async def initialize(context):
    context.logger.info("initializes")


async def handler(event, context):
    said = json.loads(event)
    name = said.get("name", "nobody")
    context.logger.info("greets %s", name)
    if name == "wait":
        await let_go.wait()
    if name == "let go":
        let_go.set()
    if name == "stall":
        time.sleep(0.8)
    if name == "markup":
        print("<b>bold</b><script>window.hit=1</script>")
        return "<b>bold</b><script>window.hit=1</script>"
    if name == "fail":
        raise LookupError(f"nobody is called {name}")
    await asyncio.sleep(said.get("seconds", 0))
    return {"greeting": f"Hello, {name}!"}
'''
SPEC = """
edition: 3.0.0
name: desk
access: default
resources:
  greet:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: greet
      runtime: custom.debian12
      customRuntimeConfig: {command: [python3], args: [-m, service], port: 9000}
      code: ./
      handler: index.handler
      memorySize: 512
      cpu: 0.5
      diskSize: 512
      timeout: 60
      instanceConcurrency: 10
      environmentVariables: {SERVICE_CONCURRENCY: "10", SERVICE_INITIALIZE_TIMEOUT: "9"}
      instanceLifecycleConfig: {initializer: {handler: initialize, timeout: 10}}
      asyncInvokeConfig: {maxAsyncRetryAttempts: 2}
      triggers:
        - triggerName: nightly
          triggerType: timer
          triggerConfig: {cronExpression: "@every 24h", enable: true, payload: tick}
"""


def write_project(folder: Path) -> None:
    """Write what the emulator reads."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s.yaml").write_text(SPEC)


@asynccontextmanager
async def emulated(folder: Path, *flags: str) -> AsyncIterator[str]:
    """Yield the address of its console, as it is printed. Ctrl-C ends it."""
    write_project(folder)
    command = [sys.executable, "-m", "service", "emulate", "--port", "0", *flags]
    started = ServerProcess(folder, HANDLER, command=command)
    try:
        line = await asyncio.to_thread(started.wait_for, r"  console  http")
        found = re.search(r"http://\S+", line)
        assert found
        yield found[0]
    finally:
        started.signal(signal.SIGINT)
        try:
            await started.ends()
        finally:
            started.kill()
