"""`/metrics` over real workers: summed up, when one dies, when one hangs, and for Prometheus."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.counting.families import SampleKey
from service.counting.samples import samples_in
from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, ENDS_WITHIN, ServerProcess, held_port, request

SOURCE = """
    import os, signal

    import prometheus_client

    from fc_event_service import metrics

    ORDERS = metrics.counter("orders_total", "Orders that were taken.", labels=["shop"])
    JOBS = prometheus_client.Counter("jobs", "Jobs that were done.")

    async def handler(event, context):
        ORDERS.inc(shop="north")
        JOBS.inc()
        if event == b"fork":
            child = os.fork()
            ORDERS.inc(shop="north")
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        if event == b"kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return {"pid": os.getpid()}
"""
METRICS = request(b"", path="/metrics", method="GET")
NORTH = ("orders_total", (("shop", "north"),))
SUCCEEDED = ("fc_calls_total", (("outcome", "success"), ("error_type", "")))


async def scraped(server: ServerProcess) -> dict[SampleKey, float]:
    """What a scrape gets."""
    return samples_in((await server.ask(METRICS)).body.decode())


async def all_up(server: ServerProcess) -> dict[SampleKey, float]:
    """What a scrape gets once both workers have answered in their time."""
    async with asyncio.timeout(ANSWERS_WITHIN):
        while True:
            found = await scraped(server)
            if all(found["fc_worker_up", (("worker", n),)] for n in "12"):
                return found


async def worked(server: ServerProcess, number: int) -> set[int]:
    """Make calls, each on a connection of its own; return the workers that answered."""
    answers = await asyncio.gather(*(server.ask(request()) for _ in range(number)))
    return {answer.json()["pid"] for answer in answers}


async def test_two_workers_are_told_as_one_and_a_death_takes_nothing_back(serve: Serve) -> None:
    """Whichever worker is asked. What a killed one had told before goes on to be told, and its
    successor counts on; a process that the function forks counts, too.
    """
    server = serve(SOURCE, "--workers", "2")
    pids = await worked(server, 20)
    while len(pids) < 2:
        pids |= await worked(server, 20)
    before = await all_up(server)
    assert before[NORTH] == before[SUCCEEDED] == before["jobs_total", ()]
    assert before["fc_call_duration_seconds_count", ()] == before[SUCCEEDED]
    assert before["fc_worker_starts_total", ()] == 2
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await server.ask(request(b"kill"))
    await asyncio.to_thread(server.wait_for, "serves again")
    await server.ask(request(b"fork"))
    after = await all_up(server)
    assert after[NORTH] == before[NORTH] + 4  # the killed one's, and three of the fork's
    assert after[SUCCEEDED] == before[SUCCEEDED] + 1
    assert after["fc_worker_starts_total", ()] == 3
    assert "metrics" not in server.log().lower()


async def test_a_worker_that_hangs_is_told_to_and_what_it_has_counted_as_well(
    serve: Serve,
) -> None:
    """The other one answers without it."""
    server = serve(SOURCE, "--workers", "2")
    pids = await worked(server, 20)
    while len(pids) < 2:
        pids |= await worked(server, 20)
    before = await all_up(server)
    async with server.client() as client:
        answering = (await client.ask(request())).json()["pid"]
        hanging = (pids - {answering}).pop()
        os.kill(hanging, signal.SIGSTOP)
        try:
            found = samples_in((await client.ask(METRICS)).body.decode())
        finally:
            os.kill(hanging, signal.SIGCONT)
    assert sorted(found["fc_worker_up", (("worker", n),)] for n in "12") == [0, 1]
    assert found[SUCCEEDED] == before[SUCCEEDED] + 1
    assert (await all_up(server))[SUCCEEDED] == before[SUCCEEDED] + 1


PROMETHEUS = shutil.which("prometheus")
NEEDED = "needs Prometheus: apt-get install prometheus"


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Any]:
    """Starts a Prometheus that scrapes a port; returns its own port."""
    processes: list[subprocess.Popen[bytes]] = []
    with held_port() as port:

        def start(target: int) -> int:
            config = tmp_path / "prometheus.yml"
            config.write_text(
                "scrape_configs: [{job_name: fc, scrape_interval: 200ms, scrape_timeout: 200ms,"
                f" static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
            )
            command = [
                str(PROMETHEUS),
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path}",
            ]
            command.append(f"--web.listen-address=127.0.0.1:{port}")
            with (tmp_path / "prometheus.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
            return port

        yield start
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait(ENDS_WITHIN)


async def asked_of(port: int, query: str) -> list[Any]:
    """What Prometheus says to a query; nothing as long as it does not answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return []
    with_body = f"GET /api/v1/query?query={query} HTTP/1.0\r\nHost: x\r\n\r\n"
    writer.write(with_body.encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return list(orjson.loads(body)["data"]["result"]) if b" 200 " in head[:20] else []


@pytest.mark.long
@pytest.mark.skipif(PROMETHEUS is None, reason=NEEDED)
async def test_prometheus_scrapes_it(serve: Serve, prometheus: Any) -> None:
    """The server of Debian's package reads all of it, and knows the number of calls."""
    server = serve(SOURCE, "--workers", "2")
    await worked(server, 10)
    port = prometheus(server.port)
    async with asyncio.timeout(ANSWERS_WITHIN):
        while True:
            found = await asked_of(port, "sum(fc_calls_total)")
            if found and found[0]["value"][1] == "10":
                break
            await asyncio.sleep(0.1)
    assert (await asked_of(port, "up"))[0]["value"][1] == "1"
    assert (await asked_of(port, "orders_total"))[0]["metric"]["shop"] == "north"
