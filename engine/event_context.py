"""What the context of a person's events says of them: language, zone, place.

Kept is only what conditions can ask, and of it the newest that an event said: an event without a
locale, such as one from a server, does not take the known one away, and a late event does not
bring an old one back. A place is taken whole, so that no city ends up in another country.
"""

from typing import Any, Final

from msgspec import MsgspecError, Struct
from msgspec.msgpack import Decoder

from engine import limits
from engine.conditions.registry import Facts

STATE: Final = "context"  # in `Entity.state`: part to `[ms, text or map of texts]`
PATHS: Final = (
    "locale", "language", "timezone", "location.country", "location.region", "location.city",
)  # fmt: skip


class _Location(Struct):
    country: Any = None
    region: Any = None
    city: Any = None


class _Context(Struct):
    locale: Any = None
    timezone: Any = None
    location: _Location | None = None


class _Loose(Struct):
    locale: Any = None
    timezone: Any = None


_decode: Final = Decoder(_Context).decode
_decode_loose: Final = Decoder(_Loose).decode


def take(entity: Facts, raw: bytes, at_ms: int) -> bool:
    """Takes what an event's context (msgpack) says; True if that changed what is known.

    Cost: 1 µs. What is not text, or too long, is passed over.
    """
    try:
        context: _Context | _Loose = _decode(raw)
    except MsgspecError:
        try:
            context = _decode_loose(raw)  # a location that is no map
        except MsgspecError:
            return False
    parts: dict[str, Any] = {}
    if _is_text(context.locale):
        parts["locale"] = context.locale
    if _is_text(context.timezone):
        parts["timezone"] = context.timezone
    location = getattr(context, "location", None)
    if location is not None:
        names = ("country", "region", "city")
        place = {name: getattr(location, name) for name in names}
        place = {name: value for name, value in place.items() if _is_text(value)}
        if place:
            parts["location"] = place
    return bool(parts) and _keep(entity, parts, at_ms)


def join(mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """What is known of two profiles that are one from now on: the newer of each part."""
    newer = {
        part: said for part, said in theirs.items() if part not in mine or mine[part][0] < said[0]
    }
    return {**mine, **newer}


def value(entity: Facts, path: str) -> str | None:
    """What is known at one of `PATHS`, or None."""
    part, _, inner = path.partition(".")
    kept = entity.state.get(STATE)
    found = kept.get("locale" if part == "language" else part) if kept else None
    if found is None:
        return None
    known: str | None = found[1].get(inner) if inner else found[1]
    if part == "language" and known:
        return known.replace("_", "-").partition("-")[0].lower()
    return known


def _keep(entity: Facts, parts: dict[str, Any], at_ms: int) -> bool:
    kept = entity.state.get(STATE)
    if kept is None:
        kept = entity.state[STATE] = {}
    changed = False
    for part, said in parts.items():
        known = kept.get(part)
        if known is None:
            kept[part] = [at_ms, said]
            changed = True
        elif known[0] <= at_ms:
            changed = changed or known[1] != said
            kept[part] = [at_ms, said]
    return changed


def _is_text(said: Any) -> bool:
    return said.__class__ is str and 0 < len(said) <= limits.NAME_CHARS
