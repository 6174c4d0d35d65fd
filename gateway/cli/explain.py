"""`denrei explain`: why a person is, was or never was in a journey."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import grpc
import msgpack
import typer
import yaml

from actors.store.errors import StoreError
from engine import documents
from engine.definition_kinds import JOURNEY
from engine.entity import Entity
from engine.explaining import Truth, truths
from engine.journeys.entries import EVENT, SEGMENT
from engine.journeys.exits import ConditionExit
from engine.program import model_of
from engine.reasons import Reason
from gateway import names
from gateway.cli import options
from gateway.cli.archived import past_of
from gateway.cli.client import Client, millis
from gateway.cli.errors import CliError
from gateway.cli.output import print_json, say, time_of
from gateway.cli.profile import events_of
from gateway.cli.send import parent_of
from gateway.pb.denrei.v1 import definitions_pb2, profiles_pb2, system_pb2

app = typer.Typer()

_REAL_TIME_MS = 3_600_000


@app.command()
def explain(
    user: Annotated[str, typer.Argument(metavar="USER", help="A user id, or anonymousUsers/...")],
    journey: Annotated[str, typer.Argument(metavar="JOURNEY", help="The journey's name.")],
    events: Annotated[
        bool,
        typer.Option(
            "--events/--no-events", help="Also look into the store's journal, if it is here."
        ),
    ] = True,
    workspace: Annotated[
        str, typer.Option("--workspace", "-w", help="The key's, for the journal.")
    ] = "default",
    address: options.Address = "",
    key: options.Key = "",
    store: options.Store = options.DEFAULT_STORE,
    ca: options.Ca = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    json: options.Json = False,
) -> None:
    """Explain why a person got a journey, or did not: entries, path, waits, messages.

    Example: `denrei explain 00042 win-back`

    Conditions are asked of the person as they stand now. Those that count events, and the filters
    of the event that would begin a run, need the store's journal on this machine.

    Exit codes: 0 explained; 3 no answer; 4 the key is not accepted; 5 there is no such person or
    journey.
    """
    name = parent_of(user, user=True)
    with Client(address, key, store, ca, timeout) as client:
        asked = _Asked(client, name, journey)
        if events:
            asked.look_into(store, workspace)
        found = asked.explain()
    if json:
        print_json(asdict(found))
    else:
        _tell(found)


@dataclass(slots=True)
class Entry:
    """A way into the journey, and whether it would be open now."""

    words: str
    truths: list[Truth] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """One run: its path, and what it waits for."""

    id: str
    key: str
    version: int
    status: str
    entered_ms: int
    ended_ms: int
    step: str
    due_ms: int
    waits_at: str = ""
    path: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Explanation:
    """All that is to say; times are in Unix milliseconds."""

    user: str
    journey: str
    version: int
    status: str
    verdict: str
    now_ms: int
    entries: list[Entry] = field(default_factory=list)
    exits: list[Entry] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)


class _Asked:
    """What was found out about a person and a journey."""

    def __init__(self, client: Client, name: str, journey: str) -> None:
        self._client = client
        self._journey = journey
        self._name = name
        self.version, self.model, _ = self._definition(0)
        self.profile = self._profile()
        self.now_ms = _clock(client, self.profile)
        self.person = _person(name, self.profile, self.now_ms)
        self.whole = False
        self.events: list[dict[str, Any]] | None = None

    def look_into(self, store: Path, workspace: str) -> None:
        """Looks into the journal of a store of this machine, if there is one."""
        key = names.entity_key(workspace, self._name, "USER")
        try:
            past, history = past_of(store, key)
        except (StoreError, OSError, CliError):
            return
        if past.entity is None:
            return
        self.events = events_of(store, self._name, workspace)
        if history.complete:
            past.end(self.now_ms)
            self.person, self.whole = past.entity, True

    def explain(self) -> Explanation:
        """Puts it together."""
        found = Explanation(
            self._name, self._journey, self.version, self.model.status, "", self.now_ms
        )
        found.entries = [self._entry(entry) for entry in self.model.entry]
        found.exits = [
            Entry("it ends when", self._truths([rule.when], None))
            for rule in self.model.exit
            if isinstance(rule, ConditionExit)
        ]
        found.refusals = [
            {"ms": millis(line.time), "why": line.detail}
            for line in self.profile.trail
            if (line.kind, line.subject) == (JOURNEY, self._journey)
            and line.detail.startswith("not entered")
        ]
        found.runs = [
            self._run(one)
            for one in (*self.profile.ended_instances, *self.profile.instances)
            if one.journey == f"journeys/{self._journey}"
        ]
        found.messages = [*self._messages({run.id for run in found.runs})]
        found.verdict = self._verdict(found)
        return found

    def _definition(self, version: int) -> tuple[int, Any, dict[str, Any]]:
        version, body = self._body(f"journeys/{self._journey}", version)
        return version, model_of(JOURNEY, self._journey, body), body

    def _body(self, name: str, version: int) -> tuple[int, dict[str, Any]]:
        request = definitions_pb2.GetDefinitionRequest(name=name, version=version)
        found = self._client.call(self._client.definitions.GetDefinition, request)
        return found.version, documents.read(found.yaml, name)[0][0]

    def _profile(self) -> Any:
        request = profiles_pb2.GetProfileRequest(name=self._name)
        return self._client.call(self._client.profiles.GetProfile, request)

    def _truths(self, conditions: Any, event: dict[str, Any] | None) -> list[Truth]:
        return list(truths(conditions, self.person, self.now_ms, event, self.whole))

    def _entry(self, entry: Any) -> Entry:
        made = Entry(entry.compile().words.partition(" where ")[0])
        newest = None
        if entry.kind == EVENT and self.events is not None:
            mine = [
                one for one in self.events
                if one["command"] == "event" and one["name"] == entry.event
            ]  # fmt: skip
            if mine:
                newest = mine[-1]["properties"]
                times = "once" if len(mine) == 1 else f"{len(mine)} times"
                words = f"{times}, the newest at {time_of(mine[-1]['timestamp_ms'])}"
            else:
                words = "it never came, as far as the journal tells"
            made.truths.append(Truth(0, "such an event came", bool(mine), words))
        if entry.kind == SEGMENT:
            since = self.person.segments.get(entry.segment)
            words = f"since {time_of(since)}" if since else ""
            made.truths.append(Truth(0, f"in segment {entry.segment!r}", since is not None, words))
            made.truths += self._asks(entry.segment)
        audience = getattr(entry, "audience", None) or getattr(entry, "broadcast", None)
        conditions = [audience] if audience is not None else entry.where
        made.truths += self._truths(conditions, newest)
        return made

    def _asks(self, segment: str) -> list[Truth]:
        """What a segment asks, one step deeper than the segment itself."""
        try:
            body = self._body(f"segments/{segment}", 0)[1]
        except grpc.RpcError:
            return []  # it was deleted
        model: Any = model_of(SEGMENT, segment, body)
        return [replace(one, depth=one.depth + 1) for one in self._truths([model.when], None)]

    def _run(self, one: Any) -> Run:
        run = Run(
            one.name.rpartition("/")[2], one.key, one.version, one.status, millis(one.enter_time),
            millis(one.end_time), one.step, millis(one.due_time),
        )  # fmt: skip
        run.path = [
            {"ms": millis(move.time), "step": move.step, "what": move.what, "why": move.why}
            for move in one.trail
        ]
        if one.status == "running":
            try:
                _, _, body = self._definition(one.version)
            except grpc.RpcError:
                return run  # a version that is kept no longer
            run.waits_at = _flow(body["steps"].get(one.step))
        return run

    def _messages(self, runs: set[str]) -> list[dict[str, Any]]:
        found = []
        for message in self.profile.messages:
            if message.instance.rpartition("/")[2] not in runs:
                continue
            last = message.history[-1] if message.history else None
            found.append(
                {
                    "ms": millis(message.create_time),
                    "template": message.template.removeprefix("templates/"),
                    "to": message.to,
                    "status": Reason(message.status).name,
                    "why": (last.detail or last.code) if last is not None else "",
                }
            )
        return found

    def _verdict(self, found: Explanation) -> str:
        running = [run for run in found.runs if run.status == "running"]
        if running:
            until = f", until {time_of(running[-1].due_ms)}" if running[-1].due_ms else ""
            return f"they are in it: it waits at step {running[-1].step!r}{until}"
        if found.runs:
            last = found.runs[-1]
            why = f": {last.path[-1]['why']}" if last.path else ""
            return f"they were in it; the last run {last.status} at step {last.step!r}{why}"
        if found.status != "live":
            return f"they were never in it: the journey is {found.status} and takes nobody in"
        if found.refusals:
            return f"they were never in it: {found.refusals[-1]['why']}"
        return f"they were never in it, as far as is kept: {_closed(found.entries)}"


def _closed(entries: list[Entry]) -> str:
    """Why no entry is open, as far as the conditions tell."""
    whys = []
    for entry in entries:
        false = next((one for one in entry.truths if one.holds is False and one.depth == 0), None)
        if false is None:
            return "nothing that is known speaks against it; it may be newer than what happened"
        whys.append(f"of {entry.words}, this does not hold: {false.words}")
    return "; ".join(whys)


def _clock(client: Client, profile: Any) -> int:
    """The time of the instance; if events drive it, the newest that is known of the person."""
    status = client.call(client.system.GetStatus, system_pb2.GetStatusRequest())
    shards = max(
        (int(shard.details["now_ms"]) for shard in status.shards if shard.serving), default=0
    )
    now_ms = millis(status.time)
    if shards and abs(now_ms - shards) > _REAL_TIME_MS:
        return max(shards, millis(profile.update_time))
    return now_ms


def _person(name: str, profile: Any, now_ms: int) -> Entity:
    """A person as far as the gateway tells of them: traits and segments."""
    person = Entity(names.entity_key("-", name, "USER"), now_ms)
    person.traits = msgpack.unpackb(profile.traits_msgpack)
    person.segments = {
        one.segment.removeprefix("segments/"): millis(one.enter_time) for one in profile.segments
    }
    return person


def _flow(step: Any) -> str:
    """A step as it is written, in one line."""
    text: str = yaml.safe_dump(step, default_flow_style=True, sort_keys=False, width=10_000)
    return text.strip()


def _tell(found: Explanation) -> None:
    say(f"{found.user} and journey {found.journey!r} (version {found.version}, {found.status})")
    say(f"  {found.verdict}")
    for title, entries in (("entry", found.entries), ("exit", found.exits)):
        for entry in entries:
            say(f"{title}: {entry.words}")
            for truth in entry.truths:
                say(f"  {'  ' * truth.depth}{_words(truth)}")
    for refusal in found.refusals:
        say(f"refused: {time_of(refusal['ms'])}  {refusal['why']}")
    for run in found.runs:
        key = f" with key {run.key!r}" if run.key else ""
        say(f"run{key}: {run.status}, entered {time_of(run.entered_ms)} (version {run.version})")
        for move in run.path:
            say(f"  {time_of(move['ms'])}  {move['step']}: {move['what']} {move['why']}".rstrip())
        if run.waits_at:
            until = f" until {time_of(run.due_ms)}" if run.due_ms else ""
            say(f"  waits{until} at {run.step}: {run.waits_at}")
    for message in found.messages:
        why = f" ({message['why']})" if message["why"] else ""
        words = f"{message['template']} to {message['to']}: {message['status']}{why}"
        say(f"message: {time_of(message['ms'])}  {words}")


def _words(truth: Truth) -> str:
    if not truth.words:
        return f"   {truth.why}"
    mark = {True: "yes", False: "no ", None: "?  "}[truth.holds]
    more = f" ({truth.why})" if truth.why else ""
    if truth.changes_ms is not None:
        more += f" (time alone may change it at {time_of(truth.changes_ms)})"
    return f"{mark} {truth.words}{more}"
