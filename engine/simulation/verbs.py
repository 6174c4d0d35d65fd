"""The `command:` verbs of scenarios: one table, one line and one function for each.

A feature with commands of its own adds them here:

    {at: 1d, command: enter, user: ann, journey: cart}

A verb names the fields that may stand beside `at`, `user`, `anonymous`, `answer` and `command`. Its
function gets the world, the key of the user (or anonymous visitor; empty if none is named) and
the fields, and gives the command to take, or None if it did everything itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine import commands, durations
from engine.commands import Command
from engine.fallback.success import SUCCESSES
from engine.issues import listed
from engine.packing import pack
from engine.schema import refusal
from engine.simulation import moments
from engine.simulation.sender import HOLD, SEND, outcome_of
from engine.simulation.world import World
from engine.slots import ADDRESS

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb; see the module's text.

    Attributes:
        do: What it does.
        fields: The fields that it may have.
        needed: Those of them that it must have.
    """

    do: Callable[[World, str, Fields], Command | None]
    fields: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()


def _send(world: World, key: str, fields: Fields) -> Command:
    """A message by the API; with `address` it is for a mere address."""
    key = key or f"{world.workspace}/{ADDRESS}/{fields['address']}"
    spec = {name: value for name, value in fields.items() if name not in ("request", "address")}
    spec.setdefault("to", "")
    spec.setdefault("purpose", "marketing")
    if "send_at" in spec:
        spec["send_at_ms"] = moments.read(spec.pop("send_at")).at(world.start_ms)
    _say_success(spec)
    return commands.send(key, fields.get("request") or f"r{world.shard.seq}", pack(spec))


def _say_success(spec: dict[str, Any]) -> None:
    """Says how far a message, and each of its fall-backs, has to come, as commands say it."""
    if "fallbacks" in spec:
        spec["fallbacks"] = [dict(one) for one in spec["fallbacks"]]
    for one in (spec, *spec.get("fallbacks", ())):
        if "success" in one:
            one["success"] = SUCCESSES[one["success"]]
        if "within" in one:
            one["within_ms"] = durations.parse(one.pop("within"))


def _cancel(world: World, key: str, fields: Fields) -> Command:
    """The newest message, or the newest of a template, is called back by the API."""
    entity = world.shard.peek(key)
    template = fields.get("template")
    for message in reversed(list(entity.messages.values()) if entity else []):
        if not template or message.template == template:
            return commands.cancel(key, message.id)
    raise refusal("there is no such message")


def _release(world: World, key: str, fields: Fields) -> Command:
    return commands.release(key)


def _enter(world: World, key: str, fields: Fields) -> Command:
    """A run of a journey, asked for by the API."""
    context = fields.get("context")
    request = fields.get("request") or f"r{world.shard.seq}"
    raw = pack(context) if context else b""
    return commands.enter(key, request, str(fields["journey"]), raw)


def _stop(world: World, key: str, fields: Fields) -> Command:
    """All runs of a journey, stopped by the API."""
    request = fields.get("request") or f"r{world.shard.seq}"
    return commands.stop(key, request, str(fields["journey"]), why=str(fields.get("why") or ""))


def _restart(world: World, key: str, fields: Fields) -> None:
    world.restart()


def _sender(world: World, key: str, fields: Fields) -> None:
    does, template = str(fields["does"]), str(fields.get("with") or "")
    if does not in (SEND, HOLD) and outcome_of(does) is None:
        raise refusal(f"the sender cannot {does!r}", "say send, hold or an outcome like expired")
    if template:
        world.sender.does_with[template] = does
    else:
        world.sender.does = does


def _forwards(world: World, key: str, fields: Fields) -> None:
    if fields["do"] not in ("wait", "go"):
        raise refusal(f"forwards cannot {fields['do']!r}", "say wait or go")
    world.let_forwards_go(fields["do"] == "go")


def _consent(world: World, key: str, fields: Fields) -> Command:
    """A person says what they want to get; without a topic it is of the channel itself."""
    request = fields.get("request") or f"r{world.shard.seq}"
    said = (str(fields["channel"]), str(fields.get("topic") or "all"), str(fields["status"]))
    return commands.consent(key, request, [said], str(fields.get("by") or ""))


def _erase(world: World, key: str, fields: Fields) -> Command:
    """All that is kept of a person is erased."""
    request = fields.get("request") or f"r{world.shard.seq}"
    return commands.erase(key, request, bool(fields.get("suppress")))


def _suppress(world: World, key: str, fields: Fields) -> Command:
    """Nothing is taken of a person any more; with `lift` that ends."""
    return commands.suppress(key, f"r{world.shard.seq}", not fields.get("lift"))


def _answer(world: World, key: str, fields: Fields) -> Command:
    """The oldest webhook of the person that waits is answered, or fails without a status."""
    calls = world.sender.calls
    waiting = [offer for offer in calls.values() if offer[1] == key]
    if not waiting:
        hint = f"those that wait are of {listed(sorted({one[1] for one in calls.values()}))}"
        raise refusal("no webhook of theirs waits for an answer", hint if calls else "")
    offer = calls.pop(waiting[0][0])
    status, error = int(fields.get("status") or 0), str(fields.get("error") or "")
    if not error and not 200 <= status < 300:
        error = f"it answered {status}" if status else "no status and no error"
    saved: dict[str, Any] = {"status": status}
    if "body" in fields:
        saved["body"] = fields["body"]
    if error:
        saved["error"] = error
    return commands.called(key, offer[0], offer[14], status, pack(saved), "1 attempt", error)


_MESSAGE: Final = (
    "address", "request", "channel", "to", "purpose", "template", "body", "subject", "data",
    "validity_ms", "lane", "resend_unknown", "topic", "tags", "priority", "send_at", "success",
    "within", "fallbacks", "sender", "facts",
)  # fmt: skip

VERBS: Final[dict[str, Verb]] = {
    "send": Verb(_send, _MESSAGE, needed=("channel",)),
    "cancel": Verb(_cancel, ("template",)),
    "release": Verb(_release),
    "enter": Verb(_enter, ("journey", "context", "request"), needed=("journey",)),
    "stop": Verb(_stop, ("journey", "why", "request"), needed=("journey",)),
    "consent": Verb(
        _consent, ("channel", "topic", "status", "by", "request"), needed=("channel", "status")
    ),
    "answer": Verb(_answer, ("status", "body", "error")),
    "erase": Verb(_erase, ("suppress", "request")),
    "suppress": Verb(_suppress, ("lift",)),
    "restart": Verb(_restart),
    "sender": Verb(_sender, ("does", "with"), needed=("does",)),
    "forwards": Verb(_forwards, ("do",), needed=("do",)),
}
