"""The adapters there are, by the name that a lane's `carrier:` has.

An adapter is one file in this package that calls `register`; nothing else names it. Options are
checked by the adapter's own pydantic model, at the door when a lane is defined and again when its
sender makes the adapter.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from actors import carriers
from actors.carriers.base import Carrier
from actors.clock import Clock
from engine.issues import DefinitionError, Issue, did_you_mean
from engine.lane_definition import Lane


class CarrierSetup(NamedTuple):
    """What an adapter is made from.

    Attributes:
        lane: The lane it serves.
        lane_key: `workspace/lane name`.
        clock: The node's clock.
        seed: For adapters that simulate.
    """

    lane: Lane
    lane_key: str
    clock: Clock
    seed: int


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


def make(setup: CarrierSetup) -> Carrier:
    """The adapter of a lane.

    Raises:
        UnknownCarrier: See `check`.
    """
    check(setup.lane)
    return _ADAPTERS[setup.lane.carrier].make(setup)


def _load() -> None:
    if not _ADAPTERS:
        for module in pkgutil.iter_modules(carriers.__path__):
            if module.name not in {"base", "registry"}:
                importlib.import_module(f"{carriers.__name__}.{module.name}")
