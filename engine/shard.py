"""A shard: a deterministic state machine over the entities of a range of slots.

`apply` takes one journal entry and gives back effects. The state after entry n is a function of
the entries 1 to n: time comes in with the entry, ids are hashes of entities, and nothing iterates
in an order that is not part of the state. So a replay gives the same bytes and the same effects
with the same ids, and recovery, backtests and audits are all one thing: applying entries.

Checkpoints are fuzzy and continuous. The shard remembers for each dirty entity the first entry
that its stored row lacks; `take_rows` packs some of them as they are now, each stamped with the
newest applied entry. The journal is needed from the oldest such entry on. Since no entity
depends on another, a replay may skip, entity by entity, what a row already includes.
"""

from collections.abc import Iterable
from typing import Any

from engine import commands, limits, profile
from engine.activation import Activation
from engine.entities import EntityTable, Load, Row, Scan
from engine.entity import Entity
from engine.follow_ups import follow_up
from engine.governance.judge import leave_by_ms
from engine.handlers import COMMANDS, TIMERS
from engine.journeys import broadcast, calling, order
from engine.privacy.hidden import BACK, Erasure
from engine.program import Program
from engine.reasons import Reason
from engine.tables.source import Tables, TablesUnreadable
from engine.timers import TimerHeap
from engine.workspaces import Workspaces


class Effects:
    """What one entry leaves to be done, once it is durable.

    Attributes:
        results: One `Reason` byte per command, in order.
        sends: Messages to offer to senders (`Message.offer`).
        cancels: Messages that should not leave any more (`Message.offer`).
        forwards: `(source key, forward id, shard, command)`.
        installed: `(workspace, version, documents)` that this shard took in.
        sizes: `workspace/segment` to its number of members; the shard's own map.
        entered: `workspace/segment` to how many entered, since the host last took the counts.
        left: The same for those that left.
        outcomes: `Reason` to how many messages reached it in this entry.
        erased: What the journal and the archive should not hold any more.
        went: By entity, what went out and counts for caps: when (ms), priority, label, id. For the
            shard itself, to tell who took a place from whom.
    """

    __slots__ = (
        "cancels", "entered", "erased", "forwards", "installed", "left", "outcomes", "results",
        "sends", "sizes", "went",
    )  # fmt: skip

    def __init__(self, sizes: dict[str, int]) -> None:
        self.results = bytearray()
        self.sends: list[tuple[Any, ...]] = []
        self.cancels: list[tuple[Any, ...]] = []
        self.forwards: list[tuple[str, str, int, commands.Command]] = []
        self.installed: list[tuple[str, int, bytes]] = []
        self.sizes = sizes
        self.entered: dict[str, int] = {}
        self.left: dict[str, int] = {}
        self.outcomes: dict[int, int] = {}
        self.erased: list[Erasure] = []
        self.went: dict[str, list[tuple[int, int, str, str]]] = {}


class Shard:
    """One shard; see the module's text.

    Args:
        index: Which shard this is.
        shards: How many there are.
        load: See `EntityTable`.
        scan: See `EntityTable`.
        hot_entities: See `EntityTable`.
    """

    def __init__(
        self,
        index: int,
        shards: int,
        load: Load,
        scan: Scan,
        hot_entities: int = limits.HOT_ENTITIES,
    ) -> None:
        self.index = index
        self.shards = shards
        self.now = 0
        self.seq = 0
        self.sizes: dict[str, int] = {}
        self.workspaces = Workspaces()
        self.timers_fired = 0
        self.outbox = 0
        self._table = EntityTable(load, scan, hot_entities)
        self._timers = TimerHeap()
        self._act = Activation(shards)

    @property
    def tables(self) -> Tables:
        """Where rows of tables are found; set it before the first entry."""
        return self._act.tables

    @tables.setter
    def tables(self, tables: Tables) -> None:
        self._act.tables = tables

    @property
    def secret(self) -> bytes:
        """The store's secret, for hashes of keys; set it before the first entry."""
        return self._act.secret

    @secret.setter
    def secret(self, secret: bytes) -> None:
        self._act.secret = self._table.secret = secret

    # --- applying entries -------------------------------------------------------------------

    def apply(self, seq: int, now_ms: int, mode: int, payload: bytes) -> Effects:
        """Applies one entry: the timers that are due first, then the commands in their order.

        Args:
            seq: The entry's number; entries come without holes, but a replay may start anywhere
                at or below the oldest entry that a stored row lacks.
            now_ms: The entry's time; a time before the shard's is taken as the shard's.
            mode: 0 if `now_ms` holds for all commands; 1 if each event carries the time with it
                (a replay in event time), so that timers fire between the events of one entry.
            payload: `commands.pack_payload`; empty for a tick.

        Returns:
            The effects. It never raises on data: a bug that one entity meets quarantines it.

        Durability: Memory only; the caller has the entry on disk, or is about to.
        Cost: 5–15 µs a command.
        """
        self.seq = seq
        if now_ms > self.now:
            self.now = now_ms
        act = self._act
        act.event_time = bool(mode)
        effects = act.effects = Effects(self.sizes)
        self._fire_timers()
        take = self._take_timed if mode else self._take
        for chunk in commands.unpack_payload(payload):
            effects.results += take(chunk)
        table = self._table
        if table.back:
            effects.erased += [Erasure(key, BACK, packed) for key, packed in table.back]
            table.back.clear()
        table.end_entry()
        return effects

    def _take_timed(self, chunk: Iterable[commands.Command]) -> bytearray:
        """Commands that may bring the time with them; gives their results."""
        results = bytearray()
        for command in chunk:
            if command[0] in commands.TIMED and command[5] > self.now:
                self.now = command[5]
                self._fire_timers()
            results += self._take((command,))
        return results

    def _take(self, chunk: Iterable[commands.Command]) -> bytearray:
        """Commands of this moment, each on one entity; gives their results.

        A bug in one of them stays in its entity.
        """
        results = bytearray()
        add_result = results.append
        act, table, now, seq = self._act, self._table, self.now, self.seq
        young, dirty = table.young, table.dirty
        act.now = now
        for command in chunk:
            operation, key = command[0], command[1]
            handler = COMMANDS.get(operation)
            if handler is None:
                add_result(self._take_on_shard(command))
                continue
            entity = young.get(key) or table.touch(key, now)
            if entity.seq >= seq:
                add_result(Reason.DUPLICATE)  # a replay meets a row that includes this entry
                continue
            if key not in dirty:
                dirty[entity.key] = seq  # the text that the table has, not one more of it
            act.entity = entity
            if act.workspace is not entity.workspace:
                self._come_to(entity.workspace)
            if entity.error and operation not in _TAKEN_IN_QUARANTINE:
                add_result(Reason.QUARANTINED)
                continue
            waiting = len(entity.outbox)
            try:
                if entity.program_version == act.program.version or entity.error:
                    result = handler(act, command)
                else:
                    profile.catch_up(act, operation == commands.EVENT)
                    result = handler(act, command)
                    profile.settle_rest(act)
                if act.follow_ups:
                    follow_up(act)
            except TablesUnreadable:
                raise
            except Exception as error:
                self._quarantine(entity, error)
                result = Reason.INTERNAL
            if len(entity.outbox) != waiting:
                self.outbox += len(entity.outbox) - waiting
            if act.timers_changed:
                self._reschedule(entity)
            add_result(result)
        return results

    def _take_on_shard(self, command: commands.Command) -> int:
        """A command on the shard itself."""
        operation = command[0]
        if operation == commands.INSTALL:
            return self._install(command)
        if operation == commands.ERASED:
            self._table.bury(command[1], command[2], self.seq)
            return Reason.ACCEPTED
        return Reason.ACCEPTED if operation == commands.TICK else Reason.UNKNOWN_COMMAND

    def _come_to(self, workspace: str) -> None:
        """Puts a workspace's definitions into the activation."""
        act = self._act
        act.program, act.routes = self.workspaces.of(workspace)
        act.workspace = workspace

    def _quarantine(self, entity: Entity, error: Exception) -> None:
        entity.error = f"{type(error).__name__}: {error}"[: limits.ERROR_CHARS]
        entity.note(self.now, "quarantine", "", entity.error)
        entity.timers = {}
        self._act.timers_changed = True
        self._act.follow_ups.clear()
        self._act.unsettled = ()

    # --- definitions ------------------------------------------------------------------------

    def _install(self, command: commands.Command) -> int:
        _, _, _, _, workspace, version, documents = command
        program = self.workspaces.of(workspace)[0]
        if version <= program.version:
            return Reason.DUPLICATE
        if version != program.version + 1:
            return Reason.VERSION_CONFLICT
        self.install(workspace, version, documents)
        self._act.effects.installed.append((workspace, version, documents))
        for journey in broadcast.changed_tasks(program, self.workspaces.of(workspace)[0]):
            key = broadcast.task_key(workspace, journey, self.index, self.shards)
            self._take((commands.refresh(key),))
        return Reason.ACCEPTED

    def install(self, workspace: str, version: int, documents: bytes) -> None:
        """Takes in one version of a workspace's definitions, in turn."""
        self.workspaces.install(workspace, version, documents)
        self._act.workspace = ""  # whoever comes next finds what is new

    @property
    def programs(self) -> dict[str, Program]:
        """The compiled definitions of each workspace that has some."""
        return self.workspaces.programs

    # --- timers -----------------------------------------------------------------------------

    def next_due_ms(self) -> int | None:
        """When the next timer is due, or None. Derived: it changes no state."""
        timers = self._timers
        while (first := timers.first()) is not None:
            due_ms, key = first
            entity = self._table.hot(key)
            if entity is None or entity.due_ms == due_ms:
                return due_ms
            timers.pop()
            self._look_again(entity)
        return None

    @property
    def timers(self) -> int:
        """About how many entities wait for a timer."""
        return len(self._timers)

    def due_horizon_ms(self, now_ms: int) -> int:
        """The time to give an entry so that about `limits.TIMERS_PER_ENTRY` timers fire at most."""
        return max(self.now, self._timers.horizon_ms(now_ms, limits.TIMERS_PER_ENTRY))

    def _fire_timers(self) -> None:
        timers = self._timers
        until = self.now
        while (first := timers.first()) is not None and first[0] <= until:
            key = timers.pop()
            entity = self._table.young.get(key) or self._table.touch(key, self.now)
            if entity.due_ms is not None and entity.due_ms <= until:
                self._fire(entity, until)
            self._look_again(entity)

    def _look_again(self, entity: Entity) -> None:
        entity.scheduled_ms = entity.due_ms
        if entity.due_ms is not None:
            self._timers.push(entity.key, entity.due_ms)

    def _fire(self, entity: Entity, until: int) -> None:
        """Fires what is due in one entity, each timer at its own moment."""
        self._table.dirty.setdefault(entity.key, self.seq)
        act = self._act
        act.entity = entity
        if act.workspace is not entity.workspace:
            self._come_to(entity.workspace)
        program = act.program
        waiting = len(entity.outbox)
        timers = entity.timers
        try:
            if entity.program_version != program.version:
                # Nothing was due between these definitions and now, so nothing is too late.
                act.now = min(self.now, entity.due_ms or self.now)
                profile.catch_up(act)
                if act.follow_ups:
                    follow_up(act)
            while timers:
                due_ms, token = min((due_ms, token) for token, due_ms in timers.items())
                if due_ms > until:
                    break
                if program.journey_index.ranked and len(timers) > 1:
                    token = order.first_timer(act, due_ms)
                del timers[token]
                act.now = due_ms
                self.timers_fired += 1
                kind, _, subject = token.partition(":")
                TIMERS[kind](act, subject)
                if act.follow_ups:
                    follow_up(act)
        except TablesUnreadable:
            raise
        except Exception as error:
            self._quarantine(entity, error)
        self.outbox += len(entity.outbox) - waiting
        act.timers_changed = False
        entity.due_ms = min(entity.timers.values()) if entity.timers else None

    def _reschedule(self, entity: Entity) -> None:
        """Finds the entity's earliest timer again. A later one leaves the heap as it is."""
        self._act.timers_changed = False
        due_ms = entity.due_ms = min(entity.timers.values()) if entity.timers else None
        if due_ms is not None and (entity.scheduled_ms is None or due_ms < entity.scheduled_ms):
            self._look_again(entity)

    # --- entities, checkpoints and recovery -------------------------------------------------

    @property
    def entities(self) -> int:
        """How many entities there are."""
        return self._table.count

    @property
    def dirty(self) -> int:
        """How many entities the store does not hold as they are."""
        return len(self._table.dirty)

    @property
    def oldest_needed(self) -> int:
        """See `EntityTable.oldest_needed`."""
        return self._table.oldest_needed(self.seq)

    def peek(self, key: str) -> Entity | None:
        """See `EntityTable.peek`."""
        return self._table.peek(key)

    def scan(self, after: str, limit: int) -> list[Entity]:
        """See `EntityTable.scan`."""
        return self._table.scan(after, limit)

    def forget(self, key: str) -> bool:
        """See `EntityTable.forget`."""
        return self._table.forget(key)

    def rows_until(self, part: float) -> int:
        """See `EntityTable.rows_until`."""
        return self._table.rows_until(part)

    def take_rows(self, limit: int) -> list[Row]:
        """Rows for the store; see `EntityTable.take_rows`.

        The rows and `oldest_needed` must become durable in one transaction, after which the caller
        says so to `rows_stored`. Until then the entities stay in memory.
        """
        return self._table.take_rows(limit, self.seq)

    def rows_stored(self, rows: Iterable[Row]) -> None:
        """See `EntityTable.rows_stored`."""
        self._table.rows_stored(rows)

    def recover(
        self, stored: int, due: Iterable[tuple[str, int]], sizes: dict[str, int], now_ms: int
    ) -> None:
        """Prepares an empty shard for the replay of the journal's tail.

        Args:
            stored: How many entities the store holds.
            due: Key and earliest timer (ms) of each stored entity that has one.
            sizes: Members by `workspace/segment`.
            now_ms: The time of the last entry before the tail.
        """
        self._table.recover(stored)
        self.sizes.update(sizes)
        self.now = now_ms
        self._timers = TimerHeap(due)

    def unsettled(self, pending: Iterable[str]) -> Effects:
        """All effects that no receiver has settled, to be handed over again with the same ids.

        Args:
            pending: Keys of stored entities that had some; hot ones are found here.
        """
        effects = Effects(self.sizes)
        self.outbox = 0
        hot = {entity.key: entity for entity in self._table.all_hot() if entity.outbox}
        for key in [*hot, *(key for key in pending if key not in hot)]:
            entity = hot.get(key) or self.peek(key)
            if entity is None:
                continue
            self.outbox += len(entity.outbox)
            messages = entity.messages
            for effect_id, forward in entity.outbox.items():
                if forward is not None:
                    command = commands.unpack_command(forward[1])
                    if command[0] == commands.CALL:
                        effects.sends.append(calling.offer_of(command))
                        continue
                    effects.forwards.append((key, effect_id, forward[0], command))
                    continue
                message = messages.get(effect_id)
                if message is None:
                    continue  # a bug came between the two, and the entity is in quarantine
                policy = self.workspaces.of(entity.workspace)[0].policy
                leave_by = leave_by_ms(policy, entity, message, self.now)
                offer = message.offer(key, entity.workspace, leave_by)
                (effects.cancels if message.cancelled else effects.sends).append(offer)
        return effects

    def watch(self, feed: list[list[Any]] | None) -> None:
        """Starts (or, with None, stops) writing feed lines into a list that the host empties."""
        self._act.feed = feed


# What helps an entity to get rid of its effects, or of all, is taken even from one that met a bug.
_TAKEN_IN_QUARANTINE = frozenset(
    {commands.RELEASE, commands.SETTLE, commands.RECEIPT, commands.CALLED, commands.ERASE}
)
