"""What a person is known by elsewhere: all that has to hear of an erasure.

It is read from what an entity keeps. A profile that is on its way to another one keeps it in what
it has passed on, so what an erasure drops on the way, or refuses when it arrives, is looked through
as well: else the identifiers of somebody whose merge was under way would be theirs for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from engine import commands, limits
from engine.commands import Command
from engine.entity import Entity
from engine.identity import parts as moving
from engine.identity.record import (
    ASKED,
    CLAIMS,
    ID_KINDS,
    IDENTITY,
    MERGED,
    PARKED,
    Record,
)
from engine.messages import inbound
from engine.messages.phone import Phones
from engine.slots import ACCOUNT, ADDRESS, IDENTIFIER, PROFILES

TOLD_BY: Final = "told_by"  # in a profile's state: the addresses that told it something, and when
_PHONES: Final = Phones()
_HELD: Final = (ASKED, MERGED)


class Claim(NamedTuple):
    """An identifier that somebody has; of whom, and when that one had been erased before."""

    identifier: str
    owner: str
    since_ms: int


@dataclass(slots=True)
class Ties:
    """The keys of all that has to hear of an erasure.

    Attributes:
        ids: Other ids, each with whether it is a part of the person for sure.
        identifiers: Identifiers that were claimed.
        claims: Identifiers of which the answer, whose they are, is lost.
        accounts: Accounts that the person belongs to.
        addresses: Addresses that may be theirs, each with whether they wrote from there.
    """

    ids: dict[str, bool] = field(default_factory=dict)
    identifiers: dict[str, None] = field(default_factory=dict)
    claims: dict[Claim, None] = field(default_factory=dict)
    accounts: dict[str, None] = field(default_factory=dict)
    addresses: dict[str, bool] = field(default_factory=dict)

    def add(self, workspace: str, traits: dict[str, Any], state: dict[str, Any]) -> None:
        """Adds what a profile with these traits and this state is known by."""
        self._add_record(workspace, state.get(IDENTITY, {}))
        for id_ in state.get("groups", ()):
            self.accounts[f"{workspace}/{ACCOUNT}/{id_}"] = None
        self._add_addresses(workspace, traits, state)

    def add_lost(self, workspace: str, lost: Iterable[Command]) -> None:
        """Adds what is in commands that will not be done: inner ones of a `passed`."""
        for command in lost:
            operation, key = command[:2]
            if operation == commands.MERGE and command[5]:
                parts = moving.unpack(command[5])
                self.ids[parts.key] = True
                self.add(workspace, parts.traits, {**parts.state, IDENTITY: parts.record})
            elif operation == commands.CLAIM and command[4] == key:
                self.claims[Claim(command[3], key, command[6])] = None
            elif operation == commands.ACCOUNT:
                self.ids[key] = True
                self.accounts[command[3]] = None
            elif operation == commands.TOLD:
                self.ids[key] = True
                self.addresses.setdefault(command[10], False)
            elif operation == commands.INBOUND:
                self.ids[key] = True
                self.addresses[_address(workspace, inbound.unpack(command[3]).sender)] = True

    def _add_record(self, workspace: str, record: Record) -> None:
        for key, is_merged in ids_in(workspace, record):
            self.ids[key] = is_merged or self.ids.get(key, False)
        for type_, values in record.get(CLAIMS, {}).items():
            for value, verdict in values.items():
                if verdict in _HELD:
                    self.identifiers[f"{workspace}/{IDENTIFIER}/{type_}:{value}"] = None
        self.add_lost(workspace, map(commands.unpack_command, record.get(PARKED, ())))

    def _add_addresses(self, workspace: str, traits: dict[str, Any], state: dict[str, Any]) -> None:
        for one in state.get(inbound.STATE, ()):
            if one.get("from"):
                self.addresses[_address(workspace, str(one["from"]))] = True
        phone, email = traits.get("phone"), traits.get("email")
        if isinstance(phone, str) and phone:
            self.addresses.setdefault(_address(workspace, _PHONES.read(phone).e164 or phone), False)
        if isinstance(email, str) and email:
            self.addresses.setdefault(_address(workspace, email.strip().lower()), False)
        for key in state.get(TOLD_BY, ()):
            self.addresses.setdefault(key, False)


def ties_of(entity: Entity) -> Ties:
    """What an entity is known by elsewhere, also by what it has on its way."""
    ties = Ties()
    if entity.kind in PROFILES:
        ties.add(entity.workspace, entity.traits, entity.state)
    under_way = (
        commands.unpack_command(forward[1])
        for forward in entity.outbox.values()
        if forward is not None
    )
    passed = (each for each in under_way if each[0] == commands.PASS and each[7])
    ties.add_lost(entity.workspace, (commands.unpack_command(each[7]) for each in passed))
    ties.ids.pop(entity.key, None)
    return ties


def ids_in(workspace: str, record: Record) -> list[tuple[str, bool]]:
    """The keys of the other ids in a record, each with whether it is a part of it for sure."""
    return [
        (f"{workspace}/{kind}/{id_}", verdict == MERGED)
        for kind in ID_KINDS
        for id_, verdict in record.get(kind, {}).items()
        if verdict in _HELD
    ]


def keep_teller(state: dict[str, Any], address: str, now_ms: int) -> None:
    """Remembers that an address told a profile something; the oldest makes room."""
    state[TOLD_BY] = join_tellers({address: now_ms}, state.get(TOLD_BY, {}))


def join_tellers(mine: dict[str, int], theirs: dict[str, int]) -> dict[str, int]:
    """The newest of what two have remembered."""
    both = {**theirs, **mine}
    newest = sorted(both, key=lambda key: (both[key], key))[-limits.TELLERS :]
    return {key: both[key] for key in newest}


def _address(workspace: str, address: str) -> str:
    return f"{workspace}/{ADDRESS}/{address[: limits.ID_CHARS]}"
