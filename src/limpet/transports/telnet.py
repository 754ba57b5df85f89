"""PURE: Telnet with the COM-PORT-OPTION, as serial-over-TCP servers speak it.

Source: RFC 854 (Telnet), RFC 856 (binary transmission), RFC 858 (suppress go ahead), RFC 2217 (COM-PORT-OPTION).
Servers differ in what they acknowledge; nothing here waits for an acknowledgement.
"""

from __future__ import annotations

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, SUPPRESS_GO_AHEAD, COM_PORT = 0, 3, 44
SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL, PURGE_DATA = 1, 2, 3, 4, 5, 12
SERVER = 100
"""What a server adds to the number of a command that it acknowledges."""
NO_FLOW_CONTROL, DTR_ON, DTR_OFF, RTS_ON, RTS_OFF, PURGE_BOTH = 1, 8, 9, 11, 12, 3
MAX_SUBNEGOTIATION = 256

_WE_DO = frozenset({BINARY, SUPPRESS_GO_AHEAD, COM_PORT})


class Telnet:
    """Takes apart what comes in, and makes what goes out."""

    def __init__(self) -> None:
        self.refused = False
        """The server has said that it knows no COM-PORT-OPTION: the rate cannot be set."""
        self.baudrate: int | None = None
        """The rate that the server says it has set."""
        self._replies = bytearray()
        self._verb: int | None = None
        self._after_iac = False
        self._subnegotiation: bytearray | None = None

    def greeting(self, baudrate: int) -> bytes:
        """What is said when the connection is there: 8 data bits, no parity, one stop bit, no flow control."""
        offers = b"".join(bytes((IAC, verb, option)) for option in sorted(_WE_DO) for verb in (WILL, DO))
        settings = ((SET_DATASIZE, 8), (SET_PARITY, 1), (SET_STOPSIZE, 1), (SET_CONTROL, NO_FLOW_CONTROL))
        line = b"".join(_command(code, bytes((value,))) for code, value in settings)
        # What the server has read before the rate was right is noise.
        return offers + self.rate(baudrate) + line + self.purge()

    def rate(self, baudrate: int) -> bytes:
        """Set the rate in bits/s."""
        return _command(SET_BAUDRATE, baudrate.to_bytes(4, "big"))

    def purge(self) -> bytes:
        """Throw away what the server holds in both directions."""
        return _command(PURGE_DATA, bytes((PURGE_BOTH,)))

    def lines(self, *, raised: bool) -> bytes:
        """Raise or drop DTR and RTS."""
        values = (DTR_ON, RTS_ON) if raised else (DTR_OFF, RTS_OFF)
        return b"".join(_command(SET_CONTROL, bytes((value,))) for value in values)

    def escape(self, data: bytes) -> bytes:
        """Payload as it goes over the wire."""
        return data.replace(b"\xff", b"\xff\xff")

    def replies(self) -> bytes:
        """What has to be answered; empty most of the time."""
        data = bytes(self._replies)
        self._replies.clear()
        return data

    def receive(self, data: bytes) -> bytes:
        """The payload in what came in; never raises, whatever the other side says."""
        if IAC not in data and not self._after_iac and self._verb is None and self._subnegotiation is None:
            return data
        payload = bytearray()
        for byte in data:
            if self._verb is not None:
                self._negotiate(self._verb, byte)
                self._verb = None
            elif self._after_iac:
                self._after_iac = False
                self._escaped(byte, payload)
            elif byte == IAC:
                self._after_iac = True
            else:
                self._take(byte, payload)
        return bytes(payload)

    def _take(self, byte: int, payload: bytearray) -> None:
        if self._subnegotiation is None:
            payload.append(byte)
        elif len(self._subnegotiation) < MAX_SUBNEGOTIATION:
            self._subnegotiation.append(byte)

    def _escaped(self, byte: int, payload: bytearray) -> None:
        if byte == IAC:
            self._take(IAC, payload)
        elif byte in (DO, DONT, WILL, WONT):
            self._verb = byte
        elif byte == SB:
            self._subnegotiation = bytearray()
        elif byte == SE:
            self._acknowledged(bytes(self._subnegotiation or b""))
            self._subnegotiation = None

    def _negotiate(self, verb: int, option: int) -> None:
        """We have offered all that we do: an agreement needs no answer, an offer of something else a refusal."""
        if option == COM_PORT and verb == DONT:
            self.refused = True
        elif option not in _WE_DO and verb in (DO, WILL):
            self._replies += bytes((IAC, WONT if verb == DO else DONT, option))

    def _acknowledged(self, told: bytes) -> None:
        if told[:2] == bytes((COM_PORT, SERVER + SET_BAUDRATE)) and len(told) == 6:
            self.baudrate = int.from_bytes(told[2:], "big")


def _command(code: int, value: bytes) -> bytes:
    return bytes((IAC, SB, COM_PORT, code)) + value.replace(b"\xff", b"\xff\xff") + bytes((IAC, SE))
