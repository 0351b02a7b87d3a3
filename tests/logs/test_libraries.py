"""What functions log with, set up as its own pages tell, in each form of the log."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import loguru
import pytest
import structlog
from pythonjsonlogger.json import JsonFormatter

from service.context.call import RUNNING, Context
from tests.assembly import logged, untimed

LOGGER = logging.getLogger("orders")


@contextmanager
def call() -> Iterator[None]:
    """A call that runs here, with a field that is bound to it."""
    token = RUNNING.set(context := Context({}, "r1"))
    context.bind(shop="s1")
    try:
        yield
    finally:
        RUNNING.reset(token)


def by_structlog_over_logging() -> None:
    """`render_to_log_kwargs` makes fields of what is bound and given."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.render_to_log_kwargs,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    with structlog.contextvars.bound_contextvars(order_id=7):
        structlog.get_logger("orders").bind(n=1).info("paid")
        structlog.get_logger("orders").debug("below the level")


def by_structlog_alone() -> None:
    """It prints lines of JSON."""
    structlog.configure(
        processors=[structlog.processors.JSONRenderer(sort_keys=True)],
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    structlog.get_logger().info("paid", order_id=7)


def by_loguru() -> None:
    """It writes to stderr in a form of its own."""
    loguru.logger.configure(
        handlers=[{"sink": sys.stderr, "format": "{level} {message} {extra}", "colorize": None}]
    )
    loguru.logger.bind(order_id=7).info("paid")


class Propagated(logging.Handler):
    """As loguru's page has it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        logging.getLogger(record.name).handle(record)


def by_loguru_over_logging() -> None:
    """What is bound there comes as one field."""
    loguru.logger.configure(handlers=[{"sink": Propagated(), "format": "{message}"}])
    loguru.logger.bind(order_id=7).info("paid")


def by_json_formatter_on_ours() -> None:
    """The line's message is what the formatter makes."""
    logging.root.handlers[0].setFormatter(JsonFormatter("%(message)s"))
    LOGGER.info("paid", extra={"order_id": 7})


def by_json_formatter_apart() -> None:
    """A handler of its own, which writes to stdout."""
    with handler_apart(JsonFormatter("%(message)s")):
        LOGGER.info("paid", extra={"order_id": 7})


def by_formatter_on_ours() -> None:
    """Its form is the message's."""
    logging.root.handlers[0].setFormatter(logging.Formatter("<%(levelname)s> %(message)s"))
    LOGGER.info("paid", extra={"order_id": 7})


def by_formatter_apart() -> None:
    """A handler of its own, which writes to stdout."""
    with handler_apart(logging.Formatter("<%(levelname)s> %(message)s")):
        LOGGER.info("paid", extra={"order_id": 7})


@contextmanager
def handler_apart(form: logging.Formatter) -> Iterator[None]:
    """A logger that does not reach the root."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(form)
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.propagate = True


MADE = '{"message": "paid", "order_id": 7}'
TRIALS: dict[str, tuple[Callable[[], None], str, dict[str, Any]]] = {
    "structlog over logging": (
        by_structlog_over_logging,
        "[INFO] paid n=1 order_id=7 shop=s1",
        {"level": "INFO", "logger": "orders", "message": "paid", "order_id": 7, "n": 1},
    ),
    "structlog alone": (
        by_structlog_alone,
        '[STDOUT] {"event": "paid", "order_id": 7} shop=s1',
        {"level": "STDOUT", "logger": "stdout", "message": '{"event": "paid", "order_id": 7}'},
    ),
    "loguru": (
        by_loguru,
        "[STDERR] INFO paid {'order_id': 7} shop=s1",
        {"level": "STDERR", "logger": "stderr", "message": "INFO paid {'order_id': 7}"},
    ),
    "loguru over logging": (
        by_loguru_over_logging,
        '[INFO] paid extra={"order_id":7} shop=s1',
        {"level": "INFO", "logger": __name__, "message": "paid", "extra": {"order_id": 7}},
    ),
    "python-json-logger": (
        by_json_formatter_on_ours,
        f"[INFO] {MADE} order_id=7 shop=s1",
        {"level": "INFO", "logger": "orders", "message": MADE, "order_id": 7},
    ),
    "python-json-logger apart": (
        by_json_formatter_apart,
        f"[STDOUT] {MADE} shop=s1",
        {"level": "STDOUT", "logger": "stdout", "message": MADE},
    ),
    "a formatter": (
        by_formatter_on_ours,
        "[INFO] <INFO> paid order_id=7 shop=s1",
        {"level": "INFO", "logger": "orders", "message": "<INFO> paid", "order_id": 7},
    ),
    "a formatter apart": (
        by_formatter_apart,
        "[STDOUT] <INFO> paid shop=s1",
        {"level": "STDOUT", "logger": "stdout", "message": "<INFO> paid"},
    ),
}


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """What a test makes of the libraries ends with it; structlog sets a class for loggers."""
    kind = logging.getLoggerClass()
    yield
    logging.setLoggerClass(kind)
    structlog.reset_defaults()
    loguru.logger.remove()


@pytest.mark.parametrize("trial", TRIALS)
def test_what_a_function_logs_with_keeps_working(trial: str) -> None:
    """Each line is there once, with its call's id and fields, and nothing of it is lost."""
    log, text, value = TRIALS[trial]
    with logged() as (_, pipe), call():
        log()
        assert untimed(pipe.lines()) == [f"r1 {text}"]
    with logged("json") as (_, pipe), call():
        log()
        (line,) = pipe.lines()
    found = json.loads(line)
    del found["time"]
    assert found == {"requestId": "r1", "shop": "s1", **value}
