"""What tests of a running instance share: starting one takes seconds, so one serves them all."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.running import RunningInstance

# In CI the same examples every time: its verdict is about the change, not about luck. Everywhere
# else Hypothesis looks further with every run.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningInstance]:
    """One instance on real time, on a store of its own; tests use users of their own."""
    with RunningInstance(tmp_path_factory.mktemp("instance") / "store") as running:
        yield running
