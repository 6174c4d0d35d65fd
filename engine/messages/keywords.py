"""Words by which people say that they want no more messages, or want them again, or want help.

A message counts only if it is such a word and nothing else. The sets are those that carriers and
the law name: Twilio's defaults, AWS's and Telnyx's, what 47 CFR 64.1200(a)(10) calls reasonable,
and the French ones that Canada's carriers ask for.
"""

import re
import unicodedata
from typing import Final

STOP: Final = "stop"
START: Final = "start"
YES: Final = "yes"  # begins again what was ended; else it is just an answer
HELP: Final = "help"

_WORDS: Final = {
    **dict.fromkeys(
        (
            "STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "END", "QUIT", "REVOKE", "CANCEL",
            "OPTOUT", "OPT OUT", "REMOVE", "TD", "ARRET", "ARRETE", "ARRETER", "DESABONNER",
            "DESINSCRIRE",
        ),
        STOP,
    ),
    **dict.fromkeys(("START", "UNSTOP", "SUBSCRIBE", "OPTIN", "OPT IN", "DEBUT"), START),
    "YES": YES,
    **dict.fromkeys(("HELP", "INFO", "AIDE"), HELP),
}  # fmt: skip
_LONGEST: Final = 40
_UNSEEN: Final = ("Mn", "Cf")  # accents, and marks that phones put in: of order, of direction
_BETWEEN: Final = re.compile(r"[\s.,;:!?'\"()\[\]«»“”‘’_-]+")


def keyword_of(body: str) -> tuple[str, str]:
    """What a message says, and the word by which it says it; both empty if it is no such word.

    Case, accents, white space, punctuation and what nobody sees do not count: `Arrêt!` is ARRET.
    """
    if len(body) > _LONGEST:
        return "", ""
    plain = unicodedata.normalize("NFKD", body.upper())
    plain = "".join(char for char in plain if unicodedata.category(char) not in _UNSEEN)
    word = _BETWEEN.sub(" ", plain).strip()
    meaning = _WORDS.get(word)
    return (meaning, word) if meaning else ("", "")
