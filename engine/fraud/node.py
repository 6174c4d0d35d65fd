"""A node of the guard: a set of numbers or senders that share something, and what they did.

Prefixes, networks, countries, classes of prefixes, IP addresses and devices are all nodes. Each has
a walk: the clamped sum of log-likelihood ratios (Page's CUSUM over Wald's sequential test) of
"codes sent here are not verified" against "they are, as usual". A good past buys no long attack,
for the walk is not let fall below what the codes under way may still make up for; and it fades with
the days.

The walk is of codes whose end is known. What those under way say by their age is added when
somebody asks (`evidence.waiting`): most are verified before anybody does.
"""

import math
from typing import TYPE_CHECKING, Any, Final

from engine.fraud.blocks import Block
from engine.fraud.figures import Figures
from engine.fraud.seasons import Season
from engine.fraud.sketch import Sketch, mark_of

if TYPE_CHECKING:
    from engine.fraud.codes import Scope

SETTLE_MS: Final = 7_200_000  # fading is worked out this often
MOST: Final = 0.93  # the largest share that is believed: or one mistake would be proof
KEY_BITS: Final = 16  # of a code's key: what is right of the time
_WELL_MS: Final = 20_000  # health is worked out this often
_FADES_MS: Final = 600_000  # the present fades this often
_FEW_LATELY: Final = 8.0  # codes within an hour that are never many
_LN2: Final = 0.693_147


class Node:
    """A narrow node: a block of numbers, an address, a device.

    Attributes:
        name: What it is, unique in a workspace: digits for a prefix, else words.
        walk: Evidence for fraud, in nats; `slow`: for fraud that verifies a part itself.
        weight: Evidence as it was worked out last, with that of codes under way.
        opened: The keys of codes under way, the oldest first, that are not explained by a block of
            a narrower prefix. Blocks of 100,000 numbers have none, and only count them.
        out: Codes under way; of classes as they were counted last.
        good: Codes that were verified, fading; `bad`: those that were given up.
        born_ms: When it was first seen.
        at_ms: Until when fading was worked out.
        last: The last number sent to; None if it is not known.
        voted_ms: When it last had a say on its network's health.
        own: The usual share of verified codes in it, as it was worked out at `own_ms`.
        wider: Of a block of 10,000 numbers that of 100,000; `scope`: its wide nodes, as long as
            somebody in it was verified.
        calm_ms: Until when nothing needs to be asked of it; `calm_out`: with so many codes under
            way at most.
        block: What is held against it, or None.
        things: Different things seen with it: prefixes of an address, addresses of a prefix.
        only: The mark of the one thing that was seen with it; a sketch is made for the second.
        mark: What its name is in a sketch; -1 until it is asked for.
    """

    # Not a msgspec.Struct: writing to its fields takes 20 to 35 ns longer each time.
    __slots__ = (
        "at_ms", "bad", "block", "born_ms", "calm_ms", "calm_out", "good", "last", "mark", "name",
        "only", "opened", "out", "own", "own_ms", "scope", "slow", "things", "voted_ms", "walk",
        "weight", "wider",
    )  # fmt: skip

    def __init__(self, name: str, now_ms: int) -> None:
        self.name = name
        self.born_ms = self.at_ms = now_ms
        self.walk = self.weight = self.slow = self.good = self.bad = 0.0
        self.voted_ms = self.calm_ms = self.calm_out = self.out = self.own_ms = 0
        self.own = 0.0
        self.mark = self.only = -1
        self.opened: list[int] = []
        self.last: str | None = None
        self.wider: Node | None = None
        self.scope: Scope | None = None
        self.block: Block | None = None
        self.things: Sketch | None = None

    @property
    def sent(self) -> float:
        """Codes whose outcome is known, fading."""
        return self.good + self.bad

    def settle(self, now_ms: int, figures: Figures) -> None:
        """Lets evidence and history fade."""
        past_ms = now_ms - self.at_ms
        if past_ms < SETTLE_MS:
            return
        self.at_ms = now_ms
        if self.walk or self.slow:
            fade = math.pow(0.5, past_ms / figures.walk_half_ms)
            self.walk *= fade
            self.slow *= fade
        fade = math.pow(0.5, past_ms / figures.history_half_ms)
        self.bad *= fade
        self.good *= fade

    def per_day(self, now_ms: int, figures: Figures) -> float:
        """Verified codes a day, as history has it."""
        span_ms = min(now_ms - self.born_ms, 1.4427 * figures.history_half_ms)
        return self.good * 86_400_000 / max(span_ms, 86_400_000)

    def row(self) -> list[Any]:
        """What a restart keeps of it: nothing of codes under way, and no number."""
        things = self.things
        if things is None and self.only >= 0:
            things = Sketch()
            things.add_mark(self.only)
        return [
            self.name, max(0.0, self.walk), self.bad, self.good, self.born_ms, self.at_ms,
            b"" if things is None else bytes(things), max(0.0, self.slow),
        ]  # fmt: skip


class Area(Node):
    """A wide node: a class of prefixes, a network, a country.

    Attributes:
        tense: Whether there is some evidence in it.
        full: What one of them says at most, about.
        steps: What a code says by its stage, until `steps_ms`.
        weighed_ms: When `weight` was worked out last.
        count: What happened here: codes that were verified (classes) or have ended (countries).
        fresh: So much of that within an hour, fading; `counted`: until which count.
        heard: Codes that were verified, fading, as soon as they are (`good` hears it when others of
            their age are given up).
        due: What the votes on its health promised, fading; `seen`: what they kept.
        asked: The same since these faded; `answered`.
        faded_ms: When they did.
        alarms: Blocks of prefixes in it that began lately, fading within a day (countries).
        parts: What messages in it have for wide nodes (classes).
        season: What is usual at each hour (countries), or None.
        well: Its health as it was worked out last, good until `well_ms`.
        usual: The usual share of verified codes of a network; `usual_wide`: of its country; as
            they were worked out at `usual_ms`.
    """

    __slots__ = (
        "alarms", "answered", "asked", "count", "counted", "due", "faded_ms", "fresh", "full",
        "heard", "parts", "season", "seen", "steps", "steps_ms", "tense", "usual", "usual_ms",
        "usual_wide", "weighed_ms", "well", "well_ms",
    )  # fmt: skip

    def __init__(self, name: str, now_ms: int) -> None:
        super().__init__(name, now_ms)
        self.faded_ms = now_ms
        self.due = self.seen = self.asked = self.answered = 0.0
        self.fresh = self.heard = self.alarms = self.usual = self.usual_wide = 0.0
        self.usual_ms = self.well_ms = self.weighed_ms = self.count = self.counted = 0
        self.steps_ms = 0
        self.steps: list[float] = []
        self.parts: list[Scope] = []
        self.season: Season | None = None
        self.full = 1.5
        self.well = 1.0
        self.tense = False

    def settle(self, now_ms: int, figures: Figures) -> None:
        """See `Node.settle`."""
        past_ms = now_ms - self.at_ms
        if past_ms >= SETTLE_MS:
            self.alarms *= math.pow(0.5, past_ms / figures.alarm_half_ms)
            self.heard *= math.pow(0.5, past_ms / figures.history_half_ms)
        super().settle(now_ms, figures)

    def fade(self, now_ms: int, figures: Figures) -> None:
        """Lets the present fade; what is new is taken to have come evenly since the last time."""
        past = (now_ms - self.faded_ms) / figures.health_half_ms
        if past <= 0.0:
            return
        left = math.pow(0.5, past)
        new = (1.0 - left) / (_LN2 * past)
        if self.season is not None:
            self.season.learn(self.count - self.counted, self.faded_ms, now_ms)
        self.due = self.due * left + self.asked * new
        self.seen = self.seen * left + self.answered * new
        self.fresh = self.fresh * left + (self.count - self.counted) * new
        self.asked = self.answered = 0.0
        self.counted = self.count
        self.faded_ms = now_ms

    @property
    def lately(self) -> float:
        """What happened here within an hour, fading."""
        return self.fresh + self.count - self.counted

    def row(self) -> list[Any]:
        """See `Node.row`."""
        return [
            *super().row(), self.due + self.asked, self.seen + self.answered, self.lately,
            self.faded_ms, self.alarms, [] if self.season is None else self.season.row(),
        ]  # fmt: skip


def node_from(row: list[Any]) -> Node:
    """The narrow node of a row."""
    node = Node(row[0], row[4])
    _fill(node, row)
    return node


def area_from(row: list[Any], figures: Figures) -> Area:
    """The wide node of a row."""
    area = Area(row[0], row[4])
    _fill(area, row)
    area.due, area.seen, area.fresh, area.faded_ms, area.alarms, *rest = row[8:]
    if rest and rest[0]:
        area.season = Season(figures.history_half_ms, rest[0])
    area.heard = area.good
    return area


def _fill(node: Node, row: list[Any]) -> None:
    _, node.walk, node.bad, node.good, _, node.at_ms, things, node.slow = row[:8]
    node.things = Sketch(things) if things else None


def remove(opened: list[int], key: int) -> bool:
    """Takes a code out of those under way; whether it was among them."""
    size = len(opened)
    if not size:
        return False
    if opened[size - 1] == key:
        opened.pop()
        return True
    place = place_of(opened, key, size)
    if place < size and opened[place] == key:
        opened.pop(place)
        return True
    return False


def place_of(opened: list[int], key: int, most: int) -> int:
    """How many of the oldest codes under way, at most so many, are older than a key.

    `bisect` does the same; but compiled code has to make an object of every number for it, and this
    is asked several times for each code.
    """
    low, high = 0, most
    while low < high:
        middle = low + high >> 1
        if opened[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


def conversion(node: Node, usual: float, codes: float) -> float:
    """The share of codes that are verified in a place, shrunk towards what is usual around it."""
    found = (node.good + codes * usual) / (node.good + node.bad + codes)
    return found if found < MOST else MOST  # noqa: FURB136 - hot


def child_conversion(node: Node, usual: float, codes: float, slow: int = 0) -> float:
    """The same for who may be an attacker: it is not believed to have sunk far.

    Args:
        node: The place.
        usual: What is usual around it.
        codes: As many codes that is worth.
        slow: Codes under way that take longer than those that were counted as verified.
    """
    good = node.good
    found = (good + codes * usual) / (good + node.bad + slow + codes)
    if found > MOST:
        return MOST
    floor = usual * (0.85 - 0.035 * good) if good < 10.0 else 0.5 * usual
    return found if found > floor else floor  # noqa: FURB136 - hot


def health(area: Area, region: Area, now_ms: int, figures: Figures) -> float:
    """How much of what proven prefixes usually verify they verify now, 0 to 1.

    Args:
        area: The network, or the country itself.
        region: Its country.
        now_ms: The time.
        figures: The figures of the guard.
    """
    if now_ms - area.faded_ms >= _FADES_MS:
        area.fade(now_ms, figures)
    due, seen = area.due + area.asked, area.seen + area.answered
    if seen >= 0.95 * due or due < 0.5:
        return 1.0
    if area.well_ms <= now_ms:
        well = (seen + 2.0) / (due + 2.0)
        flood = hour_surprise(region, now_ms, figures)
        if flood < 0.0:
            flood = excess(region, now_ms, figures)
        area.well = well + (1.0 - well) * flood
        area.well_ms = now_ms + _WELL_MS
    return area.well


def excess(region: Area, now_ms: int, figures: Figures) -> float:
    """0 to 1: how far there is more traffic than a bad day of a carrier explains.

    An outage brings no more people, so failing codes in a flood are not believed to be one. This
    compares with the mean of all hours. It is what may close a class of proven prefixes: by the
    hour that stopped a tenth of the honest people where an attacker had verified some before.
    """
    if now_ms - region.faded_ms >= _FADES_MS:
        region.fade(now_ms, figures)
    lately = region.lately
    if lately <= _FEW_LATELY:
        return 0.0
    longest_ms = 1.4427 * figures.history_half_ms
    span_ms = max(min(now_ms - region.born_ms, longest_ms), 2.0 * figures.health_half_ms)
    usual = region.sent * 1.4427 * figures.health_half_ms / span_ms
    return max(0.0, min(1.0, lately / (2.5 * usual + _FEW_LATELY) - 1.0))


def hour_surprise(region: Area, now_ms: int, figures: Figures) -> float:
    """The same by what the country's own past has at this hour; below 0 if that is not known."""
    if now_ms - region.faded_ms >= _FADES_MS:
        region.fade(now_ms, figures)
    usual = usual_now(region, now_ms, figures)
    if usual < 0.0:
        return -1.0
    most = figures.season_most * usual + _FEW_LATELY
    return max(0.0, min(1.0, region.lately / most - 1.0))


def usual_now(region: Area, now_ms: int, figures: Figures) -> float:
    """As many codes as a country usually had lately at this hour; below 0 if that is not known."""
    season = region.season
    return -1.0 if season is None else season.expected(now_ms, figures.health_half_ms)


def met(node: Node, other: Node) -> None:
    """Another node was seen with one: its name is counted. Cost: 0.2 µs."""
    mark = other.mark
    if mark < 0:
        mark = other.mark = mark_of(other.name)
    if node.things is not None:
        node.things.add_mark(mark)
    elif node.only < 0:
        node.only = mark
    elif node.only != mark:
        node.things = Sketch()
        node.things.add_mark(node.only)
        node.things.add_mark(mark)
