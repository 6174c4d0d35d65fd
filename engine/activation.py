"""An activation: one command, or one timer, at work on one entity.

It is the only hand that steps, conditions and the shard itself have on the outside: the time, ids,
timers, messages and the trail all go through it. So whatever is built on top stays deterministic
without having to think of it.
"""

from collections.abc import Container
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from xxhash import xxh3_128_hexdigest

from engine import limits
from engine.commands import TRACK, Command, call_back
from engine.entity import Entity
from engine.governance import caps, held
from engine.governance.judge import judge, leave_by_ms
from engine.governance.waiting import STATE as WAITING
from engine.journeys.context import map_in, properties_of
from engine.messages.message import ADDRESS_TRAITS, Message, SendRequest, Way, new_message
from engine.packing import pack
from engine.program import Program
from engine.reasons import Reason
from engine.slots import ADDRESS, shard_of, slot_of
from engine.tables.source import NO_TABLES, Tables

if TYPE_CHECKING:
    from engine.routes.routing import Routes
    from engine.segments.definition import Segment
    from engine.shard import Effects


_NOTHING: Final[dict[str, Any]] = {}
_QUEUED: Final = Reason.QUEUED  # to find a member of its enum takes ten times as long as a global


class EventView(Struct, eq=False, gc=False):
    """One event, as filters and steps see it; its properties are decoded once, if asked for.

    Attributes:
        type: An index into `commands.EVENT_TYPES`.
        name: The name under which journeys and segments know it.
        message_id: The client's id of it.
        timestamp_ms: When it happened.
        raw: Its properties, packed.
        context_raw: Its context, packed.
        unreadable: Whether its properties were asked for and turned out to be no map; it then has
            none. The door refuses such an event, so this only bounds the harm of one that was
            journaled all the same.
        decoded: Its properties, once they were asked for.
    """

    type: int
    name: str
    message_id: str
    timestamp_ms: int
    raw: bytes
    context_raw: bytes
    unreadable: bool = False
    decoded: dict[str, Any] | None = None

    @property
    def properties(self) -> dict[str, Any]:
        """The properties (or traits) as a map."""
        properties = self.decoded
        if properties is None:
            properties = map_in(self.raw) if self.raw else {}
            if properties is None:
                self.unreadable = True
                properties = {}
            self.decoded = properties
        return properties


class Activation:
    """One command or timer on one entity; see the module's text.

    Attributes:
        now: The shard's time, Unix milliseconds. For a timer, the moment at which it was due.
        entity: The entity at work.
        event: The newest event that journeys looked at; not always of this activation.
        event_time: Whether events drive the clock, so that days may pass in a moment.
        program: The workspace's compiled definitions.
        routes: The workspace's routes.
        effects: What the shard hands out once the entry is durable.
        shards: How many shards there are.
        secret: What keys are hashed with; see `engine.privacy.record.digest`.
        follow_ups: What the activation's own doing has led to; see `engine.follow_ups`.
        tables: Where rows of tables are found.
        timers_changed: Whether the entity's earliest timer has to be found again.
        unsettled: Segments that are evaluated with the event at hand; see `profile.refresh`.
        workspace: Whose definitions `program` and `routes` are; empty if they are to be found anew.
    """

    __slots__ = (
        "effects", "entity", "event", "event_time", "feed", "follow_ups", "now", "program",
        "routes", "secret", "shards", "tables", "timers_changed", "unsettled", "workspace",
    )  # fmt: skip

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.event_time = False
        self.now = 0
        self.entity: Entity
        self.event: EventView | None = None
        self.workspace = ""
        self.program: Program
        self.routes: Routes
        self.effects: Effects
        self.tables: Tables = NO_TABLES
        self.secret = b""
        self.timers_changed = False
        self.follow_ups: list[tuple[str, Any]] = []
        self.unsettled: tuple[Segment, ...] = ()
        self.feed: list[list[Any]] | None = None

    def set_timer(self, token: str, due_ms: int) -> None:
        """Sets or moves the timer of this token."""
        self.entity.timers[token] = due_ms
        self.timers_changed = True

    def clear_timer(self, token: str) -> None:
        """Clears the timer of this token, if there is one."""
        if self.entity.timers.pop(token, None) is not None:
            self.timers_changed = True

    def next_id(self) -> str:
        """A new id of 32 hexadecimal characters: a hash of the entity's key and counter."""
        entity = self.entity
        counter = entity.counter = entity.counter + 1
        return xxh3_128_hexdigest(f"{entity.key}#{counter}".encode())

    def properties_of(self, raw: bytes) -> dict[str, Any]:
        """The properties that an instance keeps as bytes, decoded again only if they must be."""
        event = self.event
        if event is not None and event.raw is raw and event.decoded is not None:
            return event.decoded
        return properties_of(raw)

    def forward(self, forward_id: str, command: Command) -> None:
        """Hands a command to another entity, once.

        Args:
            forward_id: Its id, from `next_id`; the command carries it, so that the target can tell
                a repeat.
            command: The command; its second item is the target's key.

        Durability: The effect is part of this entity until the target has journaled the command.
        """
        entity = self.entity
        shard = shard_of(slot_of(command[1]), self.shards)
        entity.outbox[forward_id] = (shard, pack(command))
        self.effects.forwards.append((entity.key, forward_id, shard, command))

    def emit(self, name: str, raw: bytes) -> None:
        """Makes an event of the entity's own; it is taken as a follow-up, in the same entry.

        Args:
            name: The event's name.
            raw: Its properties (msgpack), or nothing.
        """
        event = EventView(TRACK, name, self.next_id(), self.now, raw, b"")
        self.follow_ups.append(("event", event))

    def note(self, kind: str, subject: str, why: str) -> None:
        """Adds a line to the user's trail, and to the feed if someone watches."""
        self.entity.note(self.now, kind, subject, why)
        if self.feed is not None:
            self.tell(kind, subject, why)

    def tell(self, kind: str, subject: str, detail: str) -> None:
        """Adds a line to the feed, for those who watch now; the trail has none of it.

        Call it only if `feed` is not None, so that nobody makes words that nobody reads.
        """
        entity = self.entity
        if self.feed is not None:
            self.feed.append(
                [self.now, entity.workspace, kind, entity.id, subject, detail, entity.key]
            )

    def send(self, request: SendRequest, message_id: str = "") -> tuple[str, Reason]:
        """Makes a message and the effect that hands it to a sender.

        Args:
            request: The rendered message.
            message_id: Its id, if the caller has one already; else one is made.

        Returns:
            The message's id and QUEUED; or its id and HELD, if it has to wait first; or its id and
            the reason why it will not be sent (NO_ADDRESS, NO_ROUTE, or what `engine.governance`
            has against it), recorded in the message's history and in the trail; or an empty id
            and OUTBOX_FULL.

        Durability: The message and its effect are part of the entity; they are durable with the
            entry at work, and the effect is handed out only then.
        """
        entity = self.entity
        if len(entity.outbox) >= limits.OUTBOX:
            self.note("message", request.template, f"not sent: {limits.OUTBOX} are waiting already")
            return "", Reason.OUTBOX_FULL
        to = self.address_of(request)
        routes = self.routes
        ways: tuple[Way, ...] = ()
        if to and request.channel in routes.defined:
            ways = routes.ways(request, to, entity.key)
            lane = ways[0][0] if ways else ""
        else:
            lane = routes.lane_for(request.channel, to, request.lane) if to else ""
        if not lane:
            reason = Reason.NO_ROUTE if to else Reason.NO_ADDRESS
            why = _why_unsent(reason, request, routes)
            return self.send_failed(request, reason, why, message_id)
        id_ = message_id or self.next_id()
        policy = self.program.policy
        if policy is not None or entity.state:
            stopped = self._govern(id_, request, to, lane)
            if stopped is not None:
                return id_, stopped
        if ways:
            request.sender, request.others = ways[0][1], ways[1:]
        entity.outbox[id_] = None
        message = self._keep(id_, request, to, lane, _QUEUED, "")
        leave_by = leave_by_ms(policy, entity, message, self.now) if policy else 0
        self.effects.sends.append(message.offer(entity.key, entity.workspace, leave_by))
        if policy is not None and policy.caps:
            label = caps.label_of(request.channel, request.purpose, request.topic, request.tags)
            self.sent(id_, label, request.priority)
        return id_, _QUEUED

    def schedule(
        self, request: SendRequest, at_ms: int, message_id: str = ""
    ) -> tuple[str, Reason]:
        """Keeps a message until a moment, at which everything is asked and its text made anew.

        Args:
            request: The message, rendered as of now. Its validity begins at the moment.
            at_ms: The moment.
            message_id: As for `send`.

        Returns:
            The message's id and SCHEDULED; or an empty id and OUTBOX_FULL if too many wait.
        """
        id_ = message_id or self.next_id()
        if not held.schedule(self, id_, request, at_ms):
            return "", Reason.OUTBOX_FULL
        request.validity_ms += at_ms - self.now
        self._keep(id_, request, self.address_of(request), "", Reason.SCHEDULED, "")
        return id_, Reason.SCHEDULED

    def _govern(self, id_: str, request: SendRequest, to: str, lane: str) -> Reason | None:
        """Keeps a message that may not go out now: to wait, or only for the record."""
        verdict = judge(self, request, self.now + request.validity_ms)
        if verdict is None:
            return None
        if verdict.until_ms:
            refused = held.hold(self, id_, request, verdict)
            if refused is None:
                self._keep(id_, request, to, lane, Reason.HELD, verdict.why)
                return Reason.HELD
            verdict = refused
        return self.send_failed(request, verdict.reason, verdict.why, id_)[1]

    def sent(self, message_id: str, label: str, priority: int) -> None:
        """Counts a message that goes out, by its `caps.label_of`, for frequency caps."""
        policy = self.program.policy
        if policy is not None and policy.caps:
            policy.caps.count(self.entity, label, self.now)
            went = self.effects.went.setdefault(self.entity.key, [])
            went.append((self.now, priority, label, message_id))

    def why(self, message_id: str) -> str:
        """What was said last of a message, in words."""
        message = self.entity.kept.get(message_id)
        return message.history[-1][3] if message is not None else ""

    def send_failed(
        self, request: SendRequest, reason: Reason, why: str, message_id: str = ""
    ) -> tuple[str, Reason]:
        """Records a message that will not be sent, in its history and in the trail.

        Args:
            request: The message, as far as it could be made.
            reason: NO_ADDRESS, NO_ROUTE, RENDER_FAILED, or a verdict of `engine.governance`.
            why: In words.
            message_id: As for `send`.

        Returns:
            The message's id and the reason.
        """
        id_ = message_id or self.next_id()
        self._keep(id_, request, self.address_of(request), "", reason, why)
        self.note("message", id_, f"not sent: {reason.name}, {why}")
        return id_, reason

    def address_of(self, request: SendRequest) -> str:
        """Where a message goes: the address that it names, else the profile's, or empty.

        An address of which nobody is known is answered at itself.
        """
        entity = self.entity
        to = request.to or str(entity.traits.get(ADDRESS_TRAITS[request.channel]) or "")
        if not to and entity.kind == ADDRESS:
            to = entity.id if ADDRESS_TRAITS[request.channel] == _trait_of(entity.id) else ""
        return to

    def cancel(self, message_id: str, why: str) -> None:
        """Asks for a message not to be sent any more, if it has not left.

        The message's history tells how it ended: CANCELLED, or SENT if it was too late.
        """
        entity = self.entity
        if message_id not in entity.outbox:
            if not held.cancel(self, message_id, why):
                self._call_back(message_id, why)
            return
        kept = entity.kept
        at = kept.where(message_id)
        if at < 0:
            return
        message = kept.at(at)
        if message.cancelled:
            return
        message.cancelled = True
        message.others = ()
        kept.put(at, message)
        self.effects.cancels.append(message.offer(entity.key, entity.workspace))
        self.note("message", message_id, f"cancel asked: {why}")

    def _call_back(self, message_id: str, why: str) -> None:
        """Cancels a message that a profile which is merged into this one had handed out."""
        entity = self.entity
        home = entity.state.get("identity", _NOTHING).get("away", _NOTHING).get(message_id)
        at = entity.kept.where(message_id) if home else -1
        if at < 0:
            return
        message = entity.kept.at(at)
        if not message.cancelled:
            message.cancelled = True
            entity.kept.put(at, message)
            forward_id = self.next_id()
            self.forward(forward_id, call_back(home, forward_id, message_id, why))
            self.note("message", message_id, f"cancel asked: {why}")

    def _keep(
        self, id_: str, request: SendRequest, to: str, lane: str, reason: Reason, why: str
    ) -> Message:
        """Makes a message with its first outcome and keeps it; past the limit an old one goes.

        A message that goes out is in the outbox before it comes here, one that waits is noted as
        such, and so is one that a merged profile handed out: none is ever dropped, or it could not
        be handed over later, or nobody would hear what became of it.
        """
        entity = self.entity
        message = new_message(id_, request, to, lane, self.now, int(reason), why)
        outcomes = self.effects.outcomes
        outcomes[reason] = outcomes.get(reason, 0) + 1
        if self.feed is not None:
            words = f"{reason.name} {message.channel} to {to} {message.body}"
            self.tell("message", id_, words)
        waiting: Container[str] = entity.outbox
        state = entity.state
        if state:
            held, away = state.get(WAITING), state.get("identity", _NOTHING).get("away")
            if held or away:
                waiting = {*entity.outbox, *(held or ()), *(away or ())}
        entity.kept.keep(message, waiting)
        return message


def _why_unsent(reason: Reason, request: SendRequest, routes: "Routes") -> str:
    if reason == Reason.NO_ADDRESS:
        trait = ADDRESS_TRAITS[request.channel]
        return f"the profile has no {trait!r} for channel {request.channel}"
    if request.channel in routes.defined and not request.lane:
        return f"no rule of route {request.channel!r} takes it"
    return f"no {request.channel} lane takes this address"


def _trait_of(address: str) -> str:
    """The trait in which a profile has an address like this one."""
    return "email" if "@" in address else "phone" if address.startswith("+") else ""
