"""Who may ask a server of the desk: programs of this machine, and no web page that a browser has
open for another site.

A page on the internet may have a browser send requests to any address, this machine's as well. It
cannot choose what the browser says of where they come from (`Origin`, `Sec-Fetch-Site`), nor, once
its own name leads to this machine, whom they are for (`Host`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from multidict import CIMultiDictProxy


class OwnHosts:
    """The names under which a server may be asked for: those of the loopback, the address on which
    a request arrives, and what the user has named.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._named = frozenset(name.lower() for name in named if name)
        # Nearly all requests name the same host, on the same address.
        self._is_own = lru_cache(maxsize=64)(self._judge)

    def fault(self, headers: CIMultiDictProxy[str], arrived: str) -> str:
        """Return why a request is refused that a web page may have made, "" for any other one;
        `arrived` is this end's address of its connection.
        """
        hosts, origins = headers.getall("Host", []), headers.getall("Origin", [])
        site = headers.get("Sec-Fetch-Site", "none")
        if len(hosts) != 1 or not self._is_own(hosts[0], arrived):
            told = f"the host {hosts[0][:200]!r}" if hosts else "a request without a host"
            return f"{told} is not this emulator's; --allow-host NAME names another one"
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return f"a web page of {origins[0][:200]!r} may not call functions"
        if site not in ("none", "same-origin"):
            return "a web page of another origin may not call functions"
        return ""

    def _judge(self, host: str, arrived: str) -> bool:
        name = _name_of(host)
        if name == "localhost" or name.endswith(".localhost") or name in self._named:
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or address == _address(arrived))


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine reach a server that listens on `host`."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _name_of(host: str) -> str:
    """Return the name or the address of a Host header, "" if it has none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
