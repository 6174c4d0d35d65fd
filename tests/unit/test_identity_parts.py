"""What moves in a merge, what gives way to its limits, and how features come together."""

import msgpack
import pytest
from identity_helpers import Families

from engine import commands, definitions, limits
from engine.identity import accounts, features, parts
from engine.identity.record import view
from engine.issues import DefinitionError
from engine.journeys.instance import Instance
from engine.messages.message import SendRequest, new_message
from engine.program import EMPTY
from engine.reasons import Reason


def everything() -> parts.Parts:
    """A profile with something of everything, a lot of it."""
    request = SendRequest("sms", "+1", "otp", "x" * 500)
    return parts.Parts(
        key="w/anonymous/a1",
        version=1,
        by="m1",
        via="event",
        since_ms=1,
        updated_ms=2,
        traits={"utm": "ad"},
        windows={"Bought": list(range(500)), "Seen": list(range(100))},
        segments={"buyer": 1},
        instances=[Instance.begin(str(n) * 32, "cart", 1, str(n), n, b"p" * 500) for n in range(9)],
        ended=[b"e" * 500 for _ in range(20)],
        messages=[
            new_message(f"{n:032}", request, "+1", "main", n, Reason.SENT, "") for n in range(20)
        ],
        timers={f"j:{str(n) * 32}": n for n in range(9)},
        trail=[[n, "journey", "cart", "w" * 100] for n in range(100)],
        seen=[0, b"12345678" * 500, b"87654321" * 500],
        state={},
        record={"away": {f"{0:032}": "w/anonymous/a1"}, "log": [{"at_ms": n} for n in range(50)]},
        dropped={},
    )


def test_what_is_packed_is_unpacked() -> None:
    moved = everything()
    again = parts.unpack(moved.pack())
    assert again.pack() == moved.pack()
    assert again.instances[3].key == "3"
    assert again.messages[0].status == Reason.SENT


def test_nothing_goes_as_long_as_there_is_room() -> None:
    moved = everything()
    assert parts.unpack(parts.bounded(moved)).dropped == {}


def test_the_oldest_of_what_is_least_needed_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    order = [
        "trail", "ended instances", "ids of events", "messages", "times of events", "merge log",
        "running instances",
    ]  # fmt: skip
    whole = len(everything().pack())
    told: list[list[str]] = []
    for limit in range(whole, 1_000, -500):
        monkeypatch.setattr(limits, "MERGE_BYTES", limit)
        packed = parts.bounded(everything())
        assert len(packed) <= limit
        left = parts.unpack(packed)
        told.append(list(left.dropped))
        assert left.traits == {"utm": "ad"}
        assert f"{0:032}" in [message.id for message in left.messages], "a sender has it"
        assert left.trail == everything().trail[len(everything().trail) - len(left.trail) :]
        assert len(left.timers) == len(left.instances)
    assert all(dropped == order[: len(dropped)] for dropped in told)
    assert told[-1] == order


def test_features_come_together_by_name_and_side_by_side() -> None:
    mine = {"x": {"a": 1, "deep": {"b": 1}}, "held": {"h": 5, "i": 5}, "one": 1}
    theirs = {"x": {"a": 2, "deep": {"c": 2}}, "held": {"h": 3, "j": 7}, "two": 2, "one": 3}
    assert features.join(mine, theirs) == {
        "x": {"a": 1, "deep": {"b": 1, "c": 2}},
        "held": {"h": 3, "i": 5, "j": 7},
        "one": 1,
        "two": 2,
    }
    consents = {"consents": {"sms/news": ["subscribed", 5], "email/news": ["subscribed", 5]}}
    newer = {"consents": {"sms/news": ["unsubscribed", 6], "email/news": ["unsubscribed", 4]}}
    assert features.join(consents, newer)["consents"] == {
        "sms/news": ["unsubscribed", 6],
        "email/news": ["subscribed", 5],
    }
    goals = features.join({"goals": {"cart/buy": [1, 5]}}, {"goals": {"cart/buy": [2, 4]}})
    assert goals == {"goals": {"cart/buy": [3, 5]}}


def test_an_account_tells_its_members_a_slice_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACCOUNT_SLICE", 2)
    town = Families("segment: pro\nwhen: {trait: account.plan, is: pro}")
    for number in range(5):
        town.event(commands.GROUP, "acme", f"u{number}", "", {}, "")
    town.event(commands.GROUP, "acme", "u0", "", {"plan": "pro"}, "")

    def told() -> int:
        sizes: dict[str, int] = town.shard.sizes
        return sizes.get("w/pro", 0)

    assert told() == 2
    town.pass_time(ms=limits.ACCOUNT_SLICE_MS)
    assert told() == 4
    town.pass_time(ms=limits.ACCOUNT_SLICE_MS)
    assert told() == 5
    assert not town.peek("account/acme").timers


def test_an_account_goes_on_telling_after_a_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACCOUNT_SLICE", 1)
    town = Families()
    for user in ("ann", "ben"):
        town.event(commands.GROUP, "acme", user, "", {"plan": user}, "")
    account = town.peek("account/acme")
    town.shard._quarantine(account, ValueError("a bug"))
    town.apply(commands.release(account.key))
    for _ in range(2):
        town.pass_time(ms=limits.ACCOUNT_SLICE_MS)
    assert [town.traits(f"user/{u}")["account"]["plan"] for u in ("ann", "ben")] == ["ben", "ben"]
    assert not account.timers


def test_an_account_knows_only_so_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACCOUNT_MEMBERS", 3)
    town = Families()
    for number in range(5):
        town.event(commands.GROUP, "acme", f"u{number}", "", {}, "")
    town.event(commands.GROUP, "acme", "u4", "", {"plan": "pro"}, "")
    has = [accounts.TRAIT in town.traits(f"user/u{n}") for n in range(5)]
    assert has == [True] * 5
    plans = [town.traits(f"user/u{n}")["account"].get("plan") for n in range(5)]
    assert plans == [None, None, "pro", "pro", "pro"]
    town.event(commands.GROUP, "acme", "u0", "", {}, "")
    assert town.traits("user/u0")["account"] == {"id": "acme", "plan": "pro"}


def test_an_older_word_of_an_account_does_not_take_back_a_newer_one() -> None:
    town = Families()
    town.event(commands.GROUP, "acme", "ann", "", {"plan": "free"}, "")
    town.event(commands.GROUP, "acme", "ann", "", {"plan": "pro"}, "")
    raw = msgpack.packb({"plan": "free"})
    town.run(commands.account("w/user/ann", "f", "w/account/acme", "w/user/ann", 1, raw))
    assert town.traits("user/ann")["account"]["plan"] == "pro"
    town.run(commands.account("w/user/ann", "f", "w/account/none", "w/user/ann", 9, raw))
    assert town.traits("user/ann")["account"]["plan"] == "pro"


def test_an_account_that_is_full_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Families()
    town.event(commands.GROUP, "acme", "ann", "", {"a": 1}, "")
    monkeypatch.setattr(limits, "TRAITS", 2)
    town.event(commands.GROUP, "acme", "ann", "", {"b": 1, "c": 2}, "")
    (note,) = town.notes("account/acme", "account")
    assert note == "w/user/ann: what it said was not taken: TRAITS_FULL"


def test_an_identifier_that_too_many_claim_joins_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MERGES", 2)
    town = Families("identity: profiles\nidentifiers: [email]")
    for number in range(5):
        town.identify(anonymous=f"a{number}", email="x@example.com")
    merged = [bool(view(town.peek(f"anonymous/a{n}"))["merged_into"]) for n in range(5)]
    assert merged == [False, True, True, False, False]
    kinds = view(town.peek("anonymous/a4"))["identifiers"]
    assert kinds == [["email", "x@example.com", "foreign"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("identity: p\nidentifiers: [email, email]", "identifier 'email' is listed twice"),
        ("identity: p\nidentifiers: [user]", "identifier 'user' is there by itself"),
        ("identity: p\nidentifiers: [{typ: email}]", "did you mean 'type'?"),
        ("identity: p\nidentifiers: [{type: email, limit: 0}]", "limit"),
        ("identity: p\nalias: nobody", "alias"),
    ],
)
def test_rules_that_do_not_hold(text: str, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definitions.check(definitions.parse(text), EMPTY)
    assert message in str(caught.value)


def test_a_workspace_has_one_set_of_rules() -> None:
    town = Families("identity: profiles")
    with pytest.raises(DefinitionError, match="there are rules already, called 'profiles'"):
        town.define("identity: others")
