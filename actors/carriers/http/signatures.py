"""How a carrier proves that a call is its own: schemes of `carrier: http`.

One of them has to be chosen, since anybody can call the door. All comparisons take the same time
whatever is wrong.
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode, urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Protocol
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from actors.carriers.base import Callback, SecretName
from actors.carriers.http.paths import read_json

Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$", to_lower=True)]
Secret = Callable[[SecretName], str]

_PART: Final = re.compile(rb"\{(body|url|method|header:([A-Za-z0-9-]+))\}")
_SKEW_S: Final = 300


class Scheme(Protocol):
    """A way to prove it."""

    def is_good(self, request: Callback, secret: Secret, now_ms: int) -> bool:
        """Whether a call is the carrier's."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HmacScheme(_Model):
    """A hash of the call with a secret key, in a header.

    Attributes:
        hmac: The hash.
        header: Where it stands.
        key: The key.
        signs: What is hashed: `{body}`, `{url}`, `{method}`, `{header:X-Timestamp}`, and texts.
        encoding: How the hash is written.
        prefix: What stands before it.
        key_encoding: How the key is written.
        time_header: Where the time of the call stands, in seconds since 1970, if it is signed too:
            a call that is older than five minutes is then no good.
    """

    hmac: Literal["sha1", "sha256", "sha512"]
    header: Header
    key: SecretName
    signs: Annotated[str, Field(min_length=1, max_length=500)] = "{body}"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: Annotated[str, Field(max_length=50)] = ""
    key_encoding: Literal["text", "hex", "base64"] = "text"
    time_header: Header | None = None

    def is_good(self, request: Callback, secret: Secret, now_ms: int) -> bool:
        """See `Scheme`."""
        if self.time_header is not None and not _is_now(
            request.headers.get(self.time_header, ""), now_ms
        ):
            return False

        def fill(part: re.Match[bytes]) -> bytes:
            name = part[1]
            if name == b"body":
                return request.body
            if name == b"url":
                return request.url.encode(errors="replace")
            if name == b"method":
                return request.method.encode(errors="replace")
            return request.headers.get(part[2].decode().lower(), "").encode(errors="replace")

        signed = _PART.sub(fill, self.signs.encode())
        key = _key(secret(self.key), self.key_encoding)
        digest = hmac.digest(key, signed, self.hmac)
        given = request.headers.get(self.header, "")
        if self.encoding == "hex":
            return is_same((self.prefix + digest.hex()).lower(), given.lower())
        return is_same(self.prefix + b64encode(digest).decode(), given)


class BasicScheme(_Model):
    """A name and a password, as a browser would send them."""

    user: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^:]+$")]
    password: SecretName

    def is_good(self, request: Callback, secret: Secret, now_ms: int) -> bool:
        """See `Scheme`."""
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        wanted = b64encode(f"{self.user}:{secret(self.password)}".encode()).decode()
        return is_same(wanted, given.strip()) and kind.lower() == "basic"


class TokenScheme(_Model):
    """A secret text in a header, or in the address that the carrier was given."""

    token: SecretName
    header: Header | None = None
    query: Annotated[str, Field(min_length=1, max_length=100)] = "token"
    prefix: Annotated[str, Field(max_length=50)] = ""

    def is_good(self, request: Callback, secret: Secret, now_ms: int) -> bool:
        """See `Scheme`."""
        if self.header is not None:
            given = request.headers.get(self.header, "")
        else:
            given = parse_qs(request.query).get(self.query, [""])[0]
        wanted = secret(self.token)
        return bool(wanted) and is_same(self.prefix + wanted, given)


class JwtScheme(_Model):
    """A signed token (RFC 7519) as a bearer, which may hold a hash of the body.

    Attributes:
        jwt: The algorithm; no other is taken, whatever the token says.
        key: The key.
        payload_hash: The claim with the SHA-256 of the body, in hex; empty for none.
    """

    jwt: Literal["HS256"]
    key: SecretName
    payload_hash: Annotated[str, Field(max_length=100)] = "payload_hash"

    def is_good(self, request: Callback, secret: Secret, now_ms: int) -> bool:
        """See `Scheme`."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        head, _, rest = token.strip().partition(".")
        body, _, given = rest.partition(".")
        made = hmac.digest(
            secret(self.key).encode(), f"{head}.{body}".encode(errors="replace"), "sha256"
        )
        good = hmac.compare_digest(made, _unpadded(given)) and kind.lower() == "bearer"
        header, claims = read_json(_unpadded(head)), read_json(_unpadded(body))
        if not (good and isinstance(header, dict) and isinstance(claims, dict)):
            return False
        if header.get("alg") != self.jwt or not _is_in_time(claims, now_ms):
            return False
        if not self.payload_hash:
            return True
        return is_same(hashlib.sha256(request.body).hexdigest(), str(claims.get(self.payload_hash)))


Signature = HmacScheme | BasicScheme | TokenScheme | JwtScheme


def is_same(wanted: str, given: str) -> bool:
    """Whether two texts are the same; it takes as long if they are not."""
    return hmac.compare_digest(wanted.encode(), given.encode(errors="replace"))


def _key(secret: str, encoding: str) -> bytes:
    try:
        if encoding == "hex":
            return bytes.fromhex(secret)
        if encoding == "base64":
            return b64decode(secret, validate=True)
    except (ValueError, NotBase64) as error:
        msg = f"the key is not {encoding}: {error}"
        raise ValueError(msg) from None
    return secret.encode()


def _unpadded(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4))
    except (ValueError, NotBase64):
        return b""


def _is_now(told: str, now_ms: int) -> bool:
    if not (told.isascii() and told.isdigit() and len(told) <= 13):
        return False
    seconds = int(told) if len(told) < 13 else int(told) // 1_000
    return abs(now_ms // 1_000 - seconds) <= _SKEW_S


def _is_in_time(claims: dict[str, Any], now_ms: int) -> bool:
    """Whether a token holds by its own times: until `exp`, or five minutes after `iat`.

    One that has neither would be good for ever, for whoever has seen it.
    """
    now_s = now_ms // 1_000
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if any(isinstance(at, bool) or not isinstance(at, int | float) for at in times.values()):
        return False
    if "exp" in times and now_s > times["exp"] + _SKEW_S:
        return False
    if "nbf" in times and now_s < times["nbf"] - _SKEW_S:
        return False
    return "exp" in times or ("iat" in times and abs(now_s - times["iat"]) <= _SKEW_S)
