"""Which addresses a request may go to: public ones, and those that the operator has allowed.

Who writes a journey or a lane chooses URLs, and a name can lead anywhere: to this machine, to the
network around it, to the service that hands out a cloud machine's credentials. So a name is
resolved here, once, every address that it has is looked at, and the connection goes to those very
addresses: what the name's server answers a second later does not matter (DNS rebinding). An address
that stands inside of another one, as IPv6 has it in several ways, is looked at too.
"""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# What not every Python knows to be local: protocol assignments, relays, site-local addresses.
_LOCAL: Final = tuple(
    ipaddress.ip_network(one) for one in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")
)
# All public IPv6 addresses are in here; some of the rest, as the translated ::ffff:0:127.0.0.1,
# pass for global in Python.
_GLOBAL: Final = ipaddress.IPv6Network("2000::/3")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
# Public by their number, and all the same a cloud's own: Azure's virtual machines find theirs here.
_METADATA: Final = frozenset({ipaddress.ip_address("168.63.129.16")})


class Forbidden(OSError):
    """A request that may not go where it is to go; the text says why."""


class AddressGuard:
    """See the module's text.

    Args:
        allow: Networks that are allowed although they are not public, as `10.0.0.0/8`.
        setting: Where the operator allows them, for the words of a refusal.
    """

    def __init__(self, allow: Sequence[str] = (), setting: str = "webhook_allow") -> None:
        self._allow: list[Network] = [ipaddress.ip_network(one) for one in allow]
        self._setting = setting

    def check_literal(self, host: str) -> None:
        """Looks at a host that is an address written out, which is never resolved.

        Raises:
            Forbidden: It is not allowed.
        """
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return
        self.check(host, [host])

    def check(self, host: str, addresses: Sequence[str]) -> None:
        """Looks at all addresses of a host.

        Raises:
            Forbidden: One of them is not allowed, so that none is.
        """
        for text in addresses:
            address = ipaddress.ip_address(text.partition("%")[0])
            why = self._why_not(address)
            if why:
                named = f"{host} is {address}" if host != text else text
                msg = f"{named}, {why}; the setting {self._setting} may allow it"
                raise Forbidden(msg)

    def _why_not(self, address: Address) -> str:
        if any(address in network for network in self._allow):
            return ""
        inner = _inside(address)
        if inner is not None:
            return self._why_not(inner)
        if address in _METADATA:
            return "where a cloud keeps its machines' secrets"
        for is_it, words in (
            (address.is_loopback, "this machine"),
            (address.is_link_local, "a link-local address"),
            (address.is_multicast, "a multicast address"),
            (not _is_public(address), "not a public one"),
        ):
            if is_it:
                return words
        return ""


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _GLOBAL:
        return False
    return address.is_global and not any(address in one for one in _LOCAL)


def _inside(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


class GuardedResolver(AbstractResolver):
    """Resolves names, and gives only what may be connected to.

    Args:
        guard: What may be.
        inner: Who asks the network; by default the system.
    """

    def __init__(self, guard: AddressGuard, inner: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See `AbstractResolver`."""
        found = await self._inner.resolve(host, port, family)
        self._guard.check(host, [one["host"] for one in found])
        return found

    async def close(self) -> None:
        """See `AbstractResolver`."""
        await self._inner.close()
