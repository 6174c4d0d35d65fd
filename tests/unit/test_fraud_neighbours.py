"""The fraud guard: countries that share a calling code, and people who ask again in an outage."""

import pytest

from engine.fraud import Verdict
from tests.unit.test_fraud import DAY, HOUR, MINUTE, SECOND, Street

JERSEY = "+447829720000"  # has Britain's code, and so little traffic that it says nothing by itself
FRANCE = "+336999900{:02d}"
FRIEND = "+447710012345"  # of a block where people live


@pytest.fixture
def street() -> Street:
    found = Street(2)
    found.pass_time(2 * DAY)
    return found


def ask(street: Street, e164: str) -> Verdict | None:
    return street.guard.check("w", "sms", "otp", e164, street.now)


def gates(street: Street) -> set[str]:
    return {block["what"] for block in street.guard.blocks(street.now) if "/" in block["what"]}


def spread(street: Street, beginning: str, codes: int) -> None:
    """Codes that nobody types in, over many blocks, until a gate stands."""
    for at in range(codes):
        street.pass_time(street.now + 20 * SECOND)
        street.ask(f"{beginning}{at * 7 % 100:02d}{at:05d}"[:13])
        if gates(street):
            return


def test_a_gate_of_a_country_counts_for_a_small_one_that_has_its_code(street: Street) -> None:
    assert street.guard.check("before", "sms", "otp", JERSEY, street.now) is None
    spread(street, "+447492", 400)
    assert gates(street)
    found = ask(street, JERSEY)
    assert found is not None
    assert (found.action, found.code) == ("challenge", "unverified_class")
    assert ask(street, FRANCE.format(1)) is None


def test_once_it_is_half_open_one_of_the_small_country_is_its_probe(street: Street) -> None:
    spread(street, "+447492", 400)
    street.now += 2 * HOUR
    assert ask(street, JERSEY) is None
    found = ask(street, "+447829710000")
    assert found is not None
    assert "one is under way" in found.why


def test_what_happens_in_the_small_country_is_not_held_against_the_other(street: Street) -> None:
    spread(street, "+4478297", 400)
    assert gates(street)
    assert not any(name.startswith("w GB") for name in gates(street))


def test_who_asks_again_in_an_outage_is_challenged_and_not_blocked(street: Street) -> None:
    street.pass_time(street.now + 4 * HOUR, share=0.02)
    asked = [ask(street, FRIEND) for _ in range(6)]
    assert asked[:5] == [None] * 5
    assert asked[5] is not None
    assert (asked[5].action, asked[5].code) == ("challenge", "repeated_number")
    assert "delivers few at present" in asked[5].why
    assert "number" not in str(street.guard.blocks(street.now))
    street.now += 2 * MINUTE  # one code drains in that time
    assert ask(street, FRIEND) is None


def test_after_the_outage_he_is_blocked_as_ever(street: Street) -> None:
    street.pass_time(street.now + 4 * HOUR, share=0.02)
    street.pass_time(street.now + DAY)
    asked = [ask(street, FRIEND) for _ in range(6)]
    assert asked[5] is not None
    assert (asked[5].action, asked[5].code) == ("block", "repeated_number")
