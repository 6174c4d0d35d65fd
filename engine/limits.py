"""Every bound of the system, in one place.

A queue, map or payload without a line here is a defect. Past a limit a caller gets a typed reason
from `engine.reasons`, never memory growth and never silence. Units stand last in the names.
"""

from typing import Final

# What a client may send: past these a request is refused at the door, before anything is kept.
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
HTML_CHARS: Final = 64 * 1024  # of an e-mail, and of all that is richer than text
MEDIA_URL_CHARS: Final = 2_000
CONTENT_ITEMS: Final = 20  # cards, lines of a list, or things to tap, in one content
APPROVED_NAME_CHARS: Final = 512  # of a template that WhatsApp has approved
APPROVED_VARIABLES: Final = 100  # of a template that a provider has approved
APPROVED_BUTTONS: Final = 10
DEFINITION_BYTES: Final = 256 * 1024
DEFINITIONS_PER_APPLY: Final = 100
FAULTS_SHOWN: Final = 10  # names of a workspace's definitions that do not compile
PAGE_ITEMS: Final = 500
DEFAULT_PAGE_ITEMS: Final = 100
PAGE_TOKEN_CHARS: Final = 4_000
KEY_CHARS: Final = 200
LEAST_VALIDITY_MS: Final = 1_000

# At the gateway. Past GRPC_RECEIVE_BYTES the transport itself refuses; a batch is held against
# BATCH_BYTES with a typed reason. A client's deadline is honoured up to DEADLINE_S.
GRPC_RECEIVE_BYTES: Final = 2 * BATCH_BYTES
GRPC_SEND_BYTES: Final = 64 * 1024 * 1024
CONCURRENT_CALLS: Final = 10_000
CONNECTION_STREAMS: Final = 1_000
STREAM_CHUNKS_IN_FLIGHT: Final = 64
STREAM_BYTES_IN_FLIGHT: Final = 2 * BATCH_BYTES
DEADLINE_S: Final = 60.0
DEFAULT_DEADLINE_S: Final = 20.0
ANSWER_S: Final = 0.05  # the part of a deadline that is kept for the way back of the answer
APPLY_ATTEMPTS: Final = 5
INSTALL_WAIT_S: Final = 10.0  # how long an Apply waits for shards to install a version
KEY_VERDICTS: Final = 10_000
KEY_VERDICT_S: Final = 2.0
REPORT_SLICES: Final = 200
REPORT_TIME_SHARE: Final = 0.5  # of a call's time: past it, a report goes on in the next call
STATUS_S: Final = 2.0
DRAIN_S: Final = 10.0

# What one entity may hold: the oldest goes, or the newest is refused with a reason.
TRAITS: Final = 300
TRAIT_BYTES: Final = 64 * 1024
SEEN_IDS: Final = 20_000
SEEN_MS: Final = 24 * 3_600_000
WINDOW_EVENTS: Final = 1_000
WINDOW_DAYS: Final = 400
INSTANCES: Final = 64
INSTANCES_ENDED: Final = 20
INSTANCE_TRAIL: Final = 100
INSTANCE_TRAIL_HEAD: Final = 10  # lines of its beginning that are always kept
INSTANCE_TRAIL_LEFT_OUT: Final = 10  # lines that go at a time
INSTANCE_MOVES: Final = 50
WORDS_CHARS: Final = 500  # of a condition, as trails tell it
WHY_CHARS: Final = 1_000  # of a line in a trail
HOLD_RESETS: Final = 1_000  # times that one hold begins its time anew
EXPERIMENTS: Final = 50  # whose variants a person keeps
GOALS: Final = 50  # whose conversions a person keeps
ZONES: Final = 1_000  # time zones that are kept read, known ones and mistyped ones
INSTANCE_LINES_PER_S: Final = 80  # of its trail: a run that writes more spins
ALIASES: Final = 20
ALIAS_BYTES: Final = 64 * 1024
AGAIN_TIMES: Final = 100  # past entries into one journey that may be counted
REFUSALS: Final = 32  # different reasons why somebody did not enter some journey
REFUSAL_MS: Final = 24 * 3_600_000  # after so long the trail tells the same reason again
FOLLOW_UPS: Final = 100  # reactions to reactions, in one activation
TRAIL: Final = 100
MESSAGES: Final = 50
MESSAGE_HISTORY: Final = 16
OUTBOX: Final = 100
CONSENTS: Final = 200  # channels and topics of which a person may have said something
HELD_MESSAGES: Final = 20  # that wait for the end of quiet hours or for room under a cap
HELD_CONTEXT_BYTES: Final = 16 * 1024  # past it a message that waits is not rendered again
HELD_LEAST_MS: Final = 1_000  # that a message waits which was asked about and has to wait on
HELD_RETRY_MS: Final = 60_000  # until a message is tried again that found the outbox full
ERROR_CHARS: Final = 500

# What becomes of profiles that are one person: how many ids and merges one has, how much one merge
# carries (the oldest records go first, and the merge log says so), and how many events wait, for
# how long, until it is done.
IDENTIFIERS: Final = 1_000
MERGES: Final = 100
MERGE_BYTES: Final = 1024 * 1024
IDENTIFIER_TYPES: Final = 20
BLOCKED_IDS: Final = 200
EXTERNAL_IDS: Final = 20  # identifiers in one event's context
MERGE_NAMES: Final = 20  # names of each kind in a line of the merge log
PARKED_EVENTS: Final = 100
PARKED_BYTES: Final = 256 * 1024
MERGE_WAIT_MS: Final = 10_000
MERGE_WAIT_EVENT_TIME_MS: Final = 30 * 86_400_000  # in a replay days pass in a moment
ACCOUNTS: Final = 50  # that a profile belongs to
ACCOUNT_MEMBERS: Final = 1_000  # whom an account tells by itself what changes
ACCOUNT_SLICE: Final = 50  # of them at a time
ACCOUNT_SLICE_MS: Final = 1_000
STUB_OUTBOX: Final = 1_000  # commands that a merged profile has passed on and that are not settled

# What computed traits keep of one person. Each may have COMPUTED_SHARE values or entries, and up to
# COMPUTED_EVENTS while all together have no more than COMPUTED_ENTRIES; past it the oldest entry of
# a window goes, or a value that is new is not taken, and the trail says so.
COMPUTED_EVENTS: Final = 1_000
COMPUTED_ENTRIES: Final = 1_500
COMPUTED_SHARE: Final = 5
COMPUTED_VALUE_BYTES: Final = 200  # of one value that is kept
COMPUTED_ITEMS: Final = 100  # of one list in an event
COMPUTED_NUMBER: Final = 2**63  # what is added or compared, either way from 0
OVERRULED_MS: Final = 24 * 3_600_000  # after so long the trail tells it again

# What one workspace may define: past these a definition is refused with where and why.
DEFINITIONS: Final = 2_000
VERSIONS: Final = 25
CATALOG_BYTES: Final = 16 * 1024 * 1024  # of all kept versions
STEPS: Final = 200
BRANCHES: Final = 20
EXITS: Final = 20
ENTRIES: Final = 10
BROADCAST_PER_MINUTE: Final = 10_000  # people, if a journey does not say
BROADCAST_MOST_PER_MINUTE: Final = 600_000
BROADCAST_RUNS: Final = 1_000_000  # to which a broadcast's runs may be counted up
BROADCAST_SLICE: Final = 100  # people who are asked at a time, in a shard
BROADCAST_SCAN: Final = 100  # people who are looked at for that
BROADCAST_REST_MS: Final = 20  # between slices
BROADCAST_LATE_MS: Final = 1_000  # of lateness that a broadcast may catch up with
CONDITION_DEPTH: Final = 10
SEQUENCE_STEPS: Final = 6
SPAN_DAYS: Final = 36_600  # how far from a date a condition on it may look
COMPUTED_TRAITS: Final = 100
LIST_USERS: Final = 10_000  # ids in one list
DOCUMENT_DEPTH: Final = 10 + 3 * CONDITION_DEPTH
STEP_DELAY_MS: Final = 2 * 365 * 86_400_000
TOPICS: Final = 100
CAPS: Final = 20
CAP_SENDS: Final = 100  # messages that one cap may allow in its span, and so has to remember
CAP_DAYS: Final = 90
LABELS_KNOWN: Final = 1_000  # kinds of messages of which it is known which caps are about them
QUIET_HOURS: Final = 10
MESSAGE_TAGS: Final = 10
MESSAGE_FACTS: Final = 16  # what a request tells of a message: ip, device …
MESSAGE_FALLBACKS: Final = 5  # channels that one message may try
SEND_AHEAD_MS: Final = 35 * 86_400_000  # how far ahead a message may be scheduled
FALLBACK_WITHIN_MS: Final = 7 * 86_400_000  # that a channel may have until the next is tried
FALLBACKS: Final = 20  # messages of one entity, by the API, that wait for their success
ROUTE_RULES: Final = 200
ROUTE_VALUES: Final = 500  # countries, prefixes, codes in one rule
ROUTE_LANES: Final = 7  # that share a rule's messages, and as many to fail over to
ROUTE_WAYS: Final = 2 * ROUTE_LANES
ROUTE_SENDERS: Final = 1_000
ROUTE_WEIGHT: Final = 100
LANE_PREFIXES: Final = 500
LANE_LIMITS: Final = 20

# One-time codes: what a definition may ask for, and how many codes and answers are remembered.
CODE_CHARS: Final = 10
CODE_ATTEMPTS: Final = 20  # wrong answers to one verification
CODE_SENDS: Final = 10  # messages of one verification
CODE_VALIDITY_MS: Final = 24 * 3_600_000
CODE_STARTS: Final = 1_000  # that one limit may allow in its span, and so has to remember
CODE_LIMIT_DAYS: Final = 30
CODES_VALID: Final = 3  # of one verification at a time
VERIFICATIONS: Final = 20  # of one address, each by another definition
VERIFICATION_KEPT_MS: Final = 24 * 3_600_000  # after its end
BRAND_CHARS: Final = 50

# What rendering one message may cost, and how many missing names it tells of.
RENDER_STEPS: Final = 100_000
RENDER_WARNINGS: Final = 8

# Slots and shards, and the processes of one instance. A store is born with its slots, for ever.
SLOTS: Final = 1_024
SHARDS_PER_CORE: Final = 2
HOSTS: Final = 256
GATEWAYS: Final = 64
SENDERS_PER_CHANNEL: Final = 64
ACTOR_START_S: Final = 60.0
ACTOR_STOP_S: Final = 60.0
INSTANCE_START_S: Final = 120.0
INSTANCE_STOP_S: Final = 120.0
OBJECT_STORE_BYTES: Final = 80 * 1024 * 1024

# Between the gateway and a host. Ray passes arguments under 100 KiB inline; larger ones go through
# its object store, which costs a third to a half of the call rate.
# Bytes count as they travel, compressed.
CALL_BYTES: Final = 90_000
CALL_COMMANDS: Final = 1_000
CALL_WORTH_COMMANDS: Final = 300  # what must wait for a second call to leave beside the first
CALL_UNPACKED_BYTES: Final = 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024 * 1024
CALLS_IN_FLIGHT: Final = 2
WIRE_FRAME_BYTES: Final = 64 * 1024 * 1024
WIRE_WAITING_BYTES: Final = 16 * 1024 * 1024  # for an end that reads nothing; past it, it is cut
WIRE_CALLS: Final = 1_000  # that one process answers at once
SOCKET_PATH_BYTES: Final = 100  # Linux takes 107; a socket has a longer name for a moment
ROUTER_QUEUE_BYTES: Final = 8 * 1024 * 1024
CONTROL_QUEUE_BYTES: Final = 4 * ROUTER_QUEUE_BYTES  # the receipts of 90 shards of one host
CALL_TIMEOUT_S: Final = 15.0
FORWARD_TIMEOUT_S: Final = 30.0

# In a host: what waits, what stays in memory, and how much one entry or one step of a checkpoint
# may be, so that neither is a pause.
INGEST_QUEUE_BYTES: Final = 8 * 1024 * 1024
ENTRY_BYTES: Final = 1024 * 1024
ENTRY_COMMANDS: Final = 2_000
OUTBOX_PER_SHARD: Final = 100_000
HOT_ENTITIES: Final = 100_000
THAW_IDLE_S: Final = 60  # after so long without an entry a host collects everything once
THAW_S: Final = 6 * 3_600  # and after so long in the next second without one
CHECKPOINT_ROWS: Final = 500
CHECKPOINT_TAIL_COMMANDS: Final = 55_000  # of a shard, what a recovery may have to replay: 2 s
TIMERS_PER_ENTRY: Final = 2_000
REFRESH_ENTITIES: Final = 100  # that a step of the sweep after new definitions looks at
FILL_TIMES: Final = 2_000_000  # of the past that one reading of the archive holds in memory
FILL_TOLD: Final = 50_000  # people whose past is told again in memory at one time
FILL_PEOPLE: Final = 100  # who are evaluated, or whose past is put in, in one step; at most
FILL_BYTES: Final = 64 * 1024  # of what was found that one step puts in
FILL_ENTRIES_HERE: Final = 500  # the longest past that a host reads itself
FILL_AGAIN_S: Final = 60.0  # after how long the past is read again that could not be read,
FILL_LONGEST_S: Final = 3_600.0  # and after how long at most: each time it is twice as long
REFRESH_PAUSE_S: Final = 0.5  # how often new definitions are looked for
REOPEN_S: Final = 5.0  # between attempts to open a store or ledger that could not be opened
TAKE_OVER_S: Final = 30.0  # how long a new owner of a store waits for the old one to let go
SESSIONS: Final = 1_000  # routers whose calls a host keeps in order
SESSION_GAP_S: Final = 1.0  # how long a call waits for the calls before it
FEED_LINES: Final = 20_000
WATCH_LEASE_S: Final = 10.0  # the feed is written for so long after someone asked for it

# At the HTTP door: what one request may be and take, and how many there may be at once.
CALLBACK_BYTES: Final = 64 * 1024
CALLBACK_S: Final = 10.0
FORGED_PER_S: Final = 1_000  # call-backs of one address that a lane's adapter did not take
FORGED_BURST: Final = 2_000
FORGERS: Final = 10_000  # of which the door knows how much room they have, by lane
CALLBACKS_AT_ONCE: Final = 200  # of one lane
HTTP_CONNECTIONS: Final = 2_000
HTTP_REQUESTS: Final = 1_000
HTTP_BODY_S: Final = 5.0
HTTP_IDLE_S: Final = 30.0
HTTP_LINE_BYTES: Final = 8_190
HTTP_HEADERS: Final = 64
HTTP_LOOKUPS_PER_S: Final = 100
HTTP_LANES_KNOWN_S: Final = 2.0
HTTP_WORKSPACES: Final = 1_000

# To carriers over HTTP.
HTTP_WINDOW: Final = 500  # requests of one lane under way at once
HTTP_ANSWER_BYTES: Final = 64 * 1024  # that are read of an answer
HTTP_LONGEST_PAUSE_MS: Final = 3_600_000  # that a carrier may ask for
CALLBACK_FIELDS: Final = 300  # of a form
HTTP_VALUE_CHARS: Final = 5_000  # of one value in what a carrier sends

# Messages that people sent: how many are kept of one address, and how much of each.
INBOUND: Final = 20
INBOUND_BODY_CHARS: Final = 4_096
INBOUND_MEDIA: Final = 10
INBOUND_VALUES: Final = 20
INBOUND_VALUE_CHARS: Final = 1_000
INBOUND_BYTES: Final = 64 * 1024  # of all that are kept; the newest is kept in any case
INBOUND_OWNERS: Final = 5  # profiles that hear of what an address sends
TELLERS: Final = 100  # addresses that a profile remembers to have heard of verifications from
INBOUND_BATCH: Final = 200  # that one call of a carrier may bring
INBOUND_TRY_S: Final = 8.0  # how long their shard may keep a carrier waiting
CORRESPONDENTS: Final = 200_000  # addresses of which a sender knows in memory to whom they belong
CORRESPONDENTS_KEPT: Final = 5_000_000  # and on disk
CORRESPONDENTS_EVERY_S: Final = 2.0  # how often new ones are written
FORGET_KEYS: Final = 500  # erased people that one call asks a sender to forget
FEEDBACK_ROWS: Final = 1_000  # outcomes of codes that one call tells a sender
FEEDBACK_GATHER_S: Final = 0.2  # how long one waits for others to go with it
FEEDBACK_IDS: Final = 10_000  # outcomes that a sender knows again when they are told again

# In a sender: what waits in a lane and in all, and what is remembered of what was sent.
LANES: Final = 1_000
LANE_QUEUE_S: Final = 36_000
LANE_QUEUE_MESSAGES: Final = 100_000
SENDER_QUEUE_MESSAGES: Final = 200_000
# How full a lane's queue, or a sender, may be for a class to be taken: the rest is for those above.
OTP_QUEUE_PERCENT: Final = 100
TRANSACTIONAL_QUEUE_PERCENT: Final = 90
MARKETING_QUEUE_PERCENT: Final = 80
OFFER_MESSAGES: Final = 1_000
OFFER_WORTH_MESSAGES: Final = 300  # after so many, or so many bytes, the next call need not wait
OFFER_WORTH_BYTES: Final = CALL_UNPACKED_BYTES // 2
OFFER_GATHER_S: Final = 0.05  # the longest wait for more offers after a call that had few
SUBMIT_MESSAGES: Final = 512
SENT_IDS: Final = 500_000
SENT_IDS_MS: Final = 3_600_000
LANE_IN_FLIGHT_MESSAGES: Final = 4 * SUBMIT_MESSAGES
SENDING_UNTOLD_MS: Final = 2_000  # how long a carrier has a message before its shard is told so
ATTEMPT_RECEIPTS: Final = 50_000  # waiting in a sender; past it no attempts are told, only ends
EARLY_RECEIPTS: Final = 8 * LANE_IN_FLIGHT_MESSAGES  # of a lane: waiting for their message's result
SANDBOX_UNTOLD: Final = 8 * LANE_IN_FLIGHT_MESSAGES  # receipts told and not yet journaled
PHONE_NUMBERS: Final = 100_000  # read numbers whose reading is kept
SANDBOX_SEEN_MS: Final = 100_000  # milliseconds with traffic that a sandbox carrier looks back on
SMPP_BINDS: Final = 16
SMPP_WINDOW: Final = 1_000  # requests without an answer on one bind
SMPP_PDU_BYTES: Final = 80 * 1024  # a message_payload has up to 64 KiB
SMPP_PART_IDS: Final = 100_000  # of messages in parts, whose receipts are not all there
SMPP_LEARNING_IDS: Final = 10_000  # looked through until it is known how receipts write ids
SMPP_RECEIPTS: Final = 2 * EARLY_RECEIPTS  # brought and not confirmed; then they come again later
SMPP_QUERIES: Final = 100_000  # messages without a receipt that will be asked about
SMPP_INBOUND_PARTS: Final = 1_000  # of messages that people sent, waiting for the others
SMPP_REPEATS: Final = 10_000  # of what people sent and could not be confirmed, looked for
SMPP_REPEAT_S: Final = 600.0  # and how long
VALIDITY_MS: Final = 36_000_000
SEND_ATTEMPTS: Final = 5

# How long a sender waits: for a carrier, for a shard, before the next attempt, and at its end.
SUBMIT_TIMEOUT_S: Final = 60.0
QUERY_TIMEOUT_S: Final = 10.0  # what became of messages whose submit was not answered
OFFER_PAUSE_MS: Final = 200  # what a full sender asks of a shard
BACKOFF_FIRST_MS: Final = 1_000
BACKOFF_LONGEST_MS: Final = 60_000
# Of receipts in one call to a shard, before they are compressed: to a tenth of it, or a quarter if
# carriers' ids are long and random. One call is in flight for each shard, and takes as long as two
# entries: so this bounds how many receipts a second a shard gets.
REPORT_BYTES: Final = 4 * CALL_BYTES
REPORT_TIMEOUT_S: Final = 30.0
REPORT_PAUSE_S: Final = 0.05
REPORT_LONGEST_PAUSE_S: Final = 2.0
SENDER_DRAIN_S: Final = 15.0

# What a journey's webhook may be, and what comes back of it.
WEBHOOK_URL_CHARS: Final = 2_000
WEBHOOK_BODY_CHARS: Final = 32 * 1024
WEBHOOK_HEADERS: Final = 20
WEBHOOK_HEADER_CHARS: Final = 1_000
WEBHOOK_TIMEOUT_MS: Final = 60_000  # for all attempts, if a step does not say
WEBHOOK_LONGEST_MS: Final = 86_400_000
WEBHOOK_RETRIES: Final = 3
WEBHOOK_MOST_RETRIES: Final = 20
WEBHOOK_ANSWER_BYTES: Final = 16 * 1024  # of the body; one that is longer is left out

# What a table may be, and how many of them a process keeps open.
TABLE_COLUMNS: Final = 200
TABLE_ROWS: Final = 1_000_000
TABLE_ROW_BYTES: Final = 16 * 1024
TABLE_BYTES: Final = 2 * 1024 * 1024 * 1024
TABLES_OPEN: Final = 200
TABLE_LOAD_S: Final = 600.0

# In a caller of webhooks: what waits, and what one receiver gets at a time and in a second.
CALLERS: Final = 64
WEBHOOK_CALLS: Final = 10_000
WEBHOOK_CALLS_PER_RECEIVER: Final = 2_000
WEBHOOK_RECEIVERS: Final = 1_000  # whose pace is remembered while nothing goes to them
WEBHOOK_AT_ONCE: Final = 20
WEBHOOK_PER_S: Final = 100
WEBHOOK_CONNECTIONS: Final = 200
WEBHOOK_ATTEMPT_S: Final = 15.0
WEBHOOK_ANSWERED: Final = 10_000  # calls whose id is known for a while after their answer
WEBHOOK_OFFER_PAUSE_MS: Final = 1_000  # what a full caller asks of a shard

# What a lane's limits may cost: the memory of one window, and the burst that smoothness allows.
RATE_BUCKETS: Final = 1_000
PACE_TOLERANCE_MS: Final = 100
IN_FLIGHT_MS: Final = 900_000  # more than a submit may take: what a new limit learns of one
TURN_WAIT_MS: Final = 5_000  # for which a lane keeps its turn at a limit that lanes share
LIMIT_VALUES: Final = 100_000  # recipients, countries … of which something counts, in a sender
LANE_REACTIONS: Final = 20  # rules of one lane, beside those that come with its carrier
REACTION_PATTERN_CHARS: Final = 200
REACTION_TEXT_CHARS: Final = 256  # of a carrier's words that a pattern is matched with

# What the fraud guard counts and holds blocked, and when it forgets that somebody was blocked.
FRAUD_WORKSPACES: Final = 200  # in a sender; past it the one least recently seen begins anew
FRAUD_NODES: Final = 50_000  # prefixes, addresses and devices, of all workspaces together
FRAUD_AREAS: Final = 5_000  # countries, networks and their classes, of one workspace
FRAUD_PENDING: Final = 50_000  # codes of one workspace that wait to be verified
FRAUD_NUMBERS: Final = 100_000  # that were verified, and that were asked for again; each
FRAUD_BLOCKS: Final = 20_000  # that stand or have stood lately
FRAUD_SNAPSHOT_NODES: Final = 5_000  # the newest that a restart knows
FRAUD_SAFE: Final = 1_000  # numbers and prefixes on a safe list
FRAUD_FACT_CHARS: Final = 100  # of an address or a device
FRAUD_DELAY_MS: Final = 24 * 3_600_000  # how long a message may wait to be looked at again
FRAUD_DELAY_LEAST_MS: Final = 60_000
FRAUD_DELAYED: Final = 10_000  # messages of a sender that wait so; past it they are challenged

# In a store, for each open file: what SQLite may keep in memory, of the disk, and read at a time.
STORE_CACHE_BYTES: Final = 16 * 1024 * 1024
STORE_READER_CACHE_BYTES: Final = 1024 * 1024
STORE_MMAP_BYTES: Final = 1024 * 1024 * 1024
STORE_FORGET_BYTES: Final = 256 * 1024  # of a journal that are deleted in one go
STORE_LOG_PAGES: Final = 500  # of write-ahead log; then a commit copies them into the file
STORE_LOG_BYTES: Final = 32 * 1024 * 1024  # what a log may keep of the disk once it is copied
STORE_ENTRIES_PER_READ: Final = 32
STORE_ROWS_PER_READ: Final = 5_000
STORE_BUSY_MS: Final = 5_000
STORE_BIRTH_WAIT_S: Final = 30.0
LEDGER_CACHE_BYTES: Final = 4 * 1024 * 1024
LEDGER_PRUNE_BATCHES: Final = 200  # that one commit forgets at most

# The archive of passed journal entries: a file is full at the first of its two limits, and the
# oldest files make room.
ARCHIVE_FILE_BYTES: Final = 4 * 1024 * 1024
ARCHIVE_FILE_ENTRIES: Final = 4_096
ARCHIVE_DAYS: Final = 30
ARCHIVE_BYTES: Final = 10 * 1024 * 1024 * 1024
LEDGER_TIDY_S: Final = 60  # how often a sender forgets what is old while it sends nothing
SWEEP_WAIT_S: Final = 6 * 3_600  # how long an erasure waits for others before the archive is swept
SWEEP_PAUSE_S: Final = 1.0  # how often erasures are looked for
SWEEP_STEP_S: Final = 0.05  # how often a sweep that waits for a checkpoint looks again
SWEEP_REST_S: Final = 3_600.0  # how long a shard rests after a sweep, or after one that failed
SWEEP_ERASURES: Final = 10_000  # at most in one sweep
WIPE_BYTES: Final = 32 * 1024 * 1024  # up to which size a shard's file is written anew after one

# In a command: how long it looks for a gateway, what it takes as one answer (all that a gateway may
# send), and how many rows of a recorded file it brings into order in memory.
CLIENT_CONNECT_S: Final = 5.0
CLIENT_RECEIVE_BYTES: Final = GRPC_SEND_BYTES
REPLAY_SORTED_ROWS: Final = 5_000_000
