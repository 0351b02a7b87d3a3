"""Asynchronous calls on disk: a queue in SQLite that outlives the emulator, kill -9 included.

What is written in one turn of the event loop is one transaction. `add` tells when it is on disk,
and that is when a caller may be answered 202. The file is in WAL mode without a sync at each
commit: what was committed survives the end of the process, but not the loss of power.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import orjson

from ...protocol import SERVICE_LOGGER
from .task import AsyncTask, Status, Step, TaskQuery

KEPT_TASKS = 10_000
"""Finished calls that are kept for the task list; beyond it, those that ended first are removed."""

NO_ACCESS = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL}
)
"""What SQLite says of a file, or a folder or a disk, which another file would not change."""

STORE_FORMAT = 1
APPLICATION = 0x46435134
"""SQLite's `application_id` of our files, "FCQ4"."""

_log = logging.getLogger(SERVICE_LOGGER)


class StoreError(Exception):
    """The file of asynchronous calls cannot be used; the message says why and what to do."""


class TaskExists(Exception):
    """A function has a task of that id already."""


_NAMES = [field.name for field in fields(AsyncTask)]
_FIXED = {"number", "function", "id", "request_id", "event", "submitted"}
_CHANGING = [name for name in _NAMES if name not in _FIXED]
_CREATE = f"""
CREATE TABLE task (
    number INTEGER PRIMARY KEY,
    {", ".join(name for name in _NAMES if name != "number")},
    UNIQUE (function, id)
);
CREATE INDEX unfinished ON task (number) WHERE ended = 0;
CREATE INDEX finished ON task (ended) WHERE ended > 0;
"""
_INSERT = f"INSERT INTO task ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"
_UPDATE = f"UPDATE task SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE number = ?"
_SELECT = f"SELECT {', '.join(_NAMES)} FROM task"
_PRUNE = (
    "DELETE FROM task WHERE number IN "
    "(SELECT number FROM task WHERE ended > 0 ORDER BY ended, number LIMIT ?)"
)


class Store:
    """The file. Everything is done on the thread of the event loop, which a small write costs some
    ten microseconds.
    """

    def __init__(self, path: str | Path, kept: int = KEPT_TASKS) -> None:
        """Open the file, or make it; `kept` finished tasks stay in it.

        Raises StoreError for a file that is not ours, is broken, newer, or used by another process.
        """
        self._path = path
        self._kept = kept
        self._connection = _opened(path)
        self._pending: list[tuple[str, tuple[Any, ...], bool]] = []
        self._unwritten: set[tuple[str, str]] = set()
        self._written: asyncio.Future[None] | None = None
        try:
            self._next = self._value("SELECT coalesce(max(number), 0) + 1 FROM task")
            self._finished = self._value("SELECT count(*) FROM task WHERE ended > 0")
        except StoreError:
            self._connection.close()
            raise

    def add(self, task: AsyncTask) -> tuple[AsyncTask, asyncio.Future[None]]:
        """Queue a new task for writing; return it with its number, and what is done when it is on
        disk.

        The future fails with StoreError if the disk did not take it. Raises TaskExists.
        """
        key = (task.function, task.id)
        known = "SELECT count(*) FROM task WHERE function = ? AND id = ?"
        if key in self._unwritten or self._value(known, *key):
            raise TaskExists(f"the async task '{task.id}' of '{task.function}' exists already")
        task = replace(task, number=self._next)
        self._next += 1
        self._unwritten.add(key)
        return task, self._write(_INSERT, _row(task, _NAMES), kept=False)

    def save(self, task: AsyncTask) -> None:
        """Queue what has changed of a task for writing. Where the disk does not take it, it is
        written with the next change.
        """
        self._finished += bool(task.ended)
        self._write(_UPDATE, (*_row(task, _CHANGING), task.number), kept=True)

    def flush(self) -> None:
        """Write what is queued, in one transaction."""
        pending, self._pending = self._pending, []
        written, self._written = self._written, None
        self._unwritten.clear()
        if not pending:
            return
        try:
            self._commit(pending)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            self._pending = [entry for entry in pending if entry[2]]
            told = f"asynchronous calls cannot be written to {self._path}: {error}"
            _log.error(told)
            _settle(written, StoreError(told))
        else:
            _settle(written, None)

    def load(self, number: int) -> AsyncTask | None:
        """Return a task by its number."""
        return self._one(f"{_SELECT} WHERE number = ?", number)

    def find(self, function: str, task_id: str) -> AsyncTask | None:
        """Return a task by its function and id."""
        return self._one(f"{_SELECT} WHERE function = ? AND id = ?", function, task_id)

    def unfinished(self) -> list[int]:
        """Return the numbers of the tasks that have not ended, the oldest first."""
        self.flush()
        query = "SELECT number FROM task WHERE ended = 0 ORDER BY number"
        return [number for (number,) in self._rows(query)]

    def page(self, query: TaskQuery) -> tuple[list[AsyncTask], int | None]:
        """Return the tasks of a page, and the number to go on after, None on the last page."""
        self.flush()
        order, beyond = ("ASC", ">") if query.ascending else ("DESC", "<")
        conditions = ["function = ?", "submitted BETWEEN ? AND ?", "substr(id, 1, ?) = ?"]
        values: list[Any] = [query.function, query.begin, query.end]
        values += [len(query.prefix), query.prefix]
        if query.status:
            conditions.append("status = ?")
            values.append(query.status)
        if query.after is not None:
            conditions.append(f"number {beyond} ?")
            values.append(query.after)
        text = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY number {order} LIMIT ?"
        rows = self._rows(text, *values, query.limit + 1)
        tasks = [_task(row) for row in rows[: query.limit]]
        return tasks, tasks[-1].number if len(rows) > query.limit else None

    def close(self) -> None:
        """Write what is queued, and close the file."""
        self.flush()
        self._connection.close()

    def _write(self, text: str, row: tuple[Any, ...], *, kept: bool) -> asyncio.Future[None]:
        self._pending.append((text, row, kept))
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            # Whoever else has something to write in this turn of the loop comes before this.
            loop.call_soon(self.flush)
        return self._written

    def _commit(self, pending: list[tuple[str, tuple[Any, ...], bool]]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            for text, row, _ in pending:
                execute(text, row)
            surplus = self._finished - self._kept
            if surplus > self._kept // 10:  # seldom, and then many
                execute(_PRUNE, (surplus,))
            execute("COMMIT")
            self._finished -= surplus if surplus > self._kept // 10 else 0
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise

    def _one(self, query: str, *values: object) -> AsyncTask | None:
        self.flush()
        rows = self._rows(query, *values)
        return _task(rows[0]) if rows else None

    def _value(self, query: str, *values: object) -> int:
        value: int = self._rows(query, *values)[0][0]
        return value

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(_reason(self._path, error)) from None


def _settle(written: asyncio.Future[None] | None, error: StoreError | None) -> None:
    if written is None or written.done():
        return
    if error is None:
        written.set_result(None)
        return
    written.set_exception(error)
    written.exception()  # that nobody waits for it is no fault


def _opened(path: str | Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=0.0)
    except sqlite3.Error as error:
        raise StoreError(_reason(path, error)) from None
    try:
        # One process has the file. Its lock ends with the process, however that ends.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _prepare(connection, path)
    except (sqlite3.Error, StoreError) as error:
        connection.close()
        told = error if isinstance(error, StoreError) else StoreError(_reason(path, error))
        raise told from None
    return connection


def _reason(path: str | Path, error: sqlite3.Error) -> str:
    if "locked" in str(error):
        return f"{path} is in use by another emulator: stop that one, or name another file"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without its details
    if code in NO_ACCESS:
        told = "cannot be written" if code == sqlite3.SQLITE_READONLY else str(error)
        return f"{path}: {told}: give this user the right to it, or name another file"
    return f"{path} is not a file of asynchronous calls, or is broken ({error}): move it away"


def _prepare(connection: sqlite3.Connection, path: str | Path) -> None:
    def number(pragma: str) -> int:
        value: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        return value

    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    version = number("user_version")
    if tables and number("application_id") != APPLICATION:
        raise StoreError(f"{path} is another program's database: name another file")
    if version > STORE_FORMAT:
        told = f"{path} was written by a newer version (format {version}, known: {STORE_FORMAT})"
        raise StoreError(f"{told}: update this program, or move the file away")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    if not tables:
        for statement in _CREATE.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {STORE_FORMAT}")
    connection.execute("COMMIT")
    names = {row[1] for row in connection.execute("PRAGMA table_info(task)")}
    if names != set(_NAMES):
        raise StoreError(f"{path} has other columns than it should: move it away")


def _row(task: AsyncTask, names: list[str]) -> tuple[Any, ...]:
    return tuple(_stored(name, getattr(task, name)) for name in names)


def _stored(name: str, value: Any) -> Any:
    if name == "steps":
        return orjson.dumps([(step.status, step.time, step.detail) for step in value]).decode()
    return str(value) if name == "status" else value


def _task(row: tuple[Any, ...]) -> AsyncTask:
    values = dict(zip(_NAMES, row, strict=True))
    values["status"] = Status(values["status"])
    values["steps"] = tuple(
        Step(Status(status), time, detail) for status, time, detail in orjson.loads(values["steps"])
    )
    return AsyncTask(**values)
