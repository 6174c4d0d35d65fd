"""Routes: which lane a message takes.

The longest prefix of the address among the lanes of the channel wins; `*` matches everything. A
text number that is not in international form goes to the channel's first lane, so that the
sender's check of the number can say what is wrong with it.
"""

from collections.abc import Iterable

from engine.lane_definition import Lane
from engine.messages import PHONE_CHANNELS


class Routes:
    """The lanes of one workspace, ready to be asked."""

    __slots__ = ("_by_channel", "_lanes")

    def __init__(self, lanes: Iterable[Lane]) -> None:
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
        for prefix, lane in routes:
            if to.startswith(prefix):
                return lane
        if channel in PHONE_CHANNELS and not to.startswith("+"):
            return routes[0][1]
        return ""
