"""Connections to hosts outside: only to addresses that were looked at first.

A host's name is resolved here, and the connection goes to the very address that was judged, so that a name cannot
mean one address when it is checked and another when it is used. Addresses that are not of the open internet (private,
loopback, link-local, a cloud's metadata) are refused, unless the project allows the host by name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Collection
from functools import lru_cache
from ssl import SSLContext

import httpx2

from agentflow.runtime.errors import NodeError, ToolUnavailable

logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells every address that is asked, with its query

CONNECT = 10.0  # seconds, to one address
IDLE = 600.0  # seconds between two pieces of an answer; the whole is bounded by the tool's own time limit

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_REFUSED = [  # what Python's own table takes for open: a cloud's metadata, and what older tables lack
    ipaddress.ip_network(network)
    for network in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "fec0::/10", "5f00::/16")
]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_open(address: _Address) -> bool:
    """Whether an address is of the open internet, also where it is wrapped in another."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_open(inner)
        if address.teredo is not None:
            return False
    if any(address in network for network in _REFUSED):
        return False
    return address.is_global and not address.is_multicast


def is_allowed(host: str, port: int | None, hosts: Collection[str]) -> bool:
    """Whether the project allows a host: by its name, or by its name and port."""
    shown = f"[{host}]" if ":" in host else host
    return host in hosts or shown in hosts or f"{shown}:{port}" in hosts


async def addresses(host: str, port: int, hosts: Collection[str] = ()) -> list[str]:
    """The addresses of a host, in the order in which to try them.

    Raises NodeError where one of them is not to be asked, ToolUnavailable where the name stands for none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ToolUnavailable(f"the host {host} is not found: {error}", code=502) from None
    numbers = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    if not is_allowed(host, port, hosts):
        for number in numbers:
            if not is_open(ipaddress.ip_address(number)):
                about = "" if number == host else f" ({number})"
                message = f"{host}{about} is not of the open internet, and pyproject.toml does not allow it"
                raise NodeError("tool", f'{message}: [tool.agentflow] hosts = ["{host}"]', code=403)
    return numbers


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Sends requests to addresses that were checked; the certificate is still the name's.

    For one client of one call: connections are kept by address, and must not be shared by names.
    """

    def __init__(self, hosts: Collection[str] = ()) -> None:
        self._hosts = hosts
        self._inner = httpx2.AsyncHTTPTransport(verify=_certificates(), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        found = await addresses(host, port, self._hosts)
        for tried, number in enumerate(found, 1):
            sent = httpx2.Request(
                request.method,
                request.url.copy_with(host=number),
                headers=request.headers,  # `Host` is the name
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(sent)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):  # nothing was sent yet
                if tried == len(found):
                    raise
        raise AssertionError("a name has an address")

    async def aclose(self) -> None:
        await self._inner.aclose()


def client(hosts: Collection[str] = ()) -> httpx2.AsyncClient:
    """A client for one call: no redirects, no proxies of the environment, certificates checked."""
    timeout = httpx2.Timeout(IDLE, connect=CONNECT, pool=CONNECT)
    return httpx2.AsyncClient(transport=CheckedTransport(hosts), timeout=timeout, trust_env=False)


@lru_cache(maxsize=1)
def _certificates() -> SSLContext:
    return httpx2.create_ssl_context()
