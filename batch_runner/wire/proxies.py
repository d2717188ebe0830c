"""The proxy that the environment asks for, and what is said to it."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def environment_proxy(url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY ask for."""
    parts = urlsplit(url)
    if not any(name.lower().endswith("_proxy") for name in os.environ) and sys.platform != "darwin":
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - brings half of the standard library along

    return None if parts.hostname is None or proxy_bypass(parts.hostname) else getproxies().get(parts.scheme)


def credentials(proxy: SplitResult) -> bytes:
    """The header that tells a proxy who asks; empty where its address names nobody."""
    if proxy.username is None:
        return b""
    named = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return b"Proxy-Authorization: Basic %s\r\n" % b64encode(named.encode())


def connect(host: str, port: int, proxy: SplitResult) -> bytes:
    """The request that has a proxy open a way to `host`."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (place.encode(), place.encode(), credentials(proxy))
