"""A lock over threads, and over processes that are forked."""

from __future__ import annotations

import subprocess
import sys

from tests.harness import RUNS_WITHIN

FORKED = """
import os, threading
from fc_event_service.counting.locks import ForkLock
from fc_event_service.counting.page import FamilyShape, Page

lock, page = ForkLock(), Page(4096)
place = page.place_of(FamilyShape("count_total", "counter", ""))

def add():
    page.cells[place] += 1

def add_all():
    for _ in range(1000):
        lock.do(add)

lock.do(lambda: None)  # it has been used before something is forked
child = os.fork()
threads = [threading.Thread(target=add_all) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if child == 0:
    lock.do(lambda: os._exit(0))  # dies with it
os.waitpid(child, 0)
lock.do(lambda: print(page.cells[place]))
"""


def test_nothing_is_lost_between_threads_and_forked_processes() -> None:
    """Two processes of two threads each add to one number at the same time; one that dies with the
    lock does not keep it.
    """
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("4000.0\n", "")
