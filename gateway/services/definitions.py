"""DefinitionsService: journeys, segments, computed traits, templates, lanes, and so on.

Definitions are checked here, as a whole and with those that exist, so that a shard never meets
one that does not hold together. The version that they were checked against goes with the command:
if someone else was quicker, the catalog refuses, and the check is made again.
"""

import asyncio
import json
import uuid
from dataclasses import replace
from typing import Any

import yaml
from google.protobuf import json_format

from actors.carriers import registry as carriers
from engine import commands, definitions, limits
from engine.definition_kinds import JOURNEY, LANE
from engine.definitions import DefinitionError, Document
from engine.errors import DenreiError
from engine.journeys import publish
from engine.lanes.definition import lane_from
from engine.program import EMPTY, Program, advance
from engine.reasons import Reason
from engine.slots import catalog_key, shard_of, slot_of
from engine.tables.definition import ROWS
from gateway import errors, names, pages, views
from gateway.admission import check_id
from gateway.batch import Batch
from gateway.binding import Call
from gateway.pb.denrei.v1 import definitions_pb2
from gateway.seams import Router

_FIRST_LOOK_S = 0.01
_LAST_LOOK_S = 0.25


class DefinitionsService:
    """See definitions.proto.

    Args:
        router: The way to the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def apply_definitions(
        self, request: definitions_pb2.ApplyDefinitionsRequest, call: Call
    ) -> definitions_pb2.ApplyDefinitionsResponse:
        """Makes or changes definitions, all or none.

        Durability: They are synced in the catalog when it returns, and will reach every shard.
        """
        check_id(request.request_id, "request_id", limits.MESSAGE_ID_CHARS)
        documents = await asyncio.to_thread(_parse, request)
        pending = 0
        if request.validate_only:
            version, program = await self._program(call)
            await asyncio.to_thread(_judge, documents, program)
        else:
            version, program = await self.submit(
                documents, request.request_id, request.expected_version, call
            )
            pending = await self.installed(version, call)
        return definitions_pb2.ApplyDefinitionsResponse(
            handovers=await asyncio.to_thread(_handovers, documents, program),
            definitions=[
                _view(one.kind, one.name, 0 if request.validate_only else version, one.body)
                for one in documents
            ],
            version=version,
            pending_shards=pending,
        )

    async def delete_definition(
        self, request: definitions_pb2.DeleteDefinitionRequest, call: Call
    ) -> definitions_pb2.DeleteDefinitionResponse:
        """Deletes a definition that no other refers to."""
        check_id(request.request_id, "request_id", limits.MESSAGE_ID_CHARS)
        kind, name = names.definition(request.name)
        version, _ = await self.submit(
            [Document(kind, name, None)], request.request_id, request.expected_version, call
        )
        pending = await self.installed(version, call)
        return definitions_pb2.DeleteDefinitionResponse(version=version, pending_shards=pending)

    async def get_definition(
        self, request: definitions_pb2.GetDefinitionRequest, call: Call
    ) -> definitions_pb2.Definition:
        """Gets a definition in one version."""
        kind, name = names.definition(request.name)
        for version, body, at_ms in await self.versions(kind, name, call):
            if request.version in (0, version):
                if body is None:
                    break
                return _view(kind, name, version, body, at_ms)
        at = f" in version {request.version}" if request.version else ""
        raise errors.not_found(f"{request.name}{at}")

    async def list_definitions(
        self, request: definitions_pb2.ListDefinitionsRequest, call: Call
    ) -> definitions_pb2.ListDefinitionsResponse:
        """Lists definitions by kind and name."""
        wanted = names.kind_in(request.kind)
        if request.kind and not wanted:
            forms = ", ".join(map(names.collection_of, names.DEFINITION_KINDS))
            raise errors.invalid("kind", f"{request.kind[:100]!r} is none of {forms}")
        limit = pages.size(request.page_size)
        scope = ("definitions", request.kind)
        after = tuple(pages.cursor(request.page_token, ["", ""], *scope))
        catalog = await self.catalog(call)
        found = sorted(
            (kind, name, version, body)
            for kind, name, version, body in catalog["documents"]
            if (kind, name) > after and wanted in ("", kind)
        )
        page = found[:limit]
        more = len(found) > limit
        return definitions_pb2.ListDefinitionsResponse(
            definitions=[_view(*one) for one in page],
            next_page_token=pages.token([*page[-1][:2]], *scope) if more else "",
            version=catalog["version"],
        )

    async def list_definition_versions(
        self, request: definitions_pb2.ListDefinitionVersionsRequest, call: Call
    ) -> definitions_pb2.ListDefinitionVersionsResponse:
        """Lists the kept versions of one definition, newest first."""
        kind, name = names.definition(request.name)
        limit = pages.size(request.page_size)
        scope = ("versions", request.name)
        (below,) = pages.cursor(request.page_token, [2**62], *scope)
        found = await self.versions(kind, name, call)
        if not found:
            raise errors.not_found(request.name)
        found = [one for one in found if one[0] < below]
        page = found[:limit]
        return definitions_pb2.ListDefinitionVersionsResponse(
            definitions=[_view(kind, name, version, body, at_ms) for version, body, at_ms in page],
            next_page_token=pages.token([page[-1][0]], *scope) if len(found) > limit else "",
        )

    async def submit(
        self, documents: list[Document], request_id: str, expected_version: int, call: Call
    ) -> tuple[int, Program]:
        """Checks changes against the catalog as it is and submits them.

        Args:
            documents: The changes.
            request_id: The caller's idempotency key, or empty.
            expected_version: The version that they must follow, or 0.
            call: The call.

        Returns:
            The new version, and what was defined before.
        """
        wire = definitions.to_wire(documents)
        request_id = request_id or uuid.uuid4().hex
        key = catalog_key(call.workspace)
        shard = shard_of(slot_of(key), self._router.shards)
        for _ in range(limits.APPLY_ATTEMPTS):
            version, program = await self._program(call)
            if expected_version not in (0, version):
                text = f"the definitions are in version {version}, not {expected_version}"
                raise errors.refused(Reason.VERSION_CONFLICT, "expected_version", text)
            await asyncio.to_thread(_check, documents, program)
            command = commands.apply_definitions(key, request_id, wire, version)
            batch = Batch(1)
            batch.place(0, shard, command, len(wire) + limits.ID_CHARS)
            await batch.settle(batch.post(self._router, call.deadline), call.deadline)
            outcome = Reason(batch.outcomes[0])
            if outcome is Reason.ACCEPTED:
                return version + 1, program
            if outcome is Reason.DUPLICATE:
                return version, program
            if outcome is Reason.TOO_LARGE:
                text = f"all definitions would take more than {limits.CATALOG_BYTES} bytes"
                raise errors.refused(outcome, "sources", f"{text}; delete some, or shorten them")
            if outcome is not Reason.VERSION_CONFLICT:
                raise errors.refused(outcome)
        raise errors.refused(Reason.VERSION_CONFLICT)

    async def installed(self, version: int, call: Call) -> int:
        """Waits until every shard has installed a version; how many have not, at the end."""
        loop = asyncio.get_running_loop()
        until = min(call.deadline - limits.ANSWER_S, loop.time() + limits.INSTALL_WAIT_S)
        waiting = list(range(self._router.shards))
        pause_s = _FIRST_LOOK_S
        while True:
            looks = await asyncio.gather(
                *(self._lags(shard, version, until, call) for shard in waiting)
            )
            waiting = [shard for shard, lags in zip(waiting, looks, strict=True) if lags]
            if not waiting or loop.time() + pause_s >= until:
                return len(waiting)
            await asyncio.sleep(pause_s)
            pause_s = min(_LAST_LOOK_S, pause_s * 2)

    async def _lags(self, shard: int, version: int, until: float, call: Call) -> bool:
        """Whether a shard has not installed a version, as far as it can be told in time."""
        timeout_s = max(_FIRST_LOOK_S, until - asyncio.get_running_loop().time())
        try:
            status = await self._router.query(shard, "status", {}, timeout_s)
        except DenreiError:
            return True
        return bool(status["installed"].get(call.workspace, 0) < version)

    async def catalog(self, call: Call) -> dict[str, Any]:
        """The newest definitions: `version`, and `documents` as `[kind, name, version, body]`."""
        shard = shard_of(slot_of(catalog_key(call.workspace)), self._router.shards)
        args = {"workspace": call.workspace}
        found: dict[str, Any] = await self._router.query(shard, "catalog", args, call.remaining_s())
        return found

    async def _program(self, call: Call) -> tuple[int, Program]:
        """The catalog's version, and its newest definitions as one program."""
        catalog = await self.catalog(call)
        changes = [(kind, name, body) for kind, name, _, body in catalog["documents"]]
        version: int = catalog["version"]
        program = await asyncio.to_thread(advance, EMPTY, version, changes)
        return version, program

    async def versions(self, kind: str, name: str, call: Call) -> list[Any]:
        """The kept versions of a definition, newest first."""
        shard = shard_of(slot_of(catalog_key(call.workspace)), self._router.shards)
        args = {"workspace": call.workspace, "kind": kind, "name": name}
        found = await self._router.query(shard, "versions", args, call.remaining_s())
        return list(found)[::-1]


def _parse(request: definitions_pb2.ApplyDefinitionsRequest) -> list[Document]:
    """All definitions of a request.

    Raises:
        StatusError: There are none, or too many.
        DefinitionError: A text can't be read.
    """
    documents: list[Document] = []
    size_bytes = 0
    for index, source in enumerate(request.sources):
        where = f"sources[{index}]"
        check_id(source.filename, f"{where}.filename", limits.NAME_CHARS)
        field = source.WhichOneof("content")
        if field is None:
            raise errors.invalid(where, "set yaml, json or struct")
        if field == "struct":
            text = json.dumps(whole(json_format.MessageToDict(source.struct)))
        else:
            text = getattr(source, field)
        size_bytes += len(text.encode())
        if size_bytes > limits.DEFINITION_BYTES:
            text = f"the sources have more than {limits.DEFINITION_BYTES} bytes; apply fewer"
            raise errors.bad_request(Reason.TOO_LARGE, [(where, text)])
        documents += definitions.parse(text, source.filename or where)
    if any(document.kind == ROWS for document in documents):
        text = "the rows of a table are loaded, with LoadTable or `denrei table load`"
        raise errors.invalid("sources", text)
    if not documents:
        raise errors.invalid("sources", "there is no definition in the sources")
    if len(documents) > limits.DEFINITIONS_PER_APPLY:
        text = f"{len(documents)} definitions are more than {limits.DEFINITIONS_PER_APPLY}"
        raise errors.bad_request(Reason.TOO_LARGE, [("sources", text)])
    return documents


def _check(documents: list[Document], program: Program) -> None:
    """Judges changes; what is wrong with a deletion is not wrong with a text.

    Raises:
        StatusError: What is to be deleted does not exist, or is in use.
        DefinitionError: The definitions do not hold together.
    """
    deleted = [document for document in documents if document.body is None]
    for document in deleted:
        if (document.kind, document.name) not in program.models:
            raise errors.not_found(f"{names.collection_of(document.kind)}/{document.name}")
    try:
        _judge(documents, program)
    except DefinitionError as error:
        if deleted:
            raise errors.refused(Reason.IN_USE, "name", str(error)) from None
        raise


def _judge(documents: list[Document], program: Program) -> None:
    """Checks documents, and whether carriers take their lanes.

    Raises:
        DefinitionError: With everything that is wrong.
    """
    issues = []
    try:
        definitions.check(documents, program)
    except DefinitionError as error:
        issues += error.issues
    for document in documents:
        if document.kind == LANE and document.body is not None:
            try:
                carriers.check(lane_from(document.body))
            except carriers.UnknownCarrier as error:
                issues += [replace(issue, source=document.source) for issue in error.issues]
            except DefinitionError:
                pass  # it is no lane, and the check above has said so
    if issues:
        raise DefinitionError(issues)


def _handovers(documents: list[Document], before: Program) -> list[definitions_pb2.JourneyHandover]:
    """What becomes of the runs of journeys that get a newer version."""
    changes = [(one.kind, one.name, one.body) for one in documents if one.kind == JOURNEY]
    if not changes:
        return []
    after = advance(before, before.version + 1, changes)
    return [
        definitions_pb2.JourneyHandover(
            journey=f"{names.collection_of(JOURNEY)}/{name}",
            steps=[
                definitions_pb2.StepHandover(step=step, outcome=outcome)
                for step, outcome in steps.items()
            ],
        )
        for name, steps in publish.handovers(before, after).items()
        if steps
    ]


def whole(value: Any) -> Any:
    """A Struct's values with whole numbers as integers again; a Struct knows doubles only."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _view(
    kind: str, name: str, version: int, body: dict[str, Any] | None, at_ms: int = 0
) -> definitions_pb2.Definition:
    """A definition as the contract shows it; one without a body was deleted."""
    made = definitions_pb2.Definition(
        name=f"{names.collection_of(kind)}/{name}",
        version=version,
        deleted=body is None,
        create_time=views.time(at_ms),
    )
    if body is not None:
        whole = {kind: name, **body}
        made.body.CopyFrom(views.struct(whole))
        made.yaml = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
    return made
