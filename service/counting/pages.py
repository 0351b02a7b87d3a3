"""The pages of an instance's workers, and the one on which this process puts the user's metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from .families import Family, added, of_worker
from .page import Page

OF_CALLS = 128 * 1024
OF_USER = 1024 * 1024
"""Bytes of a page."""


class WorkerPages(msgspec.Struct, frozen=True):
    """Two pages for each worker: of its calls, and of the user's metrics."""

    of_calls: Sequence[Page]
    of_user: Sequence[Page]

    def families(self, *, by_worker: bool) -> list[Family]:
        """Return what all workers have counted, dead ones included: added up, or each with the
        number of its worker.
        """
        return [*_families(self.of_calls, by_worker), *_families(self.of_user, by_worker)]


def _families(pages: Sequence[Page], by_worker: bool) -> list[Family]:
    parts = [page.families() for page in pages]
    if by_worker:
        parts = [of_worker(part, number) for number, part in enumerate(parts, 1)]
    return added(parts)


def new_pages(workers: int) -> WorkerPages:
    """Return pages, to be inherited by all workers."""
    return WorkerPages(
        [Page(OF_CALLS) for _ in range(workers)], [Page(OF_USER) for _ in range(workers)]
    )


class UserPage:
    """The page of the user's metrics in this process, once there is one."""

    def __init__(self) -> None:
        self.page: Page | None = None
        self.settling: list[Callable[[], None]] = []
        """Called before the page is read: each puts there what it has put aside."""

    def settle(self) -> None:
        """Have all put on the page what they have put aside."""
        for step in tuple(self.settling):
            step()

    def made(self) -> Page:
        """Return the page; it is made for a process that shares none."""
        if self.page is None:
            self.page = Page(OF_USER)
        return self.page

    def share(self, page: Page) -> None:
        """Take a page that others read. What is on it of a predecessor's counts on, but for what
        was true of that process alone.
        """
        page.clear("gauge")
        self.page = page


USER_PAGE = UserPage()
