"""The figures of the guard, in one place.

They were set by `bench.pumping` on its tuning seeds. A workspace changes how strict the guard is by
its `guard` definition (scores); these are the shape of the tests behind a score.
"""

from dataclasses import dataclass
from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

# Ages at which a code that is not verified yet counts as more evidence. A message waits for its
# code until the last of them.
STAGE_1_MS: Final = 10_000
STAGE_2_MS: Final = 25_000
STAGE_3_MS: Final = 60_000
STAGE_4_MS: Final = 150_000
STAGE_5_MS: Final = 480_000
STAGES_MS: Final[tuple[int, ...]] = (STAGE_1_MS, STAGE_2_MS, STAGE_3_MS, STAGE_4_MS, STAGE_5_MS)
# A lognormal time-to-verify with a median of 25 s, at these ages: what is believed of a workspace
# until it has shown its own.
FIRST_GUESS: Final[tuple[float, ...]] = (0.155, 0.5, 0.834, 0.977, 0.999)
# Verified codes (fading) after which a prefix is known to be of real people.
PROVEN: Final = 0.5


def stage_of(age_ms: int) -> int:
    """How many stages a code of an age has reached. Compiled, a tenth of what bisecting costs."""
    if age_ms < STAGE_3_MS:
        if age_ms < STAGE_1_MS:
            return 0
        return 1 if age_ms < STAGE_2_MS else 2
    if age_ms < STAGE_4_MS:
        return 3
    return 4 if age_ms < STAGE_5_MS else 5


@dataclass(frozen=True, slots=True)
class Figures:
    """See the module's text.

    Attributes:
        first_conversion: The share of codes that are verified, until a workspace shows its own.
        prior_codes: As many codes this belief is worth, and a parent's for its children.
        leaf_ratio: In a narrow place (a block of numbers, an address) fraud verifies at most this
            part of what is usual.
        area_ratio: In a wide place (a class of prefixes of a country) fraud leaves at most this
            part of what is usual.
        slow_ratio: The same in blocks of 10,000, tested apart: fraud that verifies a part itself.
        slow_prior: What that test has to overcome.
        left: What a block of a prefix leaves as evidence in the prefixes that it is part of.
        alarm: What it adds to the odds of its country's unproven prefixes.
        alarm_half_ms: How fast that fades.
        prior: Log odds against fraud before any evidence.
        area_prior: The same for wide places, where a wrong gate harms more people.
        walk_top: The most evidence that is kept: past it an alarm is no stronger.
        volume_top: The most that a crowd of codes counts without a word on their verification.
        surprise: How much of a crowd's log-likelihood counts: crowds are burstier than Poisson.
        window: Codes under way at once that a block of 10,000 numbers may have without history.
        area_window: The same for a class of prefixes of a country.
        blind_window: The same for a block of numbers, if nobody tells what was verified.
        number_codes: Codes to one number within `number_ms`.
        number_ms: See above.
        first_ms: The length of a first block; it doubles each time.
        longest_ms: The longest block.
        area_longest_ms: The longest gate of a wide place.
        forgiven_ms: After so long without another block the doubling begins anew.
        walk_half_ms: How fast evidence fades.
        history_half_ms: How fast history fades.
        health_half_ms: How fast the present state of a network fades.
        season_most: So many times the codes that a country usually has at this hour of the day are
            no more than a bad day of a carrier explains.
        vote_ms: How often one prefix has a say on whether its network is well.
    """

    first_conversion: float = 0.7
    prior_codes: float = 15.0
    leaf_ratio: float = 0.35
    area_ratio: float = 0.65
    prior: float = 4.6
    area_prior: float = 6.6
    walk_top: float = 14.0
    slow_ratio: float = 0.7
    slow_prior: float = 8.5
    left: float = 2.5
    alarm: float = 2.0
    alarm_half_ms: int = 12 * HOUR_MS
    volume_top: float = 4.0
    surprise: float = 0.35
    window: float = 12.0
    area_window: float = 20.0
    blind_window: float = 30.0
    number_codes: int = 5
    number_ms: int = 600_000
    first_ms: int = 300_000
    longest_ms: int = 12 * HOUR_MS
    area_longest_ms: int = 4 * HOUR_MS
    forgiven_ms: int = DAY_MS
    walk_half_ms: int = 2 * DAY_MS
    history_half_ms: int = 7 * DAY_MS
    health_half_ms: int = HOUR_MS
    season_most: float = 1.7
    vote_ms: int = 600_000
