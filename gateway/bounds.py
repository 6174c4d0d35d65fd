"""The gateway's own bounds, beside those in engine/limits.py; units stand last in the names."""

from typing import Final

from engine import limits

# Past this the transport itself refuses; a batch is held against BATCH_BYTES with a typed reason.
RECEIVE_BYTES: Final = 2 * limits.BATCH_BYTES
SEND_BYTES: Final = 64 * 1024 * 1024
CONCURRENT_CALLS: Final = 10_000
CONNECTION_STREAMS: Final = 1_000
STREAM_CHUNKS_IN_FLIGHT: Final = 64
STREAM_BYTES_IN_FLIGHT: Final = 2 * limits.BATCH_BYTES

# A client's deadline is honoured up to here; without one this holds.
DEADLINE_S: Final = 60.0
DEFAULT_DEADLINE_S: Final = 20.0
# The part of a deadline that is kept for the way back of the answer.
ANSWER_S: Final = 0.05
# How long an Apply waits for shards to install a version, at most.
INSTALL_WAIT_S: Final = 10.0

KEY_VERDICTS: Final = 10_000
KEY_VERDICT_S: Final = 2.0
KEY_CHARS: Final = 200

PAGE_ITEMS: Final = 100
PAGE_TOKEN_CHARS: Final = 2_000
APPLY_ATTEMPTS: Final = 5
