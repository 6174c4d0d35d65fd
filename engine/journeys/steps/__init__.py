"""Steps: what can happen on the way, one file a kind.

A kind is a pydantic model that compiles to a slotted class. To add one, write a file here with a
class under `@register`; journeys then take it, and graph checks know it by what it declares.
"""

from importlib import import_module
from pkgutil import iter_modules

from engine.journeys.steps.registry import END, Move, Step, StepField, StepModel, StepName

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

__all__ = ["END", "Move", "Step", "StepField", "StepModel", "StepName"]
