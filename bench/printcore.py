"""`python printcore.py PORT BAUDRATE FILE`: prints the file with Printrun's printcore, in its own environment."""

from __future__ import annotations

import sys
import time

from printrun import gcoder  # type: ignore[import-not-found]
from printrun.printcore import printcore  # type: ignore[import-not-found]

if __name__ == "__main__":
    port, baudrate, path = sys.argv[1:]
    with open(path, encoding="ascii") as file:  # noqa: PTH123
        lines = gcoder.LightGCode([line.strip() for line in file])
    core = printcore(port, int(baudrate))
    while not core.online:
        time.sleep(0.05)
    core.startprint(lines)
    while core.printing:
        time.sleep(0.2)
    time.sleep(3600)  # Until it is ended: the printer tells when it has everything.
