"""What a message counts in its lane's limits are the parts that leave, also of a folded text."""

import copy
from pathlib import Path

import pytest

from actors.carriers import registry
from actors.carriers.base import CarrierMessage
from actors.carriers.registry import Adapter, CarrierSetup
from actors.carriers.sandbox import SandboxCarrier, SandboxOptions
from actors.carriers.smpp.options import SmppOptions
from actors.carriers.smpp.submits import SubmitWriter
from engine.lanes.definition import Lane, lane_from
from engine.reasons import Reason
from tests.unit.test_sender import REASON, Bench, run

# A text, its parts as it is, and those of what leaves.
TEXTS = [
    ("…" * 60, 1, 2),
    ("½" * 70, 1, 2),
    ("“" + "a" * 158 + "”", 3, 1),
    ("“" + "漢" * 70, 2, 2),
    ("plain", 1, 1),
]


class FoldingOptions(SandboxOptions):
    """The options of a sandbox whose texts are folded."""

    fold: bool = False


def sandbox(setup: CarrierSetup) -> SandboxCarrier:
    lane = copy.copy(setup.lane)
    lane.options = {}
    return SandboxCarrier(setup._replace(lane=lane))


@pytest.fixture(autouse=True)
def folding(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.names()
    adapter = Adapter("folding", FoldingOptions, sandbox)
    monkeypatch.setitem(registry._ADAPTERS, "folding", adapter)


def smpp_lane(**options: object) -> Lane:
    options = {"host": "smsc.example", **options}
    return lane_from({"lane": "main", "channel": "sms", "carrier": "smpp", "options": options})


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize(("text", "as_it_is", "folded"), TEXTS)
def test_a_lane_counts_what_smpp_writes(
    tmp_path: Path, text: str, as_it_is: int, folded: int, fold: bool
) -> None:
    message = CarrierMessage("0" * 32, "sms", "ACME", "+12025550123", "", text, 9, 0)
    written = SubmitWriter(SmppOptions(host="smsc.example", fold=fold)).parts(message, 1)
    assert isinstance(written, list)

    async def scenario(bench: Bench) -> None:
        options = {"host": "smsc.example", "fold": fold}
        await bench.lanes(main={"carrier": "smpp", "options": options})
        await bench.offer(bench.message(1, body=text))
        (held,) = bench.core._book.held.values()
        assert held is not None
        assert held.units == len(written) == (folded if fold else as_it_is)

    run(tmp_path, scenario)


def test_only_an_option_folds() -> None:
    assert registry.folds(smpp_lane(fold=True))
    assert not registry.folds(smpp_lane(fold=False))
    assert not registry.folds(smpp_lane())
    assert not registry.folds(smpp_lane(fold="no such"))
    assert not registry.folds(lane_from({"lane": "a", "channel": "sms", "carrier": "sandbox"}))
    assert not registry.folds(lane_from({"lane": "a", "channel": "sms", "carrier": "nobody"}))


def test_what_waits_is_counted_anew_when_its_lane_begins_to_fold(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        lane = {"carrier": "folding", "limits": [{"rate": "2/h"}]}
        await bench.lanes(main={**lane, "options": {"fold": False}})
        lasts_ms = bench.clock.now_ms() + 10_000_000
        messages = (bench.message(n, body="…" * 60, expires=lasts_ms) for n in range(2))
        await bench.offer(*messages)
        await bench.until(lambda: len(bench.told()) == 1)
        await bench.lanes(2, main={**lane, "options": {"fold": True}})
        await bench.until(lambda: len(bench.told()) == 2, step_ms=10_000)
        assert {each[REASON] for each in bench.told().values()} == {Reason.SENT}
        carrier = bench.carrier()
        assert isinstance(carrier, SandboxCarrier)
        assert carrier.seen.units == 2  # of the one message that the new carrier got

    run(tmp_path, scenario)
