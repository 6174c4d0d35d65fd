"""Routing: which lane a message takes, and by which it goes on if that one fails.

A lane that is asked for by name is the only one. Else the channel's route decides, if one is
defined (`engine.routes`). Else the longest prefix of the address among the lanes of the channel
wins; `*` matches everything. A text number that is not in international form goes to the channel's
first lane, so that the sender's check of the number can say what is wrong with it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from engine.lanes.definition import Lane
from engine.messages.message import PHONE_CHANNELS, SendRequest, Way
from engine.routes.route import Route

_BETWEEN: Final = str.maketrans("", "", " -.()/\u00a0")
_NO_ROUTES: Final[Mapping[str, Route]] = {}


class Routes:
    """The lanes of one workspace, ready to be asked.

    Attributes:
        defined: The routes that are defined, by channel.
    """

    __slots__ = ("_by_channel", "_lanes", "defined")

    def __init__(self, lanes: Iterable[Lane], defined: Mapping[str, Route] = _NO_ROUTES) -> None:
        self.defined = defined
        self._by_channel: dict[str, list[tuple[str, str]]] = {}
        self._lanes: dict[str, str] = {}
        for lane in sorted(lanes, key=lambda lane: lane.name):
            self._lanes[lane.name] = lane.channel
            for prefix in lane.prefixes:
                plain = "" if prefix == "*" else prefix
                self._by_channel.setdefault(lane.channel, []).append((plain, lane.name))
        for routes in self._by_channel.values():
            routes.sort(key=lambda route: -len(route[0]))

    def lane_for(self, channel: str, to: str, wanted: str = "") -> str:
        """The lane for an address, or an empty text if there is none.

        Args:
            channel: The message's channel.
            to: The address.
            wanted: A lane asked for by name; it is taken if it exists and serves the channel.
        """
        if wanted:
            return wanted if self._lanes.get(wanted) == channel else ""
        routes = self._by_channel.get(channel)
        if not routes:
            return ""
        if not to[1:].isdecimal():
            to = _plain(channel, to)
        for prefix, lane in routes:
            if to.startswith(prefix):
                return lane
        if channel in PHONE_CHANNELS and not to.startswith("+"):
            return routes[0][1]
        return ""

    def ways(self, request: SendRequest, to: str, who: str) -> tuple[Way, ...]:
        """The lanes of a message whose channel has a route, the first first; maybe none.

        Args:
            request: The message.
            to: Its address.
            who: The key of whom it is for.
        """
        if request.lane:
            lane = self.lane_for(request.channel, to, request.lane)
            return ((lane, request.sender),) if lane else ()
        return self.defined[request.channel].ways(request, to, who, self.lanes_for)

    def lanes_for(self, channel: str, to: str) -> list[str]:
        """All lanes that take an address by their prefixes, the longest prefix first."""
        found: dict[str, None] = {}
        to = _plain(channel, to)
        for prefix, lane in self._by_channel.get(channel, ()):
            if to.startswith(prefix):
                found[lane] = None
        first = self.lane_for(channel, to)
        return list(found) if found or not first else [first]


def _plain(channel: str, to: str) -> str:
    """An address without what people write between the digits of a number."""
    if channel not in PHONE_CHANNELS or to[1:].isdecimal():
        return to
    return to.translate(_BETWEEN)
