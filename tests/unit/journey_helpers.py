"""A town of people on one real shard, with a clock that the test turns."""

from typing import Any

import msgpack

from engine import commands, definitions
from engine.durations import parse
from engine.entity import Entity
from engine.journeys.instance import Instance
from engine.program import EMPTY
from engine.shard import Effects, Shard

SMS_LANE = """
lane: sms-main
channel: sms
carrier: sandbox
prefixes: ["+"]
"""


class Town:
    """Definitions in force, and people to whom things happen; times count from `0s`."""

    def __init__(self, text: str) -> None:
        self.shard = Shard(0, 1, lambda key: None, lambda after, limit: [])
        self.now = 1_000_000_000_000
        self.start = self.now
        self.events = 0
        self.version = 0
        self.effects: list[Effects] = []
        self.define(text)

    def define(self, text: str, *deleted: tuple[str, str]) -> None:
        """Checks and installs definitions, as the gateway and a shard do."""
        documents = definitions.parse(text) if text else []
        documents += [definitions.Document(kind, name, None) for kind, name in deleted]
        program = self.shard.programs.get("w")
        definitions.check(documents, program or EMPTY)
        self.version += 1
        wire = definitions.to_wire(documents)
        self.apply(commands.install(f"i{self.version}", "", "w", self.version, wire))

    def at(self, time: str) -> None:
        """Turns the clock to a time since the start, with a tick there."""
        self.now = self.start + (0 if time == "0s" else parse(time))
        self.apply()

    def apply(self, *chunk: commands.Command) -> Effects:
        payload = commands.pack_payload([commands.pack_chunk(chunk)] if chunk else [])
        effects = self.shard.apply(self.shard.seq + 1, self.now, 0, payload if chunk else b"")
        self.effects.append(effects)
        return effects

    def track(self, name: str, user: str = "ann", **properties: Any) -> None:
        self.happen(commands.TRACK, name, user, properties)

    def identify(self, user: str = "ann", **traits: Any) -> None:
        self.happen(commands.IDENTIFY, "", user, traits)

    def happen(self, type_: int, name: str, user: str, values: dict[str, Any]) -> None:
        self.events += 1
        raw = msgpack.packb(values) if values else b""
        key = f"w/user/{user}"
        self.apply(commands.event(key, f"m{self.events}", type_, name, self.now, raw))
        assert not self.person(user).error, self.person(user).error

    def person(self, user: str = "ann") -> Entity:
        entity = self.shard.peek(f"w/user/{user}")
        assert entity is not None
        return entity

    def running(self, user: str = "ann") -> list[Instance]:
        return list(self.person(user).instances.values())

    def ended(self, user: str = "ann") -> list[Instance]:
        return self.person(user).ended_instances()

    def only(self, user: str = "ann") -> Instance:
        """The single instance that there is, running or ended."""
        (instance,) = [*self.running(user), *self.ended(user)]
        return instance

    def trail(self, instance: Instance) -> list[tuple[str, str, str, str]]:
        """A trail with times since the start."""
        return [
            (f"{(ms - self.start) / 1000:g}s", step, what, why)
            for ms, step, what, why in instance.trail
        ]

    def notes(self, kind: str, user: str = "ann") -> list[str]:
        return [
            f"{subject}: {why}"
            for _, k, subject, why in self.person(user).trail_lines()
            if k == kind
        ]

    def bodies(self, user: str = "ann") -> list[str]:
        return [message.body for message in self.person(user).messages.values()]
