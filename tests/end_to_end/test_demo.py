"""What `denrei demo` shows is what the file says: segments and journeys, computed independently.

The computations below walk through each customer's purchases and know nothing of the engine. Where
a timer and a purchase fall on the same moment the timer is first, as docs/journeys.md says.
"""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from tests.support.denrei import ROOT, denrei, denrei_json

FILE = ROOT / "examples/cdnow/cdnow.csv.gz"
DAY = 86_400


def purchases() -> list[list[int]]:
    """Each customer's times of purchase, seconds, ascending."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    with gzip.open(FILE, "rt", newline="") as file:
        for row in csv.DictReader(file):
            day = datetime.strptime(row["date"], "%Y%m%d").replace(tzinfo=UTC)
            found[row["customer_id"]].append(int(day.timestamp()))
    return [sorted(times) for times in found.values()]


def vip(times: Iterable[int]) -> int:
    """How often somebody entered `vip`: 3 purchases in 90 days."""
    entered, inside = 0, False
    seen: list[int] = []
    for now in times:
        inside = inside and seen[-3] + 90 * DAY > now
        seen.append(now)
        if not inside and len(seen) >= 3 and seen[-3] + 90 * DAY > now:
            inside = True
            entered += 1
    return entered


def welcome(times: list[int]) -> str:
    """How the journey `welcome` ends: it waits from a day after the first purchase, for 42 days."""
    begin = times[0] + DAY
    return "came-back" if any(begin <= at < begin + 42 * DAY for at in times) else "reminded"


def win_back(times: Iterable[int]) -> Counter[str]:
    """How the runs of `win-back` end: 90 quiet days, a message, 30 days of hope."""
    ends: Counter[str] = Counter()
    quiet = hope = 0
    for now in times:
        if quiet and quiet <= now:
            quiet, hope = 0, quiet + 30 * DAY
        if hope and hope <= now:
            ends["lost"] += 1
            hope = 0
        elif hope:
            ends["won-back"] += 1
            hope = 0
        quiet = now + 90 * DAY
    ends["lost"] += 1
    return ends


@pytest.fixture(scope="module")
def shown() -> dict[str, object]:
    told: dict[str, object] = denrei_json("demo")
    return told


def test_the_demo_counts_what_the_file_says(shown: dict[str, object]) -> None:
    customers = purchases()
    assert (shown["profiles"], shown["refused"]) == (len(customers), 0)
    assert shown["events"] == sum(map(len, customers)) + len(customers), "and an identify each"

    entered = sum(map(vip, customers))
    regulars = sum(len(times) >= 10 for times in customers)
    assert shown["segments"] == {
        "vip": {"members": 0, "entered": entered, "left": entered},
        "big-spender": {"members": regulars, "entered": regulars, "left": 0},
    }

    runs: Counter[tuple[str, str]] = Counter()
    for times in customers:
        runs["welcome", welcome(times)] += 1
        for end, count in win_back(times).items():
            runs["win-back", end] += count
    assert shown["instances"] == [
        {"journey": journey, "status": "completed", "step": step, "count": count}
        for (journey, step), count in sorted(runs.items())
    ]


def test_every_message_of_the_demo_has_its_last_word(shown: dict[str, object]) -> None:
    messages = shown["messages"]
    instances = shown["instances"]
    assert isinstance(messages, list)
    assert isinstance(instances, list)
    ended = {one["step"]: one["count"] for one in instances}
    hello = ended["came-back"] + ended["reminded"]
    missed = ended["won-back"] + ended["lost"]
    sent = sum(one["count"] for one in messages)
    assert sent == hello + ended["reminded"] + missed + ended["won-back"]
    # Days pass in a moment here, and yet no message is too late for its carrier.
    assert not {"QUEUED", "EXPIRED"} & {one["status"] for one in messages}
    unheard = [one["count"] for one in messages if one["status"] == "SENT"]
    assert sum(unheard) < sent / 100, "only receipts that the carrier lost are still awaited"


def test_it_does_not_touch_a_directory_that_holds_something() -> None:
    done = denrei("demo", "--keep", ROOT / "examples", code=1)
    assert "is not empty" in done.stderr
