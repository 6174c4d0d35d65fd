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
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from actors import carriers
from actors.address_guard import AddressGuard
from actors.carriers.base import Carrier, InboundOptions, SecretName
from actors.clock import Clock
from engine.issues import DefinitionError, Issue, did_you_mean
from engine.lanes.definition import Lane


class LaneMemory:
    """What outlives an adapter: the next one of its lane gets the same, until the sender ends.

    Attributes:
        in_parts: The carrier's ids, with commas, of messages in parts that had left before a
            restart; whoever takes them empties it.
        left: What the last adapter has left for one of its kind.
    """

    __slots__ = ("in_parts", "left")

    def __init__(self, in_parts: Sequence[str] = ()) -> None:
        self.in_parts = in_parts
        self.left: Any = None


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
        memory: What is known from before it; None: nothing, and nobody comes after it.
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
    memory: LaneMemory | None = None

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


def folds(lane: Lane) -> bool:
    """Whether a lane's adapter gives away `sms_coding.fold` of a text: its option `fold` says so.

    What a message counts in the lane's limits are the parts of that text.
    """
    _load()
    adapter = _ADAPTERS.get(lane.carrier)
    if adapter is None or "fold" not in adapter.options.model_fields:
        return False
    try:
        options = adapter.options.model_validate(dict(lane.options))
    except ValidationError:
        return False  # the lane gets no carrier
    return bool(dict(options)["fold"])


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
