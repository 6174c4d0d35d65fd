"""`denrei status`: how an instance is, live on a terminal or once for a script."""

import time
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.cli import options
from gateway.cli.client import Client, millis, plain
from gateway.cli.errors import FAILED
from gateway.cli.output import console, print_json, span_of, table, time_of
from gateway.pb.denrei.v1 import system_pb2

app = typer.Typer()


@app.command()
def status(
    once: Annotated[bool, typer.Option("--once", help="Show it once, not live.")] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.2, metavar="SECONDS", help="How often it is asked.")
    ] = 1.0,
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Show shards, hosts, senders with their lanes, and gateways; live until Ctrl-C.

    Example: `denrei status --once --json`

    Exit codes: 0 everything serves; 1 something does not (with --once or --json); 3 no answer; 4
    the key is not accepted.
    """
    with Client(address, key, store, ca, timeout) as client:
        if json or once or not console.is_terminal:
            now = _ask(client)
            if json:
                print_json(plain(now))
            else:
                console.print(_page(now, None, client.address))
            if not all_serve(now):
                raise typer.Exit(FAILED)
            return
        _live(client, every)


def all_serve(status: Any) -> bool:
    """Whether every part of an instance serves."""
    parts = (*status.shards, *status.hosts, *status.senders, *status.gateways)
    return all(part.serving for part in parts)


def _ask(client: Client) -> Any:
    return client.call(client.system.GetStatus, system_pb2.GetStatusRequest())


def _live(client: Client, every_s: float) -> None:
    before = _Counts(_ask(client))
    with Live(_page(before.status, None, client.address), console=console, screen=False) as live:
        try:
            while True:
                time.sleep(every_s)
                now = _Counts(_ask(client))
                live.update(_page(now.status, now.rates_since(before), client.address))
                before = now
        except KeyboardInterrupt:
            return


class _Counts:
    """The commands of each shard, and when they were counted."""

    def __init__(self, status: Any) -> None:
        self.status = status
        self.at = time.monotonic()
        self.commands = {shard.index: _number(shard, "commands") for shard in status.shards}

    def rates_since(self, before: "_Counts") -> dict[int, float]:
        span_s = max(0.001, self.at - before.at)
        return {
            index: max(0.0, count - before.commands.get(index, count)) / span_s
            for index, count in self.commands.items()
        }


def _page(status: Any, rates: dict[int, float] | None, address: str) -> Group:
    # A gateway on an event-time clock has no time of its own: the shards have it.
    now_ms = millis(status.time) or max(_number(shard, "now_ms") for shard in status.shards)
    entities = sum(_number(shard, "entities") for shard in status.shards)
    words = f"{status.server_version} at {address}, time {time_of(now_ms)}, {entities:,} entities"
    doors = sorted({_text(gateway, "http_url") for gateway in status.gateways} - {""})
    if doors:
        words += f", HTTP at {', '.join(doors)}"
    head = Text.assemble(("Denrei ", "bold"), words)
    if rates is not None:
        head.append(f", {sum(rates.values()):,.0f} commands/s")
    parts: list[Any] = [head, _shards(status, rates), *_faults(status), _actors(status)]
    lanes = _lanes(status)
    if lanes.row_count:
        parts.append(lanes)
    return Group(*parts)


def _shards(status: Any, rates: dict[int, float] | None) -> Table:
    columns = (
        "#shard", "host", "state", "#entities", "#commands", "#/s", "#outbox", "#timers", "#lag",
        "#refused", "#version",
    )  # fmt: skip
    rows = [
        (
            shard.index,
            shard.host,
            _state(shard),
            _number(shard, "entities"),
            _number(shard, "commands"),
            f"{rates[shard.index]:,.0f}" if rates is not None and shard.index in rates else "",
            _number(shard, "outbox"),
            _number(shard, "timers"),
            span_of(_number(shard, "timer_lag_ms")),
            _number(shard, "refused"),
            shard.definitions_version,
        )
        for shard in status.shards
    ]
    return table("shards", columns, rows)


def _faults(status: Any) -> list[Text]:
    """A line for each set of definitions that shards can't compile; most often all have one."""
    shards: dict[str, list[str]] = {}
    for shard in status.shards:
        faults = _details(shard).get("faults")
        if faults:
            more = int(faults["count"]) - len(faults["names"])
            names = ", ".join(faults["names"]) + (f" and {more:,} more" if more else "")
            shards.setdefault(names, []).append(str(shard.index))
    return [
        Text(f"This release can't compile {names} (shards {', '.join(those)})\n", style="red")
        for names, those in shards.items()
    ]


def _actors(status: Any) -> Table:
    rows = [
        (
            part.name,
            _state(part),
            str(_number(part, "pid") or ""),
            _number(part, "restarts"),
            _text(part, "error"),
        )
        for part in (*status.hosts, *status.senders, *status.gateways)
    ]
    return table("actors", ("name", "state", "#process", "#restarts", "error"), rows)


def _lanes(status: Any) -> Table:
    columns = ("lane", "carrier", "sender", "#waiting", "#in flight", "limits in use", "outcomes")
    rows = [
        (
            lane["lane"],
            _state_of(lane),
            sender.name,
            int(sum(lane["waiting"].values()) + lane["retrying"] + lane.get("delayed", 0)),
            int(lane["in_flight"]),
            ", ".join(f"{used:,.0f} of {words}" for words, used, *_ in lane["limits"]),
            ", ".join(f"{count:,.0f} {name}" for name, count in sorted(lane["counts"].items())),
        )
        for sender in status.senders
        for lane in _details(sender).get("lanes", ())
    ]
    return table("lanes", columns, rows)


def _state_of(lane: dict[str, Any]) -> str:
    """A lane's carrier, and what keeps it from its full rate."""
    if lane["error"]:
        return str(lane["error"])
    held = [each["why"] for each in lane.get("reactions", ())]
    if lane.get("circuit", "closed") != "closed":
        held.append(f"circuit {lane['circuit']}: {lane['circuit_why']}")
    return "; ".join([lane["carrier"], *held])


def _details(part: Any) -> dict[str, Any]:
    """What a part tells about itself. Numbers are floats: a Struct knows no others."""
    return plain(part.details)


def _state(part: Any) -> Text:
    if part.serving:
        return Text("serving", style="green")
    return Text(getattr(part, "error", "") or _text(part, "state") or "away", style="red")


def _number(part: Any, name: str) -> int:
    value = _details(part).get(name, 0)
    return int(value) if isinstance(value, float | int) else 0


def _text(part: Any, name: str) -> str:
    value = _details(part).get(name, "")
    return value if isinstance(value, str) else ""
