"""A world: definitions, people to whom things happen, and a clock that only the caller turns.

It is one real `Shard`. Each entry is applied at its time; what it leaves to be done is done at
once, each in an entry of its own, until nothing is left: forwards reach their entities and are
settled, messages reach the sender and its receipts come back. Turning the clock stops at every
moment at which something is due. All entries are kept, so that anybody can replay them.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from engine import commands, definitions
from engine.commands import Command
from engine.entities import Row
from engine.entity import Entity
from engine.journeys import walk
from engine.messages.message import hop_of
from engine.privacy.hidden import row_key
from engine.program import EMPTY, Program
from engine.reasons import Reason
from engine.shard import Effects, Shard
from engine.simulation import events
from engine.simulation.moments import START
from engine.simulation.sender import Sender
from engine.slots import ADDRESS, ANONYMOUS, USER, catalog_key
from engine.tables.memory import MemoryTables

WORKSPACE: Final = "default"
# What one moment may lead to: past it something goes round for ever.
ENTRIES_AT_A_MOMENT: Final = 10_000
_DELIVERED: Final = frozenset({Reason.ACCEPTED, Reason.DUPLICATE})
_ALL_ROWS: Final = 2**31

Entry = tuple[int, int, bytes]
Forward = tuple[str, str, int, Command]


class SimulationError(Exception):
    """Something happened in a world that must not happen in any."""


class World:
    """See the module's text.

    Args:
        start_ms: When it begins.
        workspace: The workspace of its definitions and people.

    Attributes:
        now: The time, Unix milliseconds.
        sender: Who takes its messages.
        journal: `(seq, now_ms, payload)` of every entry.
        tables: The rows of its tables.
        waiting: Forwards on their way, by id; they wait while `forwards_go` is False.
        forwards_go: Whether forwards are delivered.
    """

    def __init__(self, start_ms: int = START.ms, workspace: str = WORKSPACE) -> None:
        self.start_ms = self.now = start_ms
        self.workspace = workspace
        self.sender = Sender()
        self.journal: list[Entry] = []
        self.waiting: dict[str, Forward] = {}
        self.forwards_go = True
        self._rows: dict[str, Row] = {}
        self._installed: list[tuple[str, int, bytes]] = []
        self._events = 0
        self._applied = 0
        self.tables = MemoryTables()
        self.shard = self._new_shard()

    # --- what happens -----------------------------------------------------------------------

    def define(self, documents: Sequence[Any]) -> Reason:
        """Applies definitions (plain maps), and brings everyone in line with them.

        Raises:
            DefinitionError: They are refused; nothing was changed.
            SimulationError: They were taken and do not compile, which is a bug.
        """
        return self.change(definitions.parse(json.dumps(list(documents)), "the definitions"))

    def change(self, documents: Sequence[definitions.Document]) -> Reason:
        """Applies documents, some of which may be deletions; see `define`."""
        definitions.check(documents, self.program)
        self._applied += 1
        key, version = catalog_key(self.workspace), self.program.version
        wire = definitions.to_wire(documents)
        reason = self.do(commands.apply_definitions(key, f"apply-{self._applied}", wire, version))
        for (_, label), fault in self.shard.workspaces.faults.items():
            msg = f"{label} was found good and does not compile: {fault}"
            raise SimulationError(msg)
        self.refresh_all()
        return reason

    def refresh_all(self) -> None:
        """Does what a host does beside its work: evaluates everyone under new definitions."""
        version = self.program.version
        stale = [entity.key for entity in self.entities() if entity.program_version != version]
        if stale:
            self.take([commands.refresh(key) for key in stale])

    def happen(self, event: Mapping[str, Any]) -> Reason:
        """Takes an event as the Segment Spec writes it; see `engine.simulation.events`."""
        self._events += 1
        message_id = f"m{self._events}"
        return self.do(events.command_of(self.workspace, event, self.now, message_id))

    def do(self, command: Command) -> Reason:
        """Takes a command, and all that it leads to at this moment; gives its own result."""
        return self.take([command])[0]

    def take(self, chunk: Sequence[Command]) -> list[Reason]:
        """Takes commands in one entry, and all that they lead to at this moment."""
        effects = self._apply(chunk)
        self._hand_over(effects)
        return [Reason(result) for result in effects.results]

    def turn_to(self, ms: int) -> None:
        """Turns the clock: whatever is due up to and including the moment happens at its own."""
        while (due_ms := self.next_due_ms()) is not None and due_ms <= ms:
            self.now = max(self.now, due_ms)
            self._hand_over(self._apply(()), self.sender.expire(self.now))
        self.now = max(self.now, ms)

    def next_due_ms(self) -> int | None:
        """The next moment at which something happens by itself, or None."""
        due = (self.shard.next_due_ms(), self.sender.next_expiry_ms())
        return min((ms for ms in due if ms is not None), default=None)

    def let_forwards_go(self, go: bool) -> None:
        """Holds forwards back, or delivers what waits and all that comes."""
        self.forwards_go = go
        self._hand_over(Effects({}))

    def restart(self) -> None:
        """Does what a crash does after a checkpoint: only what is packed survives.

        Effects that no receiver has settled are handed over again, with the same ids.
        """
        rows = self.shard.take_rows(_ALL_ROWS)
        self._rows.update((row[0], row) for row in rows)
        for row in rows:
            if row[5] is None:
                del self._rows[row[0]]
        self.shard.rows_stored(rows)
        before, self.shard = self.shard, self._new_shard()
        for workspace, version, documents in self._installed:
            self.shard.install(workspace, version, documents)
        due = [(key, row[2]) for key, row in sorted(self._rows.items()) if row[2] is not None]
        self.shard.recover(len(self._rows), due, before.sizes, before.now)
        self.shard.seq = before.seq
        self._hand_over(self.shard.unsettled(key for key, row in self._rows.items() if row[3]))

    # --- what there is ----------------------------------------------------------------------

    @property
    def program(self) -> Program:
        """The definitions of now, compiled."""
        return self.shard.programs.get(self.workspace, EMPTY)

    def entity(self, kind: str, id_: str) -> Entity | None:
        """An entity, or None if nothing was ever heard of it."""
        return self.shard.peek(f"{self.workspace}/{kind}/{id_}")

    def person(self, user: str = "", anonymous: str = "") -> Entity | None:
        """A profile by its id, or None if nothing was ever heard of it."""
        return self.entity(USER, user) if user else self.entity(ANONYMOUS, anonymous)

    def entities(self) -> list[Entity]:
        """Everyone who may have a profile or a message, by key."""
        found, after = [], ""
        while page := self.shard.scan(after, 500):
            found += [entity for entity in page if entity.kind in (USER, ANONYMOUS, ADDRESS)]
            after = page[-1].key
        return found

    def snapshot(self) -> dict[str, bytes]:
        """Every entity as bytes: two worlds with the same history have the same."""
        found: dict[str, bytes] = {}
        after = ""
        while page := self.shard.scan(after, 500):
            found.update((row_key(entity, self.shard.secret), entity.pack()) for entity in page)
            after = page[-1].key
        return found

    def replayed(self) -> "World":
        """A new world that has taken the journal of this one, and nothing else."""
        other = World(self.start_ms, self.workspace)
        other.shard = Shard(0, 1, lambda key: None, lambda after, limit: [])
        other.shard.tables = self.tables
        for seq, now_ms, payload in self.journal:
            other.shard.apply(seq, now_ms, 0, payload)
        other.now = self.now
        return other

    # --- how it works -----------------------------------------------------------------------

    def _new_shard(self) -> Shard:
        shard = Shard(0, 1, self._load, self._scan)
        shard.tables = self.tables
        return shard

    def _load(self, key: str) -> tuple[int, bytes] | None:
        row = self._rows.get(key)
        return (row[1], row[5]) if row and row[5] is not None else None

    def _scan(self, after: str, limit: int) -> list[tuple[str, int, bytes]]:
        keys = sorted(key for key in self._rows if key > after)[:limit]
        return [(key, self._rows[key][1], self._rows[key][5] or b"") for key in keys]

    def _apply(self, chunk: Sequence[Command]) -> Effects:
        payload = commands.pack_payload([commands.pack_chunk(chunk)]) if chunk else b""
        seq = self.shard.seq + 1
        self.journal.append((seq, self.now, payload))
        effects = self.shard.apply(seq, self.now, 0, payload)
        self._installed += effects.installed
        return effects

    def _hand_over(self, effects: Effects, receipts: Sequence[Command] = ()) -> None:
        """Does what an entry left to be done, and what that leaves, until nothing is left."""
        ways: deque[Callable[[], Effects]] = deque()
        self._gather(ways, effects)
        ways.extend(_way(self._apply, [receipt]) for receipt in receipts)
        entries = 0
        while ways:
            entries += 1
            if entries > ENTRIES_AT_A_MOMENT:
                msg = f"one moment led to more than {ENTRIES_AT_A_MOMENT} entries"
                raise SimulationError(msg)
            self._gather(ways, ways.popleft()())

    def _gather(self, ways: deque[Callable[[], Effects]], effects: Effects) -> None:
        called_back = {offer[0] for offer in effects.cancels}
        for offer in effects.sends:
            if offer[0] not in called_back:
                for receipt in self.sender.offer(offer, self._template_of(offer), self.now):
                    ways.append(_way(self._apply, [receipt]))
        for offer in effects.cancels:
            for receipt in self.sender.cancel(offer, self.now):
                ways.append(_way(self._apply, [receipt]))
        for forward in effects.forwards:
            self.waiting[forward[1]] = forward
        if self.forwards_go:
            ways.extend(_way(self._deliver, forward) for forward in self.waiting.values())
            self.waiting = {}

    def _deliver(self, forward: Forward) -> Effects:
        """Journals a forward at its target, then settles it at its source."""
        key, forward_id, _, command = forward
        if command[0] == commands.WALK:
            return self._apply(walk.answer(self.shard, command))
        effects = self._apply([tuple(command)])
        result = Reason(effects.results[0])
        if result not in _DELIVERED:
            msg = f"{key} forwarded {command[:3]!r}, which was refused: {result.name}"
            raise SimulationError(msg)
        settled = self._apply([commands.settle(key, forward_id)])
        return _both(effects, settled)

    def _template_of(self, offer: Sequence[Any]) -> str:
        entity = self.shard.peek(offer[1])
        message = entity.messages.get(hop_of(offer[0])[0]) if entity else None
        return message.template if message else ""


def _way(do: Callable[[Any], Effects], what: Any) -> Callable[[], Effects]:
    return lambda: do(what)


def _both(first: Effects, second: Effects) -> Effects:
    """What two entries left to be done."""
    first.sends += second.sends
    first.cancels += second.cancels
    first.forwards += second.forwards
    return first
