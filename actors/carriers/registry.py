"""The adapters there are, by the name that a lane's `carrier:` has.

An adapter is one file in this package that calls `register`; nothing else names it. Options are
checked by the adapter's own pydantic model, at the door when a lane is defined and again when its
sender makes the adapter.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from actors import carriers
from actors.address_guard import AddressGuard
from actors.carriers.base import Carrier, InboundOptions, SecretName
from actors.clock import Clock
from engine.issues import DefinitionError, Issue, did_you_mean
from engine.lanes.definition import Lane


class CarrierSetup(NamedTuple):
    """What an adapter is made from.

    Attributes:
        lane: The lane it serves.
        lane_key: `workspace/lane name`.
        clock: The node's clock.
        seed: For adapters that simulate.
        callback_url: The address under which the gateway's door takes what the carrier sends to
            the lane, followed by a kind: `https://…/v1/carriers/shop/main/`. Empty if there is no
            door.
        secrets: The workspace's secrets for carriers, by name; see `secret`.
        key: The store's own secret, for what has to come back unchanged from outside.
        allow: Networks that carriers over HTTP may be in although they are not public.
        directory: Where an adapter may write files of its own; None for nowhere.
    """

    lane: Lane
    lane_key: str
    clock: Clock
    seed: int
    callback_url: str = ""
    secrets: Mapping[str, str] = MappingProxyType({})
    key: bytes = b""
    allow: Sequence[str] = ()
    directory: Path | None = None

    def guard(self) -> AddressGuard:
        """Says where requests of an adapter may go."""
        return AddressGuard(self.allow, "carrier_allow")

    def secret(self, name: SecretName) -> str:
        """The value of a secret that the lane's options name.

        Raises:
            UnknownCarrier: The settings have none of this name for the workspace.
        """
        return self.secret_of(name.secret)

    def secret_of(self, name: str) -> str:
        """The value of a secret by its name; see `secret`."""
        value = self.secrets.get(name)
        if value is None:
            workspace = self.lane_key.partition("/")[0]
            what = f"there is no secret {name!r} for workspace {workspace!r}"
            hint = "put it under 'carrier_secrets' into the settings, and start again"
            raise UnknownCarrier([Issue(f"lane {self.lane.name!r}", what, hint, "options")])
        return value


class Adapter(NamedTuple):
    """A registered adapter."""

    name: str
    options: type[BaseModel]
    make: Callable[[CarrierSetup], Carrier]


class UnknownCarrier(DefinitionError):
    """A lane names a carrier that has no adapter, or gives it options that it does not take."""


_ADAPTERS: dict[str, Adapter] = {}


def register(
    name: str, options: type[BaseModel]
) -> Callable[[Callable[[CarrierSetup], Carrier]], Callable[[CarrierSetup], Carrier]]:
    """Registers the decorated class or function as the adapter of a name."""

    def decorate(make: Callable[[CarrierSetup], Carrier]) -> Callable[[CarrierSetup], Carrier]:
        _ADAPTERS[name] = Adapter(name, options, make)
        return make

    return decorate


def names() -> list[str]:
    """The names that `carrier:` may have."""
    _load()
    return sorted(_ADAPTERS)


def check(lane: Lane) -> None:
    """Finds out whether a lane's carrier exists and takes its options.

    Raises:
        UnknownCarrier: With what is wrong and what would be right.
    """
    _load()
    adapter = _ADAPTERS.get(lane.carrier)
    where = f"lane {lane.name!r}"
    if adapter is None:
        hint = did_you_mean(lane.carrier, names()) or f"there are: {', '.join(names())}"
        what = f"there is no carrier {lane.carrier!r}"
        raise UnknownCarrier([Issue(where, what, hint, "carrier")])
    try:
        adapter.options.model_validate(dict(lane.options))
    except ValidationError as error:
        fields = [(".".join(("options", *map(str, e["loc"]))), e["msg"]) for e in error.errors()]
        raise UnknownCarrier(
            Issue(where, f"{field}: {text}", f"carrier {adapter.name!r} does not take it", field)
            for field, text in fields
        ) from None


def listens(lane: Lane) -> bool:
    """Whether a lane's carrier may bring messages of people, so that it has to be connected."""
    _load()
    adapter = _ADAPTERS.get(lane.carrier)
    return adapter is not None and issubclass(adapter.options, InboundOptions)


def make(setup: CarrierSetup) -> Carrier:
    """The adapter of a lane.

    Raises:
        UnknownCarrier: See `check`.
    """
    check(setup.lane)
    return _ADAPTERS[setup.lane.carrier].make(setup)


@cache
def _load() -> None:
    for module in pkgutil.iter_modules(carriers.__path__):
        if module.name not in {"base", "registry"}:
            importlib.import_module(f"{carriers.__name__}.{module.name}")
