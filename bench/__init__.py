"""Limpet and OctoPrint, measured side by side over the API that both speak. Standard library only."""
