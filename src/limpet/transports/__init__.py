"""How bytes reach a printer, with no idea what they mean."""
