"""Who calls, and whether they may: API keys, their scopes, and the workspace that they stand for.

A key comes as metadata: `authorization: Bearer dk_...`, or `x-api-key: dk_...`. The store knows
only hashes, and looking one up reads a file, so verdicts are kept for a few seconds: that is how
long a revoked key may still work. The cache holds hashes too, and has a bound, so that a flood of
wrong keys neither fills memory nor reaches the store twice.

A development key is printed on a terminal at first start, so it is only good where just the same
machine can use it: on a loopback address.
"""

import asyncio
import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from actors.store.keys import KeyInfo, KeyStore
from engine import limits
from gateway import errors

PUBLISH: Final = "publish"
READ: Final = "read"
DEFINE: Final = "define"
SEND: Final = "send"
ADMIN: Final = "admin"

# The scope that each method of each service needs. A method that is not here cannot be bound.
SCOPE_OF: Final[Mapping[str, Mapping[str, str]]] = {
    "EventsService": {"Publish": PUBLISH, "PublishBatch": PUBLISH, "PublishStream": PUBLISH},
    "ProfilesService": {
        "GetProfile": READ,
        "ReleaseProfile": ADMIN,
        "EraseProfile": ADMIN,
        "SuppressProfile": ADMIN,
        "ExportProfile": ADMIN,
        "SetConsents": SEND,
    },
    "DefinitionsService": {
        "ApplyDefinitions": DEFINE,
        "DeleteDefinition": DEFINE,
        "GetDefinition": READ,
        "ListDefinitions": READ,
        "ListDefinitionVersions": READ,
    },
    "MessagesService": {
        "SendMessage": SEND,
        "SendMessages": SEND,
        "CancelMessage": SEND,
        "GetMessage": READ,
        "ListMessages": READ,
        "StreamMessages": READ,
        "WatchMessages": READ,
    },
    "InstancesService": {
        "GetInstance": READ,
        "ListInstances": READ,
        "ListBroadcasts": READ,
        "EnterJourney": SEND,
        "StopInstance": SEND,
    },
    "VerificationService": {
        "StartVerification": SEND,
        "CheckVerification": SEND,
        "CancelVerification": SEND,
        "GetVerification": READ,
        "ReportAddress": SEND,
    },
    "SegmentsService": {"GetSegment": READ, "ListMembers": READ, "StreamMembers": READ},
    "TablesService": {
        "LoadTable": DEFINE,
        "GetTable": READ,
        "ListTables": READ,
        "DeleteTable": DEFINE,
        "GetRow": READ,
        "ListRows": READ,
    },
    "ConversationsService": {"ListReceivedMessages": READ},
    "SystemService": {
        "GetStatus": READ,
        "GetReport": READ,
        "Watch": READ,
        "AdvanceClock": ADMIN,
        "CreateKey": ADMIN,
        "ListKeys": ADMIN,
        "RevokeKey": ADMIN,
    },
}


class Caller(NamedTuple):
    """Who calls."""

    workspace: str
    key_id: str


class Authenticator:
    """Tells who calls, and refuses who may not.

    Args:
        keys: What knows the keys.
        loopback: Whether the gateway can be reached from this machine only.
        now_s: A clock that never goes back, seconds.
    """

    def __init__(self, keys: KeyStore, loopback: bool, now_s: Callable[[], float]) -> None:
        self._keys = keys
        self._loopback = loopback
        self._now_s = now_s
        self._verdicts: dict[bytes, tuple[float, KeyInfo | None]] = {}

    async def caller(self, metadata: Iterable[tuple[str, Any]], scope: str) -> Caller:
        """Who sent this metadata.

        Args:
            metadata: The call's.
            scope: What the method needs.

        Raises:
            StatusError: UNAUTHENTICATED, or PERMISSION_DENIED with SCOPE_MISSING or
                DEVELOPMENT_KEY.

        Cost: about 3 µs for a key that was seen in the last seconds.
        """
        key = await self._verdict(_plaintext(metadata))
        if key is None:
            text = "the API key is not known, or was revoked"
            raise errors.unauthenticated(text)
        if key.dev and not self._loopback:
            text = (
                "a development key is good on loopback addresses only; make one with "
                "`denrei keys create`"
            )
            raise errors.denied(errors.DEVELOPMENT_KEY, text)
        if scope not in key.scopes:
            text = f"this call needs a key with the scope {scope!r}"
            raise errors.denied(errors.SCOPE_MISSING, text)
        return Caller(key.workspace, key.id)

    def forget(self) -> None:
        """Drops all verdicts, after a key was made or revoked here."""
        self._verdicts.clear()

    async def _verdict(self, plaintext: str) -> KeyInfo | None:
        digest = hashlib.sha256(plaintext.encode()).digest()
        now_s = self._now_s()
        known = self._verdicts.get(digest)
        if known is not None and known[0] > now_s:
            return known[1]
        key = await asyncio.to_thread(self._keys.verify, plaintext)
        self._verdicts.pop(digest, None)
        if len(self._verdicts) >= limits.KEY_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[digest] = (now_s + limits.KEY_VERDICT_S, key)
        return key


def _plaintext(metadata: Iterable[tuple[str, Any]]) -> str:
    """The key in a call's metadata."""
    for name, value in metadata:
        if name == "x-api-key":
            text = str(value)
        elif name == "authorization":
            kind, _, text = str(value).partition(" ")
            if kind.lower() != "bearer":
                text = "authorization is not of the form 'Bearer dk_...'"
                raise errors.unauthenticated(text)
        else:
            continue
        text = text.strip()
        if text and len(text) <= limits.KEY_CHARS:
            return text
        text = "the API key is empty or too long"
        raise errors.unauthenticated(text)
    text = "no API key: send the metadata 'authorization: Bearer dk_...' or 'x-api-key: dk_...'"
    raise errors.unauthenticated(text)


def is_loopback(bind: str) -> bool:
    """Whether an address to listen on can be reached from this machine only.

    Args:
        bind: `host:port`, `[host]:port` or `unix:path`.
    """
    if bind.startswith("unix:"):
        return True
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_bind(bind: str, keys: Iterable[KeyInfo]) -> None:
    """Refuses to open a door to the network that only a development key would fit.

    Args:
        bind: The address to listen on.
        keys: All keys; revoked ones do not count.

    Raises:
        PermissionError: There are development keys and no other, and the address is not loopback.
    """
    known = [key for key in keys if key.revoked_ms is None]
    if known and all(key.dev for key in known) and not is_loopback(bind):
        msg = (
            f"will not listen on {bind} with nothing but a development key: make a key with "
            "`denrei keys create`, or listen on 127.0.0.1"
        )
        raise PermissionError(msg)
