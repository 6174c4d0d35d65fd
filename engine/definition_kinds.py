"""The kinds of definitions, and the one list of them.

A kind is a model, a way to compile it, what it uses of other definitions, and what only a second
look finds wrong with it. Everything else (texts, versions, references, the catalog) treats kinds
alike.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from engine.computed.definition import TraitModel, compile_trait
from engine.content.templates import TemplateModel, check_template, compile_template
from engine.fraud.policy import GUARD, GuardModel, compile_guard
from engine.governance.policy import POLICY, PolicyModel, check_policy, compile_policy
from engine.identity.rules import IDENTITY, IdentityModel, check_rules, compile_rules
from engine.issues import Issue
from engine.journeys.compile import compile_journey
from engine.journeys.model import JourneyModel, check_journey
from engine.journeys.publish import check_against
from engine.lanes.definition import LaneModel, check_account, compile_lane
from engine.routes.definition import ROUTE, RouteModel
from engine.routes.route import compile_route
from engine.schema import Strict
from engine.segments.definition import SegmentModel, compile_segment
from engine.tables.definition import ROWS, TABLE, RowsModel, TableModel, compile_rows
from engine.uses import Use
from engine.verification.definition import (
    VERIFICATION,
    VerificationModel,
    compile_verification,
)

JOURNEY: Final = "journey"
SEGMENT: Final = "segment"
TRAIT: Final = "trait"
TEMPLATE: Final = "template"
LANE: Final = "lane"


def _no_issues(model: Any, where: str) -> Iterator[Issue]:
    return iter(())


def _nothing_against(model: Any, program: Any, where: str) -> Iterator[Issue]:
    return iter(())


def _no_uses(model: Any) -> Iterator[Use]:
    return iter(())


def _uses_of_segment(model: SegmentModel) -> Iterator[Use]:
    for name in model.when.compile().segments:
        yield Use(SEGMENT, name, "when")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of definition.

    Attributes:
        model: Its pydantic model; the field named like the kind holds the name.
        compile: `(model, version)` to the compiled object.
        check: `(model, where)` to what is wrong with it.
        uses: What it needs of others.
        check_against: `(model, program, where)` to what is wrong with it as the next version.
    """

    model: type[Strict]
    compile: Callable[[Any, int], Any]
    check: Callable[[Any, str], Iterable[Issue]] = _no_issues
    uses: Callable[[Any], Iterable[Use]] = _no_uses
    check_against: Callable[[Any, Any, str], Iterable[Issue]] = _nothing_against


KINDS: Final = {
    JOURNEY: Kind(JourneyModel, compile_journey, check_journey, JourneyModel.uses, check_against),
    SEGMENT: Kind(SegmentModel, lambda model, _: compile_segment(model), uses=_uses_of_segment),
    TRAIT: Kind(TraitModel, lambda model, _: compile_trait(model)),
    TEMPLATE: Kind(TemplateModel, lambda model, _: compile_template(model), check_template),
    LANE: Kind(LaneModel, lambda model, _: compile_lane(model), check_against=check_account),
    ROUTE: Kind(RouteModel, lambda model, _: compile_route(model), uses=RouteModel.uses),
    IDENTITY: Kind(IdentityModel, lambda model, _: compile_rules(model), check_against=check_rules),
    VERIFICATION: Kind(
        VerificationModel,
        lambda model, _: compile_verification(model),
        uses=VerificationModel.uses,
    ),
    GUARD: Kind(GuardModel, lambda model, _: compile_guard(model)),
    TABLE: Kind(TableModel, lambda model, _: model),
    ROWS: Kind(RowsModel, lambda model, _: compile_rows(model), uses=RowsModel.uses),
    POLICY: Kind(PolicyModel, lambda model, _: compile_policy(model), check_policy),
}
