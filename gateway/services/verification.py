"""VerificationService: one-time codes, made here and known nowhere else.

A code is drawn and sealed at the gateway; see `actors.codes`. A start counts first at the user, the
IP address and the device that ask, then at the address, which decides.
"""

import logging
import secrets
import uuid
from collections.abc import Mapping
from typing import Any, Final

from engine import commands, limits
from engine.messages.phone import Phones
from engine.reasons import Reason
from engine.slots import ADDRESS, LIMITER, USER, parse_key, shard_of, slot_of
from engine.verification import definition, record
from gateway import errors, names, views
from gateway.admission import check_id
from gateway.batch import Batch
from gateway.binding import Call
from gateway.facts import IP, address
from gateway.pb.denrei.v1 import verification_pb2
from gateway.seams import Codes, Control, Router
from gateway.services.one import post

_STATES: Final = {
    record.PENDING: verification_pb2.Verification.PENDING,
    record.APPROVED: verification_pb2.Verification.APPROVED,
    record.CANCELLED: verification_pb2.Verification.CANCELLED,
    record.EXPIRED: verification_pb2.Verification.EXPIRED,
    record.TOO_MANY_ATTEMPTS: verification_pb2.Verification.TOO_MANY_ATTEMPTS,
}
_CHANNELS: Final = {number: name for name, number in views.CHANNELS.items()}
_REPORTS: Final = {
    verification_pb2.ReportAddressRequest.LEGITIMATE: "legit",
    verification_pb2.ReportAddressRequest.FRAUD: "fraud",
    verification_pb2.ReportAddressRequest.VERIFIED: "verified",
    verification_pb2.ReportAddressRequest.NOT_VERIFIED: "expired",
    verification_pb2.ReportAddressRequest.UNDELIVERED: "undelivered",
}
_ANSWERS: Final = frozenset(
    {Reason.VERIFICATION_WRONG, Reason.VERIFICATION_FAILED, Reason.NOT_FOUND}
)
_COLLECTION: Final = "verifications"
_log: Final = logging.getLogger("denrei.gateway")


class VerificationService:
    """See verification.proto.

    Args:
        router: The way to the shards.
        control: The way to the fraud guard.
        codes: Makes digests and seals.
    """

    def __init__(self, router: Router, control: Control, codes: Codes) -> None:
        self._router = router
        self._control = control
        self._codes = codes
        self._phones = Phones()

    async def start_verification(
        self, request: verification_pb2.StartVerificationRequest, call: Call
    ) -> verification_pb2.Verification:
        """Sends a code.

        Durability: The verification and its message are synced when it returns.
        """
        key = self._address(call.workspace, request.parent)
        name = names.reference(request.verification, definition.VERIFICATION, "verification")
        if not name:
            raise errors.invalid(
                "verification", "verification is empty; write verifications/{name}"
            )
        check_id(request.request_id, "request_id", limits.MESSAGE_ID_CHARS)
        channel = self._channel(request)
        user = names.entity_key(call.workspace, request.user, "user") if request.user else ""
        if user and parse_key(user).kind != USER:
            raise errors.invalid("user", "user must be users/{id}")
        for field in ("locale", "ip", "device"):
            check_id(getattr(request, field), field, limits.NAME_CHARS)
        ip = address(request.ip, IP) if request.ip else ""
        request_id = request.request_id or uuid.uuid4().hex
        code, spare = await self._draw(key, name, call)
        facts = {IP: ip, "device": request.device}
        await self._count({"user": request.user, **facts}, request_id, name, call)
        if request.trusted:
            facts["risk"] = "allow"
        command = commands.start(
            key, request_id, name, user, channel, request.locale,
            self._codes.digest(key, name, code), self._codes.seal(key, code),
            {fact: value for fact, value in facts.items() if value},
            self._codes.digest(key, name, spare), self._codes.seal(key, spare),
        )  # fmt: skip
        refused = await self._do(command, call)
        if refused is not None:
            raise errors.refused(refused)
        found = await self._found(key, name, call)
        if found is None:
            raise errors.not_found(request.verification)
        return found

    async def check_verification(
        self, request: verification_pb2.CheckVerificationRequest, call: Call
    ) -> verification_pb2.CheckVerificationResponse:
        """Holds an answer against the code.

        Durability: A right answer is good no more, and a wrong one is counted, synced, when it
        returns.
        """
        key, name = self._child(request.name, call)
        check_id(request.request_id, "request_id", limits.MESSAGE_ID_CHARS)
        code = request.code.replace(" ", "").replace("-", "").upper()
        if not code:
            raise errors.invalid("code", "code is empty")
        check_id(code, "code", limits.NAME_CHARS)
        request_id = request.request_id or uuid.uuid4().hex
        digest = self._codes.digest(key, name, code)
        refused = await self._do(commands.check(key, request_id, name, digest), call)
        if refused is not None and refused not in _ANSWERS:
            raise errors.refused(refused)
        outcome = Reason.ACCEPTED if refused is None else refused
        response = verification_pb2.CheckVerificationResponse(outcome=views.reason(outcome))
        found = await self._found(key, name, call)
        if found is not None:
            response.verification.CopyFrom(found)
        return response

    async def cancel_verification(
        self, request: verification_pb2.CancelVerificationRequest, call: Call
    ) -> verification_pb2.Verification:
        """Ends a pending verification.

        Durability: The end is synced when it returns.
        """
        key, name = self._child(request.name, call)
        refused = await self._do(commands.close(key, uuid.uuid4().hex, name), call)
        if refused is not None and refused is not Reason.NOT_FOUND:
            raise errors.refused(refused)
        return await self.get_verification(
            verification_pb2.GetVerificationRequest(name=request.name), call
        )

    async def get_verification(
        self, request: verification_pb2.GetVerificationRequest, call: Call
    ) -> verification_pb2.Verification:
        """Gets the newest verification of an address."""
        key, name = self._child(request.name, call)
        found = await self._found(key, name, call)
        if found is None:
            raise errors.not_found(request.name)
        return found

    async def report_address(
        self, request: verification_pb2.ReportAddressRequest, call: Call
    ) -> verification_pb2.ReportAddressResponse:
        """Tells the fraud guard what turned out about a number."""
        key = self._address(call.workspace, request.parent)
        if "@" in parse_key(key).id:
            raise errors.invalid(
                "parent", "the fraud guard looks at phone numbers only; this is an e-mail address"
            )
        if request.kind not in _REPORTS:
            kinds = ", ".join(map(verification_pb2.ReportAddressRequest.Kind.Name, _REPORTS))
            raise errors.invalid("kind", f"kind must be one of {kinds}")
        senders = await self._feedback(key, _REPORTS[request.kind])
        return verification_pb2.ReportAddressResponse(senders=senders)

    def _address(self, workspace: str, name: str, field: str = "parent") -> str:
        """The key of an address; a phone number in international form."""
        key = names.entity_key(workspace, name, field)
        _, kind, written = parse_key(key)
        if kind != ADDRESS:
            raise errors.invalid(field, f"{field} must be addresses/{{address}}")
        if "@" in written:
            return f"{workspace}/{ADDRESS}/{written.strip().lower()}"
        phone = self._phones.read(written)
        if not phone.e164:
            raise errors.invalid(field, f"{written[:100]!r} is no phone number: {phone.why}")
        return f"{workspace}/{ADDRESS}/{phone.e164}"

    def _child(self, name: str, call: Call) -> tuple[str, str]:
        key, definition_name = names.child(call.workspace, name, _COLLECTION)
        parent = names.entity_name(key)
        return self._address(call.workspace, parent, "name"), definition_name

    def _channel(self, request: verification_pb2.StartVerificationRequest) -> str:
        if not request.channel:
            return ""
        if request.channel not in _CHANNELS:
            raise errors.invalid("channel", f"there is no channel {request.channel}")
        return _CHANNELS[request.channel]

    async def _draw(self, key: str, name: str, call: Call) -> list[str]:
        """A new code, as its definition wants it, and a spare one."""
        shard = shard_of(slot_of(key), self._router.shards)
        args = {"workspace": call.workspace, "name": name}
        found = await self._router.query(shard, "verifier", args, call.remaining_s())
        if found is None:
            raise errors.not_found(f"{_COLLECTION}/{name}")
        alphabet, length = found["alphabet"], found["length"]
        return ["".join(secrets.choice(alphabet) for _ in range(length)) for _ in range(2)]

    async def _count(
        self, asking: Mapping[str, str], request_id: str, name: str, call: Call
    ) -> None:
        """Counts the start at everyone who asks; the first who may not ends it."""
        counted = [(kind, who) for kind, who in asking.items() if who]
        if not counted:
            return
        batch = Batch(len(counted))
        for index, (kind, who) in enumerate(counted):
            key = f"{call.workspace}/{LIMITER}/{self._codes.limiter(kind, who)}"
            command = commands.count(key, request_id, name)
            batch.place(index, shard_of(slot_of(key), self._router.shards), command, len(key) + 200)
        await batch.settle(batch.post(self._router, call.deadline), call.deadline)
        for item in batch.rejected:
            kind = counted[item.position][0]
            message = f"too many codes for this {kind}" if item.reason is _LIMIT else ""
            raise errors.refused(item.reason, message=message)

    async def _do(self, command: commands.Command, call: Call) -> Reason | None:
        """Does one command; why it was refused, or None."""
        batch = await post(self._router, command, 0, call)
        return batch.rejected[0].reason if batch.rejected else None

    async def _found(self, key: str, name: str, call: Call) -> verification_pb2.Verification | None:
        shard = shard_of(slot_of(key), self._router.shards)
        args = {"key": key, "name": name}
        values = await self._router.query(shard, "verification", args, call.remaining_s())
        return None if values is None else _view(key, name, values)

    async def _feedback(self, key: str, what: str) -> int:
        """Tells the fraud guards, of which some may be away."""
        workspace, _, address = parse_key(key)
        try:
            return await self._control.feedback(workspace, address, what)
        except Exception as error:
            _log.warning("no fraud guard heard that a number is %s: %s", what, type(error).__name__)
            return 0


_LIMIT: Final = Reason.VERIFICATION_LIMIT


def _view(key: str, name: str, values: dict[str, Any]) -> verification_pb2.Verification:
    parent = names.entity_name(key)
    pending = values["status"] == record.PENDING
    found = verification_pb2.Verification(
        name=f"{parent}/{_COLLECTION}/{name}",
        state=_STATES[values["status"]],
        user=names.entity_name(values["user"]) if values["user"] else "",
        create_time=views.time(values["started_ms"]),
        expire_time=views.time(values["expires_ms"] if pending else 0),
        end_time=views.time(values["ended_ms"]),
        next_send_time=views.time(values["next_send_ms"]),
        attempts_left=values["attempts_left"],
    )
    for message_id, channel, at_ms, status in values["sendings"]:
        found.sendings.add(
            message=f"{parent}/messages/{message_id}" if message_id else "",
            channel=views.CHANNELS[channel],
            time=views.time(at_ms),
            status=views.reason(status),
        )
    return found
