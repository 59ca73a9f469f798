"""Never two release Jobs of one Deployment at once."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.release.fake_cluster import FakeCluster
from tests.unit.release.pod_file import load

astro_kubernetes_client = load("astro_kubernetes_client")
release_job = load("release_job")
ReleaseRefusedError = load("astro_termination_message").ReleaseRefusedError
NAME = "analytics-release-job"
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "analytics-owner", "uid": "u"}


def lease(cluster: FakeCluster, holder: str, said: list[str], patience: float = 0) -> Any:
    return astro_kubernetes_client.Lease(cluster, NAME, holder, {}, [OWNER], patience, said.append)


def held(cluster: FakeCluster) -> str:
    return str(
        cluster.objects[astro_kubernetes_client.Lease.RESOURCE][NAME]["spec"]["holderIdentity"]
    )


def test_the_first_takes_it_and_gives_it_back() -> None:
    cluster = FakeCluster()
    with lease(cluster, "one", []):
        assert held(cluster) == "one"
    assert held(cluster) == ""


def test_the_second_says_for_whom_it_waits_and_gives_up() -> None:
    cluster, said = FakeCluster(), list[str]()
    with lease(cluster, "one", []):
        with pytest.raises(ReleaseRefusedError, match="nothing was changed"):
            lease(cluster, "two", said).__enter__()
        assert held(cluster) == "one"
    assert said == ["waiting for one, another release Job of this Deployment"]


def test_a_holder_that_was_killed_loses_it() -> None:
    cluster = FakeCluster()
    lease(cluster, "one", []).__enter__()
    spec = cluster.objects[astro_kubernetes_client.Lease.RESOURCE][NAME]["spec"]
    long_ago = astro_kubernetes_client.utc_now() - timedelta(seconds=31)
    spec["renewTime"] = long_ago.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with lease(cluster, "two", []):
        assert held(cluster) == "two"


def test_the_job_that_downgrades_goes_on_under_the_lease_of_the_one_it_works_for() -> None:
    cluster = FakeCluster()
    with lease(cluster, "one", []), lease(cluster, "one", []):
        assert held(cluster) == "one"


def test_it_goes_with_the_deployment() -> None:
    cluster = FakeCluster()
    lease(cluster, "one", []).__enter__()
    metadata = cluster.objects[astro_kubernetes_client.Lease.RESOURCE][NAME]["metadata"]
    assert metadata["ownerReferences"] == [OWNER]


def test_the_owner_is_that_of_the_job_and_no_job() -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "name": "analytics-release-job-1", "uid": "v"}
    assert release_job.owners({"metadata": {"ownerReferences": [OWNER]}}) == [OWNER]
    assert release_job.owners({"metadata": {"ownerReferences": [job]}}) == []
    assert release_job.owners({"metadata": {}}) == []
