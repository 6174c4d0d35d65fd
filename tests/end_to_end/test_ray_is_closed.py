"""Ray runs any code that reaches it. That of one machine is reached by nobody else, and by nobody
on this machine who does not have its token.
"""

import contextlib
import ipaddress
import os
import stat
from pathlib import Path

import grpc
import psutil
import pytest

from tests.support.running import RunningInstance

ASK = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"


def listening(instance: RunningInstance) -> list[tuple[str, str, int]]:
    """The name of a process, and the address and port at which it listens."""
    found: list[tuple[str, str, int]] = []
    for process in instance.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            doors = process.net_connections("tcp")
            name = process.name()
            found += [(name, *door.laddr) for door in doors if door.status == psutil.CONN_LISTEN]
    return found


def test_everything_listens_on_the_loopback_address(instance: RunningInstance) -> None:
    doors = listening(instance)
    assert {"gcs_server", "raylet"} <= {name for name, _, _ in doors}
    for name, address, port in doors:
        ip = ipaddress.ip_address(address)
        mapped = getattr(ip, "ipv4_mapped", None)
        assert (mapped or ip).is_loopback, f"{name} listens on {address}:{port}"


def test_who_has_no_token_is_refused(instance: RunningInstance) -> None:
    token = (instance.store / "ray.token").read_text()
    ports = [port for name, _, port in listening(instance) if name == "gcs_server"]
    assert ports
    for port in ports:
        for given, refused in (("", True), ("0" * 64, True), (token, False)):
            assert (ask(port, given) is grpc.StatusCode.UNAUTHENTICATED) is refused


def ask(port: int, token: str) -> grpc.StatusCode:
    """What Ray's control service says to a question that anybody might ask."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary(ASK)(b"", metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@pytest.mark.skipif("RAY_AUTH_MODE" in os.environ, reason="then it is the operator's choice")
def test_the_token_is_in_the_store_for_its_owner_alone(instance: RunningInstance) -> None:
    path = instance.store / "ray.token"
    token = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) == 64
    at_home = Path.home() / ".ray" / "auth_token"
    assert not at_home.exists() or at_home.read_text().strip() != token
