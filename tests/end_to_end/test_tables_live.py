"""Tables over the command: loaded from files, looked into by journeys, the same after a crash."""

from pathlib import Path

import grpc
import msgpack
import pytest

from gateway.pb.denrei.v1 import events_pb2, events_pb2_grpc, reason_pb2
from tests.support import parquet
from tests.support.denrei import denrei, denrei_json
from tests.support.running import RunningInstance

JOURNEY = """
journey: viewed
entry: {event: Viewed}
steps:
  find:
    lookup: {table: products, key: properties.sku, as: it, columns: [name]}
    then: keep
    else: lost
  keep: {update: {set: {name: {from: events.it.name}, price: {from: events.it.price}}}}
  lost: {update: {set: {name: none}}}
"""


def view(instance: RunningInstance, user: str, sku: str) -> None:
    event = events_pb2.Event(
        type=events_pb2.TRACK, event="Viewed", user_id=user, message_id=f"{user}-1",
        properties_msgpack=msgpack.packb({"sku": sku}),
    )  # fmt: skip
    with grpc.insecure_channel(instance.address) as channel:
        reply = events_pb2_grpc.EventsServiceStub(channel).PublishBatch(
            events_pb2.PublishBatchRequest(events=[event]), metadata=instance.metadata, timeout=30
        )
    assert list(reply.outcomes) == [reason_pb2.ACCEPTED]


@pytest.mark.timeout(280)
def test_rows_are_loaded_from_files_and_stay_what_they_were(tmp_path: Path) -> None:
    csv, newer = tmp_path / "products.csv", tmp_path / "new.parquet"
    csv.write_text("sku,name,price\ns1,Tea,4.50\ns2,Coffee,12\n")
    parquet.copy("SELECT 's1' AS sku, 'Green tea' AS name, 5.5::DOUBLE AS price", newer)
    with RunningInstance(tmp_path / "store", "--hosts", "1") as instance:
        at = ("--store", instance.store)
        done = denrei("table", "load", csv, *at, code=5)
        assert "name its --key-column" in done.stderr
        denrei("table", "load", csv, "--key-column", "sku", *at)
        instance.apply(JOURNEY)
        view(instance, "ann", "s1")
        assert denrei_json("table", "get", "products", "s2", *at)["price"] == 12
        answer = denrei_json("table", "load", newer, "--name", "products", *at)
        assert int(answer.get("pending_shards", 0)) == 0
        view(instance, "bob", "s1")
        view(instance, "cid", "s2")
        instance.kill_everything()
        instance.start()
        traits = {user: dict(instance.profile(user).traits) for user in ("ann", "bob", "cid")}
        assert traits == {
            "ann": {"name": "Tea", "price": 4.5},
            "bob": {"name": "Green tea", "price": 5.5},
            "cid": {"name": "none"},
        }
        view(instance, "dee", "s1")
        assert dict(instance.profile("dee").traits)["name"] == "Green tea"
    told = denrei_json("profile", "ann", "--at", "9999-01-01", *at)
    assert told["traits"]["name"] == "Tea", "the past is played with the rows of its days"
