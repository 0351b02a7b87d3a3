"""Blocks that are run by a test of another folder, and those that nothing can run, with why."""

from __future__ import annotations

ELSEWHERE = {
    "README.md#install": "tests/test_docs.py",
    "README.md#install:2": "tests/test_docs.py",
    "README.md#install:3": "tests/test_docs.py",
    "README.md#install:4": "tests/test_docs.py",
    "README.md#handlers": "tests/test_docs.py",
    "README.md#handlers:2": "tests/test_docs.py",
    "docs/once.md#stores": "tests/idempotency/test_stores.py",
}
"""A block, and the file of the test that reads it in its page and runs it."""

WRITTEN_BY_A_COMMAND = ("docs/reference/",)
"""Pages that `make reference` writes, and that a test compares with what it would write."""

TRANSLATED = "docs/zh/"
"""Pages whose blocks are those of the English ones (tests/docs/test_chinese.py)."""

NOT_RUN = {
    "docs/deployment.md#as-an-image-dockerfile": "needs Docker; `make verify-deploy` builds and"
    " drives the image without it",
    "docs/deployment.md#other-pythons": "needs the cloud, which keeps layers; `make verify-deploy`"
    " drives a package with one at its place",
    "docs/emulator.md#with-serverless-devs": "needs the tool `s` and its component, which are"
    " downloaded from a place of their own",
    "docs/operate.md#canary-and-rollback": "needs the cloud: versions and aliases are made there",
    "docs/size.md#which-concurrency": "a minute of load, and figures of one machine; tests/sizing"
    " holds the table, the advice and the figures to handlers that are known",
    "docs/size.md#a-fleet": "the same",
}
"""Why a block is not run: the cloud, a tool that is not to be had, figures of one machine."""
