"""Who asks: API keys, as OctoPrint's clients send them."""

from __future__ import annotations

from aiohttp import web

from limpet.keys import Key, KeyStore

KEYS = web.AppKey("keys", KeyStore)

FORBIDDEN = (
    "You don't have the permission to access the requested resource. "
    "It is either read-protected or not readable by the server."
)


def key_of(request: web.BaseRequest, keys: KeyStore) -> Key | None:
    """The key that the request carries, if it is a valid one.

    Looked for in `X-Api-Key`, then `Authorization: Bearer`, then `?apikey=`. Other kinds of authorization belong
    to a proxy in front of us and do not disturb.
    """
    text = request.headers.get("X-Api-Key")
    if text is None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        text = token.strip() if scheme.lower() == "bearer" else request.query.get("apikey", "")
    return keys.check(text)
