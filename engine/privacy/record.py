"""What an entity knows of its erasure and suppression: plain values in its state.

`state["privacy"]` is there once an entity was erased, for ever, and while it is suppressed:

    erased_ms   when, on the shard's clock
    request     a hash of the request, so that its repeats erase nothing anew
    gone        true until something is heard of the person again

`state["suppressed"]` is when suppression began (ms), as long as it lasts. So an event asks for one
name, and people who are in neither cost nothing more.
"""

from hashlib import blake2b
from typing import Any, Final

from engine.entity import Entity

PRIVACY: Final = "privacy"
SUPPRESSED: Final = "suppressed"
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 16


def digest(workspace: str, text: str, secret: bytes) -> str:
    """A one-way hash of a key or request, salted with the workspace: 32 hexadecimal characters.

    Whoever holds a key and the store's secret finds out whether a record is about it. Nobody reads
    the key from it, nor finds it by trying all that there may be without the secret.

    Args:
        workspace: The workspace.
        text: What is hashed.
        secret: The store's, given to it at its birth like the seed of its slots; empty in stores
            of earlier versions.
    """
    salt = blake2b(workspace.encode(), digest_size=_SALT_BYTES).digest()
    return blake2b(text.encode(), digest_size=_HASH_BYTES, salt=salt, key=secret).hexdigest()


def erased_ms(entity: Entity) -> int:
    """When an entity was erased last, or 0."""
    kept: dict[str, Any] | None = entity.state.get(PRIVACY)
    return int(kept["erased_ms"]) if kept else 0


def is_gone(entity: Entity) -> bool:
    """Whether an entity was erased and nothing was heard of the person since."""
    return "gone" in entity.state.get(PRIVACY, ())
