"""Conditions: what a filter, a split and a segment ask, one file a kind.

A kind is a pydantic model that compiles to a closure over plain values. To add one, write a file
here with a class under `@register`; every place that takes conditions then takes it.
"""

from importlib import import_module
from pkgutil import iter_modules

from engine.conditions.registry import (
    Compiled,
    Condition,
    ConditionModel,
    Facts,
    Verdict,
    compile_all,
)

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

__all__ = ["Compiled", "Condition", "ConditionModel", "Facts", "Verdict", "compile_all"]
