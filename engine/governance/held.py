"""Messages that wait: kept, and asked about anew at the very moment at which their wait ends.

Everything is asked anew then, and the content is made anew from its template, so that what goes out
is true when it goes out. Of several whose wait ends at one moment the one of the highest priority
comes first. A message that waits is cancelled with its run, like one that waits in a lane.

While the journey that sent it is paused, a message waits past that moment, as long as it is valid;
it is asked about as soon as the journey goes on.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine import limits, zones
from engine.content.templates import RenderError
from engine.fallback.success import MESSAGE
from engine.governance import caps
from engine.governance.judge import Verdict, judge, leave_by_ms, quiet
from engine.governance.waiting import STATE, TIMER, Waiting, unpack_waiting, waiting_of
from engine.journeys.lingering import left
from engine.messages.message import Message, SendRequest
from engine.messages.states import WITH_SENDER
from engine.packing import pack, unpack
from engine.reasons import Reason

if TYPE_CHECKING:
    from engine.activation import Activation

_NOTHING: Final[Mapping[str, bytes]] = {}
_PROFILE: Final = "profile"  # of a template's context, what is live


def hold(act: "Activation", id_: str, request: SendRequest, verdict: Verdict) -> Verdict | None:
    """Lets a new message wait.

    Returns:
        None; or why it may not, if too many wait already.
    """
    entity = act.entity
    if len(entity.state.get(STATE) or ()) >= limits.HELD_MESSAGES:
        why = f"{verdict.why}; {limits.HELD_MESSAGES} messages wait already"
        return Verdict(verdict.reason, why)
    one = _new(id_, request)
    _name_run(act, one, request.instance)
    _wait(act, one, verdict.until_ms)
    act.note("message", id_, f"held: {verdict.why}")
    return None


def hold_back(act: "Activation", at: int, message: Message) -> str:
    """Lets a message wait that found no room in its lane before it was quiet.

    Args:
        act: The activation on its entity.
        at: The place of the message, which the caller writes anew.
        message: The message, which its sender has given back unsent.

    Returns:
        An empty text if it waits; else why it does not.
    """
    over = message.expires_ms <= act.now or message.cancelled
    if over or message.status not in WITH_SENDER:
        return "its validity has ended"
    verdict = quiet(act, message)
    if verdict is None or not verdict.until_ms:
        return verdict.why if verdict is not None else "its validity has ended"
    if len(act.entity.state.get(STATE) or ()) >= limits.HELD_MESSAGES:
        return f"{verdict.why}; {limits.HELD_MESSAGES} messages wait already"
    label = caps.label_of(message.channel, message.purpose, message.topic, message.tags)
    one = Waiting(message.id, 0, 0, label, message.to, "", b"")
    _name_run(act, one, message.instance)
    journey = act.program.journeys.get((one.journey, one.version))
    one.priority = journey.priority if journey is not None else 0
    message.hop += 1  # to its sender the next offer is another
    message.others = ()
    why = f"lane {message.lane!r} had no room before {verdict.why}"
    _hold_again(act, at, message, one, verdict._replace(why=why))
    return ""


def schedule(act: "Activation", id_: str, request: SendRequest, at_ms: int) -> bool:
    """Lets a new message wait for its moment; False if too many wait already."""
    entity = act.entity
    if len(entity.state.get(STATE) or ()) >= limits.HELD_MESSAGES:
        act.note("message", id_, f"not scheduled: {limits.HELD_MESSAGES} messages wait already")
        return False
    _wait(act, _new(id_, request), at_ms)
    return True


def _new(id_: str, request: SendRequest) -> Waiting:
    return Waiting(
        id_, 0, request.priority,
        caps.label_of(request.channel, request.purpose, request.topic, request.tags),
        request.to, request.lane, _context(request),
    )  # fmt: skip


def _name_run(act: "Activation", one: Waiting, instance_id: str) -> None:
    """Notes which journey has sent a message. A run that has ended is at no step any more."""
    instance = act.entity.instances.get(instance_id)
    if instance is not None:
        one.journey, one.version, one.step = instance.journey, instance.version, instance.step
    elif instance_id:
        for ended in act.entity.ended_instances():
            if ended.id == instance_id:
                one.journey, one.version = ended.journey, ended.version


def _context(request: SendRequest) -> bytes:
    context = request.context
    if context is None:
        return b""
    packed = pack({name: value for name, value in context.items() if name != _PROFILE})
    return packed if len(packed) <= limits.HELD_CONTEXT_BYTES else b""


def _wait(act: "Activation", one: Waiting, until_ms: int) -> None:
    one.due_ms = until_ms
    act.entity.state.setdefault(STATE, {})[one.id] = pack(one)
    act.set_timer(TIMER + one.id, until_ms)


def _forget(act: "Activation", id_: str) -> bool:
    """Lets a message wait no more; False if it did not."""
    state = act.entity.state
    kept = state.get(STATE)
    if not kept or kept.pop(id_, None) is None:
        return False
    if not kept:
        del state[STATE]
    act.clear_timer(TIMER + id_)
    return True


def cancel(act: "Activation", id_: str, why: str) -> bool:
    """Cancels a message that waits; False if it does not wait."""
    if not _forget(act, id_):
        return False
    at = act.entity.kept.where(id_)
    if at >= 0:
        _end(act, at, act.entity.kept.at(at), Reason.CANCELLED, why)
    return True


def set_timers(act: "Activation") -> None:
    """Sets the timers of the messages that wait, after they were lost in a quarantine."""
    for one in waiting_of(act.entity.state):
        # Not before now: a row's timers lie after the entry that it is stamped with.
        act.set_timer(TIMER + one.id, max(one.due_ms, act.now + 1))


def go_on(act: "Activation") -> None:
    """Lets messages be asked about whose time came while their journey was paused."""
    paused = act.program.journey_index.paused
    for one in waiting_of(act.entity.state):
        if one.due_ms <= act.now and one.journey not in paused:
            act.set_timer(TIMER + one.id, act.now + 1)


def on_timer(act: "Activation", subject: str) -> None:
    """Lets go, or not, the message whose wait ends now, and all that wait for it and count more."""
    waiting = act.entity.state.get(STATE) or _NOTHING
    packed = waiting.get(subject)
    if packed is None:
        return
    least = unpack_waiting(packed).priority
    due = [
        one
        for one in waiting_of(act.entity.state)
        if one.id == subject or (one.due_ms <= act.now and one.priority >= least)
    ]
    for one in sorted(due, key=lambda one: -one.priority):
        at = act.entity.kept.where(one.id)
        if at >= 0 and _is_paused(act, act.entity.kept.at(at), one):
            continue
        _forget(act, one.id)
        if at >= 0:
            _let_go(act, at, act.entity.kept.at(at), one)


def _is_paused(act: "Activation", message: Message, one: Waiting) -> bool:
    """Whether a message waits on since its journey is paused: until that goes on, or it expires."""
    if one.journey not in act.program.journey_index.paused or message.expires_ms <= act.now:
        return False
    token = TIMER + one.id
    if act.entity.timers.get(token) != message.expires_ms:
        act.set_timer(token, message.expires_ms)
        act.note("message", one.id, f"held: journey {one.journey!r} is paused")
    return True


def _let_go(act: "Activation", at: int, message: Message, one: Waiting) -> bool:
    """Asks everything anew; True if the message goes out."""
    entity = act.entity
    if message.expires_ms <= act.now:
        return _end(act, at, message, Reason.EXPIRED, "its validity ended while it was held")
    why = _unwanted(act, one)
    if why:
        return _end(act, at, message, Reason.CANCELLED, why)
    request = _request(message, one)
    message.to = act.address_of(request)
    if not message.to:
        return _end(act, at, message, Reason.NO_ADDRESS, "the profile's address is gone")
    if not _find_lane(act, message, request):
        return _end(act, at, message, Reason.NO_ROUTE, f"no {message.channel} lane takes it")
    verdict = judge(act, request, message.expires_ms)
    if verdict is None and len(entity.outbox) >= limits.OUTBOX:
        why = f"{limits.OUTBOX} effects are not settled yet"
        later_ms = act.now + limits.HELD_RETRY_MS
        verdict = Verdict(Reason.OUTBOX_FULL, why, later_ms)
    if verdict is not None and verdict.until_ms:
        message.sender, message.others = request.sender, ()  # its route is asked anew as well
        return _hold_again(act, at, message, one, verdict)
    if verdict is not None:
        return _end(act, at, message, verdict.reason, verdict.why)
    try:
        _render(act, message, one)
    except RenderError as error:
        why = f"template {message.template!r}: {error}"
        return _end(act, at, message, Reason.RENDER_FAILED, why)
    return _queue(act, at, message, one)


def _find_lane(act: "Activation", message: Message, request: SendRequest) -> bool:
    """Finds the lanes of now; False if there is none."""
    routes = act.routes
    if message.channel not in routes.defined:
        message.lane = routes.lane_for(message.channel, message.to, request.lane)
        return bool(message.lane)
    ways = routes.ways(request, message.to, act.entity.key)
    if not ways:
        message.lane = ""
        return False
    (message.lane, message.sender), *others = ways
    message.others = tuple(others)
    return True


def _unwanted(act: "Activation", one: Waiting) -> str:
    """Why the step that sent it would not send it now, or an empty text."""
    journey = act.program.journeys.get((one.journey, one.version)) if one.journey else None
    step: Any = journey.steps.get(one.step) if journey is not None else None
    only_if = getattr(step, "only_if", None)
    if only_if is None:
        return ""
    properties = (unpack(one.context).get("event") or {}) if one.context else {}
    if only_if.check(act.entity, act.now, properties)[0]:
        return ""
    return f"only_if no longer holds, {only_if.words}"


def _request(message: Message, one: Waiting) -> SendRequest:
    return SendRequest(
        message.channel, one.to, message.purpose, message.body, lane=one.lane,
        tags=message.tags, topic=message.topic, priority=one.priority, content=message.content,
        sender=message.sender,
    )  # fmt: skip


def _render(act: "Activation", message: Message, one: Waiting) -> None:
    if not one.context:
        return
    template = act.program.templates.get(message.template)
    if template is None or not template.serves(message.channel):
        msg = "it is gone"
        raise RenderError(msg)
    context = unpack(one.context)
    context[_PROFILE] = act.entity.traits
    rendered = template.render(context, message.channel)
    message.body, message.subject = rendered.body, rendered.subject
    message.warnings, message.content = rendered.warnings, rendered.content


def _queue(act: "Activation", at: int, message: Message, one: Waiting) -> bool:
    entity = act.entity
    entity.outbox[message.id] = None
    message.record(Reason.QUEUED, act.now)
    entity.kept.put(at, message)
    leave_by = leave_by_ms(act.program.policy, entity, message, act.now)
    act.effects.sends.append(message.offer(entity.key, entity.workspace, leave_by))
    act.sent(one.id, one.label, one.priority)
    words = f"its wait is over, {message.channel} to {message.to}"
    _tell(act, message, Reason.QUEUED, words, "sent")
    return True


def _hold_again(
    act: "Activation", at: int, message: Message, one: Waiting, verdict: Verdict
) -> bool:
    until_ms = max(verdict.until_ms, act.now + limits.HELD_LEAST_MS)
    if until_ms >= message.expires_ms:
        zone = zones.zone_of(act.entity)[0]
        why = f"{verdict.why}; its validity ends at {zones.shown(message.expires_ms, zone)}"
        return _end(act, at, message, Reason.EXPIRED, why)
    message.begin_again(int(Reason.HELD), act.now, verdict.why)
    act.entity.kept.put(at, message)
    _wait(act, one, until_ms)
    act.note("message", message.id, f"held: {verdict.why}")
    return False


def _end(act: "Activation", at: int, message: Message, reason: Reason, why: str) -> bool:
    """Writes that a message will not be sent; always False, for `_let_go` to give."""
    message.record(reason, act.now, "", why)
    act.entity.kept.put(at, message)
    words = f"not sent: {reason.name}, {why}"
    act.note("message", message.id, words)
    if message.wanted:
        act.follow_ups.append((MESSAGE, message.id))
    _tell(act, message, reason, f"{reason.name}, {why}", "not sent")
    left(act, message.instance)
    return False


def _tell(act: "Activation", message: Message, reason: Reason, why: str, what: str) -> None:
    """Counts an outcome, and writes it into the trail of the run, if that goes on still."""
    outcomes = act.effects.outcomes
    outcomes[reason] = outcomes.get(reason, 0) + 1
    if act.feed is not None and reason is Reason.QUEUED:
        words = f"{reason.name} {message.channel} to {message.to} {message.body}"
        act.tell("message", message.id, words)
    instance = act.entity.instances.get(message.instance)
    if instance is not None:
        of = f"{message.channel} template {message.template!r}, message {message.id}"
        instance.record(act.now, what, f"{of}: {why}")
