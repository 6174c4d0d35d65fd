"""Where webhooks may go."""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from actors.address_guard import AddressGuard, Forbidden, GuardedResolver

BAD = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a00:1::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
    "fec0::1", "ff02::1", "2001:db8::1", "::ffff:0:127.0.0.1", "::ffff:0:a9fe:a9fe", "5f00::1",
    "3fff::1",
]  # fmt: skip
GOOD = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", BAD)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(Forbidden, match="webhook_allow"):
        AddressGuard().check("x.example", [address])


@pytest.mark.parametrize("address", GOOD)
def test_what_is_public_is_not(address: str) -> None:
    AddressGuard().check("x.example", [address])


def test_one_bad_address_of_a_name_is_enough() -> None:
    with pytest.raises(Forbidden, match=r"x.example is 10.0.0.1, not a public one"):
        AddressGuard().check("x.example", ["8.8.8.8", "10.0.0.1"])


def test_what_is_allowed_is_allowed_in_every_form_and_nothing_else_is() -> None:
    guard = AddressGuard(["127.0.0.0/8", "fd00::/16"])
    guard.check("x", ["127.0.0.1", "::ffff:127.0.0.1", "fd00::1"])
    with pytest.raises(Forbidden):
        guard.check("x", ["10.0.0.1"])
    with pytest.raises(Forbidden):
        guard.check("x", ["fd01::1"])


class Fickle(AbstractResolver):
    """A name that is public at first and is then this machine."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        address = "8.8.8.8" if self.asked == 1 else "127.0.0.1"
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=family, proto=0, flags=0
            )
        ]  # fmt: skip

    async def close(self) -> None:
        pass


async def test_the_addresses_that_were_looked_at_are_those_that_are_given() -> None:
    resolver = GuardedResolver(AddressGuard(), Fickle())
    (found,) = await resolver.resolve("x.example", 443)
    assert found["host"] == "8.8.8.8"
    with pytest.raises(Forbidden, match="this machine"):
        await resolver.resolve("x.example", 443)
