"""Tells the local network where the printers are, by zeroconf: DNS-SD over multicast DNS (RFC 6762, RFC 6763).

The services and their TXT records are those of OctoPrint's bundled plugin "discovery".
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from limpet.fleet import Fleet
from limpet.web.api.server import Version

if TYPE_CHECKING:
    from zeroconf import ServiceInfo
    from zeroconf.asyncio import AsyncZeroconf

log = logging.getLogger(__name__)

OCTOPRINT, HTTP = "_octoprint._tcp.local.", "_http._tcp.local."
MAX_NAME = 63
"""Bytes of the name of a service."""
LOOK_TIME = 60.0
"""Seconds between two looks whether the addresses of this machine have changed, or after a failure."""
REGISTER_TIME = 15.0
"""Seconds for asking whether a name is free, and for telling it."""
STOP_TIME = 0.8
"""Seconds for saying good-bye."""


@dataclass(frozen=True)
class Service:
    """One printer as the network is to see it."""

    name: str
    path: str
    uuid: str


class Announcer:
    """Announces all printers at these addresses from `start` to `stop`, follows their changes, and never raises."""

    def __init__(self, fleet: Fleet, port: int, addresses: Callable[[], list[str]]) -> None:
        self._fleet = fleet
        self._port = port
        self._addresses = addresses
        self._failed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Within a second."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=STOP_TIME)

    async def _run(self) -> None:
        while True:
            try:
                if addresses := await asyncio.to_thread(self._addresses):
                    await self._announce_at(addresses)
                    continue
                self._tell_failure("there is no network")
            except Exception as error:  # whatever a network does: printing is more important
                self._tell_failure(str(error) or type(error).__name__)
            await asyncio.sleep(LOOK_TIME)

    def _tell_failure(self, why: str) -> None:
        log.log(logging.DEBUG if self._failed else logging.WARNING, "the printers are not announced: %s", why)
        self._failed = True

    async def _announce_at(self, addresses: list[str]) -> None:
        """Returns when the addresses are others."""
        # Imported when it is used: 13 ms and 3 MB, for whoever serves a network.
        from zeroconf import IPVersion
        from zeroconf.asyncio import AsyncZeroconf

        has_4, has_6 = (any(ip_address(address).version == version for address in addresses) for version in (4, 6))
        kind = IPVersion.All if has_4 and has_6 else IPVersion.V4Only if has_4 else IPVersion.V6Only
        network = AsyncZeroconf(interfaces=addresses, ip_version=kind)
        try:
            announced: dict[Service, list[ServiceInfo]] = {}
            while await asyncio.to_thread(self._addresses) == addresses:
                self._fleet.news.clear()
                async with asyncio.timeout(REGISTER_TIME):
                    await self._update(network, addresses, announced)
                self._failed = False
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_TIME):
                        await self._fleet.news.wait()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIME / 2):
                    await network.async_unregister_all_services()
            await network.async_close()

    async def _update(
        self, network: AsyncZeroconf, addresses: list[str], announced: dict[Service, list[ServiceInfo]]
    ) -> None:
        wanted = services_of(self._fleet)
        gone = [info for service in announced.keys() - set(wanted) for info in announced.pop(service)]
        new = [service for service in wanted if service not in announced]
        announced |= {service: _infos(service, self._fleet.instance, addresses, self._port) for service in new}
        # All at once: each asks for half a second whether its name is free.
        for farewell in await asyncio.gather(*map(network.async_unregister_service, gone)):
            await farewell
        infos = [info for service in new for info in announced[service]]
        await asyncio.gather(*(network.async_register_service(info, allow_name_change=True) for info in infos))
        for service in new:
            log.info("announced as %s", announced[service][0].name)


def services_of(fleet: Fleet) -> list[Service]:
    """The default printer at `/`, each other one at `/p/<id>/`; several are told apart by their names."""
    host = socket.gethostname()
    server = fleet.settings.appearance.name or host
    printers = list(fleet)
    services: list[Service] = []
    taken: set[str] = set()
    for printer in printers:
        uuid = fleet.uuid_of(printer)
        label = fleet.preferences(printer).name if len(printers) > 1 else "Limpet"
        choice = (f"{label} on {server}", f"{label} ({printer.id}) on {server}", f"{printer.id} {uuid}")
        name = next(name for name in map(_fit, choice) if name.lower() not in taken)
        taken.add(name.lower())
        services.append(Service(name, "/" if printer is fleet.default else f"/p/{printer.id}/", uuid))
    return services


def is_beyond_loopback(host: str) -> bool:
    """Whether other machines can reach a server that listens there."""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def addresses_of(host: str) -> list[str]:
    """The addresses at which other machines reach a server that listens at `host`; asks the resolver for a name."""
    import ifaddr

    try:
        listens = ip_address(host)
    except ValueError:
        found = {ip_address(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    else:
        if not listens.is_unspecified:
            return [host]
        ips = (one.ip if isinstance(one.ip, str) else one.ip[0] for a in ifaddr.get_adapters() for one in a.ips)
        found = {address for address in map(ip_address, ips) if address.version == listens.version}
    return sorted(str(address) for address in found if not (address.is_loopback or address.is_link_local))


def _infos(service: Service, server: str, addresses: list[str], port: int) -> list[ServiceInfo]:
    from zeroconf import ServiceInfo

    version = Version()
    http = {"path": service.path}
    octoprint = {**http, "version": version.server, "api": version.api, "uuid": service.uuid}
    return [
        ServiceInfo(
            kind,
            f"{service.name}.{kind}",
            port=port,
            properties=properties,
            # A name of our own: that of the machine is for whoever else answers for it.
            server=f"limpet-{server[:8]}.local.",
            parsed_addresses=addresses,
        )
        for kind, properties in ((OCTOPRINT, octoprint), (HTTP, http))
    ]


def _fit(name: str) -> str:
    """So that it is one label of DNS."""
    plain = "".join(c for c in name.replace(".", "-") if c.isprintable())
    return plain.encode()[:MAX_NAME].decode(errors="ignore").strip()
