"""Typed reasons: the one list of why something was accepted, refused, or not sent.

A reason has a number (one byte: the result of a command travels as one), a name that a client
sees, and a sentence with what to do. docs/errors.md is checked against this list by a test.
Numbers are for ever: they are in journals and trails.
"""

from enum import IntEnum


class Reason(IntEnum):
    """Why a command was accepted or refused, or a message was or was not sent."""

    ACCEPTED = 0
    DUPLICATE = 1

    # Refused at the door.
    INVALID_ARGUMENT = 10
    MISSING_USER = 11
    MISSING_NAME = 12
    TOO_LARGE = 13
    TOO_LONG = 14
    BAD_PROPERTIES = 15
    BAD_TIMESTAMP = 16
    TOO_MANY_KEYS = 17
    BAD_KEY = 18

    # Refused by the shard.
    USER_RATE = 30
    TRAITS_FULL = 31
    QUARANTINED = 32
    NOT_FOUND = 33
    INVALID_DEFINITION = 34
    VERSION_CONFLICT = 35
    IN_USE = 36
    OUTBOX_FULL = 37
    UNKNOWN_COMMAND = 38
    TEMPLATE_MISSING = 39
    NO_ADDRESS = 40
    INSTANCES_FULL = 41
    INTERNAL = 42
    KEY_REUSED = 43
    VERIFICATION_WRONG = 44
    VERIFICATION_FAILED = 45
    VERIFICATION_TOO_SOON = 46
    VERIFICATION_LIMIT = 47
    VERIFICATION_CHANNEL = 48
    OUT_OF_TURN = 50
    PERSON_SUPPRESSED = 54

    JOURNEY_NOT_LIVE = 57
    ENTRY_REFUSED = 58
    ALREADY_RUNNING = 59

    # Come back later.
    OVERLOADED = 60
    UNAVAILABLE = 61
    DEADLINE = 62

    # Outcomes of a message.
    QUEUED = 100
    SENT = 101
    DELIVERED = 102
    CANCELLED = 103
    EXPIRED = 104
    NO_ROUTE = 105
    INVALID_NUMBER = 106
    UNROUTABLE_NUMBER = 107
    FRAUD_BLOCKED = 108
    CARRIER_REJECTED = 109
    CARRIER_UNAVAILABLE = 110
    UNKNOWN_OUTCOME = 111
    QUEUE_FULL = 112
    UNDELIVERED = 113
    RENDER_FAILED = 114
    READ = 115
    THROTTLED = 116

    # What governance has against a message.
    HELD = 120
    NO_CONSENT = 121
    SUPPRESSED = 122
    QUIET_HOURS = 123
    FREQUENCY_CAP = 124
    LOWER_PRIORITY = 125

    # More of a message's life.
    SCHEDULED = 130
    SENDING = 131
    REVOKED = 132
    PARTIALLY_DELIVERED = 136

    # What a lane has against a message.
    LANE_CAPPED = 140
    LIMIT_REACHED = 141

    # What the fraud guard has against a message, beside FRAUD_BLOCKED.
    FRAUD_CHALLENGED = 146
    FRAUD_SHADOWED = 147
    FRAUD_DELAYED = 148

    COMPLAINED = 151
