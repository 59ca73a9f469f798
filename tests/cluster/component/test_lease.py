"""Two release Jobs of one Deployment never work at the same time."""

import copy
import re

from tests.cluster.component.conftest import Pair
from tests.cluster.component.test_registry import job_name
from tests.cluster.kube import Object, wait_until

COPIES = ("airflow3-by-hand-1", "airflow3-by-hand-2")


def test_a_second_release_job_waits_for_the_first(pair: Pair) -> None:
    kube, namespace = pair.kube, pair.namespace
    job = pair.object("Job", job_name(pair))
    try:
        for name in COPIES:
            kube.create(copy_of(job, name), namespace)
        wait_until(
            "both Jobs have ended",
            lambda: all(pair.object("Job", name)["status"].get("succeeded") for name in COPIES),
            seconds=300,
        )
        logs = {name: timed_log(pair, name) for name in COPIES}
    finally:
        for name in COPIES:
            kube.delete("Job", name, namespace)

    first, second = sorted(COPIES, key=lambda name: logs[name][-1][0])
    assert not any("waiting for" in text for _, text in logs[first])
    assert any(f"waiting for {first}" in text for _, text in logs[second])
    waited = [index for index, (_, text) in enumerate(logs[second]) if "waiting for" in text]
    worked = [time for time, _ in logs[second][waited[-1] + 1 :]]
    assert worked[0] >= logs[first][-1][0], "the second worked before the first had ended"


def copy_of(job: Object, name: str) -> Object:
    """The same Job under another name."""
    spec = copy.deepcopy(job["spec"])
    template = spec["template"]
    del spec["selector"]
    for label in list(template["metadata"]["labels"]):
        if re.search(r"job-name|controller-uid", label):
            del template["metadata"]["labels"][label]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def timed_log(pair: Pair, job: str) -> list[tuple[str, str]]:
    """When the release Job said what."""
    (pod,) = pair.kube.objects("Pod", pair.namespace, **{"job-name": job})
    lines = pair.kube.log(pod, timestamps=True).splitlines()
    said = [line.partition(" ")[::2] for line in lines]
    return [(time, text) for time, text in said if text.startswith("release job: ")]
