"""What callers tell of who is behind a message: checked, and in one spelling.

The fraud guard and limits count by these values, so one visitor must not pass for many: an address
is written as the one that it is, and of an IPv6 address only the network counts that a household
gets (64 bits, RFC 6177), since whoever has it has all the others in it.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final

from engine import limits
from engine.verification.sealed import CODE_LENGTH, SEALED
from gateway import errors
from gateway.admission import check_id

IP: Final = "ip"
_OURS: Final = frozenset({SEALED, CODE_LENGTH})  # which only Denrei itself sets
_HOUSEHOLD_BITS: Final = 64


def read(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts of a request, by name.

    Raises:
        StatusError: There are too many; one is too long, or not what its name says, or not the
            caller's to set.
    """
    if len(facts) > limits.MESSAGE_FACTS:
        text = f"{len(facts)} facts are more than {limits.MESSAGE_FACTS}"
        raise errors.invalid("facts", text)
    read: dict[str, str] = {}
    for name, value in sorted(facts.items()):
        check_id(name, "facts", limits.NAME_CHARS)
        check_id(value, f"facts[{name}]", limits.NAME_CHARS)
        if name in _OURS:
            raise errors.invalid(
                f"facts[{name}]", f"{name!r} is set by Denrei; choose another name"
            )
        read[name] = address(value, f"facts[{name}]") if name == IP and value else value
    return read


def address(written: str, field: str) -> str:
    """An IP address in the spelling by which it counts: `203.0.113.7`, `2001:db8::/64`.

    Raises:
        StatusError: It is none.
    """
    try:
        return household(written.strip().strip("[]"))
    except ValueError:
        text = f"{written[:60]!r} is no IP address such as 203.0.113.7 or 2001:db8::7"
        raise errors.invalid(field, text) from None


def household(written: str) -> str:
    """The same of an address that need not be a caller's.

    Raises:
        ValueError: It is none.
    """
    found = ipaddress.ip_address(written.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, _HOUSEHOLD_BITS), strict=False))
        found = found.ipv4_mapped
    return str(found)
