"""Who may ask the API: programs of this machine, and no web page that a browser has open."""

from __future__ import annotations

from multidict import CIMultiDictProxy

from ...origins import OwnHosts
from ..calls import PlatformError


class Hosts(OwnHosts):
    """The names under which the API may be asked for."""

    def check(self, headers: CIMultiDictProxy[str], arrived: str) -> None:
        """Raise PlatformError 403 `AccessDenied` for a request that a web page may have made;
        `arrived` is this end's address of its connection.
        """
        if fault := self.fault(headers, arrived):
            told = f"The emulator refuses this request: {fault}."
            raise PlatformError(403, "AccessDenied", told)
