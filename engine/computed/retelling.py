"""What computed traits would hold, had they been defined from the beginning.

A trait that is new begins to count with the events after its definition. All that came before is in
the journal and its archive, and it is told again, off to the side: the commands that made people
what they were are applied to a shard of its own, whose definitions are the identity rules of each
moment and the new traits from the start, and nothing else. So an event that was refused, came
twice, was passed on by a merged visitor or was of somebody who is erased since counts here as it
did there. It ends where the shard's own counting begins, at the INSTALL of the definition, so no
event counts twice and none is left out.

What a profile had counted when it became a part of another one is caught on its way, and goes to
whoever it is a part of by now (`engine.computed.told`).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from engine import commands, definitions
from engine.commands import Command
from engine.computed.merging import STATE
from engine.identity import parts as moving
from engine.identity.record import GOT, MERGED, record_of, settle_verdict
from engine.identity.rules import IDENTITY
from engine.packing import pack
from engine.privacy.hidden import slot_of_row
from engine.shard import Shard
from engine.slots import PROFILES, parse_key

_ALL: Final = 1 << 60
# What makes a person who they are and what they have done; and what takes it away.
_TELLING: Final = frozenset(
    {
        commands.EVENT, commands.PASS, commands.LINK, commands.KEPT, commands.CLAIM,
        commands.ERASE, commands.SUPPRESS, commands.INBOUND, commands.TOLD,
    }
)  # fmt: skip


class Version(NamedTuple):
    """One version of a workspace's definitions: its number, its entry, its documents."""

    version: int
    seq: int
    documents: bytes


class New(NamedTuple):
    """Computed traits that are new since one version.

    Attributes:
        since: The version that brought them.
        bodies: Their definitions, by name.
        marks: Their marks.
    """

    since: Version
    bodies: dict[str, dict[str, Any]]
    marks: dict[str, str]


class Retelling:
    """The past of some people, told again for some traits; see the module's text.

    Args:
        workspace: Whose people.
        new: The traits.
        versions: All versions of the workspace's definitions, as the shard was given them.
        place: Which shard this is, and how many there are.
        slots: Only the people of these slots.
    """

    def __init__(
        self,
        workspace: str,
        new: New,
        versions: Sequence[Version],
        place: tuple[int, int],
        slots: range,
    ) -> None:
        self._workspace = workspace
        self._new = new
        self._versions = versions
        self._slots = slots
        self._first_seq = 0
        self._caught: dict[str, list[Any]] = {}
        self._shard = Shard(*place, lambda key: None, lambda after, limit: [], _ALL)
        changes = [["trait", name, body] for name, body in new.bodies.items()]
        self._shard.install(workspace, 0, pack(changes))
        for name, trait in self._shard.programs[workspace].computed.items():
            trait.mark = new.marks[name]  # which nothing has that profiles took along in those days

    @property
    def secret(self) -> bytes:
        """The store's secret, for hashes of keys; set it before the first entry."""
        return self._shard.secret

    @secret.setter
    def secret(self, secret: bytes) -> None:
        self._shard.secret = secret

    @property
    def until_ms(self) -> int:
        """The time up to which it was told."""
        return self._shard.now

    def read(self, seq: int, now_ms: int, mode: int, payload: bytes) -> bool:
        """Tells an entry of the journal again, in its order.

        Returns:
            False if the traits' own counting begins here, so that all is told.

        Cost: 1 µs a command, 10 µs for one of somebody's whom it tells of.
        """
        if seq > self._new.since.seq:
            return False
        if not self._first_seq:
            self._first_seq = seq
            for version in self._versions:
                if version.seq < seq:
                    documents = _rules_alone(version.documents)
                    self._shard.install(self._workspace, version.version, documents)
        gathered: list[Command] = []
        goes_on = True
        for chunk in commands.unpack_payload(payload):
            for command in chunk:
                if command[0] == commands.INSTALL and command[4] == self._workspace:
                    if command[5] == self._new.since.version:
                        goes_on = False
                        break
                    rules = _rules_alone(command[6])
                    gathered.append(commands.install("", "", command[4], command[5], rules))
                elif self._is_told(command):
                    gathered.append(command)
                elif mode and command[0] in commands.TIMED:
                    gathered.append(commands.tick(command[5]))
            if not goes_on:
                break
        if gathered or not goes_on:
            self._apply(now_ms, mode, gathered)
        return goes_on

    def found(self) -> Iterator[Command]:
        """A `commands.fill` for each person of whom something was found, in a fixed order."""
        after = ""
        people: dict[str, dict[str, list[Any]]] = {}
        while page := self._shard.scan(after, 1_000):
            after = page[-1].key
            for entity in page:
                if entity.kind in PROFILES and entity.state.get(STATE):
                    people[entity.key] = dict(entity.state[STATE])
        for key, caught in self._caught.items():
            mine = people.setdefault(key, {})
            for name, record in caught:
                mine[name] = [*mine.get(name, ()), *record]
        for key in sorted(people):
            records = {n: r for n, r in people[key].items() if n in self._new.bodies}
            if records:
                yield commands.fill(key, b"\x80", pack(records), self.until_ms)

    def _is_told(self, command: Command) -> bool:
        operation, key = command[0], command[1]
        if operation == commands.ERASED:
            return slot_of_row(key) in self._slots
        if operation not in _TELLING or not key.startswith(self._workspace + "/"):
            return False
        if operation == commands.PASS and not command[7]:
            return False  # it was of somebody who is erased
        return parse_key(key).kind in PROFILES and slot_of_row(key) in self._slots

    def _apply(self, now_ms: int, mode: int, gathered: list[Command]) -> None:
        shard = self._shard
        for command in gathered:
            if command[0] == commands.PASS and self._first_seq > 1 and command[7]:
                self._take_up(command, now_ms)
            elif command[0] == commands.ERASE:
                self._caught.pop(command[1], None)
        payload = commands.pack_payload([commands.pack_chunk(gathered)]) if gathered else b""
        effects = shard.apply(shard.seq + 1, now_ms, mode, payload)
        for source, forward_id, _, forward in effects.forwards:
            entity = shard.peek(source)
            assert entity is not None
            entity.outbox.pop(forward_id, None)  # nobody is there to settle it
            if forward[0] == commands.PASS:
                self._catch(source, forward)

    def _take_up(self, command: Command, now_ms: int) -> None:
        """Of a sender whose first commands are not kept any more, goes on with the first that is.

        What is passed on is taken in its order, without a gap.
        """
        entity = self._shard.peek(command[1])
        if entity is None:
            refresh = commands.pack_payload([commands.pack_chunk([commands.refresh(command[1])])])
            self._shard.apply(self._shard.seq + 1, now_ms, 0, refresh)
            entity = self._shard.peek(command[1])
            assert entity is not None
        record = record_of(entity)
        if command[3] not in record.get(GOT, {}):
            record.setdefault(GOT, {})[command[3]] = command[4] - 1
            for origin in (command[3], commands.unpack_command(command[7])[1]):
                if origin != entity.key:
                    settle_verdict(record, origin, MERGED)  # or what it did would wait for it

    def _catch(self, source: str, forward: Command) -> None:
        """What a profile takes along as it becomes a part of another one."""
        inner = commands.unpack_command(forward[7])
        if inner[0] == commands.MERGE and inner[2] == source and inner[5]:
            records = moving.unpack(inner[5]).state.get(STATE)
            if records:
                self._caught.setdefault(source, []).extend(records.items())


def _rules_alone(documents: bytes) -> bytes:
    """Of some definitions those that say who is who."""
    return pack([list(one) for one in definitions.from_wire(documents) if one[0] == IDENTITY])
