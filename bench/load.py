"""The load generator: a process of its own that publishes prepared batches and prints one line.

Closed loop (`--in-flight N`): N calls at a time, as fast as they are acknowledged. Open loop
(`--rate R`): batches leave at their planned moments, and the latency of each counts from that
moment, so that a stall is not hidden by the calls that it kept back.
"""

import argparse
import asyncio
import gc
import json
import time
from itertools import islice
from pathlib import Path

import grpc
import uvloop

from bench import events as made
from gateway.pb.denrei.v1 import events_pb2

METHOD = "/denrei.v1.EventsService/PublishBatch"


def main() -> None:
    """Prepares, publishes, prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument(
        "--kind", choices=("shop", "profiles", "shipments", "visits"), default="shop"
    )
    parser.add_argument("--run", required=True, help="makes message ids unique")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.0, help="events per second; 0: closed loop")
    parser.add_argument("--announce", action="store_true", help="print a line at the start")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop early")
    parser.add_argument("--until", type=Path, help="stop when there is such a file")
    parser.add_argument("--trace", type=Path, help="write when each batch was due, and how late")
    parser.add_argument("--due-from", type=float, default=0.0, help="the first visit, Unix s")
    parser.add_argument("--due-per-s", type=float, default=0.0, help="visits in a second")
    args = parser.parse_args()
    source = {
        "shop": lambda: made.shop_events(hash_seed(args.run), args.users, args.run),
        "profiles": lambda: made.profiles(args.users, args.run),
        "shipments": lambda: made.shipments(args.users, args.run),
        "visits": lambda: made.visits(args.users, args.run, args.due_from, args.due_per_s),
    }[args.kind]()
    batches = made.batches(islice(source, args.events), -(-args.events // args.batch), args.batch)
    gc.collect()
    gc.freeze()
    print(json.dumps(uvloop.run(publish(args, batches))), flush=True)


def hash_seed(run: str) -> int:
    """A seed from a name, the same in every process."""
    return int.from_bytes(run.encode()[-8:], "big")


async def publish(args: argparse.Namespace, batches: list[bytes]) -> dict[str, float]:
    """Publishes all batches; returns what was measured."""
    metadata = (("authorization", f"Bearer {args.key}"),)
    latencies: list[float] = []
    trace: list[tuple[float, float]] = []
    accepted = refused = 0
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(args.target, options=options) as channel:
        call = channel.unary_unary(
            METHOD, response_deserializer=events_pb2.PublishBatchResponse.FromString
        )
        await channel.channel_ready()
        if args.announce:
            print("begin", flush=True)
        started = time.perf_counter()
        until = started + args.seconds if args.seconds else float("inf")

        async def one(batch: bytes, since: float) -> None:
            nonlocal accepted, refused
            reply = await call(batch, metadata=metadata, timeout=60)
            latencies.append(time.perf_counter() - since)
            trace.append((since, latencies[-1]))
            refused += len(reply.rejections)
            accepted += len(reply.outcomes) - len(reply.rejections)

        if args.rate:
            tasks = []
            for number, batch in enumerate(batches):
                at = started + number * args.batch / args.rate
                if at > until or (args.until and args.until.exists()):
                    break
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
                tasks.append(asyncio.ensure_future(one(batch, at)))
            await asyncio.gather(*tasks)
        else:
            left = iter(batches)

            async def worker() -> None:
                for batch in left:
                    if time.perf_counter() > until:
                        return
                    await one(batch, time.perf_counter())

            await asyncio.gather(*(worker() for _ in range(args.in_flight)))
        elapsed = time.perf_counter() - started
    latencies.sort()
    if args.trace:
        args.trace.write_text(json.dumps(trace))
    return {
        "events": accepted,
        "refused": refused,
        "seconds": elapsed,
        "events_per_s": accepted / elapsed,
        "p50_ms": latencies[len(latencies) // 2] * 1_000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1_000,
    }


if __name__ == "__main__":
    main()
