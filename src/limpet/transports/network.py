"""Serial lines over TCP: `socket://host:port` (bytes as they are) and `rfc2217://host:port` (with a baudrate)."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from limpet.errors import Fault, PortError
from limpet.settings import Reset
from limpet.transports.telnet import Telnet

OPEN_TIMEOUT = 5.0
CLOSE_TIMEOUT = 0.5
RESET_PULSE = 0.1
# A peer that has gone without a word (power, Wi-Fi) is noticed 8 s after its last, or after ours if that is later. Less
# would end a print for a moment of bad Wi-Fi.
KEEPALIVE = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}
USER_TIMEOUT_MS = 8000


async def open_socket(url: str, _: int, receiver: asyncio.Protocol, _reset: Reset = "auto") -> NetworkPort:
    """Raw bytes over TCP; the rate and the lines are as the other side has set them. Raises PortError."""
    return await _open(url, NetworkPort(receiver))


async def open_rfc2217(url: str, baudrate: int, receiver: asyncio.Protocol, reset: Reset = "auto") -> NetworkPort:
    """Bytes over Telnet, with the rate set by RFC 2217; not acknowledging that is no fault. Raises PortError.

    With `reset` "yes", DTR and RTS are dropped for RESET_PULSE seconds; else nothing is said about them.
    """
    telnet = Telnet()
    port = await _open(url, NetworkPort(receiver, telnet))
    port.send_raw(telnet.greeting(baudrate))
    if reset == "yes":
        port.resets_board = True
        try:
            port.send_raw(telnet.lines(raised=False))
            await asyncio.sleep(RESET_PULSE)
            port.send_raw(telnet.purge() + telnet.lines(raised=True))
        except BaseException:
            port.abort()
            raise
    return port


async def _open(url: str, port: NetworkPort) -> NetworkPort:
    host, number = address_of(url)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(OPEN_TIMEOUT):
            await loop.create_connection(lambda: port, host, number)
    except TimeoutError:
        raise PortError(
            Fault("timeout", f"{url} did not answer within {OPEN_TIMEOUT:.0f} s", "Check the address and the network")
        ) from None
    except OSError as error:
        raise PortError(_fault_of(url, error)) from None
    return port


def address_of(url: str) -> tuple[str, int]:
    """Host and TCP port of a URL. Raises PortError."""
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:
        pass
    scheme = url.partition("://")[0]
    raise PortError(Fault("port_missing", f"{url} is no address of a port", f"Write {scheme}://host:port"))


def _fault_of(url: str, error: OSError) -> Fault:
    if isinstance(error, socket.gaierror):
        return Fault("port_missing", f"The host of {url} is not known: {error.strerror}", "Check the name")
    if isinstance(error, ConnectionRefusedError):
        return Fault("port_missing", f"Nothing listens at {url}", "Check that the server or bridge is running there")
    return Fault("port_missing", f"{url} cannot be reached: {error.strerror or error}", "Check the network")


class NetworkPort(asyncio.Protocol):
    """A transport (urls.Transport) over a TCP connection, and that connection's protocol."""

    def __init__(self, receiver: asyncio.Protocol, telnet: Telnet | None = None) -> None:
        self.resets_board = False
        self._receiver = receiver
        self._telnet = telnet
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()

    # -- urls.Transport --

    def write(self, data: bytes) -> None:
        self.send_raw(self._telnet.escape(data) if self._telnet else data)

    def send_raw(self, data: bytes) -> None:
        """Bytes that are Telnet already."""
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._transport.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high, low)

    async def set_baudrate(self, baudrate: int) -> None:
        """Ask the server for the rate, and to drop what it holds; a raw socket has no rate."""
        if self._telnet is not None:
            self.send_raw(self._telnet.rate(baudrate) + self._telnet.purge())

    async def wait_closed(self) -> None:
        try:
            async with asyncio.timeout(1.0):
                await self._closed.wait()
        except TimeoutError:
            pass

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        self._receiver.connection_made(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        if self._telnet is not None:
            data = self._telnet.receive(data)
            self.send_raw(self._telnet.replies())
        if data:
            self._receiver.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._receiver.connection_lost(exc)

    def pause_writing(self) -> None:
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        self._receiver.resume_writing()
