"""Metrics for Ray's own Prometheus endpoint and dashboard.

One record costs tens of microseconds, so nothing is recorded per event: a host, a sender or a
gateway turns its counters into metrics once a second. Tags name parts of the system (host, shard,
lane, journey), never a user.
"""

from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from actors.host import Host

_BATCH_SIZES = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0]
_SECONDS = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]


class Deltas:
    """Turns totals into Ray counters, which want increments."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}
        self._totals: dict[tuple[str, tuple[str, ...]], float] = {}

    def count(self, name: str, text: str, total: float, tags: dict[str, str]) -> float:
        """Records the growth of a total since the last call; returns it."""
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = Counter(
                name, description=text, tag_keys=tuple(sorted(tags))
            )
        label = (name, tuple(tags[key] for key in sorted(tags)))
        growth = total - self._totals.get(label, 0.0)
        if growth > 0:
            self._totals[label] = total
            counter.inc(growth, tags)
        return growth


class Gauges:
    """Gauges by name, made on first use."""

    def __init__(self) -> None:
        self._gauges: dict[str, Gauge] = {}

    def set(self, name: str, text: str, value: float, tags: dict[str, str]) -> None:
        """Records a value."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, description=text, tag_keys=tuple(sorted(tags)))
        gauge.set(value, tags)


class HostMetrics:
    """What a host records each second."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._deltas = Deltas()
        self._gauges = Gauges()
        self._batch = Histogram(
            "denrei_entry_commands",
            description="Commands per journal entry",
            boundaries=_BATCH_SIZES,
            tag_keys=("host",),
        )
        self._commit = Histogram(
            "denrei_commit_seconds",
            description="One synced commit, mean of a second",
            boundaries=_SECONDS,
            tag_keys=("host",),
        )
        self._apply = Histogram(
            "denrei_apply_seconds",
            description="One entry applied, mean of a second",
            boundaries=_SECONDS,
            tag_keys=("host",),
        )

    def record(self, host: Host) -> None:
        """Records the growth and the levels of all shards of a host."""
        for runner in host.runners.values():
            self._record_shard(runner.describe())
            moves = (("entered", runner.stats.entered), ("left", runner.stats.left))
            for kind, counts in moves:
                for label, total in counts.items():
                    tags = {"segment": label, "shard": str(runner.shard.index)}
                    self._deltas.count(
                        f"denrei_segment_{kind}_total", f"Entities that {kind}", total, tags
                    )

    def _record_shard(self, status: dict[str, Any]) -> None:
        tags = {"host": self._host, "shard": str(status["shard"])}
        deltas, gauges = self._deltas, self._gauges
        commands = deltas.count("denrei_commands_total", "Commands", status["commands"], tags)
        entries = deltas.count("denrei_entries_total", "Journal entries", status["entries"], tags)
        commit_s = deltas.count(
            "denrei_commit_seconds_total", "Time in commits", status["commit_s"], tags
        )
        apply_s = deltas.count(
            "denrei_apply_seconds_total", "Time in apply", status["apply_s"], tags
        )
        deltas.count("denrei_rows_total", "Rows written by checkpoints", status["rows"], tags)
        deltas.count("denrei_refused_total", "Commands refused", status["refused"], tags)
        deltas.count("denrei_timers_fired_total", "Timers fired", status["timers_fired"], tags)
        if entries > 0:
            mine = {"host": self._host}
            self._batch.observe(commands / entries, mine)
            self._commit.observe(commit_s / entries, mine)
            self._apply.observe(apply_s / entries, mine)
        levels = {
            "denrei_entities": ("Entities", "entities"),
            "denrei_dirty_entities": ("Entities waiting for a checkpoint", "dirty"),
            "denrei_outbox": ("Unsettled effects", "outbox"),
            "denrei_queue_bytes": ("Bytes waiting for a commit", "queued_bytes"),
            "denrei_timers": ("Entities with a timer", "timers"),
            "denrei_timer_lag_ms": ("How late the next timer is", "timer_lag_ms"),
        }
        for name, (text, key) in levels.items():
            gauges.set(name, text, status[key], tags)


class SenderMetrics:
    """What a sender records each second, from `SenderCore.status`."""

    def __init__(self, sender: str) -> None:
        self._sender = sender
        self._deltas = Deltas()
        self._gauges = Gauges()

    def record(self, status: dict[str, Any]) -> None:
        """Records the growth and the levels of a sender and its lanes."""
        mine = {"sender": self._sender}
        deltas, gauges = self._deltas, self._gauges
        for outcome, total in status["outcomes"].items():
            tags = {**mine, "outcome": outcome}
            deltas.count("denrei_message_outcomes_total", "Outcomes of messages", total, tags)
        for what in ("offered", "admitted", "full"):
            total = status["counts"].get(what, 0)
            tags = {**mine, "answer": what}
            deltas.count("denrei_offers_total", "Messages offered by shards", total, tags)
        gauges.set("denrei_sender_held", "Messages in a sender", status["held"], mine)
        gauges.set("denrei_fraud_blocks", "Fraud blocks that stand", len(status["blocks"]), mine)
        for lane in status["lanes"]:
            self._record_lane(lane, mine)

    def _record_lane(self, lane: dict[str, Any], mine: dict[str, str]) -> None:
        tags = {**mine, "lane": lane["lane"]}
        for purpose, waiting in lane["waiting"].items():
            self._gauges.set(
                "denrei_lane_waiting", "Messages in a lane's queue", waiting,
                {**tags, "purpose": purpose},
            )  # fmt: skip
        for limit, used, most in lane["limits"]:
            self._gauges.set(
                "denrei_lane_used", "Share of a lane's limit that counts now", used / most,
                {**tags, "limit": limit},
            )  # fmt: skip
        self._gauges.set(
            "denrei_lane_away", "Whether a lane leaves its carrier alone", bool(lane["away"]), tags
        )
        self._gauges.set("denrei_lane_slowed", "Reactions that hold", len(lane["reactions"]), tags)
        self._gauges.set(
            "denrei_lane_paused_ms", "How long a carrier wants peace", lane["paused_ms"], tags
        )


class GatewayMetrics:
    """What a gateway records each second, from `Traffic`."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._deltas = Deltas()

    def record(self, traffic: dict[str, int]) -> None:
        """Records the growth of the counts of events by outcome."""
        for outcome, total in traffic.items():
            tags = {"gateway": self._gateway, "outcome": outcome}
            self._deltas.count("denrei_events_total", "Events by their outcome", total, tags)
