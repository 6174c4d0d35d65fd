"""The publisher of a replay over real gRPC, against a gateway that answers by a script."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from engine.reasons import Reason
from gateway.cli.client import Client
from gateway.cli.errors import CliError
from gateway.cli.history.publisher import Publisher
from gateway.pb.denrei.v1 import events_pb2

Answer = Callable[[Any], Any]


class Gateway:
    """Answers chunk after chunk as its script says; an exception ends the stream with a status.

    Attributes:
        seen: The ids of each chunk that came, in order.
        streams: How many streams were opened.
    """

    def __init__(self, script: list[Answer | grpc.StatusCode]) -> None:
        self.script = script
        self.seen: list[list[str]] = []
        self.streams = 0

    def publish_stream(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        self.streams += 1
        for request in request_iterator:
            self.seen.append([event.message_id for event in request.events])
            answer = self.script.pop(0) if self.script else accept
            if isinstance(answer, grpc.StatusCode):
                context.abort(answer, "as the script says")
            yield answer(request)


def accept(request: Any) -> Any:
    return _acknowledge(request, [Reason.ACCEPTED] * len(request.events))


def busy(*indexes: int) -> Answer:
    """Asks to send some of a chunk again, soon."""

    def answer(request: Any) -> Any:
        outcomes = [
            Reason.OVERLOADED if index in indexes else Reason.ACCEPTED
            for index in range(len(request.events))
        ]
        response = _acknowledge(request, outcomes)
        response.retry_delay.FromMilliseconds(1)
        return response

    return answer


def refuse(request: Any) -> Any:
    response = _acknowledge(request, [Reason.TOO_LARGE] * len(request.events))
    response.rejections.add(index=-1, reason=int(Reason.TOO_LARGE), message="it is too large")
    return response


def _acknowledge(request: Any, outcomes: list[Reason]) -> Any:
    codes = [int(outcome) for outcome in outcomes]
    return events_pb2.PublishStreamResponse(sequence=request.sequence, outcomes=codes)


@contextmanager
def serving(gateway: Gateway, timeout_s: float = 20.0) -> Iterator[Client]:
    server = grpc.server(ThreadPoolExecutor(4))
    handler = grpc.stream_stream_rpc_method_handler(
        gateway.publish_stream,
        request_deserializer=events_pb2.PublishStreamRequest.FromString,
        response_serializer=events_pb2.PublishStreamResponse.SerializeToString,
    )
    service = events_pb2.DESCRIPTOR.services_by_name["EventsService"].full_name
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"PublishStream": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}", "dk_x", Path("unused"), None, timeout_s) as client:
            yield client
    finally:
        server.stop(None).wait()


def chunk(*ids: str) -> list[Any]:
    return [events_pb2.Event(message_id=id_) for id_ in ids]


def test_chunks_go_in_order_and_are_counted() -> None:
    gateway = Gateway([])
    with serving(gateway) as client, Publisher(client, in_flight=2) as publisher:
        for number in range(20):
            publisher.put(chunk(f"{number}a", f"{number}b"))
        publisher.drain()
    assert gateway.seen == [[f"{number}a", f"{number}b"] for number in range(20)]
    assert publisher.published.accepted == 40
    assert len(publisher.published.latencies_ms) == 20


def test_what_is_to_be_sent_again_goes_before_anything_newer() -> None:
    gateway = Gateway([accept, busy(0, 2), busy(1), accept])
    with serving(gateway) as client, Publisher(client, in_flight=1) as publisher:
        for number in range(4):
            publisher.put(chunk(*(f"{number}{letter}" for letter in "abc")))
        publisher.drain()
    assert gateway.seen == [
        ["0a", "0b", "0c"], ["1a", "1b", "1c"], ["1a", "1c"], ["1c"],
        ["2a", "2b", "2c"], ["3a", "3b", "3c"],
    ]  # fmt: skip
    assert (publisher.published.accepted, publisher.published.again) == (12, 3)


def test_a_broken_stream_is_taken_up_with_the_same_ids() -> None:
    gateway = Gateway([accept, grpc.StatusCode.UNAVAILABLE])
    with serving(gateway) as client, Publisher(client, in_flight=2) as publisher:
        for number in range(5):
            publisher.put(chunk(f"{number}"))
        publisher.drain()
    assert gateway.streams == 2
    assert publisher.published.accepted == 5
    firsts = list(dict.fromkeys(id_ for ids in gateway.seen for id_ in ids))
    assert firsts == ["0", "1", "2", "3", "4"], "the order of first arrivals is the file's"
    assert gateway.seen.count(["1"]) == 2


def test_refusals_for_good_are_kept_with_their_words() -> None:
    with serving(Gateway([refuse])) as client, Publisher(client) as publisher:
        publisher.put(chunk("a", "b"))
        publisher.drain()
    assert publisher.published.refused == {"TOO_LARGE": 2}
    assert publisher.published.samples[0] == ("a", "TOO_LARGE", "it is too large")
    assert publisher.published.settled == 2


def test_a_stream_that_is_refused_ends_the_replay() -> None:
    gateway = Gateway([grpc.StatusCode.UNAUTHENTICATED])
    with serving(gateway) as client, Publisher(client) as publisher:
        publisher.put(chunk("a"))
        with pytest.raises(CliError) as caught:
            publisher.drain()
    assert caught.value.code == 4


def test_queues_that_stay_full_end_the_replay_instead_of_waiting_for_ever() -> None:
    gateway = Gateway([busy(0)] * 10_000)
    with serving(gateway, timeout_s=0.5) as client, Publisher(client) as publisher:
        publisher.put(chunk("a"))
        with pytest.raises(CliError, match="its queues stay full"):
            publisher.drain()
