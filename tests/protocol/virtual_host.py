"""A host of a few lines to talk to a virtual printer with, on a clock of its own."""

from typing import Any

from limpet.protocol.commands import number_line
from limpet.protocol.virtual_printer import VirtualPrinter, VirtualPrinterOptions


class Host:
    def __init__(self, **options: Any) -> None:
        self.printer = VirtualPrinter(VirtualPrinterOptions(**{"boot_time": 0.0, "banner": False, **options}))
        self.now = 100.0
        self.number = 0
        self.printer.reset(self.now)

    def read(self) -> list[str]:
        return self.printer.data_to_send().decode("latin-1").splitlines()

    def send(self, *lines: str) -> list[str]:
        """All lines in one write; what is answered at once."""
        self.printer.receive_data("".join(line + "\n" for line in lines).encode("latin-1"), self.now)
        return self.read()

    def numbered(self, command: str) -> list[str]:
        """With the next number; counts on only when the line was not asked for again."""
        self.printer.receive_data(number_line(self.number + 1, command), self.now)
        answer = self.read()
        if not any("esend" in line for line in answer):
            self.number += 1
        return answer

    def wait(self, seconds: float) -> list[str]:
        """What is said meanwhile; fails when the printer wants to be woken without end."""
        end = self.now + seconds
        heard = []
        for _ in range(10_000):
            deadline = self.printer.deadline
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.printer.handle_timer(self.now)
            heard += self.read()
        else:
            raise AssertionError("the printer spins")
        self.now = end
        self.printer.handle_timer(end)
        return heard + self.read()
