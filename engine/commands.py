"""Commands: what comes in, as it is journaled.

A command is a msgpack array whose first item is its operation and whose second is the key of the
entity it is for (for the two commands to a whole shard, an empty text). A chunk is a msgpack array
of commands, as one gateway or sender packed it, compressed by zstd if it is large; an entry's
payload is a msgpack array of chunks.
Nothing on the way from the door to the shard unpacks a chunk: the journal holds the bytes that
came in. The positions below are for ever, because journals and archives hold them; a command
grows at its end, and a reader takes a missing item as its default.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import zstandard

from engine import limits
from engine.packing import pack, unpack_chunks, unpack_tuple, unpack_tuples

EVENT: Final = 1
SEND: Final = 2
RECEIPT: Final = 3
INSTALL: Final = 4
SETTLE: Final = 5
APPLY: Final = 6
REFRESH: Final = 7
RELEASE: Final = 8
LINK: Final = 9
MERGE: Final = 10
KEPT: Final = 11
ENTER: Final = 12
STOP: Final = 13
WALK: Final = 14
ERASE: Final = 16
SUPPRESS: Final = 17
PASS: Final = 18
CALL_BACK: Final = 19
WALKED: Final = 20
CLAIM: Final = 21
ACCOUNT: Final = 22
FILL: Final = 23
FILLED: Final = 24
CALLED: Final = 25
INBOUND: Final = 26
CALL: Final = 35  # in outboxes only; see `call`
CONSENT: Final = 15
CANCEL: Final = 32
START: Final = 27
CHECK: Final = 28
CLOSE: Final = 29
COUNT: Final = 30
ERASED: Final = 40  # in archives only
TICK: Final = 31  # in archives only
TOLD: Final = 41
FORGET: Final = 42  # in outboxes only; see `forget`
FEEDBACK: Final = 43  # in outboxes only; see `feedback`

# Where events drive the clocks, the fifth item of these is a time that moves one.
TIMED: Final = frozenset({EVENT, PASS, TICK, TOLD})

# What a compressed chunk begins with (RFC 8878); a packed array never does.
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_WORTH_BYTES: Final = 2_048

IDENTIFY: Final = 0
TRACK: Final = 1
PAGE: Final = 2
SCREEN: Final = 3
GROUP: Final = 4
ALIAS: Final = 5
EVENT_TYPES: Final = ("identify", "track", "page", "screen", "group", "alias")
NAMED_TYPES: Final = (TRACK, PAGE, SCREEN)  # the types whose name is an event's and not an id

UNKNOWN: Final = -1  # a time that an older version did not tell

Command = tuple[Any, ...]
Outcome = tuple[int, int, str, str]
"""What became of a message: an outcome of `engine.reasons.Reason`, when, code, words."""


def event(
    key: str,
    message_id: str,
    type_: int,
    name: str,
    timestamp_ms: int,
    properties: bytes = b"",
    context: bytes = b"",
    anonymous_id: str = "",
) -> Command:
    """An event of the Segment Spec.

    Args:
        key: The entity that the event is about, of kind user or anonymous.
        message_id: The client's id of the event; a repeat within 24 h is not applied again.
        type_: An index into `EVENT_TYPES`.
        name: The event's name (track), the page's or screen's name, the groupId (group), or the
            previousId (alias). Empty for identify.
        timestamp_ms: When it happened, corrected for the client's clock skew, Unix milliseconds.
        properties: A msgpack map: properties, or traits for identify and group. Empty means none.
        context: A msgpack map: the Segment Spec's context. Empty means none.
        anonymous_id: The event's other id, if it names a user and an anonymous visitor.
    """
    return (EVENT, key, message_id, type_, name, timestamp_ms, properties, context, anonymous_id)


def told(
    key: str, forward_id: str, name: str, at_ms: int, properties: bytes, asked_ms: int, teller: str
) -> Command:
    """An event that another entity tells a profile: an `event`, and who told it.

    Args:
        key: The profile.
        forward_id: The forward's id, and the event's.
        name: The event's name.
        at_ms: When it happened.
        properties: A msgpack map.
        asked_ms: When it was asked for that this profile should hear of it; somebody who was erased
            since does not.
        teller: The key of who tells it.
    """
    return (
        TOLD, key, forward_id, TRACK, name, at_ms, properties, b"", "", asked_ms, teller,
    )  # fmt: skip


def as_event(command: Command) -> Command:
    """The event in a `told`."""
    return (EVENT, *command[1:9])


def send(key: str, request_id: str, spec: bytes) -> Command:
    """A message asked for by the API.

    Args:
        key: The user or address it is for.
        request_id: The caller's idempotency key.
        spec: A msgpack map with `channel`, `to` (may be empty: the profile's), `purpose`,
            `template` or `body` (and `subject`), `data` (a map for the template),
            `validity_ms`, `lane` (may be empty: routed), `resend_unknown`, `topic`, `tags` (a list)
            and `priority` (0 to 100; see `engine.governance`), `facts` (what is known of it: `ip`,
            `device` …), `sender`, `send_at_ms` (empty: now), and `fallbacks`, a list of maps with
            what is sent in its place if it does not come to `success` (a number of `Reason`)
            within `within_ms`: `channel`, `template` or `body` and `subject`, `to`, `lane`,
            `success`, `within_ms`.
    """
    return (SEND, key, request_id, spec)


def cancel(key: str, message_id: str, why: str = "") -> Command:
    """Asks for a message not to be sent any more, nor what would go out in its place.

    Args:
        key: Whose message it is.
        message_id: The message.
        why: For its history; empty means that the API asked.
    """
    return (CANCEL, key, message_id, why)


def receipt(
    key: str,
    message_id: str,
    reason: int,
    at_ms: int,
    settle: bool,
    carrier: str = "",
    lane: str = "",
    code: str = "",
    detail: str = "",
    provider_id: str = "",
    more: Sequence[Outcome] = (),
    took_ms: int = UNKNOWN,
) -> Command:
    """What became of a message, told by a sender.

    Args:
        key: The entity whose message it is.
        message_id: The id of its effect: the message's, or of a later attempt by another lane
            `<message id>.<hop>`.
        reason: An outcome of `engine.reasons.Reason` (QUEUED and up).
        at_ms: When, on the sender's clock.
        settle: True if the sender will do nothing more with this effect, so that the outbox drops
            it. A delivery receipt that comes after the settlement has False.
        carrier: The carrier that was asked.
        lane: The lane it went through.
        code: The carrier's own code.
        detail: Words for a person, with the evidence if it was blocked.
        provider_id: The carrier's id of the message.
        more: What became of it after that, in order, as if each had come in a receipt of its own.
        took_ms: If the reason is the carrier's answer: how long before that it was given the
            message, as if SENDING had come in a receipt of its own at that time. UNKNOWN: the
            reason is no such answer, or SENDING was told.
    """
    return (
        RECEIPT, key, message_id, reason, at_ms, settle, carrier, lane, code, detail, provider_id,
        more, took_ms,
    )  # fmt: skip


def install(
    forward_id: str, source: str, workspace: str, version: int, documents: bytes
) -> Command:
    """Definitions for a whole shard, forwarded from the workspace's catalog entity."""
    return (INSTALL, "", forward_id, source, workspace, version, documents)


def settle(key: str, effect_id: str) -> Command:
    """Tells an entity that the receiver of one of its forwards has journaled it."""
    return (SETTLE, key, effect_id)


def apply_definitions(key: str, request_id: str, documents: bytes, expected: int) -> Command:
    """Definitions to apply or delete, for a workspace's catalog entity.

    Args:
        key: `slots.catalog_key(workspace)`.
        request_id: The caller's idempotency key.
        documents: A msgpack array of `[kind, name, body or None]`; None deletes. A body is a plain
            map as it was read from YAML or JSON, already found valid at the door.
        expected: The catalog version that the caller read; another one is a conflict.
    """
    return (APPLY, key, request_id, documents, expected)


def refresh(key: str) -> Command:
    """Asks an entity to evaluate its segments under the definitions of now."""
    return (REFRESH, key)


def fill(key: str, windows: bytes, told: bytes = b"", until_ms: int = 0) -> Command:
    """The past of an entity's windows and computed traits; see `engine.history`.

    Args:
        key: The entity.
        windows: A msgpack map of a window's name to its times.
        told: A msgpack map of a computed trait's name to its record; see `engine.computed.told`.
        until_ms: The time of the newest event that `told` knows of.
    """
    return (FILL, key, windows, told, until_ms)


def filled(key: str, windows: Sequence[str]) -> Command:
    """Says to the entity that remembers it which windows of its shard were filled."""
    return (FILLED, key, windows)


def start(
    key: str,
    request_id: str,
    definition: str,
    user: str,
    channel: str,
    locale: str,
    digest: bytes,
    sealed: str,
    facts: dict[str, str],
    spare_digest: bytes = b"",
    spare_sealed: str = "",
) -> Command:
    """Starts a verification, or asks for a pending one's code again; see `engine.verification`.

    Args:
        key: The address that it is about.
        request_id: The caller's idempotency key.
        definition: The name of the verification's definition.
        user: The key of the profile that hears of it, or empty.
        channel: By which channel, or empty for the first that reaches the address.
        locale: The language of the text, or empty.
        digest: What answers are held against.
        sealed: The code, as only a sender can read it.
        facts: What the fraud guard may know of who asks.
        spare_digest: Of another code, which is sent if nobody knows what became of this one.
        spare_sealed: That code; empty for none.
    """
    return (
        START, key, request_id, definition, user, channel, locale, digest, sealed, facts,
        spare_digest, spare_sealed,
    )  # fmt: skip


def check(key: str, request_id: str, definition: str, digest: bytes) -> Command:
    """An answer to a verification, as the digest of what was typed."""
    return (CHECK, key, request_id, definition, digest)


def close(key: str, request_id: str, definition: str) -> Command:
    """Cancels a pending verification."""
    return (CLOSE, key, request_id, definition)


def count(key: str, request_id: str, definition: str) -> Command:
    """Counts a start of a verification at one who asks.

    Args:
        key: Of kind `limiter`; its id is `user`, `ip` or `device`, a colon, and a hash of which.
        request_id: The id of the start.
        definition: The name of the verification's definition.
    """
    return (COUNT, key, request_id, definition)


def release(key: str) -> Command:
    """Lets an entity out of quarantine."""
    return (RELEASE, key)


def link(key: str, forward_id: str, target: str, by: str, via: str, since_ms: int = 0) -> Command:
    """Asks a profile to become part of another one; see `engine.identity`.

    Args:
        key: The profile that is to be merged away.
        forward_id: The forward's id.
        target: The key of the profile that asks for it.
        by: The id of the event that said that both are one person.
        via: How it said so: `event`, `alias`, or the kind of identifier that both have.
        since_ms: When the target was erased last, or 0; see `engine.privacy.leftovers`.
    """
    return (LINK, key, forward_id, target, by, via, since_ms)


def kept(key: str, forward_id: str, asked: str, owner: str) -> Command:
    """The answer to a `link` that came too late: who was asked is part of somebody else."""
    return (KEPT, key, forward_id, asked, owner)


def merge(
    key: str, source: str, lap: dict[str, int], lap_before: dict[str, int], parts: bytes
) -> Command:
    """All that a profile was, on its way to the one that it becomes a part of.

    It always travels inside of a `passed`.

    Args:
        key: The profile that takes it in, as far as the sender knows.
        source: The key of the profile that it was.
        lap: The merged profiles that it went through since it left or came by its source, each
            with how often that one's own merge had come back to it; see `engine.identity.stub`.
        lap_before: The same of the time before that.
        parts: See `engine.identity.parts`; empty if nothing was ever heard of it.
    """
    return (MERGE, key, source, lap, lap_before, parts)


def passed(
    key: str,
    forward_id: str,
    sender: str,
    number: int,
    at_ms: int,
    version: int,
    command: bytes,
    since_ms: int = 0,
) -> Command:
    """A command that a merged profile passes on to the one that it is part of now.

    Args:
        key: The profile that takes it in.
        forward_id: The forward's id.
        sender: The key of the profile that passes it on.
        number: Which it is of those that the sender passes to this profile, from 1 on: they are
            taken in this order, each once.
        at_ms: The sender's time; where events drive the clocks, it moves the receiver's like an
            event.
        version: The definitions that the sender has; the receiver needs them too.
        command: The command as it came, packed.
        since_ms: When the receiver was erased last, as the sender knows it from when it became a
            part of it, or 0; see `engine.privacy.leftovers`.
    """
    return (PASS, key, forward_id, sender, number, at_ms, version, command, since_ms)


def call_back(key: str, forward_id: str, message_id: str, why: str) -> Command:
    """Asks a merged profile to cancel a message that it handed to a sender before its merge."""
    return (CALL_BACK, key, forward_id, message_id, why)


def claim(
    key: str,
    forward_id: str,
    identifier: str,
    owner: str,
    by: str,
    since_ms: int = 0,
    asked_ms: int = UNKNOWN,
) -> Command:
    """A profile says to an identifier that it is its own; the identifier answers with the same.

    Args:
        key: The identifier's; of the answer, the profile's.
        forward_id: The forward's id.
        identifier: The identifier's key.
        owner: The key of the profile that claims it; of the answer, of the one that has it, or
            empty if too many have claimed it.
        by: The id of the event that brought it.
        since_ms: When the owner was erased last, or 0.
        asked_ms: Of the answer: when the one who asked had been erased last, or 0.
    """
    return (CLAIM, key, forward_id, identifier, owner, by, since_ms, asked_ms)


def account(
    key: str, forward_id: str, account_: str, member: str, version: int, traits: bytes
) -> Command:
    """What a member said of its account (a group); the account answers with all that is known.

    Args:
        key: The account's; of the answer, the member's.
        forward_id: The forward's id.
        account_: The account's key.
        member: The member's key.
        version: Of the answer, which it is of those that the account gives.
        traits: A msgpack map.
    """
    return (ACCOUNT, key, forward_id, account_, member, version, traits)


def enter(
    key: str,
    request_id: str,
    journey: str,
    context: bytes = b"",
    kind: str = "api",
    number: int = -1,
) -> Command:
    """Asks for a run of a journey to begin.

    Args:
        key: The person.
        request_id: The caller's idempotency key.
        journey: The journey's name.
        context: A msgpack map, which stands where an event's properties would. Empty means none.
        kind: The kind of entry that has to take it: api, schedule or broadcast.
        number: Which of the journey's schedules and broadcasts, if it is one.
    """
    return (ENTER, key, request_id, journey, context, kind, number)


def stop(key: str, request_id: str, journey: str, instance: str = "", why: str = "") -> Command:
    """Asks for runs to be stopped, at once.

    Args:
        key: The person.
        request_id: The caller's idempotency key.
        journey: The journey all of whose runs stop, if no instance is named.
        instance: The instance's id, or empty.
        why: For the trail.
    """
    return (STOP, key, request_id, journey, instance, why)


def consent(
    key: str,
    request_id: str,
    changes: Sequence[tuple[str, str, str]],
    by: str = "",
    at_ms: int = 0,
) -> Command:
    """What a person has said they want to get.

    Args:
        key: The person, or an address of which nobody is known.
        request_id: The caller's idempotency key.
        changes: `(channel, topic, status)` each: a topic of the policy, or `all` for the channel
            itself; subscribed, unsubscribed or unknown.
        by: Where they said it, for the trail: `the preference page`, `a reply of STOP`.
        at_ms: When they said it; left out, now. What was said later stands.
    """
    return (CONSENT, key, request_id, changes, by, at_ms)


def erase(
    key: str,
    request_id: str,
    suppress: bool,
    is_merged: bool = False,
    at_ms: int = 0,
    mark: str = "",
    owner: str = "",
    names: Sequence[str] = (),
) -> Command:
    """Asks for all that is kept of a person to be erased; see `engine.privacy.erasing`.

    Args:
        key: One of the person's ids. Of a forward, another of them, an identifier or an account.
        request_id: The caller's idempotency key; of a forward, the forward's id.
        suppress: Whether nothing is taken of the person from now on.
        is_merged: Of a forward from the profile: that this id is a part of it for sure.
        at_ms: Of a forward: when its sender was erased.
        mark: Of a forward: a hash of the request. Empty from a client.
        owner: Of a forward from the profile to what belongs to it: the profile's key.
        names: Of a forward to an account or an address: other keys that the person may have there.
    """
    return (ERASE, key, request_id, suppress, is_merged, at_ms, mark, owner, names)


def forget(key: str, forward_id: str) -> Command:
    """Asks every sender to forget to whom addresses belong, as far as it is about an entity.

    It is handed to the senders and settled when all of them have done so; it is never journaled.
    """
    return (FORGET, key, forward_id)


def feedback(key: str, forward_id: str, what: str) -> Command:
    """Tells every sender that may text a number what became of a code to it.

    It is handed to the senders and settled when all of them have it; it is never journaled.

    Args:
        key: The address.
        forward_id: The effect's id; a guard learns of each once.
        what: See `FraudGuard.outcome`.
    """
    return (FEEDBACK, key, forward_id, what)


def suppress(key: str, request_id: str, is_on: bool, owner: str = "") -> Command:
    """Asks for nothing to be taken of a person or sent to them, or for that to end.

    Args:
        key: One of the person's ids.
        request_id: The caller's idempotency key; of a forward, the forward's id.
        is_on: Whether it begins or ends.
        owner: Of a forward from the profile to an id that is a part of it: the profile's key.
    """
    return (SUPPRESS, key, request_id, is_on, owner)


def call(
    key: str,
    call_id: str,
    instance: str,
    receiver: str,
    method: str,
    url: str,
    headers: Sequence[tuple[str, str, str]],
    body: str,
    secret: str,
    retries: int,
    timeout_ms: int,
    expires_ms: int,
) -> Command:
    """A webhook, as it stands in the outbox of its person; it is never journaled by itself.

    Args:
        key: The person.
        call_id: The effect's id, and the webhook's.
        instance: The id of the instance that waits for the answer.
        receiver: The host and port that it goes to.
        method: GET, POST, PUT, PATCH or DELETE.
        url: All of the URL.
        headers: `(name, text, secret)` each: the text, and after it the secret of that name.
        body: The body, or empty.
        secret: The name of the secret that signs it, or empty.
        retries: How often it is tried again at most.
        timeout_ms: How long it may take in all.
        expires_ms: When nobody waits for the answer any more, on the shard's clock.
    """
    return (
        CALL, key, call_id, instance, receiver, method, url, headers, body, secret, retries,
        timeout_ms, expires_ms,
    )  # fmt: skip


def called(
    key: str, call_id: str, instance: str, status: int, answer: bytes, words: str, error: str = ""
) -> Command:
    """The answer to a webhook; it settles the effect.

    Args:
        key: The person.
        call_id: The webhook.
        instance: The id of the instance that waits for it.
        status: The HTTP status of the last attempt; 0 if there is none.
        answer: A msgpack map with `status`, `body` if there is one, and `error` if it failed.
        words: For the trail: attempts, sizes.
        error: Why there is no good answer; empty if there is one.
    """
    return (CALLED, key, call_id, instance, status, answer, words, error)


def erased(key: str, tombstone: bytes) -> Command:
    """Stands in an archive where an erasure was: all that is known of somebody who is gone.

    Args:
        key: The key of their tombstone; see `engine.privacy.hidden`.
        tombstone: `Entity.pack` of it.
    """
    return (ERASED, key, tombstone)


def tick(at_ms: int) -> Command:
    """Carries a time and does nothing: where events drive the clocks, it stands for an event.

    Args:
        at_ms: The time of the event that was there.
    """
    return (TICK, "", "", 0, "", at_ms)


def inbound(key: str, how: int, message: bytes, owner: str = "") -> Command:
    """A message that somebody sent to us.

    Args:
        key: The address that sent it; of a forward, whom it belongs to.
        how: How it got here; see `engine.messages.inbound`.
        message: `engine.messages.inbound.Received`, packed; by its id a repeat is known.
        owner: The profile that was written to last at this address, as its sender knows, or empty;
            of a forward back to the address, the profile that is not there any more.
    """
    return (INBOUND, key, how, message, owner)


def walk(
    key: str, walk_id: str, journey: str, number: str, after: str, limit: int, request: str
) -> Command:
    """Asks a task's host who comes next. It is never journaled; `engine.journeys.walk` answers it.

    Args:
        key: The task.
        walk_id: The forward's id.
        journey: The journey's name.
        number: Which of its schedules and broadcasts.
        after: The key of the last person looked at, or empty.
        limit: How many people of the audience to offer at most.
        request: The idempotency key of the run's ENTERs.
    """
    return (WALK, key, walk_id, journey, number, after, limit, request)


def walked(
    key: str, walk_id: str, number: str, after: str, visited: int, offered: int, is_last: bool
) -> Command:
    """The end of an answer to a `walk`: where the cursor stands now. It settles the forward."""
    return (WALKED, key, walk_id, number, after, visited, offered, is_last)


def pack_chunk(commands: Iterable[Command]) -> bytes:
    """Packs commands into a chunk. Cost: about 0.6 µs a command."""
    return pack(list(commands))


class Compressor:
    """Compresses large chunks (to about a seventh); small ones stay as they are.

    They then take fewer calls to carry and less of the disk to keep. What it works with takes long
    to make, so it is kept; one serves one thread.
    """

    __slots__ = ("_zstd",)

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=1)

    def compress(self, chunk: bytes) -> bytes:
        """The chunk, compressed if that is worth it. Cost: 0.3 µs a command."""
        return self._zstd.compress(chunk) if len(chunk) >= _WORTH_BYTES else chunk


def open_chunk(chunk: bytes) -> bytes:
    """The inverse of `Compressor.compress`."""
    if chunk[:4] != _ZSTD_MAGIC:
        return chunk
    return zstandard.decompress(chunk, max_output_size=limits.CHUNK_BYTES)


def pack_payload(chunks: Iterable[bytes]) -> bytes:
    """Packs chunks into an entry's payload, without looking into them."""
    return pack(list(chunks))


def unpack_payload(payload: bytes) -> Iterator[list[Command]]:
    """The chunks of an entry's payload, each unpacked into its commands (tuples).

    An empty payload is a tick: no chunks.
    """
    if payload:
        for chunk in unpack_chunks(payload):
            yield unpack_tuples(open_chunk(chunk))


def unpack_command(packed: bytes) -> Command:
    """One command as it was packed into an outbox."""
    return unpack_tuple(packed)
