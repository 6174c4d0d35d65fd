"""What callers tell of who is behind a message: in one spelling, and nothing that is ours."""

import pytest

from engine import limits
from gateway import facts
from gateway.errors import StatusError


@pytest.mark.parametrize(
    ("written", "counts_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff::2", "2001:db8::/64"),
        ("[2001:db8::3]", "2001:db8::/64"),
        ("2001:db8:0:1::3", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_counts_as_one_however_it_is_written(written: str, counts_as: str) -> None:
    assert facts.read({"ip": written}) == {"ip": counts_as}


@pytest.mark.parametrize("written", ["localhost", "1.2.3", "203.0.113.007x", "::g", "1.2.3.4/8"])
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(StatusError) as raised:
        facts.read({"ip": written})
    assert "is no IP address" in str(raised.value)


@pytest.mark.parametrize("name", ["sealed", "code_length"])
def test_what_denrei_sets_is_not_the_callers_to_set(name: str) -> None:
    with pytest.raises(StatusError) as raised:
        facts.read({name: "x"})
    assert "is set by Denrei" in str(raised.value)


def test_there_are_not_too_many_and_they_keep_an_order() -> None:
    assert list(facts.read({"b": "2", "a": "1"})) == ["a", "b"]
    with pytest.raises(StatusError):
        facts.read({f"f{number}": "" for number in range(limits.MESSAGE_FACTS + 1)})
