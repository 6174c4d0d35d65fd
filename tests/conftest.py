"""What tests share: one running instance, since starting one takes seconds, and the processors.

`make test` runs pytest in several processes. All tests that run instances are in one of them, one
after the other: two would fight for two cores, and time-outs are made for one. The others go file
by file to whoever is free.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.running import RunningInstance

# In CI the same examples every time: its verdict is about the change, not about luck. Everywhere
# else Hypothesis looks further with every run.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")


_HERE = Path(__file__).parent
_WITH_INSTANCES = {"cluster", "crash", "end_to_end"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Says which tests stay together when pytest runs in several processes."""
    for item in items:
        if not item.path.is_relative_to(_HERE):
            continue
        folder, *rest = item.path.relative_to(_HERE).parts
        group = "instances" if folder in _WITH_INSTANCES else "/".join((folder, *rest))
        item.add_marker(pytest.mark.xdist_group("carriers" if folder == "carriers" else group))


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningInstance]:
    """One instance on real time, on a store of its own; tests use users of their own."""
    with RunningInstance(tmp_path_factory.mktemp("instance") / "store") as running:
        yield running
