"""The fixtures of the cluster tests."""

from tests.cluster.conftest import kube, platform

__all__ = ["kube", "platform"]
