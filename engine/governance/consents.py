"""How consent comes in: with events, as Segment writes it, and from the API.

An identify may say it in its context (`messaging_subscriptions`), a preference page or a reply by
the API. Either way it is the newest word that counts, by when it was said: an event that comes late
does not overrule what was said after it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from msgspec import MsgspecError, Struct
from msgspec.msgpack import Decoder

from engine import dedup, limits, profile
from engine.commands import Command
from engine.conditions.consent import STATE, fact
from engine.governance.judge import unwilling
from engine.governance.policy import ALL
from engine.governance.topics import STATUSES, SUBSCRIBED, UNKNOWN, UNSUBSCRIBED
from engine.messages.message import CHANNELS, PUSH
from engine.reasons import Reason

if TYPE_CHECKING:
    from engine.activation import Activation, EventView

MARK: Final = b"messaging_subscriptions"  # in the context of an event that says something of it
Said = tuple[str, str, str]
"""Channel, topic (or `all`), status."""

_STATUSES: Final = {
    "subscribed": SUBSCRIBED,
    "unsubscribed": UNSUBSCRIBED,
    "did_not_subscribe": UNKNOWN,
    "unknown": UNKNOWN,
}
_REQUEST: Final = "consent/"


class _Context(Struct):
    messaging_subscriptions: Any = None


_decode: Final = Decoder(_Context).decode


def take_event(act: "Activation", event: "EventView") -> None:
    """Takes what the context of an identify says; what cannot be read is named in the trail."""
    try:
        given = _decode(event.context_raw).messaging_subscriptions
    except MsgspecError:
        return  # the door refuses a context that is no map
    said: list[Said] = []
    for one in given if isinstance(given, list) else [given]:
        found, wrong = _read(one)
        said += found
        if wrong:
            act.note("consent", "", f"not taken: {wrong}")
    _take(act, said, event.timestamp_ms, f"by event {event.message_id}")


def _read(one: Any) -> tuple[list[Said], str]:
    """What a subscription says, and what of it cannot be read, in words."""
    if not isinstance(one, dict):
        return [], "a subscription that is no map"
    channel = str(one.get("type") or "").lower()
    if channel.endswith("push"):
        channel = PUSH
    if not channel or len(channel) > limits.NAME_CHARS or "/" in channel:
        return [], f"a subscription of type {str(one.get('type'))[:60]!r}"
    said: list[Said] = []
    wrong = ""
    named: list[tuple[Any, Any]] = [(ALL, one["status"])] if one.get("status") is not None else []
    groups = one.get("groups")
    for group in groups if isinstance(groups, list) else ():
        if isinstance(group, dict):
            named.append((group.get("name"), group.get("status")))
        else:
            wrong = f"a group of {channel} that is no map"
    for topic, status in named:
        known = _STATUSES.get(str(status).lower().replace("-", "_").replace(" ", "_"))
        if known is None or not isinstance(topic, str) or not 0 < len(topic) <= limits.NAME_CHARS:
            wrong = f"{channel}, {str(topic)[:60]!r}: {str(status)[:60]!r}"
        else:
            said.append((channel, topic, known))
    return said, wrong


def take_consent(act: "Activation", command: Command) -> Reason:
    """Does a `commands.consent`.

    Returns:
        ACCEPTED; DUPLICATE; INVALID_ARGUMENT for a channel or a status that there is not, or
        TOO_MANY_KEYS if the person would have more than `limits.CONSENTS` (nothing was changed).
    """
    _, _, request_id, changes, by, at_ms = command
    entity = act.entity
    said = [(channel, topic, status) for channel, topic, status in changes]
    for channel, topic, status in said:
        if channel not in CHANNELS or status not in STATUSES or not topic:
            return Reason.INVALID_ARGUMENT
    names = {f"{channel}/{topic}" for channel, topic, _ in said}
    if len(names | (entity.state.get(STATE) or {}).keys()) > limits.CONSENTS:
        return Reason.TOO_MANY_KEYS
    seen = entity.seen.add(_REQUEST + request_id, act.now)
    if seen:
        return Reason.DUPLICATE if seen == dedup.SEEN else Reason.USER_RATE
    if _take(act, said, min(at_ms or act.now, act.now), f"by {by}" if by else "by the API"):
        act.follow_ups.append(("look", None))
    return Reason.ACCEPTED


def complain(act: "Activation", channel: str) -> None:
    """Unsubscribes from a channel a person who called what came by it spam."""
    if _take(act, [(channel, ALL, UNSUBSCRIBED)], act.now, "by a complaint"):
        act.follow_ups.append(("look", None))


def _take(act: "Activation", said: Iterable[Said], at_ms: int, by: str) -> bool:
    """Takes what was said at a moment; True if that changed what is known."""
    entity = act.entity
    consents: dict[str, list[Any]] = dict(entity.state.get(STATE) or {})
    changed: list[str] = []
    left_out = 0
    for channel, topic, status in said:
        name = f"{channel}/{topic}"
        known = consents.get(name)
        if known is None and len(consents) >= limits.CONSENTS:
            left_out += 1
            continue
        if known is not None and known[1] > at_ms:
            continue
        consents[name] = [status, at_ms]
        if known is None or known[0] != status:
            act.note("consent", name, f"{status}, {by}")
            changed.append(fact(channel, topic))
    if left_out:
        act.note("consent", "", f"{left_out} not taken: {limits.CONSENTS} are kept already")
    if consents:
        entity.state[STATE] = consents
    by_fact = act.program.index.by_fact
    touched = [segment for name in changed for segment in by_fact.get(name, ())]
    if touched:
        profile.settle(act, touched)
    if changed:
        _call_back(act)
    return bool(changed)


def _call_back(act: "Activation") -> None:
    """Calls back what has not left and is not wanted any more."""
    entity = act.entity
    for id_, forward in list(entity.outbox.items()):
        message = entity.kept.get(id_) if forward is None else None
        if message is not None and (verdict := unwilling(act, message)) is not None:
            act.cancel(id_, verdict.why)
