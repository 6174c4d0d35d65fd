"""What templates can do with values beyond minijinja's own filters: write money and dates.

    {{ event.total | money("EUR") }}            €1,234.50, for a German 1.234,50 €
    {{ event.departs_at | date("%d %B, %H:%M") }}    in the person's zone

Both are functions of the template and its context alone: the names of months and the separators of
numbers are those of this file, not of the machine's locale. A value that is not there is nothing in
the text and a warning, as everywhere in templates; one that is no number, or no date, is an error.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final

from minijinja import Environment, pass_state

from engine import zones
from engine.errors import DenreiError
from engine.issues import kind_of

_CURRENCIES: Final = {
    "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "¥", "INR": "₹", "KRW": "₩", "BRL": "R$",
    "AUD": "A$", "CAD": "CA$", "MXN": "MX$", "NZD": "NZ$", "HKD": "HK$", "ILS": "₪", "VND": "₫",
    "TRY": "₺", "UAH": "₴", "PHP": "₱", "NGN": "₦",
}  # fmt: skip
# Currencies whose smallest part is not a hundredth (ISO 4217).
_DECIMALS: Final = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV",
         "XAF", "XOF", "XPF"), 0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}  # fmt: skip
_NARROW: Final = "\u202f"
_FIXED: Final = "\u00a0"
# By language: what separates thousands, and the decimals, and whether the symbol comes last.
_ENGLISH: Final = (",", ".", False)
_STYLES: Final = {
    **dict.fromkeys(("de", "es", "it", "pt", "da", "el", "id", "tr", "vi", "ro"), (".", ",", True)),
    **dict.fromkeys(("fr",), (_NARROW, ",", True)),
    **dict.fromkeys(
        ("pl", "cs", "sk", "sv", "nb", "no", "fi", "ru", "uk", "bg", "hu"), (_FIXED, ",", True)
    ),
    "nl": (".", ",", False),
}
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class FunctionError(DenreiError):
    """A value that a function cannot write, and why, in words."""


class NothingThereError(DenreiError):
    """A value that is not there; `kind` is what minijinja calls that."""

    kind: Final = "UndefinedError"


class Functions:
    """The functions of one template.

    Attributes:
        lenient: Whether a value that is not there is an empty text, and not an error.
        missing: What was not there while it was lenient, in words, as keys.
    """

    __slots__ = ("lenient", "missing")

    def __init__(self, environment: Environment) -> None:
        self.lenient = False
        self.missing: dict[str, None] = {}
        environment.add_filter("money", self._filter("money", _money))
        environment.add_filter("date", self._filter("date", _date))

    def _filter(self, name: str, write: Callable[..., str]) -> Any:
        @pass_state
        def call(state: Any, value: Any, *args: Any, **options: Any) -> str:
            if value is not None:
                return write(state.lookup("profile"), value, *args, **options)
            if not self.lenient:
                raise NothingThereError(f"a value for {name} is undefined")
            self.missing[f"a value for {name}"] = None
            return ""

        return call


def _money(profile: Any, value: Any, currency: str = "USD", locale: str = "") -> str:
    amount = _amount(value)
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isalpha()):
        msg = f"{kind_of(currency)} is no currency; write it like EUR"
        raise FunctionError(msg)
    currency = currency.upper()
    decimals = _DECIMALS.get(currency, 2)
    rounded = amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    group, point, is_last = _STYLES.get(_language(profile, locale), _ENGLISH)
    digits = f"{abs(rounded):,f}".translate({ord(","): group, ord("."): point})
    symbol = _CURRENCIES.get(currency, currency)
    sign = "-" if rounded < 0 else ""
    if is_last:
        return f"{sign}{digits}{_FIXED}{symbol}"
    gap = _FIXED if symbol == currency or group == "." else ""
    return f"{sign}{symbol}{gap}{digits}"


def _amount(value: Any) -> Decimal:
    try:
        if isinstance(value, str) or (
            not isinstance(value, bool) and isinstance(value, (int, float)) and isfinite(value)
        ):
            amount = Decimal(str(value))
            if amount.is_finite() and abs(amount) < 10**15:
                return amount
    except InvalidOperation:
        pass
    msg = f"{kind_of(value)} is no amount of money"
    raise FunctionError(msg)


def _trait(profile: Any, name: str) -> Any:
    """A trait, or an empty text; profiles that templates see may have no methods of their own."""
    return (dict.get(profile, name) if isinstance(profile, dict) else None) or ""


def _language(profile: Any, locale: str) -> str:
    return str(locale or _trait(profile, "locale")).replace("_", "-").partition("-")[0].lower()


def _date(profile: Any, value: Any, format: str = "%Y-%m-%d", zone: str = "") -> str:  # noqa: A002 - as it is written
    name = zone or str(_trait(profile, zones.TRAIT))
    found = zones.find(name) if name else zones.DEFAULT
    if found is None and zone:
        msg = f"{zone!r} is no time zone"
        raise FunctionError(msg)
    where = found or zones.DEFAULT
    at_ms = zones.moment_of(value, where)
    if at_ms is None:
        msg = f"{kind_of(value)} is no date"
        raise FunctionError(msg)
    clock = zones.wall(at_ms, where)
    parts = {
        "Y": f"{clock:%Y}", "y": f"{clock:%y}", "m": f"{clock:%m}", "d": f"{clock:%d}",
        "e": str(clock.day), "H": f"{clock:%H}", "M": f"{clock:%M}", "S": f"{clock:%S}",
        "I": f"{(clock.hour + 11) % 12 + 1:02}", "p": "AM" if clock.hour < 12 else "PM",
        "B": _MONTHS[clock.month - 1], "b": _MONTHS[clock.month - 1][:3],
        "A": _DAYS[clock.weekday()], "a": _DAYS[clock.weekday()][:3], "%": "%",
    }  # fmt: skip
    text, percent, rest = str(format).partition("%")
    while percent:
        if rest[:1] not in parts:
            msg = f"'%{rest[:1]}' is not known in a date; there are %{', %'.join(parts)}"
            raise FunctionError(msg)
        more, percent, tail = rest[1:].partition("%")
        text, rest = f"{text}{parts[rest[0]]}{more}", tail
    return text
