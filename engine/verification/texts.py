"""What a message with a code says, in a dozen languages.

`******` stands for the code: the engine never has it, see `engine.verification.sealed`. The texts
are plain GSM-7 where the language can be written in it, so that they fit into one segment.
"""

from typing import Final, NamedTuple

from engine.messages.message import EMAIL, VOICE

DEFAULT: Final = "en"


class Text(NamedTuple):
    """What to say in one language.

    Attributes:
        body: With `{brand}`, `{code}` and `{minutes}`.
        subject: Of an e-mail; with `{brand}`.
    """

    body: str
    subject: str


LOCALES: Final[dict[str, Text]] = {
    "en": Text(
        "Your {brand} code is {code}. It is good for {minutes} minutes. Do not share it.",
        "Your {brand} code",
    ),
    "de": Text(
        "Ihr Code für {brand} ist {code}. Er gilt {minutes} Minuten. Geben Sie ihn nicht weiter.",
        "Ihr Code für {brand}",
    ),
    "fr": Text(
        "Votre code {brand} est {code}. Il est valable {minutes} minutes. Ne le donnez à personne.",
        "Votre code {brand}",
    ),
    "es": Text(
        "Tu código de {brand} es {code}. Vale {minutes} minutos. No lo compartas.",
        "Tu código de {brand}",
    ),
    "it": Text(
        "Il tuo codice {brand} è {code}. Vale {minutes} minuti. Non condividerlo.",
        "Il tuo codice {brand}",
    ),
    "pt": Text(
        "O seu código {brand} é {code}. É válido por {minutes} minutos. Não o partilhe.",
        "O seu código {brand}",
    ),
    "nl": Text(
        "Je code voor {brand} is {code}. Hij geldt {minutes} minuten. Deel hem met niemand.",
        "Je code voor {brand}",
    ),
    "sv": Text(
        "Din kod för {brand} är {code}. Den gäller i {minutes} minuter. Dela den inte.",
        "Din kod för {brand}",
    ),
    "pl": Text(
        "Twój kod {brand} to {code}. Jest ważny {minutes} min. Nie podawaj go nikomu.",
        "Twój kod {brand}",
    ),
    "tr": Text(
        "{brand} kodunuz {code}. {minutes} dakika geçerlidir. Kimseyle paylaşmayın.",
        "{brand} kodunuz",
    ),
    "ja": Text(
        "{brand}の認証コードは{code}です。{minutes}分間有効です。他人に教えないでください。",
        "{brand}の認証コード",
    ),
    "zh": Text(
        "您的{brand}验证码是{code},{minutes}分钟内有效。请勿告诉他人。",
        "您的{brand}验证码",
    ),
}


def write(locale: str, channel: str, brand: str, mark: str, validity_ms: int) -> tuple[str, str]:
    """The body and, for an e-mail, the subject.

    Args:
        locale: One of `LOCALES`; another is written in the default.
        channel: A call says the code twice.
        brand: Who asks.
        mark: What stands for the code.
        validity_ms: How long it is good.
    """
    text = LOCALES.get(locale) or LOCALES[DEFAULT]
    minutes = max(1, validity_ms // 60_000)
    body = text.body.format(brand=brand, code=mark, minutes=minutes)
    if channel == VOICE:
        body = f"{body} {mark}."
    return body, text.subject.format(brand=brand) if channel == EMAIL else ""
