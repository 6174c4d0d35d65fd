"""Limits that carriers publish, ready to be named: `preset: 10dlc/75-100`.

A preset is a list of limits as a person would write them. What lanes of one account share is named
with `of`; a lane without an account has it for itself. A preset is what the source said on its date
and no promise of a carrier: what your contract says goes before it, and stands in `limits`, which
hold beside those of the preset.
"""

from typing import Any, Final, NamedTuple

from engine.messages.message import EMAIL, PUSH, RCS, SMS, WHATSAPP

Written = dict[str, Any]


class Preset(NamedTuple):
    """A named list of limits.

    Attributes:
        channels: What its lanes may be.
        limits: The limits, as they are written.
        words: What it is.
        source: Who says so.
    """

    channels: tuple[str, ...]
    limits: tuple[Written, ...]
    words: str
    source: str


_PACIFIC: Final = "America/Los_Angeles"
_PLIVO: Final = "https://support.plivo.com/hc/en-us/articles/18193230900633"
_TELNYX: Final = "https://developers.telnyx.com/docs/messaging/messages/rate-limiting.md"
_AWS: Final = "https://docs.aws.amazon.com/sms-voice/latest/userguide/"
_META: Final = (
    "https://developers.facebook.com/documentation/business-messaging/whatsapp/throughput"
)
_FCM: Final = "https://firebase.google.com/docs/cloud-messaging/throttling-and-quotas"
_KUMO: Final = "https://github.com/KumoCorp/kumomta (assets/policy-extras/shaping.toml)"

# Vetting score, or class, of a brand: segments a minute for each network; segments a day for the
# brand at T-Mobile, over all vendors.
_TEN_DLC: Final = {
    "75-100": (4_500, 200_000),
    "50-74": (2_400, 40_000),
    "25-49": (240, 10_000),
    "1-24": (240, 2_000),
    "unvetted": (240, 2_000),
    "low-volume": (75, 2_000),
}


def _ten_dlc() -> dict[str, Preset]:
    """One lane for all networks, and a lane for each.

    The network of an American number cannot be read from it, so a lane for all of them may send
    what the strictest takes: everything might be going to one.
    """
    made: dict[str, Preset] = {}
    for score, (minute, day) in _TEN_DLC.items():
        rate: Written = {"rate": f"{minute}/min", "of": "campaign"}
        daily: Written = {"rate": f"{day}/day", "zone": _PACIFIC, "of": "t-mobile brand"}
        words = f"US 10DLC, score {score}: {minute:,} segments a minute"
        with_day = f"{words}, {day:,} a day (midnight Pacific)"
        made[f"10dlc/{score}"] = Preset((SMS,), (rate, daily), f"{with_day}, all networks", _PLIVO)
        for network in ("att", "verizon"):
            mine = {**rate, "of": f"campaign at {network}"}
            made[f"10dlc/{score}/{network}"] = Preset((SMS,), (mine,), words, _PLIVO)
        mine = {**rate, "of": "campaign at t-mobile"}
        made[f"10dlc/{score}/t-mobile"] = Preset((SMS,), (mine, daily), with_day, _PLIVO)
    return made


def _a_second(channel: str, rate: int, words: str, source: str) -> Preset:
    return Preset((channel,), ({"rate": f"{rate}/s"},), f"{words}: {rate:,} a second", source)


def _whatsapp(rate: int, words: str) -> Preset:
    each: Written = {"rate": f"{rate}/s", "per": "sender", "count": "messages", "of": "number"}
    pair: Written = {"rate": "1/6s", "per": "pair", "count": "messages", "of": "pair"}
    text = f"WhatsApp, {words}: {rate:,} a second of a number, one in 6 s to a person"
    return Preset((WHATSAPP,), (each, pair), text, _META)


PRESETS: Final[dict[str, Preset]] = {
    **_ten_dlc(),
    "toll-free": _a_second(SMS, 3, "US toll-free, by the lowest default", _AWS),
    "toll-free/aws": _a_second(SMS, 3, "US toll-free at AWS", _AWS),
    "toll-free/telnyx": _a_second(SMS, 20, "US toll-free at Telnyx", _TELNYX),
    "toll-free/plivo": _a_second(SMS, 25, "US toll-free at Plivo", _PLIVO),
    "short-code": _a_second(SMS, 100, "Short code, by the lowest default", _AWS),
    "short-code/telnyx": _a_second(SMS, 1_000, "Short code at Telnyx", _TELNYX),
    "long-code/telnyx": Preset(
        (SMS,), ({"rate": "1/10s"},), "Long code outside the US at Telnyx: one in 10 s", _TELNYX
    ),
    "long-code/twilio": _a_second(
        SMS, 1, "Long code outside the US at Twilio", "https://www.twilio.com/docs/messaging"
    ),
    "whatsapp": _whatsapp(80, "a number as it begins"),
    "whatsapp/upgraded": _whatsapp(1_000, "a number that was upgraded"),
    "whatsapp/business-app": _whatsapp(20, "a number of the Business app"),
    "fcm": Preset(
        (PUSH,),
        ({"rate": "600000/min", "count": "messages", "of": "project"},),
        "FCM v1: 600,000 a minute of a project",
        _FCM,
    ),
    "rcs/telnyx": _a_second(RCS, 1, "RCS at Telnyx, as an account begins", _TELNYX),
    "email": Preset(
        (EMAIL,),
        ({"rate": "100/s", "per": "domain", "count": "messages"},),
        "E-mail: 100 a second to a domain",
        _KUMO,
    ),
}


def limits_of(name: str, account: str) -> list[Written]:
    """The limits of a preset, as a lane with this account would write them."""
    return [
        {field: value for field, value in limit.items() if account or field != "of"}
        for limit in PRESETS[name].limits
    ]
