"""`python -m limpet` and the `limpet` script."""

from __future__ import annotations

import sys


def main() -> None:
    from limpet.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
