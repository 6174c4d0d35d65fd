"""Authentication: who gets in, how soon a revoked key does not, and which doors may open."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor

from actors.store.keys import KeyInfo, KeyStore
from engine import limits
from gateway import auth, errors
from gateway.auth import Authenticator
from gateway.server import SERVICES

NOW_MS = 1_700_000_000_000


@dataclass
class Desk:
    """An authenticator over a real key file, with a clock that the test moves."""

    directory: Path
    loopback: bool = True
    now_s: float = 100.0
    lookups: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = CountingKeys(self.directory, self.lookups)
        self.auth = Authenticator(self.keys, self.loopback, lambda: self.now_s)

    def ask(self, scope: str, *metadata: tuple[str, str]) -> auth.Caller:
        return asyncio.run(self.auth.caller(metadata, scope))

    def refused(self, scope: str, *metadata: tuple[str, str]) -> str:
        with pytest.raises(errors.StatusError) as error:
            self.ask(scope, *metadata)
        return errors_reason(error.value)


class CountingKeys(KeyStore):
    def __init__(self, directory: Path, lookups: list[str]) -> None:
        super().__init__(directory)
        self._lookups = lookups

    def verify(self, plaintext: str) -> KeyInfo | None:
        self._lookups.append(plaintext)
        return super().verify(plaintext)


def errors_reason(error: errors.StatusError) -> str:
    from google.rpc import error_details_pb2  # noqa: PLC0415

    info = error_details_pb2.ErrorInfo()
    assert error.status.details[0].Unpack(info)
    return info.reason


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.keys.close()


def test_a_key_comes_as_a_bearer_or_by_itself_and_brings_its_workspace(desk: Desk) -> None:
    info, secret = desk.keys.create("acme", ["read"], NOW_MS)
    for metadata in (
        ("authorization", f"Bearer {secret}"),
        ("authorization", f"bearer  {secret} "),
        ("x-api-key", secret),
    ):
        assert desk.ask("read", ("user-agent", "x"), metadata) == ("acme", info.id)


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Basic abc"),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer "),),
        (("x-api-key", ""),),
        (("x-api-key", "x" * 1_000),),
        (("x-api-key", "dk_123456789abc_" + "0" * 64),),
        (("authorization", "Bearer nonsense"),),
    ],
)
def test_without_a_good_key_nobody_gets_in(
    desk: Desk, metadata: tuple[tuple[str, str], ...]
) -> None:
    desk.keys.create("acme", ["read"], NOW_MS)
    assert desk.refused("read", *metadata) == errors.UNAUTHENTICATED


def test_a_scope_opens_just_its_own_methods(desk: Desk) -> None:
    for own in ("publish", "read", "define", "send", "admin"):
        _, secret = desk.keys.create("acme", [own], NOW_MS)
        for scope in ("publish", "read", "define", "send", "admin"):
            if scope == own:
                assert desk.ask(scope, ("x-api-key", secret)).workspace == "acme"
            else:
                assert desk.refused(scope, ("x-api-key", secret)) == errors.SCOPE_MISSING


def test_a_verdict_is_kept_for_seconds_and_no_longer(desk: Desk) -> None:
    info, secret = desk.keys.create("acme", ["read"], NOW_MS)
    for _ in range(5):
        desk.ask("read", ("x-api-key", secret))
    assert len(desk.lookups) == 1
    desk.keys.revoke(info.id, NOW_MS)
    desk.now_s += limits.KEY_VERDICT_S
    assert desk.refused("read", ("x-api-key", secret)) == errors.UNAUTHENTICATED
    assert len(desk.lookups) == 2
    assert limits.KEY_VERDICT_S <= 5


def test_a_key_revoked_here_is_refused_at_once(desk: Desk) -> None:
    info, secret = desk.keys.create("acme", ["read"], NOW_MS)
    desk.ask("read", ("x-api-key", secret))
    desk.keys.revoke(info.id, NOW_MS)
    desk.auth.forget()
    assert desk.refused("read", ("x-api-key", secret)) == errors.UNAUTHENTICATED


def test_wrong_keys_are_looked_up_once_and_fill_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEY_VERDICTS", 10)
    _, secret = desk.keys.create("acme", ["read"], NOW_MS)
    for n in range(50):
        for _ in range(2):
            assert desk.refused("read", ("x-api-key", f"wrong {n}")) == errors.UNAUTHENTICATED
    assert len(desk.lookups) == 50
    assert len(desk.auth._verdicts) == 10
    assert not any(secret.encode() in digest for digest in desk.auth._verdicts)


def test_a_development_key_is_good_on_loopback_only(tmp_path: Path) -> None:
    for loopback in (True, False):
        desk = Desk(tmp_path, loopback=loopback)
        _, secret = desk.keys.create("acme", ["read"], NOW_MS, dev=True)
        if loopback:
            assert desk.ask("read", ("x-api-key", secret)).workspace == "acme"
        else:
            assert desk.refused("read", ("x-api-key", secret)) == errors.DEVELOPMENT_KEY
        desk.keys.close()


@pytest.mark.parametrize(
    ("bind", "loopback"),
    [
        ("127.0.0.1:50051", True),
        ("127.9.9.9:0", True),
        ("[::1]:50051", True),
        ("localhost:50051", True),
        ("unix:/tmp/denrei.sock", True),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("10.0.0.7:50051", False),
        ("denrei.example.com:443", False),
        ("localhost.example.com:443", False),
    ],
)
def test_which_addresses_are_loopback(bind: str, loopback: bool) -> None:
    assert auth.is_loopback(bind) is loopback


def test_a_door_to_the_network_does_not_open_for_development_keys_alone(desk: Desk) -> None:
    auth.check_bind("0.0.0.0:1", desk.keys.list())  # no key at all: nobody gets in anyway
    desk.keys.create("acme", ["read"], NOW_MS, dev=True)
    auth.check_bind("127.0.0.1:1", desk.keys.list())
    with pytest.raises(PermissionError, match="denrei keys create"):
        auth.check_bind("0.0.0.0:1", desk.keys.list())
    real, _ = desk.keys.create("acme", ["read"], NOW_MS)
    auth.check_bind("0.0.0.0:1", desk.keys.list())
    desk.keys.revoke(real.id, NOW_MS)
    with pytest.raises(PermissionError):
        auth.check_bind("0.0.0.0:1", desk.keys.list())


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_method_has_a_scope(service: ServiceDescriptor) -> None:
    assert {method.name for method in service.methods} == auth.SCOPE_OF[service.name].keys()
