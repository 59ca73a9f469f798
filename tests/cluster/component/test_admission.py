"""Every pod of both Deployments is admitted where only the `restricted` Pod Security Standard is."""

import pytest

from astro_pulumi.errors import ClusterError
from tests.cluster.component.conftest import Pair
from tests.cluster.kube import AIRFLOW_COMPONENTS, JOBS, component_of, is_ready, wait_until


def test_the_namespace_refuses_what_is_not_restricted(pair: Pair) -> None:
    container = {"name": "any", "image": pair.platform.redis_image}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "any"},
        "spec": {"containers": [container]},
    }
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        pair.kube.create(pod, pair.namespace)


def test_every_kind_of_pod_is_there_and_does_its_work(pair: Pair) -> None:
    pods = pair.kube.all_pods(pair.namespace)
    kinds = {
        (pod["metadata"]["labels"]["app.kubernetes.io/instance"], component_of(pod)) for pod in pods
    }
    assert kinds == {
        *(("airflow3", component) for component in AIRFLOW_COMPONENTS),
        *(("airflow3", component) for component in ("pgbouncer", "statsd", *JOBS)),
        *(("airflow2", component) for component in AIRFLOW_COMPONENTS - {"dag-processor"}),
        *(("airflow2", component) for component in ("postgresql", "redis", *JOBS)),
    }
    jobs = [pod for pod in pods if component_of(pod) in JOBS]
    assert {job["status"]["phase"] for job in jobs} == {"Succeeded"}
    wait_until(
        "all are ready by their probes",
        lambda: all(
            is_ready(pod)
            for pod in pair.kube.all_pods(pair.namespace)
            if component_of(pod) not in JOBS
        ),
        seconds=300,
    )
    groomed = [
        pod
        for pod in pods
        if "log-groomer" in {container["name"] for container in pod["spec"]["containers"]}
    ]
    assert {component_of(pod) for pod in groomed} == AIRFLOW_COMPONENTS


def test_no_pod_was_refused(pair: Pair) -> None:
    events = pair.kube.objects("Event", pair.namespace)
    refused = [event for event in events if "PodSecurity" in str(event.get("message"))]
    assert [event["message"] for event in refused] == []
