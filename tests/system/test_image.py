"""S11: the built image, as a container would run it: user 65534, nothing writable, no privileges.

`IMAGE_ROOT=FOLDER pytest tests/system/test_image.py`, as root, with the image's files in FOLDER
(`podman image mount`, `buildah mount`, or `docker export` and `tar`). Skipped without.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import (
    ENDS_WITHIN,
    STARTS_WITHIN,
    Client,
    held_port,
    request,
)

IMAGE = os.environ.get("IMAGE_ROOT", "")
TOOLS = ("unshare", "mount", "setpriv", "chroot")
DOCKERFILE = (Path(__file__).parents[2] / "Dockerfile").read_text()
PATH = "/usr/local/bin:/usr/bin:/bin"
REQUEST_ID = "1-6922c5d1-150c1267-000000000001"

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or not Path(IMAGE, "packages/fc_event_service").is_dir(),
        reason="IMAGE_ROOT names no folder with the image's files",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may imitate a container"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
]

# Read-only all through: what is below /code, /packages and /tmp is part of the same mount. The
# capabilities go with the user's change, and none can be got again.
OUTSIDE = """
mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 125
exec setpriv --no-new-privs chroot --userspec=65534:65534 --groups= "$1" /bin/sh -c "$2"
"""
INSIDE = """
for folder in / /tmp /var/tmp /code /packages /packages/fc_event_service /home /run; do
    touch $folder/written 2>/dev/null && echo "writable: $folder"
done
cd /code && exec env -i {environ} python -P -m fc_event_service --host 127.0.0.1 --port {port}
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A port for the container, which shares our network."""
    with held_port() as port:
        yield port


@pytest.fixture
def container(port: int, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The image's command in a read-only root; its output goes to the file `log`."""
    (environ,) = re.findall(r"^ENV (.*)", re.sub(r"\\\n\s*", "", DOCKERFILE), re.MULTILINE)
    inside = INSIDE.format(environ=f"PATH={PATH} {environ}", port=port)
    with (tmp_path / "log").open("wb") as log:
        command = ["unshare", "--mount", "sh", "-c", OUTSIDE, "sh", IMAGE, inside]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        yield process
        process.kill()
        process.wait()


async def connected(port: int, process: subprocess.Popen[bytes]) -> Client:
    """A connection, once the service listens."""
    until = time.monotonic() + STARTS_WITHIN
    while True:
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < until
        try:
            return Client(*await asyncio.open_connection("127.0.0.1", port))
        except ConnectionError:
            await asyncio.sleep(0.05)


async def test_the_image_serves_as_nobody_on_a_read_only_root(
    container: subprocess.Popen[bytes], port: int, tmp_path: Path
) -> None:
    """As user 65534, without capabilities and with no folder that it may write to, the image
    answers an event, and ends with 0 at SIGTERM.
    """
    client = await connected(port, container)
    answer = await client.ask(request(b"{}", request_id=REQUEST_ID))
    client.writer.close()
    assert answer.status == 200
    assert answer.json()["requestId"] == REQUEST_ID
    status = await asyncio.to_thread(Path(f"/proc/{container.pid}/status").read_text)
    assert re.search(r"^Uid:\t65534\t65534\t65534\t65534$", status, re.MULTILINE)
    assert re.search(r"^Gid:\t65534\t65534\t65534\t65534$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    container.send_signal(signal.SIGTERM)
    assert container.wait(ENDS_WITHIN) == 0
    assert "writable" not in await asyncio.to_thread((tmp_path / "log").read_text)


def test_the_image_has_no_compiler_and_no_installer_of_ours() -> None:
    """What was needed to build it is not in the result: no compiler, no uv, no test."""
    for name in ("gcc", "cc", "make", "uv"):
        found = [*Path(IMAGE).glob(f"usr/*bin/{name}"), *Path(IMAGE).glob(f"usr/local/bin/{name}")]
        assert not found
    assert not Path(IMAGE, "code/tests").exists()
    assert not [*Path(IMAGE, "packages").glob("pip*")]
    assert not Path(IMAGE, "code/service").exists()
