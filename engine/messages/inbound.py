"""Messages that people send to us: who hears of them, and what they change.

One comes in at the entity of the address that sent it, which takes each once. Whoever that address
belongs to hears of it: the profile that its lane wrote to last, those that it belonged to before,
and, where the rules of identity name phones (or e-mails), the profile that claimed it. If there is
nobody, the address itself hears of it, so nothing is lost and a later message finds it.

To hear means: the message is kept (the newest few), a word such as STOP changes the consent, and
an event `Message Received` is taken, so that segments, entries and holds wait for it like for any
other. The address takes the consent too, since messages may be sent to it by its own name.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.msgpack import Decoder

from engine import commands, dedup, limits
from engine.conditions.consent import STATE as CONSENTS
from engine.governance import consents
from engine.governance.policy import ALL
from engine.governance.topics import SUBSCRIBED, UNSUBSCRIBED
from engine.messages.keywords import START, STOP, YES
from engine.messages.message import ADDRESS_TRAITS, PHONE_CHANNELS, RCS, SMS
from engine.packing import pack
from engine.privacy.hidden import NAMED, PREFIX, Erasure
from engine.privacy.record import SUPPRESSED, erased_ms, is_gone
from engine.reasons import Reason
from engine.slots import ADDRESS, IDENTIFIER, PROFILES, parse_key

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.entity import Entity

STATE: Final = "inbound"  # what was heard, oldest first; see `_keep`
OWNERS: Final = "owners"  # of an address: the profiles that it belongs to, newest last
EVENT: Final = "Message Received"

# How the command got here.
CARRIER: Final = 0  # from the carrier, to the address
PASSED: Final = 1  # from the address to whom it belongs, perhaps by way of an identifier
NOBODY: Final = 2  # back to the address: the identifier is nobody's

# Who says STOP to a text message says it to RCS too, which carries the same messages.
_TOGETHER: Final = {SMS: (SMS, RCS), RCS: (SMS, RCS)}


class Received(Struct, array_like=True, frozen=True, gc=False):
    """A message that somebody sent, as commands carry it.

    Attributes:
        id: A hash of the lane and the carrier's id: a repeat has the same.
        channel: Of the lane.
        lane: The lane that it came through.
        provider_id: The carrier's id of it.
        sender: Who sent it.
        to: The number or address of ours.
        body: The text.
        at_ms: When it came, on the sender's clock.
        media: Where its pictures and files are.
        values: What else the carrier told.
        keyword: What it says if it is nothing but a keyword; see `engine.messages.keywords`.
        word: That keyword.
    """

    id: str
    channel: str
    lane: str
    provider_id: str
    sender: str
    to: str
    body: str
    at_ms: int
    media: tuple[str, ...] = ()
    values: dict[str, str] | None = None
    keyword: str = ""
    word: str = ""

    def properties(self) -> dict[str, Any]:
        """What the event tells; only what there is."""
        told = {
            "channel": self.channel,
            "lane": self.lane,
            "from": self.sender,
            "to": self.to,
            "body": self.body,
            "media": list(self.media),
            "provider_id": self.provider_id,
            "keyword": self.keyword,
            "carrier": self.values or {},
        }
        return {name: value for name, value in told.items() if value or name == "body"}


unpack: Final = Decoder(Received).decode


def take_inbound(act: "Activation", command: commands.Command) -> Reason:
    """Takes a `commands.inbound`.

    Returns:
        ACCEPTED; DUPLICATE; USER_RATE or OUTBOX_FULL at an address that has sent too much.
    """
    _, _, how, packed, owner = command
    message = unpack(packed)
    kind = act.entity.kind
    if kind == ADDRESS:
        return _at_address(act, message, how, packed, owner)
    if kind == IDENTIFIER:
        return _at_identifier(act, message, packed)
    return _at_profile(act, message, packed)


def _at_profile(act: "Activation", message: Received, packed: bytes) -> Reason:
    """Hears it. Of somebody who is suppressed nothing is taken; who was erased is not there."""
    entity = act.entity
    if SUPPRESSED in entity.state:
        return Reason.ACCEPTED
    if is_gone(entity):
        if len(entity.outbox) >= limits.STUB_OUTBOX:
            return Reason.OUT_OF_TURN
        address = f"{entity.workspace}/{ADDRESS}/{message.sender}"
        act.forward(act.next_id(), commands.inbound(address, NOBODY, packed, entity.key))
        return Reason.ACCEPTED
    if entity.seen.add(_seen(message), act.now) == dedup.SEEN:
        return Reason.DUPLICATE
    _hear(act, message)
    return Reason.ACCEPTED


def _at_address(
    act: "Activation", message: Received, how: int, packed: bytes, owner: str
) -> Reason:
    entity = act.entity
    if how == NOBODY:
        return _come_back(act, message, owner)
    if len(entity.outbox) >= limits.OUTBOX:
        return Reason.OUTBOX_FULL
    seen = entity.seen.add(_seen(message), act.now)
    if seen:
        return Reason.DUPLICATE if seen == dedup.SEEN else Reason.USER_RATE
    entity.updated_ms = act.now
    _consent(act, message)
    owners = _owners(entity, owner)
    receivers = list(owners)
    trait = _identifier(message.channel)
    if trait in act.program.rules.types:
        receivers.append(f"{entity.workspace}/{IDENTIFIER}/{trait}:{entity.id}")
    for key in receivers:
        act.forward(act.next_id(), commands.inbound(key, PASSED, packed))
    if not receivers:
        _hear(act, message, consent=False)
    return Reason.ACCEPTED


def _come_back(act: "Activation", message: Received, gone: str) -> Reason:
    """Nobody was found: the address hears of it, unless there is somebody else."""
    entity = act.entity
    owners = [key for key in entity.state.get(OWNERS, ()) if key != gone]
    if gone:
        act.effects.erased.append(Erasure(entity.key, NAMED + gone))
        if OWNERS in entity.state:
            entity.state[OWNERS] = owners
    if erased_ms(entity) and _seen(message) not in entity.seen:
        return Reason.ACCEPTED  # it came before the address was erased
    if not owners and entity.seen.add("nobody " + message.id, act.now) != dedup.SEEN:
        _hear(act, message, consent=False)
    return Reason.ACCEPTED


def _at_identifier(act: "Activation", message: Received, packed: bytes) -> Reason:
    """Passes it on to whoever has claimed this identifier, or back if nobody has."""
    entity = act.entity
    if len(entity.outbox) >= limits.STUB_OUTBOX:
        return Reason.OUT_OF_TURN
    if entity.seen.add(_seen(message), act.now) == dedup.SEEN:
        return Reason.DUPLICATE
    owner = entity.state.get("owner", "")
    how = PASSED if owner else NOBODY
    target = owner or f"{entity.workspace}/{ADDRESS}/{entity.id.partition(':')[2]}"
    act.forward(act.next_id(), commands.inbound(target, how, packed))
    return Reason.ACCEPTED


def _hear(act: "Activation", message: Received, consent: bool = True) -> None:
    from engine.activation import EventView  # noqa: PLC0415 - it imports governance, as this does
    from engine.commands import TRACK  # noqa: PLC0415

    entity = act.entity
    entity.updated_ms = act.now
    _keep(entity, message)
    act.note("inbound", message.sender, f"by {message.channel}: {message.body[:_SHOWN_CHARS]}")
    if consent:
        _consent(act, message)
    event = EventView(
        TRACK, EVENT, message.id, _when(act, message), pack(message.properties()), b""
    )
    act.follow_ups.append(("event", event))


_SHOWN_CHARS: Final = 200


def _consent(act: "Activation", message: Received) -> None:
    """What a keyword changes; the trail tells it."""
    keyword, channel = message.keyword, message.channel
    if keyword not in (STOP, START, YES):
        return
    channels = list(_TOGETHER.get(channel, (channel,)))
    if keyword == YES:
        said = act.entity.state.get(CONSENTS) or {}
        channels = [c for c in channels if said.get(f"{c}/{ALL}", ("",))[0] == UNSUBSCRIBED]
    status = UNSUBSCRIBED if keyword == STOP else SUBSCRIBED
    changes = [(each, ALL, status) for each in channels]
    if not changes:
        return
    by = f"a reply of {message.word}"
    command = commands.consent(act.entity.key, message.id, changes, by, _when(act, message))
    reason = consents.take_consent(act, command)
    if reason not in (Reason.ACCEPTED, Reason.DUPLICATE):
        act.note("consent", f"{channel}/{ALL}", f"not taken, by {by}: {reason.name}")


def _keep(entity: "Entity", message: Received) -> None:
    """Keeps it as plain values; the oldest make room."""
    kept = {"id": message.id, "at_ms": message.at_ms, **message.properties()}
    entity.state[STATE] = _bounded([*entity.state.get(STATE, ()), kept])


def _bounded(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = kept[-limits.INBOUND :]
    sizes_bytes = [len(pack(one)) for one in kept]
    while len(kept) > 1 and sum(sizes_bytes) > limits.INBOUND_BYTES:
        del kept[0], sizes_bytes[0]
    return kept


def as_event(command: commands.Command) -> commands.Command:
    """The event that somebody hears of a message, as a command; any other is given as it is."""
    _, key, how, packed, _ = command
    if how != PASSED:
        return command
    message = unpack(packed)
    said = pack(message.properties())
    return commands.event(key, message.id, commands.TRACK, EVENT, message.at_ms, said)


def received_of(entity: "Entity") -> list[dict[str, Any]]:
    """What an entity has heard, oldest first: `id`, `at_ms` and `Received.properties`."""
    return list(entity.state.get(STATE, ()))


def join(mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What two profiles that become one have heard."""
    both = {one["id"]: one for one in (*theirs, *mine)}
    return _bounded(sorted(both.values(), key=lambda one: int(one["at_ms"])))


def forget_owners(entity: "Entity", names: Collection[str]) -> bool:
    """An address forgets some of those that it belongs to; False if it was none of theirs."""
    known: list[str] = entity.state.pop(OWNERS, [])
    others = [key for key in known if key not in names]
    if others:
        entity.state[OWNERS] = others
    return len(others) < len(known)


def ends_of(entity: "Entity") -> dict[str, Any]:
    """What has been said against messages to an address, as state: it outlasts its owner."""
    said = entity.state.get(CONSENTS, {}) if entity.kind == ADDRESS else {}
    ended = {name: one for name, one in said.items() if one[0] == UNSUBSCRIBED}
    return {CONSENTS: ended} if ended else {}


def _owners(entity: "Entity", owner: str) -> list[str]:
    """Whom an address belongs to, with the one that is known of just now."""
    owners: list[str] = list(entity.state.get(OWNERS, ()))
    # A hash stands for somebody erased where an archive is replayed: it counts as it did.
    if owner and (owner.startswith(PREFIX) or parse_key(owner).kind in PROFILES):
        owners = [key for key in owners if key != owner] + [owner]
        entity.state[OWNERS] = owners = owners[-limits.INBOUND_OWNERS :]
    return owners


def _identifier(channel: str) -> str:
    return "phone" if channel in PHONE_CHANNELS else ADDRESS_TRAITS.get(channel, "")


def _when(act: "Activation", message: Received) -> int:
    """When it came; a shard that lives by events has another time than its sender."""
    return act.now if act.event_time else min(message.at_ms, act.now)


def _seen(message: Received) -> str:
    return "inbound " + message.id
