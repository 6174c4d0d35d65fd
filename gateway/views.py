"""From the plain values that a shard answers with to the messages of the contract."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgpack
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from engine.reasons import Reason
from gateway import names
from gateway.pb.denrei.v1 import instances_pb2, messages_pb2, profiles_pb2, reason_pb2
from gateway.properties import plain

CHANNELS: Final = {
    "sms": messages_pb2.SMS,
    "email": messages_pb2.EMAIL,
    "push": messages_pb2.PUSH,
    "whatsapp": messages_pb2.WHATSAPP,
    "voice": messages_pb2.VOICE,
    "rcs": messages_pb2.RCS,
}
PURPOSES: Final = {
    "otp": messages_pb2.OTP,
    "transactional": messages_pb2.TRANSACTIONAL,
    "marketing": messages_pb2.MARKETING,
}
_STATES: Final = {
    "running": instances_pb2.Instance.RUNNING,
    "completed": instances_pb2.Instance.COMPLETED,
    "exited": instances_pb2.Instance.EXITED,
    "failed": instances_pb2.Instance.FAILED,
    "stopped": instances_pb2.Instance.STOPPED,
}

_VERDICTS: Final = {
    "asked": profiles_pb2.Identifier.ASKED,
    "merged": profiles_pb2.Identifier.MERGED,
    "foreign": profiles_pb2.Identifier.FOREIGN,
    "blocked": profiles_pb2.Identifier.BLOCKED,
}


def time(ms: int | None) -> Timestamp | None:
    """A time in milliseconds; None, for a field that is not set, for none or 0."""
    if not ms:
        return None
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def reason(code: int) -> reason_pb2.Reason:
    """A reason's number as the contract's enum, which has the same numbers."""
    return cast("reason_pb2.Reason", code)


def reasons(codes: bytearray) -> Iterable[reason_pb2.Reason]:
    """A byte for each reason, as the contract's enum; nothing is copied."""
    return cast("Iterable[reason_pb2.Reason]", codes)


def struct(values: Mapping[str, Any]) -> Struct:
    """A map for reading; see `properties.plain`."""
    made = Struct()
    made.update(plain(values))
    return made


def message(key: str, values: Mapping[str, Any]) -> messages_pb2.Message:
    """A message of an entity."""
    parent = names.entity_name(key)
    template, lane, instance = values["template"], values["lane"], values["instance"]
    return messages_pb2.Message(
        name=f"{parent}/messages/{values['id']}",
        channel=CHANNELS[values["channel"]],
        to=values["to"],
        purpose=PURPOSES[values["purpose"]],
        status=reason(Reason[values["status"]]),
        body=values["body"],
        subject=values["subject"],
        template=f"templates/{template}" if template else "",
        lane=f"lanes/{lane}" if lane else "",
        carrier=values["carrier"],
        provider_id=values["provider_id"],
        instance=f"{parent}/instances/{instance}" if instance else "",
        create_time=time(values["created_ms"]),
        expire_time=time(values["expires_ms"]),
        warnings=values["warnings"],
        history=[
            messages_pb2.Message.Outcome(
                time=time(at_ms), status=reason(Reason[status]), code=code, detail=detail
            )
            for at_ms, status, code, detail in values["history"]
        ],
        sender=values["sender"],
        hops=values["hop"],
        replaced_by=f"{parent}/messages/{values['instead']}" if values["instead"] else "",
        journey=f"journeys/{values['journey']}" if values.get("journey") else "",
        due_time=time(values.get("due_ms")),
    )


def instance(key: str, values: Mapping[str, Any]) -> instances_pb2.Instance:
    """A journey instance of an entity."""
    return instances_pb2.Instance(
        name=f"{names.entity_name(key)}/instances/{values['id']}",
        journey=f"journeys/{values['journey']}",
        version=values["version"],
        key=values["key"],
        step=values["step"],
        state=_STATES.get(values["status"], instances_pb2.Instance.STATE_UNSPECIFIED),
        status=values["status"],
        enter_time=time(values["entered_ms"]),
        end_time=time(values["ended_ms"]),
        due_time=time(values["due_ms"]),
        trail=[
            instances_pb2.Instance.Move(time=time(at_ms), step=step, what=what, why=why)
            for at_ms, step, what, why in values["trail"]
        ],
    )


def profile(values: Mapping[str, Any]) -> profiles_pb2.Profile:
    """A profile."""
    key = values["key"]
    return profiles_pb2.Profile(
        name=names.entity_name(key),
        traits=struct(values["traits"]),
        traits_msgpack=msgpack.packb(values["traits"]),
        segments=[
            profiles_pb2.SegmentMembership(segment=f"segments/{name}", enter_time=time(since_ms))
            for name, since_ms in sorted(values["segments"].items())
        ],
        instances=[instance(key, one) for one in values["instances"]],
        ended_instances=[instance(key, one) for one in values["ended"]],
        messages=[message(key, one) for one in values["messages"]],
        trail=[
            profiles_pb2.TrailLine(time=time(at_ms), kind=kind, subject=subject, detail=why)
            for at_ms, kind, subject, why in values["trail"]
        ],
        create_time=time(values["created_ms"]),
        update_time=time(values["updated_ms"]),
        quarantine=values["error"],
        identifiers=[
            profiles_pb2.Identifier(kind=kind, id=id_, state=_VERDICTS[verdict])
            for kind, id_, verdict in values["identifiers"]
        ],
        merges=[_merge(line) for line in values["merges"]],
    )


def _merge(line: Mapping[str, Any]) -> profiles_pb2.Merge:
    dropped = line.get("dropped", {})
    return profiles_pb2.Merge(
        time=time(line["at_ms"]),
        source=line["from"],
        via=line["via"],
        message_id=line["by"],
        moved=line["moved"],
        kept_traits=line.get("kept", ()),
        stopped_journeys=line.get("stopped", ()),
        dropped=[
            f"{what}: {', '.join(found) if isinstance(found, list) else found}"
            for what, found in dropped.items()
        ],
    )
