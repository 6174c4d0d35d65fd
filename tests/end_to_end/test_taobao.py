"""A journey over real shopping events counts what an independent computation counts.

`examples/cart-abandonment/taobao` runs in event time: a cart begins a run or starts its 20 minutes
again, buying ends it, and 20 quiet minutes make a nudge. The computation below knows nothing of the
engine: it walks through the file once. Alibaba's file must not be shipped, so the same is asked of
a made-up file with its columns, dense in the cases that matter (ties with a due time, changes in
the last second); the real one is read where it lies beside the repository.
"""

import csv
import gzip
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from gateway.pb.denrei.v1 import instances_pb2, instances_pb2_grpc
from tests.support.denrei import ROOT, denrei_json
from tests.support.running import RunningInstance

EXAMPLE = ROOT / "examples/cart-abandonment/taobao"
REAL = ROOT.parent / "shared/data/taobao-2h.csv.gz"
HOLD_S = 20 * 60
SEED = 20171126


def expected(path: Path) -> Counter[str]:
    """Runs entered, bought and nudged, from the file alone."""
    counts: Counter[str] = Counter()
    due: dict[str, int] = {}
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            user, now = row["user_id"], int(row["timestamp"])
            if user in due and due[user] <= now:
                counts["nudged"] += 1
                del due[user]
            if row["behavior"] == "cart":
                counts["entered"] += user not in due
                due[user] = now + HOLD_S
            elif row["behavior"] == "buy" and user in due:
                counts["bought"] += 1
                del due[user]
    counts["nudged"] += len(due)
    return counts


def made_up(path: Path) -> None:
    """A file with the columns of Alibaba's; the same every time."""
    rng = random.Random(SEED)
    rows = []
    for user in range(2_000):
        at = 1_600_000_000 + rng.randrange(HOLD_S)
        for _ in range(rng.randrange(1, 12)):
            behavior = rng.choices(("pv", "cart", "fav", "buy"), (4, 5, 1, 3))[0]
            rows.append((f"s{user}", rng.randrange(9_999), 7, behavior, at))
            at += rng.choice((0, 1, 60, HOLD_S - 1, HOLD_S, HOLD_S + 1, rng.randrange(2 * HOLD_S)))
    rows.sort(key=lambda row: row[4])
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user_id", "item_id", "category_id", "behavior", "timestamp"))
        writer.writerows(rows)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningInstance]:
    """An instance in event time with the example's journey."""
    store = tmp_path_factory.mktemp("taobao") / "store"
    with RunningInstance(store, "--clock", "event") as running:
        denrei_json("apply", EXAMPLE, "--store", store)
        yield running


def found(running: RunningInstance) -> Counter[str]:
    """Runs by outcome, as the contract lists them."""
    counts: Counter[str] = Counter()
    names = {"completed": "nudged", "exited": "bought", "running": "running"}
    request = instances_pb2.ListInstancesRequest(
        parent="users/-", journey="journeys/taobao-cart", page_size=500
    )
    with grpc.insecure_channel(running.address) as channel:
        list_instances = instances_pb2_grpc.InstancesServiceStub(channel).ListInstances
        while True:
            page = list_instances(request, metadata=running.metadata, timeout=60)
            counts.update(names[one.status] for one in page.instances)
            counts["entered"] += len(page.instances)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return counts


def replay(running: RunningInstance, path: Path) -> dict[str, int]:
    mapping = EXAMPLE / "taobao.mapping.yaml"
    told: dict[str, int] = denrei_json(
        "replay", path, "--map-file", mapping, "--then", "20m", "--store", running.store
    )
    return told


# In the order of the files' times: an instance in event time does not go back.
@pytest.mark.parametrize(
    "real",
    [
        pytest.param(
            True,
            marks=pytest.mark.skipif(
                not REAL.exists(), reason=f"{REAL.name} lies not beside the repository"
            ),
        ),
        False,
    ],
    ids=["taobao", "made-up"],
)
def test_entered_bought_and_nudged_are_what_the_file_says(
    replayed: RunningInstance, tmp_path: Path, real: bool
) -> None:
    path = REAL
    if not real:
        path = tmp_path / "made-up.csv.gz"
        made_up(path)
    before = found(replayed)
    counts = expected(path)
    assert min(counts.values()) > 20, "the file holds some of each outcome"
    told = replay(replayed, path)
    assert told["accepted"] == told["events"]
    now = found(replayed)
    now.subtract(before)
    assert +now == counts, f"seed {SEED}"

    again = replay(replayed, path)
    assert again["accepted"] == 0, "the same file again changes nothing"
    assert again["duplicates"] == told["accepted"]
    now = found(replayed)
    now.subtract(before)
    assert +now == counts
