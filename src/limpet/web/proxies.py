"""What a reverse proxy in front of us tells of a request.

Whom a request is from is believed of trusted proxies alone. The scheme and the path that clients know us by are
believed of everybody: whoever lies there is told wrong addresses, and nobody else is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from aiohttp import web

_PREFIX = re.compile(r"(?:/[\w.~-]{1,64}){1,8}", re.ASCII)


class Proxies:
    """Those that are trusted, as addresses or networks. Raises ValueError for what is neither."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._networks = tuple(map(ipaddress.ip_network, trusted))

    def address_of(self, request: web.BaseRequest) -> str:
        """The address of whoever asks: the last one on the way that is no proxy of ours."""
        address = request.remote or ""
        if not self._networks or not self._trusts(address):
            return address
        way = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        for hop in reversed(way):
            # An IPv6 address may come in brackets, and with a port.
            hop = hop.strip().removeprefix("[").partition("]")[0]
            if not _is_address(hop):
                break
            address = hop
            if not self._trusts(address):
                break
        return address

    def _trusts(self, address: str) -> bool:
        if not _is_address(address):
            return False
        parsed = ipaddress.ip_address(address)
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._networks)


def is_secure(request: web.BaseRequest) -> bool:
    """Whether the client has asked by https."""
    told = request.headers.get("X-Forwarded-Proto") or request.headers.get("X-Scheme") or ""
    return request.secure or told.lower() == "https"


def prefix_of(request: web.BaseRequest) -> str:
    """What clients know us below: empty, or a path such as `/octoprint`."""
    headers = request.headers
    if "X-Script-Name" not in headers and "X-Forwarded-Prefix" not in headers:
        return ""
    prefix = (headers.get("X-Script-Name") or headers.get("X-Forwarded-Prefix") or "").rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
