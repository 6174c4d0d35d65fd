"""A node of the guard: a set of numbers or senders that share something, and what they did.

Prefixes, networks, countries, classes of prefixes, IP addresses and devices are all nodes. Each has
a walk: the clamped sum of log-likelihood ratios (Page's CUSUM over Wald's sequential test) of
"codes sent here are not verified" against "they are, as usual". It never falls below zero, so that
a good past buys no long attack, and it fades with the days.
"""

from typing import Any, Final

from engine.fraud.blocks import Block
from engine.fraud.figures import Figures
from engine.fraud.sketch import Sketch, mark_of

SETTLE_MS: Final = 1_800_000  # fading is worked out this often
MOST: Final = 0.93  # the largest share that is believed: or one mistake would be proof
_WELL_MS: Final = 20_000  # and health this often
GRAIN_MS: Final = 60_000  # the present fades in steps that are no shorter


class Node:
    """See the module's text.

    Attributes:
        name: What it is, unique in a workspace: digits for a prefix, else words.
        walk: Evidence for fraud, in nats; `slow`: for fraud that verifies a part itself.
        out: Codes under way: sent, and neither verified nor given up.
        reset_ms: What was sent before is not among them any more.
        sent: Codes whose outcome is known, fading.
        good: Those of them that were verified, fading.
        born_ms: When it was first seen.
        at_ms: Until when fading was worked out.
        last: The last number sent to, without its prefix; -1 for none.
        voted_ms: When it last had a say on its network's health.
        usual: The usual share of verified codes of a network; `usual_wide`: of its country; as
            they were worked out at `usual_ms`.
        well: Its health as it was worked out last, good until `well_ms`.
        due: What the votes promised; `seen`: what they kept; `health_ms`: until when both faded.
        alarms: Blocks of prefixes in it that began lately, fading within a day (countries).
        fresh: Codes that were verified, fading within an hour (wide nodes).
        recent: Codes sent, fading within an hour (countries and networks).
        block: What is held against it, or None.
        things: Different things seen with it: prefixes of an address, addresses of a prefix.
        only: The mark of the one thing that was seen with it; a sketch is made for the second.
        mark: What its name is in a sketch; -1 until it is asked for.
    """

    # Not a msgspec.Struct: writing to its fields takes 20 to 35 ns longer each time.
    __slots__ = (
        "alarms", "at_ms", "block", "born_ms", "due", "fresh", "good", "health_ms", "last", "mark",
        "name", "only", "out", "recent", "reset_ms", "seen", "sent", "slow", "things", "usual",
        "usual_ms", "usual_wide", "voted_ms", "walk", "well", "well_ms",
    )  # fmt: skip

    def __init__(self, name: str, now_ms: int) -> None:
        self.name = name
        self.born_ms = self.at_ms = self.health_ms = now_ms
        self.walk = self.slow = self.sent = self.good = 0.0
        self.due = self.seen = self.recent = self.alarms = self.fresh = 0.0
        self.usual = self.usual_wide = 0.0
        self.out = self.reset_ms = self.voted_ms = self.usual_ms = self.well_ms = 0
        self.last = self.mark = self.only = -1
        self.well = 1.0
        self.block: Block | None = None
        self.things: Sketch | None = None

    def settle(self, now_ms: int, figures: Figures) -> None:
        """Lets evidence and history fade."""
        past_ms = now_ms - self.at_ms
        if past_ms < SETTLE_MS:
            return
        self.at_ms = now_ms
        if self.walk or self.slow:
            fade = 0.5 ** (past_ms / figures.walk_half_ms)
            self.walk *= fade
            self.slow *= fade
        if self.alarms:
            self.alarms *= 0.5 ** (past_ms / figures.alarm_half_ms)
        fade = 0.5 ** (past_ms / figures.history_half_ms)
        self.sent *= fade
        self.good *= fade

    def conversion(self, parent: float, codes: float) -> float:
        """The share of codes that are verified here, shrunk towards the parent's."""
        found = (self.good + codes * parent) / (self.sent + codes)
        return found if found < MOST else MOST  # noqa: FURB136 - hot

    def per_day(self, now_ms: int, figures: Figures) -> float:
        """Verified codes a day, as history has it."""
        span_ms = min(now_ms - self.born_ms, 1.4427 * figures.history_half_ms)
        return self.good * 86_400_000 / max(span_ms, 86_400_000)

    def row(self) -> list[Any]:
        """What a restart keeps of it."""
        things = self.things
        if things is None and self.only >= 0:
            things = Sketch()
            things.add_mark(self.only)
        return [
            self.name, self.walk, self.sent, self.good, self.born_ms, self.at_ms, self.last,
            self.due, self.seen, self.recent, self.health_ms,
            b"" if things is None else bytes(things), self.slow,
            self.alarms,
        ]  # fmt: skip


def new_node(name: str, now_ms: int) -> Node:
    """A node that nothing is known of."""
    return Node(name, now_ms)


def node_from(row: list[Any]) -> Node:
    """The node of a row."""
    (
        name,
        walk,
        sent,
        good,
        born_ms,
        at_ms,
        last,
        due,
        seen,
        recent,
        health_ms,
        things,
        slow,
        alarms,
    ) = row
    node = new_node(name, born_ms)
    node.walk, node.sent, node.good, node.at_ms, node.last = walk, sent, good, at_ms, last
    node.due, node.seen, node.recent, node.health_ms = due, seen, recent, health_ms
    node.things = Sketch(things) if things else None
    node.slow, node.alarms = slow, alarms
    return node


def health(node: Node, now_ms: int, figures: Figures) -> float:
    """How much of what proven prefixes usually verify they verify now, 0 to 1."""
    if node.well_ms > now_ms:
        return node.well
    if now_ms - node.health_ms >= GRAIN_MS:
        fade_health(node, now_ms, figures)
    well, due = 1.0, node.due
    if due >= 0.5 and node.seen < due:
        well = (node.seen + 2.0) / (due + 2.0)
        if node.recent > 8.0:  # less is never beyond the usual
            well += (1.0 - well) * excess(node, now_ms, figures)
    node.well = well
    node.well_ms = now_ms + _WELL_MS
    return well


def excess(node: Node, now_ms: int, figures: Figures) -> float:
    """0 to 1: how far there is more traffic than a bad day of a carrier explains.

    An outage brings no more people, so failing codes in a flood are not believed to be one.
    """
    span_ms = max(min(now_ms - node.born_ms, 1.4427 * figures.history_half_ms), 86_400_000)
    usual = node.sent * 1.4427 * figures.health_half_ms / span_ms
    return max(0.0, min(1.0, node.recent / (2.5 * usual + 8.0) - 1.0))


def fade_health(node: Node, now_ms: int, figures: Figures) -> None:
    """Lets the present fade. The hot paths ask for `GRAIN_MS` themselves first."""
    past_ms = now_ms - node.health_ms
    if past_ms >= GRAIN_MS:
        fade = 0.5 ** (past_ms / figures.health_half_ms)
        node.due *= fade
        node.seen *= fade
        node.recent *= fade
        node.fresh *= fade
        node.health_ms = now_ms


def met(node: Node, other: Node) -> None:
    """Two nodes were seen together: each counts the other's name. Cost: 0.4 µs."""
    for one, thing in ((node, other), (other, node)):
        mark = thing.mark
        if mark < 0:
            mark = thing.mark = mark_of(thing.name)
        if one.things is not None:
            one.things.add_mark(mark)
        elif one.only < 0:
            one.only = mark
        elif one.only != mark:
            one.things = Sketch()
            one.things.add_mark(one.only)
            one.things.add_mark(mark)
