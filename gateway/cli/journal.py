"""`denrei journal`: lists and prints what a store's journals hold, archived and live.

It reads files and takes nothing from an instance that runs. A journal holds commands, that is, what
came in; they are shown decoded.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgpack
import typer

from actors.store.errors import ForeignStore
from actors.store.identity import read_identity
from actors.store.reader import JournalReader
from engine import commands
from engine.reasons import Reason
from engine.slots import USER, shard_of, slot_of
from gateway.cli import options
from gateway.cli.errors import USAGE, CliError
from gateway.cli.history.times import read_any
from gateway.cli.output import console, print_json, say, table, time_of

app = typer.Typer()

_OPERATIONS: Final = {
    commands.EVENT: "event", commands.SEND: "send", commands.RECEIPT: "receipt",
    commands.INSTALL: "install", commands.SETTLE: "settle", commands.APPLY: "apply",
    commands.REFRESH: "refresh", commands.RELEASE: "release",
    commands.LINK: "link", commands.MERGE: "merge", commands.KEPT: "kept",
    commands.PASS: "pass", commands.CALL_BACK: "call_back", commands.CLAIM: "claim",
    commands.ACCOUNT: "account", commands.ERASE: "erase", commands.SUPPRESS: "suppress",
    commands.CALLED: "called", commands.ERASED: "erased", commands.TICK: "tick",
    commands.INBOUND: "inbound", commands.TOLD: "told",
}  # fmt: skip


@app.command()
def journal(
    store: options.Store = options.DEFAULT_STORE,
    shard: Annotated[int | None, typer.Option("--shard", help="Print this shard's.")] = None,
    user: Annotated[str, typer.Option("--user", "-u", help="Print this user's commands.")] = "",
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="The user's.")] = "default",
    from_: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Only entries from this time on.")
    ] = "",
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="Only entries before it.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Commands; 0: all.")] = 100,
    json: options.Json = False,
) -> None:
    """List a store's journals; with --shard or --user, print what they hold.

    Example: `denrei journal --user 4711 --from 2026-01-01`

    Exit codes: 0 printed; 1 there is no store, or it is damaged (the words say where); 2 wrong
    usage.
    """
    identity = read_identity(store)
    if identity is None:
        raise ForeignStore(f"{store} holds no store", "Name one with --store")
    span = (_time(from_, "--from"), _time(to, "--to"))
    if shard is None and not user:
        _list(store, identity.shards, json)
        return
    key = f"{workspace}/{USER}/{user}" if user else ""
    index = shard_of(slot_of(key), identity.shards) if key else shard
    assert index is not None, "one of the two was given"
    for shown, line in enumerate(read_commands(store, index, key, *span)):
        if limit and shown == limit:
            say(f"... and more: choose with --from, or say --limit {limit * 10}")
            break
        if json:
            print_json(line)
        else:
            say(_words(line))


def read_commands(
    store: Path, shard: int, key: str, from_ms: int | None, to_ms: int | None
) -> Iterator[dict[str, Any]]:
    """The decoded commands of a shard's history, oldest first.

    Args:
        store: The store's directory.
        shard: Which shard.
        key: Only commands of this entity; empty for all.
        from_ms: Only of entries from this time on.
        to_ms: Only of entries before this time.
    """
    for entry in JournalReader(store, shard).entries(from_ms=from_ms, to_ms=to_ms):
        base = {"shard": shard, "seq": entry.seq, "epoch": entry.epoch, "now_ms": entry.now_ms}
        if not entry.payload and not key:
            yield {**base, "command": "tick"}
        for chunk in commands.unpack_payload(entry.payload):
            for command in chunk:
                if not key or command[1] == key:
                    yield {**base, **decode(command)}


def decode(command: commands.Command) -> dict[str, Any]:
    """A command as a map with names; bytes that hold msgpack become what they hold.

    Commands grow at their ends: items that this does not know are left out.
    """
    operation = _OPERATIONS.get(command[0], f"unknown operation {command[0]}")
    made: dict[str, Any] = {"command": operation, "key": command[1]}
    if operation == "event":
        _, _, id_, type_, name, at_ms, properties, context = command[:8]
        made |= {
            "message_id": id_, "type": commands.EVENT_TYPES[type_], "name": name,
            "timestamp_ms": at_ms, "properties": _unpacked(properties),
        }  # fmt: skip
        if context:
            made["context"] = _unpacked(context)
        if len(command) > 8 and command[8]:
            made["anonymous_id"] = command[8]
    elif operation == "receipt":
        _, _, id_, reason, at_ms, settle, carrier, lane, code, detail, provider_id = command[:11]
        made |= {
            "message_id": id_, "outcome": Reason(reason).name, "at_ms": at_ms, "settle": settle,
            "carrier": carrier, "lane": lane, "code": code, "detail": detail,
            "provider_id": provider_id,
        }  # fmt: skip
        if len(command) > 12 and command[12] != commands.UNKNOWN:
            made["took_ms"] = command[12]
        if len(command) > 11 and command[11]:
            made["more"] = [
                {"outcome": Reason(more[0]).name, "at_ms": more[1], "code": more[2],
                 "detail": more[3]}
                for more in command[11]
            ]  # fmt: skip
    elif operation == "send":
        made |= {"request_id": command[2], "message": _unpacked(command[3])}
    elif operation == "apply":
        made |= {"request_id": command[2], "documents": _unpacked(command[3])}
    elif operation == "install":
        made |= {
            "source": command[3], "workspace": command[4], "version": command[5],
            "documents": _unpacked(command[6]),
        }  # fmt: skip
    elif operation == "called":
        made |= {
            "webhook": command[2], "status": command[4], "answer": _unpacked(command[5]),
            "words": command[6], "error": command[7],
        }  # fmt: skip
    elif operation == "settle":
        made["effect_id"] = command[2]
    else:
        made |= _between_profiles(operation, command)
    return made


def _between_profiles(operation: str, command: commands.Command) -> dict[str, Any]:
    """What profiles say to each other; see `engine.identity`."""
    if operation == "link":
        return {"target": command[3], "by": command[4], "via": command[5]}
    if operation == "merge":
        return {"source": command[2], "parts": _unpacked(command[5])}
    if operation == "kept":
        return {"asked": command[3], "owner": command[4]}
    if operation == "pass":
        inner = decode(commands.unpack_command(command[7]))
        return {"sender": command[3], "number": command[4], "passed": inner}
    if operation == "call_back":
        return {"message_id": command[3], "why": command[4]}
    if operation == "claim":
        return {"identifier": command[3], "owner": command[4], "by": command[5]}
    if operation == "account":
        return {"account": command[3], "member": command[4], "traits": _unpacked(command[6])}
    return {}


def _list(store: Path, shards: int, json: bool) -> None:
    rows = []
    for index in range(shards):
        reader = JournalReader(store, index)
        files = reader.archive.files()
        archived = files[-1][1] if files else 0
        first = last = first_ms = last_ms = entries = 0
        for entry in reader.entries():
            first, first_ms = (first, first_ms) if entries else (entry.seq, entry.now_ms)
            last, last_ms = entry.seq, entry.now_ms
            entries += 1
        rows.append((index, first, last, entries, len(files), archived, first_ms, last_ms))
    names = (
        "shard", "first_seq", "last_seq", "entries", "archive_files", "archived_to", "first_ms",
        "last_ms",
    )  # fmt: skip
    if json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    columns = (
        "#shard", "#first", "#last", "#entries", "#archive files", "#archived to", "from", "to",
    )  # fmt: skip
    shown = [(*row[:6], time_of(row[6]), time_of(row[7])) for row in rows]
    console.print(table(f"journals of {store}", columns, shown))
    say(f"print one with: denrei journal --store {store} --shard 0")


def _words(line: dict[str, Any]) -> str:
    rest = {
        name: value
        for name, value in line.items()
        if name not in ("shard", "seq", "epoch", "now_ms", "command", "key") and value != ""
    }
    words = "  ".join(f"{name}={_short(name, value)}" for name, value in rest.items())
    place = f"{line['shard']}/{line['seq']}"
    head = f"{place:>12}  {time_of(line['now_ms'])}  {line['command']:<8}"
    return f"{head} {line.get('key', '')}  {words}"


def _short(name: str, value: Any) -> str:
    if name.endswith("_ms"):
        return time_of(value)
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _unpacked(packed: bytes) -> Any:
    """What msgpack bytes hold; bytes within them as their number, since JSON has none."""
    if not packed:
        return {}
    try:
        return _plain(msgpack.unpackb(packed, strict_map_key=False))
    except ValueError:
        return f"({len(packed)} unreadable bytes)"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    return value.to_datetime().isoformat() if isinstance(value, msgpack.Timestamp) else value


def _time(text: str, option: str) -> int | None:
    try:
        return read_any(text) if text else None
    except ValueError:
        today = datetime.now().astimezone().date().isoformat()
        raise CliError(
            f"{option} {text!r} is not a time", f"write it like {today}", USAGE
        ) from None
