"""Limpet: a 3D-print host that speaks OctoPrint's HTTP API."""

__version__ = "0.1.0"
