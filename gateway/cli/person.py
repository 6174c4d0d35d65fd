"""What happened to one person, as a person would want to read it: one line of time, oldest first.

A profile holds journeys, segments and messages; what came in is in the journal. Put together they
read like a story: she bought, entered `vip`, went quiet, got a message, came back.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from engine.reasons import Reason
from gateway.cli.client import millis
from gateway.cli.output import table, time_of

_STYLES = {"event": "cyan", "segment": "magenta", "journey": "green", "message": "yellow"}
_RANKS = {"event": 0, "segment": 1, "journey": 2, "message": 3}
_SENT = ("sent", "not sent")


class Line(NamedTuple):
    """Something that happened."""

    ms: int
    kind: str
    subject: str
    words: str


def story(profile: Any, events: Iterable[dict[str, Any]] = ()) -> list[Line]:
    """The lines of one person.

    Args:
        profile: A Profile of the contract.
        events: Decoded commands of the journal (see `journal.read_commands`), if they are at hand.
    """
    lines = [
        *_events(events),
        *_moves((*profile.ended_instances, *profile.instances)),
        *_messages(profile.messages),
        *(
            Line(millis(line.time), line.kind, line.subject, line.detail)
            for line in profile.trail
            if line.kind not in ("journey", "message")
        ),
    ]
    return sorted(lines, key=lambda line: (line.ms, _RANKS.get(line.kind, 9)))


def show(name: str, lines: Iterable[Line]) -> Table:
    """The lines as a table."""
    rows = [
        (Text(time_of(line.ms), "dim"), Text(line.kind, _STYLES.get(line.kind, "")), line.subject,
         line.words)
        for line in lines
    ]  # fmt: skip
    return table(name, ("when (UTC)", "what", "which", ""), rows)


def _events(events: Iterable[dict[str, Any]]) -> Iterator[Line]:
    for command in events:
        if command["command"] == "event" and command["type"] == "track":
            words = ", ".join(f"{key} {value}" for key, value in command["properties"].items())
            yield Line(command["timestamp_ms"], "event", command["name"], words)


def _moves(instances: Iterable[Any]) -> Iterator[Line]:
    for instance in instances:
        journey = instance.journey.removeprefix("journeys/")
        if instance.key:
            journey += f" ({instance.key})"
        for move in instance.trail:
            if move.what in _SENT:
                continue  # the message's own line tells more
            if move.what == "entered":
                words = f"→ {move.step}: {move.why}"
            elif move.what == "completed":
                continue  # the step that it ended with was just entered
            else:
                words = f"{move.what} at {move.step}: {move.why}"
            yield Line(millis(move.time), "journey", journey, words)


def _messages(messages: Iterable[Any]) -> Iterator[Line]:
    for message in messages:
        name = message.template.removeprefix("templates/") or message.name.rpartition("/")[2][:8]
        outcome = " → ".join(Reason(one.status).name for one in message.history)
        words = f"{message.subject or message.body.splitlines()[0]!r} to {message.to}: {outcome}"
        detail = message.history[-1].detail or message.history[-1].code if message.history else ""
        yield Line(
            millis(message.create_time), "message", name, f"{words} ({detail})" if detail else words
        )
