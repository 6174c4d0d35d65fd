"""Backtests: recorded days played again under changed definitions, beside what really happened.

Up to the beginning of the period one shard is played under the definitions of its days. There its
state is copied; one copy goes on as it was, the other takes the changed definitions, evaluates
everyone, and goes on with the same commands. Nothing is sent: on the changed side a sender that
obeys takes every message at once. Receipts of the past reach it as they came; a message that was
made then and is made again has the same id only as long as nothing before it differs. A merge of
two people in these days brings what really was of them.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from engine import commands, definitions
from engine.commands import Command
from engine.definition_kinds import JOURNEY
from engine.definitions import Document
from engine.entities import Row
from engine.issues import DefinitionError
from engine.journeys import walk
from engine.messages.states import WITH_SENDER
from engine.program import EMPTY, Program
from engine.reasons import Reason
from engine.shard import Effects, Shard
from engine.simulation.past import Definitions
from engine.simulation.sender import Sender
from engine.slots import parse_key

ENTERED: Final = "entered"
SENT: Final = "sent"
NOT_SENT: Final = "not sent"
# Outcomes of a message that went out, or would have.
_WENT_OUT: Final = WITH_SENDER | {
    Reason.SENT, Reason.DELIVERED, Reason.READ, Reason.UNDELIVERED, Reason.UNKNOWN_OUTCOME,
}  # fmt: skip
_ALL_ROWS: Final = 2**31
_REFRESHED: Final = 500

Moment = tuple[int, Sequence[Command]]
Place = tuple[int, int]


class Happened(NamedTuple):
    """Something that a journey did, or would have done.

    Attributes:
        ms: When.
        key: For whom.
        what: `entered`, `sent` or `not sent`.
        name: The journey, or the message's template.
        detail: The key of the run, or why it was not sent.
    """

    ms: int
    key: str
    what: str
    name: str
    detail: str


class Side:
    """One of two copies of a shard, and what its journeys do.

    Args:
        place: Which shard it is, and how many there are.
        workspace: The workspace that is looked at.
        rows: The entities with which it begins.
    """

    def __init__(self, place: Place, workspace: str, rows: dict[str, Row] | None = None) -> None:
        self._rows: dict[str, Row] = {}
        self._keys: list[str] = []
        self.hold(rows or {})
        self.workspace = workspace
        self.shard = Shard(*place, self._load, self._scan)
        self._feed: list[list[Any]] = []
        self._happened: list[Happened] = []
        self._messages: dict[tuple[str, str], int] = {}

    @property
    def program(self) -> Program:
        """The definitions in force."""
        return self.shard.programs.get(self.workspace, EMPTY)

    def hold(self, rows: dict[str, Row]) -> None:
        """Takes rows, from which entities that are dropped from memory are loaded again."""
        self._rows = rows
        self._keys = sorted(rows)

    def watch(self) -> None:
        """Takes down what journeys do from here on."""
        self.shard.watch(self._feed)

    def play(self, now_ms: int, chunk: Sequence[Command]) -> None:
        """Plays commands at a moment, after what is due by then."""
        self._apply(now_ms, chunk)

    def happened(self) -> Iterator[Happened]:
        """All that was taken down, messages with what became of them."""
        yield from self._happened
        for (key, message_id), ms in self._messages.items():
            entity = self.shard.peek(key)
            message = entity.kept.get(message_id) if entity else None
            if message is None:
                yield Happened(ms, key, SENT, "", "")  # so many came after it that it is gone
            elif message.status in _WENT_OUT:
                yield Happened(ms, key, SENT, message.template, "")
            else:
                why = Reason(message.status).name
                yield Happened(ms, key, NOT_SENT, message.template, why)

    def _apply(self, now_ms: int, chunk: Sequence[Command]) -> Effects:
        payload = commands.pack_payload([commands.pack_chunk(chunk)]) if chunk else b""
        effects = self.shard.apply(self.shard.seq + 1, now_ms, 0, payload)
        self._take_down()
        return effects

    def _take_down(self) -> None:
        for ms, workspace, kind, _, subject, detail, key in self._feed:
            if workspace != self.workspace:
                continue
            if kind == "journey" and detail.startswith(ENTERED):
                run = detail.partition(": ")[0].removeprefix(ENTERED).removeprefix(" with key ")
                self._happened.append(Happened(ms, key, ENTERED, subject, run))
            elif kind == "message" and detail.partition(" ")[0] in Reason.__members__:
                self._messages.setdefault((key, subject), ms)
        self._feed.clear()

    def _load(self, key: str) -> tuple[int, bytes] | None:
        row = self._rows.get(key)
        return (row[1], row[5]) if row and row[5] is not None else None

    def _scan(self, after: str, limit: int) -> list[tuple[str, int, bytes]]:
        first = bisect_right(self._keys, after)
        keys = self._keys[first : first + limit]
        return [(key, self._rows[key][1], self._rows[key][5] or b"") for key in keys]


class Changed(Side):
    """The side that takes changed definitions; its messages go to a sender that obeys."""

    def __init__(self, place: Place, workspace: str, rows: dict[str, Row]) -> None:
        super().__init__(place, workspace, rows)
        self._sender = Sender()
        self._own: frozenset[tuple[str, str]] = frozenset()

    def change(self, now_ms: int, documents: Sequence[Document]) -> None:
        """Puts definitions into force, and evaluates everyone under them.

        Raises:
            DefinitionError: They are refused.
        """
        definitions.check(documents, self.program)
        self._own = frozenset((document.kind, document.name) for document in documents)
        wire, version = definitions.to_wire(documents), self.program.version + 1
        self.play(now_ms, ())
        install = commands.install("backtest", "", self.workspace, version, wire)
        self._settle(self._apply(now_ms, [install]))
        self._refresh_all(now_ms)

    def play(self, now_ms: int, chunk: Sequence[Command]) -> None:
        """See `Side`; what is due between two moments happens at its own, receipts included."""
        while (due_ms := self.shard.next_due_ms()) is not None and due_ms <= now_ms:
            self._settle(self._apply(max(due_ms, self.shard.now), ()))
        own = [self._install(one) if one[0] == commands.INSTALL else one for one in chunk]
        own = [one for one in own if not self._begins_a_changed_journey(one)]
        if own:
            self._settle(self._apply(now_ms, own))

    def _begins_a_changed_journey(self, command: Command) -> bool:
        """Whether a command of the past belongs to a broadcast that is walked anew here."""
        return bool(
            command[0] == commands.ENTER
            and command[6] >= 0
            and (JOURNEY, command[3]) in self._own
            and parse_key(command[1]).workspace == self.workspace
        )

    def _install(self, command: Command) -> Command:
        """A version of the past's definitions, without what was changed."""
        workspace = command[4]
        program = self.shard.programs.get(workspace, EMPTY)
        changes = definitions.from_wire(command[6])
        if workspace == self.workspace:
            changes = [change for change in changes if change[:2] not in self._own]
        documents = [Document(kind, name, body) for kind, name, body in changes]
        wire = definitions.to_wire(documents)
        return commands.install(command[2], command[3], workspace, program.version + 1, wire)

    def _refresh_all(self, now_ms: int) -> None:
        after = ""
        prefix = f"{self.workspace}/"
        while page := self.shard.scan(after, _REFRESHED):
            after = page[-1].key
            chunk = [commands.refresh(one.key) for one in page if one.key.startswith(prefix)]
            self.play(now_ms, chunk)

    def _settle(self, effects: Effects) -> None:
        """Sends what is to be sent and answers the broadcasts of changed journeys.

        All else that goes to other entities came in as a command in those days already.
        """
        waiting = [effects]
        while waiting:
            effects = waiting.pop()
            called_back = {offer[0] for offer in effects.cancels}
            receipts: list[Command] = []
            for offer in effects.sends:
                if offer[0] not in called_back:
                    receipts += self._sender.offer(offer, "", self.shard.now)
            for offer in effects.cancels:
                receipts += self._sender.cancel(offer, self.shard.now)
            if receipts:
                waiting.append(self._apply(self.shard.now, receipts))
            for _, _, _, forward in effects.forwards:
                if forward[0] == commands.WALK and (JOURNEY, forward[3]) in self._own:
                    found = walk.answer(self.shard, forward)
                    waiting.append(self._apply(self.shard.now, found))


class Backtest:
    """Plays one shard's past twice from a moment on; see the module's text.

    Args:
        documents: The changed definitions.
        from_ms: When they come into force; None for as soon as all that they use is defined.
        to_ms: When it ends; what happens then is left out.
        place: Which shard it is, and how many there are.
        workspace: The workspace of the definitions.
        before: Versions of definitions from before the first moment that is played.
        alone: Whether there is nothing to compare with, so that one side is enough.

    Attributes:
        from_ms: When they come into force, or None as long as that is not known.
        real: The side that goes on as it was.
        changed: The side with the changed definitions, from `from_ms` on.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        from_ms: int | None,
        to_ms: int,
        place: Place,
        workspace: str,
        before: Iterable[Definitions] = (),
        alone: bool = False,
    ) -> None:
        self._documents = documents
        self.from_ms = from_ms
        self._to_ms = to_ms
        self._place = place
        self._workspace = workspace
        self._before = list(before)
        self._alone = alone
        self._installed: list[tuple[str, int, bytes]] = [*self._before]
        self.real = Side(place, workspace)
        self.changed: Changed | None = None
        for workspace, version, wire in self._before:
            self.real.shard.install(workspace, version, wire)

    def play(self, moment: Moment) -> bool:
        """Plays a moment; False if it lies past the end."""
        now_ms, chunk = moment
        if now_ms >= self._to_ms:
            return False
        if self.changed is None and self.from_ms is not None and now_ms >= self.from_ms:
            self._part(self.from_ms)
        if self.changed is None or not self._alone:
            self.real.play(now_ms, chunk)
        if self.changed is not None:
            self.changed.play(now_ms, chunk)
            return True
        installed = [one for one in chunk if one[0] == commands.INSTALL]
        self._installed += [(one[4], one[5], one[6]) for one in installed]
        if self.from_ms is None and (installed or self._before) and self._may_begin():
            self._part(now_ms)
        return True

    def end(self, to_ms: int | None = None) -> tuple[list[Happened], list[Happened]]:
        """Lets the rest of the period pass; what happened, and what would have.

        Args:
            to_ms: An end that is earlier than it was to be.

        Raises:
            DefinitionError: The changed definitions are refused.
        """
        if to_ms is not None:
            self._to_ms = to_ms
        if self.changed is None:
            self._part(self._to_ms if self.from_ms is None else self.from_ms)
        assert self.changed is not None
        assert self.from_ms is not None
        sides: list[list[Happened]] = []
        for side in (self.real, self.changed):
            side.play(max(side.shard.now, self._to_ms - 1), ())
            found = [one for one in side.happened() if self.from_ms <= one.ms < self._to_ms]
            sides.append(sorted(found))
        return sides[0], sides[1]

    def _may_begin(self) -> bool:
        try:
            definitions.check(self._documents, self.real.program)
        except DefinitionError:
            return False
        return True

    def _part(self, from_ms: int) -> None:
        """Copies the state, and changes one of the copies."""
        real, self.from_ms = self.real, from_ms
        real.play(max(real.shard.now, from_ms), ())
        taken = real.shard.take_rows(_ALL_ROWS)
        real.shard.rows_stored(taken)
        rows = {row[0]: row for row in taken if row[5] is not None}
        real.hold(rows)
        changed = self.changed = Changed(self._place, self._workspace, rows)
        changed.shard.tables = real.shard.tables
        changed.shard.secret = real.shard.secret
        for workspace, version, wire in self._installed:
            changed.shard.install(workspace, version, wire)
        due = [(key, row[2]) for key, row in sorted(rows.items()) if row[2] is not None]
        changed.shard.recover(len(rows), due, real.shard.sizes, real.shard.now)
        changed.shard.seq = real.shard.seq
        for side in (real, changed):
            side.watch()
        changed.change(from_ms, self._documents)


class Difference(NamedTuple):
    """Something that only one side has: `with_change` says which."""

    happened: Happened
    with_change: bool


def differences(real: Iterable[Happened], changed: Iterable[Happened]) -> list[Difference]:
    """What only one side has, the earliest first."""
    then, now = Counter(real), Counter(changed)
    found = [Difference(one, False) for one in (then - now).elements()]
    found += [Difference(one, True) for one in (now - then).elements()]
    return sorted(found)


def counts(happened: Iterable[Happened]) -> dict[tuple[str, str], tuple[int, int]]:
    """`(what, name)` to how often it happened and to how many people."""
    times: Counter[tuple[str, str]] = Counter()
    people: dict[tuple[str, str], set[str]] = {}
    for one in happened:
        label = one.what, one.name
        times[label] += 1
        people.setdefault(label, set()).add(one.key)
    return {label: (times[label], len(people[label])) for label in sorted(times)}
