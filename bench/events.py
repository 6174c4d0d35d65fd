"""Realistic events: a shop's visitors, with a seed, serialized before the clock starts."""

import random
from collections.abc import Iterator

import msgpack

from gateway.pb.denrei.v1 import events_pb2

# What people do in a shop, in about the shares of the Taobao data (views 89 %, cart 6 %, buy 2 %),
# with page views and profile updates beside.
MIX = (
    ("Product Viewed", 60),
    ("page", 18),
    ("Product Added", 12),
    ("identify", 6),
    ("Order Completed", 4),
)


def shop_events(seed: int, users: int, run: str) -> Iterator[events_pb2.Event]:
    """Endless events of `users` people; each has ids of its own run, so none is a duplicate."""
    rng = random.Random(seed)
    names = [name for name, share in MIX for _ in range(share)]
    number = 0
    while True:
        number += 1
        user = rng.randrange(users)
        name = names[rng.randrange(len(names))]
        event = events_pb2.Event(user_id=f"user-{user:07}", message_id=f"{run}-{number}")
        if name == "identify":
            event.type = events_pb2.IDENTIFY
            traits = {
                "first_name": f"Name{user % 1000}",
                "plan": ("free", "pro")[rng.random() < 0.1],
                "phone": phone(user),
            }
            event.traits_msgpack = msgpack.packb(traits)
        elif name == "page":
            event.type = events_pb2.PAGE
            event.name = "Home"
            event.properties_msgpack = msgpack.packb({"path": "/", "referrer": "search"})
        else:
            event.type = events_pb2.TRACK
            event.event = name
            event.properties_msgpack = msgpack.packb(
                {
                    "cart_id": f"cart-{user}",
                    "sku": f"sku-{rng.randrange(5000)}",
                    "price": round(rng.random() * 100, 2),
                    "quantity": 1,
                    "currency": "EUR",
                }
            )
        yield event


def profiles(users: int, run: str) -> Iterator[events_pb2.Event]:
    """One identify event for each of `users` people."""
    for user in range(users):
        traits = {"first_name": f"Name{user % 1000}", "plan": "free", "phone": phone(user)}
        yield events_pb2.Event(
            type=events_pb2.IDENTIFY,
            user_id=f"user-{user:07}",
            message_id=f"{run}-profile-{user}",
            traits_msgpack=msgpack.packb(traits),
        )


def shipments(users: int, run: str) -> Iterator[events_pb2.Event]:
    """Endless `Order Shipped` events, each of which sends one message."""
    number = 0
    while True:
        number += 1
        yield events_pb2.Event(
            type=events_pb2.TRACK,
            event="Order Shipped",
            user_id=f"user-{number % users:07}",
            message_id=f"{run}-shipped-{number}",
            properties_msgpack=msgpack.packb({"order_id": f"order-{run}-{number}"}),
        )


def visits(users: int, run: str, first_s: float, per_s: float) -> Iterator[events_pb2.Event]:
    """One `Visited` event for each of `users` people, a steady number of them in a second."""
    for user in range(users):
        event = events_pb2.Event(
            type=events_pb2.TRACK,
            event="Visited",
            user_id=f"user-{user:07}",
            message_id=f"{run}-visit-{user}",
        )
        event.timestamp.FromMilliseconds(int((first_s + user / per_s) * 1_000))
        yield event


def phone(user: int) -> str:
    """A valid German mobile number for each user."""
    return f"+4915{10_000_000 + user * 7 % 89_999_999:08}1"


def batches(events: Iterator[events_pb2.Event], count: int, size: int) -> list[bytes]:
    """`count` serialized batches of `size` events; fewer if the events end."""
    packed = []
    for _ in range(count):
        batch = events_pb2.PublishBatchRequest()
        for event in events:
            batch.events.append(event)
            if len(batch.events) == size:
                break
        if not batch.events:
            break
        packed.append(batch.SerializeToString())
    return packed
