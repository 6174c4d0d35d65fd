"""What tests of a running instance share: starting one takes seconds, so one serves them all."""

from collections.abc import Iterator

import pytest

from tests.support.running import RunningInstance


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningInstance]:
    """One instance on real time, on a store of its own; tests use users of their own."""
    with RunningInstance(tmp_path_factory.mktemp("instance") / "store") as running:
        yield running
