"""The `denrei` command against a running instance, as a person and as a script would use it."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.denrei import DENREI, ROOT, denrei, denrei_json
from tests.support.running import RunningInstance

CART = ROOT / "examples/cart-abandonment"


@pytest.fixture(scope="module")
def shop(instance: RunningInstance) -> Iterator[RunningInstance]:
    """The instance with the cart example applied."""
    denrei_json("apply", CART, "--store", instance.store)
    return instance


def test_a_status_of_everything_that_serves(shop: RunningInstance) -> None:
    status = denrei_json("status", "--store", shop.store)
    assert [shard["serving"] for shard in status["shards"]] == [True] * len(status["shards"])
    names = [part["name"] for kind in ("hosts", "senders", "gateways") for part in status[kind]]
    assert {"shard-host-0", "sender-sms-1", "gateway-0"} <= set(names)
    page = denrei("status", "--once", "--store", shop.store).stdout
    assert all(name in page for name in names)


def test_definitions_are_applied_together_or_not_at_all(
    shop: RunningInstance, tmp_path: Path
) -> None:
    good = denrei_json("apply", CART, "--check", "--store", shop.store)
    assert "journeys/cart-abandonment" in {one["name"] for one in good["definitions"]}
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "journey: cart-two\nentry: {event: Product Added}\n"
        "steps:\n  wait: {delay: 1h, then: thanks}\n  thank: {end: true}\n"
    )
    done = denrei("apply", path, "--store", shop.store, code=5)
    assert "step 'wait' goes to 'thanks', which does not exist" in done.stderr
    assert "did you mean 'thank'?" in done.stderr


def test_a_segment_is_shown_and_a_journey_entered(shop: RunningInstance, tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text(
        "segment: on-trial\nwhen: {trait: trial, is: true}\n---\n"
        "journey: trial\nentry: {api: true}\nsteps:\n"
        "  mark: {update: {set: {trial: true}}, then: wait}\n  wait: {delay: 7d}\n"
    )
    denrei("apply", path, "--store", shop.store)
    entered = denrei_json("enter", "cli-trial", "trial", "--store", shop.store)
    assert entered == {}, "ACCEPTED is the number 0"
    refused = denrei("enter", "cli-trial", "trial", "--store", shop.store, code=5)
    assert "under way" in refused.stderr
    assert denrei_json("segment", "on-trial", "--store", shop.store)["members"] == "1"
    listed = denrei("segment", "on-trial", "--members", "--store", shop.store).stdout
    assert listed.startswith("users/cli-trial  since ")
    denrei("segment", "nobody", "--store", shop.store, code=5)


def test_a_message_is_sent_and_its_outcome_shown(shop: RunningInstance) -> None:
    arguments = ("+15005550199", "--channel", "sms", "--body", "hi", "--id", "cli-1")
    sent = denrei_json("send", *arguments, "--wait", "20", "--store", shop.store)
    assert sent["status"] in ("SENT", "DELIVERED", "UNDELIVERED")
    again = denrei_json("send", *arguments, "--store", shop.store)
    assert again["name"] == sent["name"], "the same id is the same message"
    nowhere = denrei("send", "nobody-knows", "--channel", "sms", "--body", "hi",
                     "--store", shop.store, code=1)  # fmt: skip
    assert "NO_ADDRESS" in nowhere.stdout


def _recorded(path: Path, user: str) -> Path:
    """Three events of a user who puts something into a cart and buys it, as JSON lines."""
    events = [
        {"type": "identify", "userId": user, "traits": {"first_name": "Ann"}},
        {"type": "track", "userId": user, "event": "Product Added",
         "properties": {"cart_id": "c1", "name": "the red shoe"}},
        {"type": "track", "userId": user, "event": "Order Completed",
         "properties": {"cart_id": "c1"}},
    ]  # fmt: skip
    lines = [{**event, "timestamp": f"2026-01-01T00:00:0{n}Z"} for n, event in enumerate(events)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_what_was_replayed_is_in_profile_and_journal(shop: RunningInstance, tmp_path: Path) -> None:
    path = _recorded(tmp_path / "events.jsonl", "cli-ann")
    told = denrei_json("replay", path, "--store", shop.store)
    assert (told["accepted"], told["duplicates"]) == (3, 0)
    again = denrei_json("replay", path, "--store", shop.store)
    assert (again["accepted"], again["duplicates"]) == (0, 3)

    found = denrei_json("profile", "cli-ann", "--store", shop.store)
    assert found["traits"] == {"first_name": "Ann"}
    (run,) = found["ended_instances"]
    assert (run["journey"], run["status"]) == ("journeys/cart-abandonment", "exited")
    page = denrei("profile", "cli-ann", "--store", shop.store).stdout
    assert page.index("Product Added") < page.index("exited")

    counts = denrei_json("report", "--store", shop.store)
    assert counts["profiles"] >= 1
    assert {"journey": "cart-abandonment", "status": "exited", "step": "wait"}.items() <= next(
        one for one in counts["instances"] if one["status"] == "exited"
    ).items()

    printed = denrei("journal", "--user", "cli-ann", "--store", shop.store, "--json").stdout
    entries = [json.loads(line) for line in printed.splitlines()]
    names = [entry["name"] for entry in entries if entry["command"] == "event"]
    assert names == ["", "Product Added", "Order Completed"] * 2, "what came twice is there twice"
    (first, *_) = denrei_json("journal", "--store", shop.store)
    assert first["shard"] == 0


def test_events_are_followed_live(shop: RunningInstance, tmp_path: Path) -> None:
    follow = [str(DENREI), "tail", "--user", "cli-bob", "--kind", "event", "--lines", "3",
              "--json", "--store", str(shop.store)]  # fmt: skip
    with subprocess.Popen(
        follow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        for number in range(60):  # the feed begins when it begins: what was before is not in it
            path = _recorded(tmp_path / f"events-{number}.jsonl", "cli-bob")
            denrei_json("replay", path, "--store", shop.store)
            if tail.poll() is not None:
                break
        assert tail.wait(60) == 0
        assert tail.stdout is not None
        seen = [json.loads(line) for line in tail.stdout]
    assert {(line["kind"], line["name"]) for line in seen} == {("event", "users/cli-bob")}
    assert sorted(line["subject"] for line in seen) == ["identify", "track", "track"]


def test_a_revoked_key_is_refused(shop: RunningInstance) -> None:
    made = denrei_json("keys", "create", "--scope", "read", "--store", shop.store)
    status = ("status", "--once", "--store", shop.store, "--key", made["key"])
    denrei(*status)
    apply = denrei("apply", CART, "--store", shop.store, "--key", made["key"], code=4)
    assert "needs a key with the scope 'define'" in apply.stderr
    denrei("keys", "revoke", made["id"], "--store", shop.store)
    unknown = denrei("status", "--once", "--store", shop.store, "--key", made["key"] + "0", code=4)
    assert "error: " in unknown.stderr


def test_a_second_instance_on_the_store_is_refused(shop: RunningInstance) -> None:
    done = denrei("up", "--store", shop.store, "--grpc-port", "0", "--no-dashboard", code=1)
    assert f"runs an instance on {shop.store} already" in done.stderr
    assert "denrei down" in done.stderr


def test_an_instance_stops_cleanly_and_comes_back_with_its_key(tmp_path: Path) -> None:
    store = tmp_path / "store"
    keys = set()
    for round_ in range(2):
        up = [str(DENREI), "up", "--store", str(store), "--hosts", "1", "--grpc-port", "0",
              "--no-dashboard", "--json"]  # fmt: skip
        with subprocess.Popen(up, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            running = json.loads(process.stdout.readline())
            assert running["pid"] == process.pid
            key_file = Path(running["key_file"])
            assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
            keys.add(key_file.read_text())
            if round_ == 0:
                assert denrei_json("down", "--store", store) == {
                    "stopped": True, "pid": process.pid,
                }  # fmt: skip
            else:
                os.kill(process.pid, signal.SIGINT)
            assert process.wait(120) == 0
            assert json.loads(process.stdout.readline()) == {"stopped": True}
    assert len(keys) == 1, "the key of the first start stays"


def test_a_signal_while_it_starts_is_a_clean_end(tmp_path: Path) -> None:
    up = [str(DENREI), "up", "--store", str(tmp_path / "store"), "--hosts", "1", "--grpc-port", "0",
          "--no-dashboard", "--json"]  # fmt: skip
    tick = threading.Event()
    with subprocess.Popen(up, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(1_200):
            if any("ray::Supervisor" in title for title in _titles(process.pid)):
                break
            tick.wait(0.05)
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert json.loads(told.splitlines()[-1]) == {"stopped": True}


def _titles(pid: int) -> list[str]:
    """What the processes that a process has started call themselves."""
    titles = []
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            titles.append(" ".join(child.cmdline()))
    return titles


def test_the_command_is_installed_under_its_name() -> None:
    done = denrei("--version")
    assert done.stdout.startswith("denrei ")
    assert DENREI.parent == Path(sys.executable).parent
