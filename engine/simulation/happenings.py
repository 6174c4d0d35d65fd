"""What happens in a scenario: the items of `when`, one model for each kind.

An item says when (`at`), to whom (`user`, `anonymous`, or both), and what: an event of the Segment
Spec, definitions applied or deleted, a receipt, what they say to us, or a verb (`command`).
"""

from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, PlainValidator

from engine import commands, definitions
from engine.identity.record import AWAY, IDENTITY
from engine.issues import DefinitionError, did_you_mean, kind_of, listed
from engine.messages import inbound
from engine.messages.keywords import keyword_of
from engine.messages.message import ADDRESS_TRAITS, SMS, Message
from engine.messages.states import WITH_SENDER
from engine.packing import pack
from engine.reasons import Reason
from engine.schema import EventName, Strict, refusal
from engine.simulation import events
from engine.simulation.moments import MomentField
from engine.simulation.sender import CARRIER, outcome_of
from engine.simulation.verbs import VERBS
from engine.simulation.world import World
from engine.slots import ADDRESS

Values = dict[str, Any]


def _answer(value: Any) -> str:
    if value not in Reason.__members__:
        hint = did_you_mean(value, Reason.__members__)
        raise refusal(f"must be a reason like TRAITS_FULL, not {kind_of(value)}", hint)
    return str(value)


def _outcome(value: Any) -> Reason:
    reason = outcome_of(value) if isinstance(value, str) else None
    if reason is None:
        names = [name.lower() for name, one in Reason.__members__.items() if one >= Reason.QUEUED]
        hint = did_you_mean(value, names)
        raise refusal(f"must be an outcome like delivered, not {kind_of(value)}", hint)
    return reason


class Happening(Strict):
    """The base of everything that happens.

    Attributes:
        key: The field that tells this kind from the others.
        answer: The reason with which it must be answered.
    """

    noun: ClassVar[str] = "something that happens"
    key: ClassVar[str]
    at: MomentField
    user: str = ""
    anonymous: str = ""
    answer: Annotated[str, BeforeValidator(_answer)] = Reason.ACCEPTED.name

    def play(self, world: World) -> str:
        """Lets it happen; gives what is wrong with the answer, or an empty text."""
        found = self.do(world)
        if found is None or found.name == self.answer:
            return ""
        return f"it was answered {found.name}, not {self.answer}"

    def do(self, world: World) -> Reason | None:
        """Lets it happen; gives the answer, or None if it has none."""
        raise NotImplementedError


class EventHappening(Happening):
    """The base of events."""

    id: str = ""
    timestamp: MomentField | None = None
    context: Values = Field(default_factory=dict)

    def event(self) -> Values:
        """What the event's own type adds to it, as the Segment Spec writes it."""
        raise NotImplementedError

    def do(self, world: World) -> Reason:
        """Lets the event come in."""
        if not self.user and not self.anonymous:
            raise refusal("an event needs a user or an anonymous visitor")
        event = {
            **self.event(), "type": self.key, "userId": self.user, "anonymousId": self.anonymous,
            "messageId": self.id, "context": self.context,
        }  # fmt: skip
        if self.timestamp is not None:
            event["timestamp"] = self.timestamp.at(world.start_ms)
        return world.happen(event)


class Identify(EventHappening):
    """Traits are set."""

    key: ClassVar[str] = "identify"
    identify: Values

    def event(self) -> Values:
        """See `EventHappening`."""
        return {"traits": self.identify}


class Track(EventHappening):
    """Somebody did something."""

    key: ClassVar[str] = "track"
    track: EventName
    properties: Values = Field(default_factory=dict)

    def event(self) -> Values:
        """See `EventHappening`."""
        return {"event": self.track, "properties": self.properties}


class Page(EventHappening):
    """Somebody saw a page."""

    key: ClassVar[str] = "page"
    page: str
    properties: Values = Field(default_factory=dict)

    def event(self) -> Values:
        """See `EventHappening`."""
        return {"name": self.page, "properties": self.properties}


class Screen(EventHappening):
    """Somebody saw a screen of an app."""

    key: ClassVar[str] = "screen"
    screen: str
    properties: Values = Field(default_factory=dict)

    def event(self) -> Values:
        """See `EventHappening`."""
        return {"name": self.screen, "properties": self.properties}


class Group(EventHappening):
    """Somebody belongs to an account."""

    key: ClassVar[str] = "group"
    group: str
    traits: Values = Field(default_factory=dict)

    def event(self) -> Values:
        """See `EventHappening`."""
        return {"groupId": self.group, "traits": self.traits}


class Alias(EventHappening):
    """Somebody had another id before."""

    key: ClassVar[str] = "alias"
    alias: str

    def event(self) -> Values:
        """See `EventHappening`."""
        return {"previousId": self.alias}


class _Change(Happening):
    """The base of changes to definitions.

    Attributes:
        refused: Words that the refusal must hold; empty if it must not be refused.
    """

    refused: str = ""

    def change(self, world: World) -> Reason:
        """Makes the change."""
        raise NotImplementedError

    def play(self, world: World) -> str:
        """See `Happening`."""
        try:
            self.change(world)
        except DefinitionError as error:
            if self.refused and self.refused in str(error):
                return ""
            wanted = f"; it was to hold {self.refused!r}" if self.refused else ""
            return f"the definitions were refused: {error}{wanted}"
        return f"it was to be refused with {self.refused!r}, and was taken" if self.refused else ""


class Apply(_Change):
    """Definitions are applied."""

    key: ClassVar[str] = "apply"
    apply: list[Values]

    def change(self, world: World) -> Reason:
        """See `_Change`."""
        return world.define(self.apply)


class Delete(_Change):
    """Definitions are deleted, each named as `journey/cart`."""

    key: ClassVar[str] = "delete"
    delete: list[str]

    def change(self, world: World) -> Reason:
        """See `_Change`."""
        labels = [label.partition("/") for label in self.delete]
        gone = [definitions.Document(kind, name, None) for kind, _, name in labels]
        return world.change(gone)


class Receipt(Happening):
    """A carrier tells what became of the newest message, or the newest of a template.

    Attributes:
        hop: Of which attempt it tells, of a message that went on by another lane: 0 for the first.
            Without it it is the newest.
        lane: The lane that it came by, if it is not the newest.
    """

    key: ClassVar[str] = "receipt"
    receipt: Annotated[Reason, PlainValidator(_outcome)]
    template: str = ""
    hop: int | None = None
    lane: str = ""
    code: str = ""
    detail: str = ""

    def do(self, world: World) -> Reason:
        """Lets the receipt come in."""
        entity = world.person(self.user, self.anonymous)
        message = self._newest(list(entity.messages.values()) if entity else [])
        assert entity is not None
        key = events.key_of(world.workspace, self.user, self.anonymous)
        # Of what a profile had handed out that is merged into this one the sender tells that one.
        home = entity.state.get(IDENTITY, {}).get(AWAY, {}).get(message.id)
        is_out = message.id in entity.outbox or home is not None
        settle = is_out and self.receipt not in WITH_SENDER
        hop = message.hop if self.hop is None else self.hop
        offer_id = f"{message.id}.{hop}" if hop else message.id
        world.sender.held.pop(offer_id, None)
        return world.do(
            commands.receipt(
                home or key, offer_id, self.receipt, world.now, settle, CARRIER,
                self.lane or message.lane, self.code, self.detail,
            )
        )  # fmt: skip

    def _newest(self, messages: list[Message]) -> Message:
        for message in reversed(messages):
            if not self.template or message.template == self.template:
                return message
        known = {message.template for message in messages}
        of = f" of template {self.template!r}" if self.template else ""
        raise refusal(f"there is no message{of} yet", did_you_mean(self.template, known))


class Says(Happening):
    """Somebody writes to us, from the address at which the channel would reach them.

    Attributes:
        says: The text.
        address: From where, if it is none of their traits; without a person it is nobody's yet.
        id: The carrier's id of it: a second one with the same id is a repeat.
    """

    key: ClassVar[str] = "says"
    says: str
    channel: str = SMS
    lane: str = ""
    address: str = ""
    id: str = ""

    def do(self, world: World) -> Reason:
        """Lets it come in."""
        person = world.person(self.user, self.anonymous)
        trait = ADDRESS_TRAITS.get(self.channel, "")
        address = self.address or str(person.traits.get(trait, "") if person else "")
        if not address:
            raise refusal(f"they have no {trait or 'address'} to write from", "give an address")
        keyword, word = keyword_of(self.says)
        received = inbound.Received(
            self.id or f"i{world.shard.seq}", self.channel, self.lane or self.channel, "", address,
            "", self.says, world.now, (), None, keyword, word,
        )  # fmt: skip
        key = f"{world.workspace}/{ADDRESS}/{address}"
        owner = person.key if person else ""
        return world.do(commands.inbound(key, inbound.CARRIER, pack(received), owner))


class Told(Happening):
    """A verb of `engine.simulation.verbs` is done."""

    key: ClassVar[str] = "command"
    command: str
    fields: Values = Field(default_factory=dict)

    def do(self, world: World) -> Reason | None:
        """Does it."""
        named = self.user or self.anonymous
        key = events.key_of(world.workspace, self.user, self.anonymous) if named else ""
        command = VERBS[self.command].do(world, key, self.fields)
        return None if command is None else world.do(command)


KINDS: Final[dict[str, type[Happening]]] = {
    kind.key: kind
    for kind in (Identify, Track, Page, Screen, Group, Alias, Apply, Delete, Receipt, Says, Told)
}
_COMMON: Final = tuple(Happening.model_fields)


def read(value: Any) -> Happening:
    """Something that happens, from plain values.

    Raises:
        PydanticCustomError: Nothing tells its kind, or its verb is not known.
        ValidationError: It is not good of its kind.
    """
    if not isinstance(value, dict):
        raise refusal(f"must be something that happens, as a map, not {kind_of(value)}")
    if Told.key in value:
        return Told.model_validate(_told(value))  # whose own fields may be called like a kind
    kinds = [key for key in KINDS if key in value]
    if len(kinds) > 1:
        raise refusal(f"is {' and '.join(kinds)} at once", "make two items of it")
    if not kinds:
        known = (*KINDS, *_COMMON)
        strange = [key for key in value if key not in _COMMON]
        hint = next(filter(None, (did_you_mean(key, known) for key in strange)), "")
        raise refusal(f"has none of {listed(KINDS)}", hint)
    return KINDS[kinds[0]].model_validate(value)


def _told(value: Values) -> Values:
    """The map of a verb, its own fields set apart and checked."""
    word = value[Told.key]
    if word not in VERBS:
        hint = did_you_mean(word, VERBS) or f"the verbs are {listed(VERBS)}"
        raise refusal(f"there is no command {word!r}", hint)
    verb = VERBS[word]
    own = {name: item for name, item in value.items() if name not in (*_COMMON, Told.key)}
    for name in own:
        if name not in verb.fields:
            known = (*verb.fields, *_COMMON)
            hint = did_you_mean(name, known) or f"its fields are {listed(known)}"
            raise refusal(f"{name!r} is not a field of command {word!r}", hint)
    for name in verb.needed:
        if name not in own:
            raise refusal(f"command {word!r} needs {name!r}")
    return {**{name: item for name, item in value.items() if name not in own}, "fields": own}


HappeningField = Annotated[Happening, PlainValidator(read)]
