"""The ports that an instance chooses for its gateways, when nobody names them."""

import socket

import pytest

from actors import instance
from actors.instance import InstanceFailed, free_port


@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0"])
def test_a_port_is_free_and_none_that_the_system_gives_out(bind: str) -> None:
    for _ in range(20):
        port = free_port(bind)
        assert 1_024 < port < 32_768
        with socket.socket() as gateway:
            gateway.bind((bind, port))
            gateway.listen()


def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port("127.0.0.1")))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr(instance, "_OWN_PORTS", range(taken, taken + 1))
        monkeypatch.setattr(instance, "_PORTS_TRIED", 1)
        with pytest.raises(InstanceFailed, match=f"{taken} at 127.0.0.1 .* in use"):
            free_port("127.0.0.1")


def test_an_address_of_another_machine_is_told_in_words() -> None:
    with pytest.raises(InstanceFailed, match=r"192\.0\.2\.1 could be opened: .*assign"):
        free_port("192.0.2.1")
