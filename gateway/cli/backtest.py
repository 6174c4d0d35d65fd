"""`denrei backtest`: what changed definitions would have done in days that are past."""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from actors.collector import FreezesState
from actors.store.tables import TableFiles
from engine import definitions
from engine.definitions import Document
from engine.issues import DefinitionError
from engine.reasons import Reason
from engine.simulation.backtest import (
    Backtest,
    Difference,
    Happened,
    Moment,
    counts,
    differences,
)
from engine.simulation.past import moments
from engine.slots import parse_key
from gateway.admission import Admission
from gateway.cli import options
from gateway.cli.apply import read_sources
from gateway.cli.archived import History, identity_of
from gateway.cli.errors import FAILED, REFUSED, USAGE, CliError
from gateway.cli.history.events import Reader
from gateway.cli.history.mapping import read_mapping, read_names
from gateway.cli.history.rows import Recording
from gateway.cli.history.times import read_any
from gateway.cli.output import console, note, print_json, say, table, time_of

app = typer.Typer()

_NEVER_MS: Final = 2**62


class Outcome(NamedTuple):
    """What a backtest found.

    Attributes:
        from_ms: Where the period began.
        to_ms: Where it ended.
        real: What happened; nothing, if a file was played.
        changed: What would have happened.
    """

    from_ms: int
    to_ms: int
    real: list[Happened]
    changed: list[Happened]


@app.command()
def backtest(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="The definitions, new or changed.")
    ],
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TIME",
            help="When they would have been applied. Left out: as early as they could.",
        ),
    ] = "",
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="When it ends.")] = "",
    file: Annotated[
        Path | None,
        typer.Option("--replay", metavar="FILE", help="Play a recorded file, not the archive."),
    ] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN,...", help="As for replay.")
    ] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map-file", metavar="FILE", help="As for replay.")
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--names", metavar="VALUE=NAME,...", help="As for replay.")
    ] = None,
    sort: Annotated[bool, typer.Option("--sort", help="As for replay.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, help="Differences to show; 0: all.")
    ] = 20,
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Whose.")] = "default",
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
) -> None:
    """Play past days again under new or changed definitions, and compare with what happened.

    Example: `denrei backtest win-back.yaml --from 2026-01-01 --to 2026-02-01`

    The store's archive and journals are read, and nothing is sent: of each message it is taken
    that it left at once. With --replay a recorded file is played instead, under these definitions
    alone; columns are named as for `denrei replay`.

    Exit codes: 0 done; 1 there is no store, or nothing is kept of these days; 2 wrong usage; 5 a
    definition or the file is wrong.
    """
    documents = _documents(files)
    span = _time(from_, "--from") or 0, _time(to, "--to") or _NEVER_MS
    if span[0] >= span[1]:
        raise CliError("--from is not before --to", "", USAGE)
    try:
        if file is None:
            found = _over_store(documents, store, workspace, *span)
        else:
            mapping = read_mapping(
                map_file, map_ or (), {"sort": sort or None, "names": read_names(names or ())}
            )
            recording = Recording(file, mapping.format or "", mapping.header, mapping.delimiter)
            found = _over_file(documents, Reader(recording, mapping), workspace, *span)
    except DefinitionError as error:
        raise CliError(str(error), "", REFUSED) from None
    shown = differences(found.real, found.changed)
    if json:
        print_json(_plain(found, shown))
    else:
        _tell(found, shown, limit, compared=file is None)


def _documents(paths: list[Path]) -> list[Document]:
    try:
        return [
            document
            for source in read_sources(paths)
            for document in definitions.parse(source.yaml or source.json, source.filename)
        ]
    except DefinitionError as error:
        raise CliError(str(error), "", REFUSED) from None


def _over_store(
    documents: list[Document], store: Path, workspace: str, from_ms: int, to_ms: int
) -> Outcome:
    """Plays the journals of a store, shard by shard."""
    identity = identity_of(store)
    shards = identity.shards
    to_ms = to_ms if to_ms < _NEVER_MS else max(_last_ms(store, one) for one in range(shards)) + 1
    real: list[Happened] = []
    changed: list[Happened] = []
    begins: list[int] = []
    cut_off: list[int] = []
    for shard in range(shards):
        history = History(store, shard)
        if history.first_ms is None:
            continue
        if not history.complete:
            cut_off.append(history.first_ms)
        begin_ms = max(from_ms, history.first_ms) if from_ms else None
        place = shard, shards
        part = Backtest(documents, begin_ms, to_ms, place, workspace, history.definitions)
        part.real.shard.tables = TableFiles(store)
        part.real.shard.secret = identity.key
        _play(part, _moments(history))
        then, now = part.end()
        begins.append(part.from_ms or to_ms)
        real += then
        changed += now
    if not begins:
        raise CliError(f"{store} holds no journal", "see `denrei journal`", FAILED)
    if cut_off:
        note(
            f"the archive begins at {time_of(max(cut_off))}: who people were before is not in it, "
            "and counts for neither side"
        )
    return Outcome(min(begins), to_ms, sorted(real), sorted(changed))


def _last_ms(store: Path, shard: int) -> int:
    """The time of the last moment of a shard's journal; 0 if it has none."""
    newest = deque(History(store, shard).entries(), maxlen=1)
    return max((now_ms for entry in newest for now_ms, _ in moments(entry, 0)), default=0)


def _over_file(
    documents: list[Document], reader: Reader, workspace: str, from_ms: int, to_ms: int
) -> Outcome:
    """Plays a recorded file."""
    events = _recorded(reader, workspace)
    first = next(events, None)
    if first is None:
        raise CliError("there is no event in the file", "", REFUSED)
    part = Backtest(documents, max(from_ms, first[0]), to_ms, (0, 1), workspace, alone=True)
    last_ms = _play(part, chain((first,), events))
    end_ms = to_ms if to_ms < _NEVER_MS else last_ms + 1
    if end_ms != to_ms:
        note(f"it ends with the last event, at {time_of(last_ms)}; --to shows what is due later")
    _, changed = part.end(end_ms)
    return Outcome(max(from_ms, first[0]), end_ms, [], changed)


def _play(part: Backtest, played: Iterator[Moment]) -> int:
    """Plays moments; the time of the last."""
    last_ms = 0
    with FreezesState():
        for moment in played:
            if not part.play(moment):
                break
            last_ms = moment[0]
    return last_ms


def _moments(history: History) -> Iterator[Moment]:
    now_ms = 0
    for entry in history.entries():
        for moment in moments(entry, now_ms):
            now_ms = moment[0]
            yield moment


def _recorded(reader: Reader, workspace: str) -> Iterator[Moment]:
    """The events of a file, as the door would let them in."""
    admission = Admission(1, event_time=True)
    for recorded in reader.events():
        batch = admission.admit(workspace, [recorded.event], recorded.ms)
        for item in batch.rejected:
            raise CliError(
                f"row {recorded.row}: {Reason(item.reason).name}: {item.message}", "", REFUSED
            )
        for part in batch.parts:
            yield recorded.ms, part.commands


def _plain(found: Outcome, shown: list[Difference]) -> dict[str, Any]:
    return {
        "from_ms": found.from_ms,
        "to_ms": found.to_ms,
        "real": _plain_counts(found.real),
        "changed": _plain_counts(found.changed),
        "differences": [
            {
                "ms": one.happened.ms,
                "user": _user(one.happened),
                "what": one.happened.what,
                "name": one.happened.name,
                "detail": one.happened.detail,
                "with_change": one.with_change,
            }
            for one in shown
        ],
    }


def _plain_counts(happened: list[Happened]) -> list[dict[str, Any]]:
    return [
        {"what": what, "name": name, "times": times, "people": people}
        for (what, name), (times, people) in counts(happened).items()
    ]


def _tell(found: Outcome, shown: list[Difference], limit: int, compared: bool) -> None:
    title = f"{time_of(found.from_ms)} to {time_of(found.to_ms)}"
    then, now = counts(found.real), counts(found.changed)
    rows = []
    for label in sorted({*then, *now}):
        numbers = [then.get(label, (0, 0)), now.get(label, (0, 0))]
        rows.append((*label, *(number for pair in numbers[not compared :] for number in pair)))
    sides = ("#did", "#people", "#would", "#people") if compared else ("#would", "#people")
    columns = ("what", "which", *sides)
    console.print(table(title, columns, rows))
    if not shown:
        say("nothing would have been different" if compared else "nothing would have happened")
        return
    words = f"{len(shown)} differences" if compared else "who would have got what"
    say(words + (f", the first {limit}:" if 0 < limit < len(shown) else ":"))
    for one in shown[: limit or None]:
        happened = one.happened
        detail = f" ({happened.detail})" if happened.detail else ""
        side = ("would  " if one.with_change else "did    ") if compared else ""
        words = f"{happened.what} {happened.name}{detail}"
        say(f"  {time_of(happened.ms)}  {side}{_user(happened)}  {words}")


def _user(happened: Happened) -> str:
    return parse_key(happened.key).id


def _time(text: str, option: str) -> int | None:
    try:
        return read_any(text) if text else None
    except ValueError:
        hint = "write it like 2026-01-01 or 2026-01-01T12:00:00Z"
        raise CliError(f"{option} {text!r} is not a time", hint, USAGE) from None
