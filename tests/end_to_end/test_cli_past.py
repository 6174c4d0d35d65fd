"""What asks for the past of an instance that runs: explain, profile --at, backtest."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.denrei import ROOT, denrei, denrei_json
from tests.support.running import RunningInstance

CART = ROOT / "examples/cart-abandonment"


@pytest.fixture(scope="module")
def shop(instance: RunningInstance, tmp_path_factory: pytest.TempPathFactory) -> RunningInstance:
    """The instance with the cart example, and one who left something in a cart."""
    denrei_json("apply", CART, "--store", instance.store)
    properties = {"cart_id": "c1", "name": "the red shoe", "price": 20}
    events = [
        {"type": "identify", "userId": "past-ann", "traits": {"first_name": "Ann"}},
        {"type": "track", "userId": "past-ann", "event": "Product Added", "properties": properties},
    ]
    path = tmp_path_factory.mktemp("past") / "events.jsonl"
    path.write_text(
        "".join(json.dumps({**event, "timestamp": "2026-01-01"}) + "\n" for event in events)
    )
    assert denrei_json("replay", path, "--store", instance.store)["accepted"] == 2
    return instance


def test_why_somebody_is_in_a_journey_or_not(shop: RunningInstance) -> None:
    told = denrei("explain", "past-ann", "cart-abandonment", "--store", shop.store).stdout
    assert "they are in it: it waits at step 'wait', until" in told
    assert "yes such an event came (once, the newest at 2026-01-01)" in told
    denrei("explain", "past-ann", "nothing", "--store", shop.store, code=5)
    denrei("explain", "nobody-ever", "cart-abandonment", "--store", shop.store, code=5)


def test_a_person_at_a_moment_is_the_person_of_now(shop: RunningInstance) -> None:
    now = datetime.now(UTC).isoformat()
    then = denrei_json("profile", "past-ann", "--store", shop.store, "--at", now)
    assert then == denrei_json("profile", "past-ann", "--store", shop.store)


def test_the_same_definitions_do_the_same_again(shop: RunningInstance, tmp_path: Path) -> None:
    told = denrei_json("backtest", CART, "--store", shop.store)
    assert told["differences"] == []
    entered = {"what": "entered", "name": "cart-abandonment"}
    assert any(entered.items() <= one.items() for one in told["changed"]), told
    (tmp_path / "never.yaml").write_text(
        (CART / "by-cart.yaml").read_text().replace("event: Product Added", "event: Never Done")
    )
    told = denrei_json("backtest", tmp_path / "never.yaml", "--store", shop.store)
    assert all(one["with_change"] is False for one in told["differences"])
    assert told["differences"], "nobody enters any more"
