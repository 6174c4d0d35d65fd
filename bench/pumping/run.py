"""Lets one guard live through one scenario, and counts."""

from dataclasses import dataclass
from heapq import heappop, heappush

from bench.pumping.rules import BLOCK, SENT, Rule
from bench.pumping.scenarios import ORIGIN_MS, START_MS, sends
from bench.pumping.world import BR, COUNTRIES, LK, Send

_PRICES = [(each.ranges, each.price) for each in (*COUNTRIES, LK, BR)]


@dataclass(slots=True)
class Score:
    """What was counted, from the last day's beginning on.

    Attributes:
        attempts: Fraudulent messages asked for.
        leaked: Those of them that were sent.
        cost: What these cost, in US dollars.
        honest: Honest messages asked for.
        blocked: Those of them that were blocked; `challenged`: that were challenged.
        first_ms: From the first fraudulent message to the first that was denied; -1 for never.
    """

    attempts: int = 0
    leaked: int = 0
    cost: float = 0.0
    honest: int = 0
    blocked: int = 0
    challenged: int = 0
    first_ms: int = -1


def price(number: str) -> float:
    """What a text costs."""
    return next(price for ranges, price in _PRICES if number.startswith(ranges))


def run(rule: Rule, traffic: list[Send]) -> Score:
    """See the module's text."""
    score = Score()
    waiting: list[tuple[int, int, Send]] = []
    began_ms = -1
    for order, send in enumerate(traffic):
        while waiting and waiting[0][0] <= send.at_ms:
            at_ms, _, done = heappop(waiting)
            rule.verified(ORIGIN_MS + at_ms, done.number, done.facts)
        answer = rule.ask(ORIGIN_MS + send.at_ms, send.number, send.facts)
        if answer == SENT and send.delay_ms >= 0:
            heappush(waiting, (send.at_ms + send.delay_ms, order, send))
        if send.at_ms < START_MS:
            continue
        if send.attack:
            if began_ms < 0:
                began_ms = send.at_ms
            score.attempts += 1
            if answer == SENT:
                score.leaked += 1
                score.cost += price(send.number)
            elif score.first_ms < 0:
                score.first_ms = send.at_ms - began_ms
        else:
            score.honest += 1
            score.blocked += answer == BLOCK
            score.challenged += answer not in (BLOCK, SENT)
    return score


def scored(rule: Rule, name: str, seed: int) -> Score:
    """One guard, one scenario, one seed."""
    return run(rule, sends(name, seed))
