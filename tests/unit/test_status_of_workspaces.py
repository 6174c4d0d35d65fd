"""What a key of one workspace is told of actors that serve all of them."""

import json
from types import SimpleNamespace
from typing import Any

from google.protobuf import json_format

from gateway.pb.denrei.v1 import system_pb2
from gateway.services.system import SystemService


class _Control:
    async def status(self) -> dict[str, Any]:
        blocks = [
            {"what": "rival +447399901234", "why": "40 codes"},
            {"what": "shop +4915112", "why": "50 codes"},
        ]
        lanes = [{"lane": "rival/secret", "error": "x"}, {"lane": "shop/main", "error": ""}]
        sender = {"name": "sender-sms-1", "state": "serving", "lanes": lanes, "blocks": blocks}
        return {"shards": {}, "actors": [sender]}


async def test_no_lane_and_no_block_of_another_workspace_is_shown() -> None:
    none: Any = SimpleNamespace(shards=0)
    clock: Any = SimpleNamespace(now_ms=lambda: 0)
    call: Any = SimpleNamespace(workspace="shop", remaining_s=lambda: 5.0)
    control: Any = _Control()
    service = SystemService(none, control, none, clock, none)
    status = await service.get_status(system_pb2.GetStatusRequest(), call)
    (sender,) = status.senders
    shown = json_format.MessageToDict(sender.details)
    assert [one["lane"] for one in shown["lanes"]] == ["shop/main"]
    assert [one["what"] for one in shown["blocks"]] == ["shop +4915112"]
    assert "rival" not in json.dumps(shown)
