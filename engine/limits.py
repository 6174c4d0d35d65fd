"""Every bound of the system, in one place.

A queue, map or payload without a line here is a defect. Past a limit a caller gets a typed reason
from `engine.reasons`, never memory growth and never silence. Units stand last in the names.
"""

from typing import Final

# What a client may send.
EVENT_BYTES: Final = 32 * 1024
BATCH_EVENTS: Final = 2_500
BATCH_BYTES: Final = 4 * 1024 * 1024
ID_CHARS: Final = 500
MESSAGE_ID_CHARS: Final = 100
NAME_CHARS: Final = 200
PROPERTY_KEYS: Final = 300
PROPERTY_DEPTH: Final = 16
FUTURE_SKEW_MS: Final = 24 * 3_600_000
SEND_BATCH_MESSAGES: Final = 500
BODY_CHARS: Final = 4_096
DEFINITION_BYTES: Final = 256 * 1024
DEFINITIONS_PER_APPLY: Final = 100
PAGE_ITEMS: Final = 500

# What one entity may hold.
TRAITS: Final = 300
TRAIT_BYTES: Final = 64 * 1024
SEEN_IDS: Final = 20_000
SEEN_MS: Final = 24 * 3_600_000
WINDOW_EVENTS: Final = 1_000
WINDOW_DAYS: Final = 400
INSTANCES: Final = 64
INSTANCES_ENDED: Final = 20
INSTANCE_TRAIL: Final = 100
INSTANCE_MOVES: Final = 50
TRAIL: Final = 100
MESSAGES: Final = 50
MESSAGE_HISTORY: Final = 16
OUTBOX: Final = 100

# What one workspace may define.
DEFINITIONS: Final = 2_000
VERSIONS: Final = 25
STEPS: Final = 200
BRANCHES: Final = 20
EXITS: Final = 20
CONDITION_DEPTH: Final = 10
STEP_DELAY_MS: Final = 2 * 365 * 86_400_000

# Slots and shards.
SLOTS: Final = 1_024
SHARDS_PER_CORE: Final = 2

# Between the gateway and a host. Ray passes arguments under 100 KiB inline; larger ones go through
# its object store, which costs a third to a half of the call rate.
CALL_BYTES: Final = 90_000
CALL_COMMANDS: Final = 1_000
CALLS_IN_FLIGHT: Final = 2
ROUTER_QUEUE_BYTES: Final = 8 * 1024 * 1024
CALL_TIMEOUT_S: Final = 15.0

# In a host.
INGEST_QUEUE_BYTES: Final = 8 * 1024 * 1024
ENTRY_BYTES: Final = 1024 * 1024
OUTBOX_PER_SHARD: Final = 100_000
HOT_ENTITIES: Final = 100_000
CHECKPOINT_ROWS: Final = 500
CHECKPOINT_TAIL_BYTES: Final = 32 * 1024 * 1024
FEED_LINES: Final = 20_000
TIMERS_PER_ENTRY: Final = 2_000

# In a sender.
LANES: Final = 1_000
LANE_QUEUE_S: Final = 36_000
LANE_QUEUE_MESSAGES: Final = 100_000
SENDER_QUEUE_MESSAGES: Final = 200_000
OFFER_MESSAGES: Final = 500
SUBMIT_MESSAGES: Final = 256
SENT_IDS: Final = 500_000
SENT_IDS_MS: Final = 3_600_000
VALIDITY_MS: Final = 36_000_000
SEND_ATTEMPTS: Final = 5
FRAUD_PREFIXES: Final = 50_000
FRAUD_NUMBERS: Final = 100_000

# The archive of passed journal entries.
ARCHIVE_DAYS: Final = 30
ARCHIVE_BYTES: Final = 10 * 1024 * 1024 * 1024
