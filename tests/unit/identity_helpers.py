"""People with several ids on one real shard, and the ways between their profiles."""

from typing import Any

import msgpack

from engine import commands, definitions
from engine.commands import Command
from engine.entity import Entity
from engine.packing import pack
from engine.program import EMPTY
from engine.reasons import Reason
from engine.shard import Effects, Shard


class Families:
    """One shard with definitions; forwards are delivered at once, or when the test says so."""

    def __init__(self, text: str = "") -> None:
        self.shard = Shard(0, 1, lambda key: None, lambda after, limit: [])
        self.now = 1_000_000_000_000
        self.deliver = True
        self.forwards: list[Any] = []
        self.offers: list[Any] = []
        self.cancels: list[Any] = []
        self._events = 0
        self._version = 0
        if text:
            self.define(text)

    def define(self, text: str) -> None:
        documents = definitions.parse(text)
        definitions.check(documents, self.shard.programs.get("w") or EMPTY)
        self._version += 1
        wire = definitions.to_wire(documents)
        self.run(commands.install(f"i{self._version}", "", "w", self._version, wire))

    def apply(self, *batch: Command) -> Effects:
        payload = commands.pack_payload([commands.pack_chunk(batch)]) if batch else b""
        effects = self.shard.apply(self.shard.seq + 1, self.now, 0, payload)
        self.forwards += effects.forwards
        self.offers += effects.sends
        self.cancels += effects.cancels
        return effects

    def run(self, command: Command) -> int:
        """Applies a command, and delivers what it forwards; gives its result."""
        (result,) = self.apply(command).results
        if self.deliver:
            self.deliver_all()
        return result

    def deliver_some(self, count: int) -> None:
        """Delivers so many forwards, in their order; what is refused waits in front."""
        for _ in range(count):
            source, forward_id, _, command = self.forwards.pop(0)
            (result,) = self.apply(commands.unpack_command(pack(command))).results
            if result in (Reason.ACCEPTED, Reason.DUPLICATE):
                self.apply(commands.settle(source, forward_id))
            else:
                self.forwards.append((source, forward_id, 0, command))

    def deliver_all(self) -> None:
        rounds = 0
        while self.forwards:
            self.deliver_some(1)
            rounds += 1
            assert rounds < 10_000, "forwards without end"

    def pass_time(self, minutes: int = 0, ms: int = 0) -> None:
        self.now += minutes * 60_000 + ms
        self.apply()
        if self.deliver:
            self.deliver_all()

    def event(
        self,
        type_: int,
        name: str,
        user: str,
        anonymous: str,
        values: dict[str, Any],
        message_id: str,
    ) -> int:
        self._events += 1
        key = f"w/user/{user}" if user else f"w/anonymous/{anonymous}"
        command = commands.event(
            key,
            message_id or f"m{self._events}",
            type_,
            name,
            self.now,
            msgpack.packb(values) if values else b"",
            b"",
            anonymous if user else "",
        )
        result = self.run(command)
        entity = self.shard.peek(key)
        assert entity is not None
        assert not entity.error, entity.error
        return result

    def track(
        self, name: str, user: str = "", anonymous: str = "", message_id: str = "", **values: Any
    ) -> int:
        return self.event(commands.TRACK, name, user, anonymous, values, message_id)

    def identify(self, user: str = "", anonymous: str = "", **traits: Any) -> int:
        return self.event(commands.IDENTIFY, "", user, anonymous, traits, "")

    def alias(self, previous: str, user: str) -> int:
        return self.event(commands.ALIAS, previous, user, "", {}, "")

    def peek(self, name: str) -> Entity:
        entity = self.shard.peek(f"w/{name}")
        assert entity is not None
        assert not entity.error, entity.error
        return entity

    def traits(self, name: str) -> dict[str, Any]:
        return self.peek(name).traits

    def notes(self, name: str, kind: str = "identity") -> list[str]:
        lines = self.peek(name).trail_lines()
        return [f"{subject}: {why}" for _, k, subject, why in lines if k == kind]
