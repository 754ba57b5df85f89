"""The HTTP face, in OctoPrint's tongue."""
