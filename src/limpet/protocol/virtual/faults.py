"""What goes wrong with the virtual printer: the counters behind the `..._every` options and what was asked for once."""

from __future__ import annotations

from collections import deque

from limpet.protocol.virtual.options import VirtualPrinterOptions


class Xorshift:
    """A tiny generator of 32-bit numbers, the same on every machine for the same seed (Marsaglia's xorshift32)."""

    def __init__(self, seed: int) -> None:
        self._state = (seed * 2654435761 + 1) & 0xFFFFFFFF or 1

    def next(self) -> int:
        state = self._state
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        self._state = state
        return state

    def noise(self, length: int) -> bytes:
        """Bytes as they are read at the wrong rate: mostly not ASCII, hardly a newline."""
        result = bytearray()
        for _ in range(length):
            number = self.next() >> 8
            if number % 100 == 0:
                result.append(0x0A)
            else:
                result.append(number >> 8 & 0x7F | (0x80 if number % 5 else 0))
        return bytes(result)


class Faults:
    """Decides what is lost, damaged, doubled or refused; counts from power on."""

    def __init__(self, options: VirtualPrinterOptions) -> None:
        self._options = options
        self._random = Xorshift(options.seed)
        self._lines = self._numbered = self._oks = 0
        self._by_line = options.errors_by_line()
        self.resend_ratio = options.resend_ratio
        self.next_refusals: deque[str] = deque(maxlen=16)
        self.refuse_all = False
        self.prepared_oks = deque(options.prepared_oks, maxlen=100)
        self.lose_oks = 0
        self.double_oks = 0
        self.sleep_after: dict[str, float] = {}
        self.sleep_after_next: dict[str, float] = {}

    def line_in(self, line: bytes) -> bytes | None:
        """The line as it is heard: None when it is not, damaged when its turn has come."""
        self._lines += 1
        if _turn(self._lines, self._options.drop_line_every):
            return None
        if _turn(self._lines, self._options.wrong_checksum_every) and line:
            damaged = bytearray(line)
            damaged[self._random.next() % len(line)] ^= 1
            return bytes(damaged)
        return line

    def refusal(self, number: int) -> str | None:
        """Why the numbered line is to be refused although nothing is wrong with it, or None."""
        self._numbered += 1
        if self.refuse_all:
            return "line_number"
        if self.next_refusals:
            return self.next_refusals.popleft()
        if number in self._by_line:
            return self._by_line.pop(number)
        if _turn(self._numbered, self._options.resend_every):
            return "checksum"
        if self.resend_ratio and self._random.next() % 10_000 < self.resend_ratio * 100:
            return "checksum"
        return None

    def oks(self, text: str) -> list[str]:
        """What is said in place of one ok: nothing, the ok, something else, or two."""
        self._oks += 1
        if self.prepared_oks:
            text = self.prepared_oks.popleft()
        if self.lose_oks or _turn(self._oks, self._options.lose_ok_every):
            self.lose_oks = max(0, self.lose_oks - 1)
            return []
        if self.double_oks or _turn(self._oks, self._options.double_ok_every):
            self.double_oks = max(0, self.double_oks - 1)
            return [text, text]
        return [text]

    def sleep(self, code: str) -> float:
        """Seconds that the printer sleeps after a command with this code."""
        return self.sleep_after_next.pop(code, 0.0) or self.sleep_after.get(code, 0.0)


def _turn(count: int, every: int) -> bool:
    return every > 0 and count % every == 0
