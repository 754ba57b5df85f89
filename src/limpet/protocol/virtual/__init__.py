"""The parts of the virtual printer (../virtual_printer.py)."""
