"""The HTTP face, in OctoPrint's tongue."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _no_certificates() -> Iterator[None]:
    kept = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    os.environ.update(dict.fromkeys(kept, os.devnull))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# aiohttp reads all root certificates when it is imported, for its client, which Limpet does not use: a sixth of the
# time that Limpet takes to start. Whoever makes a client one day gives it an `ssl.create_default_context()` of its own.
with _no_certificates():
    import aiohttp  # noqa: F401
