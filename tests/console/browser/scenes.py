"""What a pretended console shows: functions, instances and calls in any number."""

from __future__ import annotations

import time
from typing import Any

Row = dict[str, Any]

STATES = ("busy", "ready", "frozen", "starting", "initializing", "unhealthy", "stopping")
STATUSES = ("ok", "ok", "ok", "error", "running", "refused")


def scene(instances: int = 1, calls: int = 3, name: str = "thumbnails") -> Row:
    """Return a snapshot with so many instances of one function, and so many calls to it."""
    now = time.time()
    return {
        "offers": ["instances", "send", "faults", "timers", "tasks"],
        "version": "0.1.0",
        "source": "emulator",
        "spec": "s.yaml",
        "url": "http://127.0.0.1:8000",
        "warnings": [],
        "started": now - 100,
        "functions": [function_row(name, calls)],
        "instances": [instance_row(n, name, now) for n in range(instances)],
        "calls": [call_row(n, name, now - n) for n in range(calls)],
        "figures": [figures_row(name, int(now) - n, n) for n in range(300)],
        "tasks": [task_row(now)],
        "faults": {"initializer_delay": 0, "clock_skew": 0, "filled": {}},
        "marks": [mark_row(n, now - 280 + n * 40, name) for n in range(7)],
    }


def function_row(name: str, calls: int = 0) -> Row:
    """Return a function with a timer."""
    return {
        "name": name,
        "command": "python index.py",
        "concurrency": 20,
        "timeout": 30,
        "memory": 512,
        "cpu": 0.35,
        "provisioned": 0,
        "asynchronous": {"retries": 3, "max_age": 86400, "task": True},
        "triggers": [
            {"name": "uploads", "type": "oss"},
            {"name": "nightly", "type": "timer", "cron": "@every 24h", "enabled": True},
        ],
        "in_flight": 12,
        "queued": 0,
        "calls": calls,
        "errors": calls // 6,
        "throttled": 0,
        "cold": 1,
    }


def instance_row(number: int, function: str, now: float) -> Row:
    """Return an instance; all states come up."""
    state = STATES[number % len(STATES)]
    return {
        "id": f"c-6b0a9bfd-0f636901-{number:012}",
        "name": f"c-{number + 1}",
        "function": function,
        "state": state,
        "in_flight": (number * 7) % 21 if state == "busy" and number else (state == "busy") * 12,
        "concurrency": 20,
        "memory_mb": 84.0 + (number * 37) % 300,
        "peak_mb": 140.0 + (number * 37) % 300,
        "created": now - 75 - number,
        "provisioned": number == 1,
        "served": number * 13,
    }


def call_row(number: int, function: str, arrived: float) -> Row:
    """Return a call: the ways in which calls end come up in turn."""
    status = STATUSES[number % len(STATUSES)]
    row: Row = {
        "id": f"call-{number}",
        "request_id": f"call-{number}",
        "function": function,
        "instance": f"c-6b0a9bfd-0f636901-{0:012}",
        "type": ("sync", "async", "timer")[number % 3],
        "status": status,
        "arrived": arrived,
        "cold": number % 50 == 2,
        "bytes_in": 120 + number,
        "retry": 0,
        "warnings": ["stall"] if number % 6 == 3 else [],
    }
    if status == "error":
        row["error"] = "ValueError"
    if status == "refused":
        row |= {"error": "ResourceThrottled", "code": "429", "instance": None}
    if status != "running":
        row["ms"] = {
            "queue": 4.0,
            "start": 900.0 * (number % 50 == 2),
            "initializer": 400.0 * (number % 50 == 2),
            "handler": 38.0 + number % 90,
            "total": 42.0 + number % 90 + 1300.0 * (number % 50 == 2),
        }
    return row


def figures_row(function: str, second: int, number: int) -> Row:
    """Return the figures of a second."""
    wave = abs((number % 60) - 30)
    return {
        "t": second,
        "function": function,
        "calls": wave * 3,
        "errors": number % 17 == 0,
        "throttled": 2 * (number % 43 == 0),
        "in_flight": wave,
        "p50": 40 + wave / 3,
        "p95": 60 + wave,
        "p99": 90 + wave * 4,
        "instances": 1 + wave // 10,
        "frozen": (30 - wave) // 15,
    }


def mark_row(number: int, t: float, function: str) -> Row:
    """Return a mark; all kinds come up."""
    kind = ("cold", "scale-out", "freeze", "thaw", "fault", "kill", "stop")[number % 7]
    text = f"c-{number + 1}: {kind}"
    return {"n": number, "t": t, "kind": kind, "function": function, "instance": "", "text": text}


def task_row(now: float) -> Row:
    """Return a task that waits for its second try."""
    return {
        "id": "import-2026-11",
        "request_id": "call-1",
        "function": "thumbnails",
        "status": "Retrying",
        "tries": 1,
        "submitted": now - 60,
        "next_at": now + 45,
        "destination": "orders-failed",
        "events": [
            {"t": now - 60, "text": "Enqueued"},
            {"t": now - 59, "text": "Running"},
            {"t": now - 30, "text": "Retrying ValueError: no such picture"},
        ],
    }
