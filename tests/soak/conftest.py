"""The fixtures of the cluster tests, and the times of the deploys of a test."""

import time
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import DeployedStack, kube, platform

__all__ = ["kube", "platform"]


@pytest.fixture
def seconds_of_deploys(deployed: DeployedStack, request: pytest.FixtureRequest) -> Iterator[None]:
    """Prints how long the test and its last deploy have taken."""
    started, before = time.monotonic(), len(deployed.logs)
    yield
    took, count = time.monotonic() - started, len(deployed.logs) - before
    last = f"the last of {deployed.seconds:.1f} s"
    print(f"{request.node.name}: {took:.0f} s, {count} deploys, {last}", flush=True)
