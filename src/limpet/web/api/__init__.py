"""One file per URL prefix."""
