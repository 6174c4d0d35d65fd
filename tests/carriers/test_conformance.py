"""What every carrier adapter has to do, each beside a peer that others have written.

A subject says which fates its peer can give a message (see subject.py); what its carrier cannot do
at all is not asked of it. Nothing here waits for a guessed time.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator

import msgpack
import pytest
from msgspec import structs

from actors.carriers import registry
from actors.carriers.base import Callback, Outcome
from engine.reasons import Reason
from tests.carriers.subject import OUTCOMES, Fate, Running, Subject, lane_of, subjects

SUBJECTS = subjects()
ODD_TEXTS = (
    "",
    "\0",
    "a" * 2_000,
    "😀" * 300,
    "я" * 71,
    "\u202eمرحبا",
    "\r\n\f",
    "\ud800",
    "{{x}}",
)


def able(*fates: Fate) -> list[str]:
    """The subjects whose peers can be told all these."""
    return [name for name, made in SUBJECTS.items() if made.fates.issuperset(fates)]


@pytest.fixture
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    made = SUBJECTS[request.param]()
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def every(*fates: Fate) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("subject", able(*fates), indirect=True)


def test_every_adapter_is_in_the_suite() -> None:
    assert sorted(SUBJECTS) == registry.names()


@pytest.mark.parametrize(
    ("subject", "fate"),
    [(name, fate) for name, made in SUBJECTS.items() for fate in Fate if fate in made.fates],
    indirect=["subject"],
)
async def test_a_message_has_the_outcome_that_the_carrier_gave_it(
    subject: Subject, fate: Fate
) -> None:
    message = subject.message(1, fate)
    async with Running(subject) as running:
        (result,) = await running.submit([message])
        assert result.outcome is OUTCOMES[fate], result
        assert bool(result.provider_id) == (result.outcome is Outcome.ACCEPTED)
        if result.outcome in {Outcome.REJECTED, Outcome.FAILED, Outcome.THROTTLED}:
            assert result.code


@every(Fate.DELIVERED)
async def test_each_accepted_message_has_an_id_of_its_own_and_one_receipt(
    subject: Subject,
) -> None:
    messages = [subject.message(number, Fate.DELIVERED) for number in range(50)]
    async with Running(subject) as running:
        results = await running.submit(messages)
        assert len({result.provider_id for result in results}) == len(messages)
        await running.until(lambda: len(running.receipts) >= len(messages))
        for message, result in zip(messages, results, strict=True):
            (receipt,) = running.told(message, result)
            assert receipt.reason is Reason.DELIVERED
            assert receipt.at_ms > 0


@every(Fate.UNDELIVERED)
async def test_what_does_not_arrive_is_told_with_the_carriers_code(subject: Subject) -> None:
    message = subject.message(1, Fate.UNDELIVERED)
    async with Running(subject) as running:
        (result,) = await running.submit([message])
        await running.until(lambda: bool(running.receipts))
        (receipt,) = running.told(message, result)
        assert receipt.reason is Reason.UNDELIVERED
        assert receipt.code


@every(Fate.TWICE)
async def test_a_repeated_receipt_says_the_same_of_the_same_message(subject: Subject) -> None:
    message = subject.message(1, Fate.TWICE)
    async with Running(subject) as running:
        (result,) = await running.submit([message])
        await running.until(lambda: bool(running.told(message, result)))
        assert {each.reason for each in running.receipts} == {Reason.DELIVERED}
        assert running.receipts == running.told(message, result)


@pytest.mark.parametrize(
    "subject",
    [name for name, made in SUBJECTS.items() if made.mixes and Fate.REJECTED in made.fates],
    indirect=True,
)
async def test_results_stand_in_the_order_of_the_messages(subject: Subject) -> None:
    fates = [fate for fate in Fate if fate in subject.fates and fate is not Fate.LOST] * 4
    messages = [subject.message(number, fate) for number, fate in enumerate(fates)]
    async with Running(subject) as running:
        results = await running.submit(messages)
        assert [result.outcome for result in results] == [OUTCOMES[fate] for fate in fates]


@every(Fate.TAKEN)
async def test_several_batches_may_be_in_flight(subject: Subject) -> None:
    batches = [
        [subject.message(100 * batch + number, Fate.TAKEN) for number in range(20)]
        for batch in range(5)
    ]
    async with Running(subject) as running:
        results = await asyncio.gather(*(running.submit(batch) for batch in batches))
        ids = [result.provider_id for batch in results for result in batch]
        assert len(set(ids)) == 100


@every()
async def test_an_empty_batch_has_no_results(subject: Subject) -> None:
    async with Running(subject) as running:
        assert await running.submit([]) == []


@every(Fate.TAKEN)
async def test_no_text_is_too_odd_for_an_answer(subject: Subject) -> None:
    messages = []
    for number, text in enumerate(ODD_TEXTS):
        plain = subject.message(number, Fate.TAKEN)
        fields = {name: getattr(plain, name) for name in plain.__struct_fields__}
        messages.append(type(plain)(**{**fields, "body": text, "subject": text[:100]}))
    async with Running(subject) as running:
        results = await running.submit(messages)
        assert {each.outcome for each in results} <= {Outcome.ACCEPTED, Outcome.REJECTED}


@every(Fate.TAKEN)
async def test_no_address_is_too_odd_for_an_answer_nor_touches_the_others(
    subject: Subject,
) -> None:
    plain = [subject.message(number, Fate.TAKEN) for number in range(2)]
    odd = [
        structs.replace(subject.message(10 + number, Fate.TAKEN), to=to)
        for number, to in enumerate(subject.odd_addresses())
    ]
    batch = [plain[0], *odd, plain[1]]
    async with Running(subject) as running:
        results = await running.submit(batch)
        assert len(results) == len(batch)
        assert [results[0].outcome, results[-1].outcome] == [Outcome.ACCEPTED] * 2
        for message, result in zip(odd, results[1:-1], strict=True):
            assert result.outcome is not Outcome.THROTTLED, message.to[:100]
            assert result.outcome is not Outcome.UNKNOWN, message.to[:100]
            assert msgpack.packb([result.code, result.detail]), message.to[:100]


@pytest.mark.parametrize(
    "subject", [name for name, made in SUBJECTS.items() if made.confirms], indirect=True
)
async def test_a_receipt_is_confirmed_only_after_it_is_journaled(subject: Subject) -> None:
    message = subject.message(1, Fate.DELIVERED)
    async with Running(subject) as running:
        running.gate.clear()
        await running.submit([message])
        await running.until(lambda: running.waiting == 1)
        assert subject.confirmed() == 0
        running.gate.set()
        await running.until(lambda: len(running.receipts) == 1)
        while not subject.confirmed():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "subject",
    [name for name, made in SUBJECTS.items() if made.unreachable is not Subject.unreachable],
    indirect=True,
)
async def test_what_leads_to_nobody_is_never_taken_nor_rejected(subject: Subject) -> None:
    message = subject.message(1, Fate.TAKEN)
    async with Running(subject, subject.unreachable()) as running:
        (result,) = await running.submit([message])
        assert result.outcome in {Outcome.FAILED, Outcome.THROTTLED, Outcome.UNKNOWN}


@every()
async def test_nothing_is_told_after_the_stop(subject: Subject) -> None:
    fate = Fate.DELIVERED if Fate.DELIVERED in subject.fates else Fate.TAKEN
    messages = [subject.message(number, fate) for number in range(20)]
    running = Running(subject)
    async with running:
        await running.submit(messages)
    told = len(running.receipts) + running.waiting
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(running.receipts) + running.waiting <= told


@every()
async def test_a_status_is_plain_values(subject: Subject) -> None:
    async with Running(subject) as running:
        status = running.carrier.status()
        assert msgpack.unpackb(msgpack.packb(status), strict_map_key=False) == status


@every()
async def test_no_call_of_a_stranger_is_taken_for_the_carriers(subject: Subject) -> None:
    bodies = (b"", b"\xff" * 100, b'{"status": "delivered"}', b"MessageStatus=delivered&x=%zz")
    hosts = ("https://example.com", "https://[x", "http://a:b:c", "http://\ufffd")
    calls = itertools.product(("GET", "POST"), hosts, ("status", "inbound", "", "x"), bodies)
    async with Running(subject) as running:
        for method, host, kind, body in calls:
            call = Callback(method, f"{host}/{kind}?m=1&token=x", kind, {}, body)
            reply = await running.carrier.callback(call)
            assert 400 <= reply.status < 500, call
        assert running.receipts == []
        assert running.inbound == []


@every()
async def test_options_that_it_does_not_take_are_refused(subject: Subject) -> None:
    lane = lane_of(subject, {**subject.options(), "no_such_option": 1})
    with pytest.raises(registry.UnknownCarrier, match="no_such_option"):
        registry.check(lane)
