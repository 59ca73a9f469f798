"""Resources, placement, pod templates and user ids, as they arrive in every pod that they are for."""

from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from astro_pulumi.errors import ArgumentError
from tests.mock_engine import Program, Resource, deploy
from tests.specs import TOLERATION, VERSIONS, arguments, everything, spec

QUEUES = [{"name": "default"}, {"name": "heavy"}]
IDS = {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"}
AIRFLOW = ("webserver", "scheduler", "triggerer", "dag-processor", "worker-default")


def workloads(program: Program) -> dict[str, Resource]:
    """Everything that runs pods, by component."""
    return {
        resource.name.removeprefix("analytics-"): resource
        for resource in program
        if (resource.inputs.get("spec") or {}).get("template")
    }


def template(program: Program, name: str) -> dict[str, Any]:
    found: dict[str, Any] = workloads(program)[name].inputs["spec"]["template"]
    return found


def airflow_container(pod: dict[str, Any]) -> dict[str, Any]:
    (found,) = (one for one in pod["containers"] if one["name"] == "airflow")
    return dict(found)


# resources


@pytest.mark.parametrize(
    ("given", "requested", "limit"),
    [
        ({}, "500m", "2"),
        ({"limits": {"cpu": "4"}}, "4", "4"),
        ({"limits": {"cpu": 4.0}}, "4", "4"),
        ({"requests": {"cpu": "3"}}, "3", None),
        ({"requests": {"cpu": "100m"}, "limits": {"cpu": "4"}}, "100m", "4"),
        ({"limits": {"memory": "4Gi"}}, "500m", "2"),
    ],
)
def test_a_resource_is_read_as_kubernetes_reads_it(
    given: dict[str, Any], requested: str, limit: str | None
) -> None:
    resources = spec(scheduler={"resources": given}).workloads["scheduler"].resources
    assert (resources.requests["cpu"], resources.limits.get("cpu")) == (requested, limit)


def test_memory_is_requested_in_full_by_default() -> None:
    for workload in spec().workloads.values():
        assert workload.resources.requests["memory"] == workload.resources.limits["memory"]


def test_resources_of_nodes() -> None:
    queue = {"name": "gpu", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    resources = spec(worker_queues=[queue]).worker_queues[0].resources
    assert resources.requests["nvidia.com/gpu"] == resources.limits["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize(
    ("version", "parser", "more"),
    [("3.3", "dag_processor", {}), ("2.11", "scheduler", {}), ("2.11", "dag_processor", {})],
)
def test_the_release_job_may_use_what_the_parser_of_dags_may_use(
    version: str, parser: str, more: dict[str, Any]
) -> None:
    given = {parser: {"resources": {"limits": {"memory": "7Gi"}}}}
    program = deploy(arguments(airflow_version=version, **given, **more))
    container = airflow_container(template(program, "release-job")["spec"])
    assert container["resources"]["limits"]["memory"] == "7Gi"


def test_a_request_above_its_limit_is_refused_when_it_is_known() -> None:
    limits = {"cpu": pulumi.Output.from_input("500m")}
    resources = {"requests": {"cpu": "1"}, "limits": limits}
    says = r"scheduler.resources.requests\['cpu'\]: must be at most its limit, which is 500m"
    with pytest.raises(pulumi.RunError, match=says):
        deploy(arguments(scheduler={"resources": resources}))


# placement


EXTRAS = {
    "pgbouncer": {"image": "pgbouncer:1"},
    "metrics": {"exporter_image": "exporter:1"},
    "auth": {"manager": "simple"},
}


def test_every_pod_is_placed() -> None:
    placement = {
        "node_selector": {"pool": pulumi.Output.from_input("x")},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priority_class": "high",
    }
    found = workloads(deploy(arguments(placement=placement, **EXTRAS)))
    assert {"release-job", "rollout-webserver", "postgresql", "redis", "pgbouncer", "statsd"} < set(
        found
    )
    for name, workload in found.items():
        pod = workload.pod
        assert pod["nodeSelector"] == {"pool": "x"}, name
        assert pod["tolerations"] == [{"key": "dedicated", "operator": "Exists"}], name
        assert pod["affinity"] == {"nodeAffinity": {}}, name
        assert pod["priorityClassName"] == "high", name


def test_each_field_can_be_replaced() -> None:
    owners = {
        "scheduler": "scheduler",
        "dag_processor": "dag-processor",
        "database": "postgresql",
        "broker": "redis",
        "pgbouncer": "pgbouncer",
        "metrics": "statsd",
    }
    own = {"placement": {"node_selector": {"pool": "own"}}}
    given = {owner: {**EXTRAS.get(owner, {}), **own} for owner in owners}
    found = workloads(deploy(arguments(placement={"tolerations": [TOLERATION]}, **given)))
    for component in owners.values():
        pod = found[component].pod
        assert pod["nodeSelector"] == {"pool": "own"}, component
        assert pod["tolerations"][0]["key"] == TOLERATION["key"], component


def test_an_empty_field_takes_that_of_the_deployment_away() -> None:
    queues = [{"name": "a", "placement": {"tolerations": [], "node_selector": {}}}]
    placement = {"tolerations": [TOLERATION], "node_selector": {"pool": "small"}}
    pod = workloads(deploy(arguments(placement=placement, worker_queues=queues)))["worker-a"].pod
    assert not {"tolerations", "nodeSelector"} & set(pod)


def test_a_constraint_of_the_users_counts_the_pods_of_each_workload() -> None:
    own = {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    selected = {"matchLabels": {"a": "b"}}
    for given, selector in ((own, None), ({**own, "labelSelector": selected}, selected)):
        placement = {"topology_spread_constraints": [given]}
        found = workloads(deploy(arguments(placement=placement)))
        for name in AIRFLOW:
            (constraint,) = found[name].pod["topologySpreadConstraints"]
            expected = selector or found[name].inputs["spec"]["selector"]
            assert constraint["labelSelector"] == expected, name
            assert constraint["topologyKey"] == "rack"


# pod templates

PATCH: dict[str, Any] = {
    "metadata": {
        "labels": {"azure.workload.identity/use": "true"},
        "annotations": {"sidecar.istio.io/inject": "false"},
    },
    "spec": {
        "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
        "containers": [
            {"name": "airflow", "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
        ],
        "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}],
    },
}


def test_a_patch_is_for_all_airflow_pods_and_the_jobs_of_a_deploy() -> None:
    found = workloads(deploy(arguments(pod_template=PATCH, **EXTRAS)))
    for name, workload in found.items():
        made = workload.inputs["spec"]["template"]
        is_airflow = name not in ("postgresql", "redis", "pgbouncer", "statsd")
        labels = made["metadata"]["labels"]
        assert ("azure.workload.identity/use" in labels) is is_airflow, name
        if is_airflow:
            assert made["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
            assert "proxy" in {one["name"] for one in made["spec"]["initContainers"]}
            mounts = airflow_container(made["spec"])["volumeMounts"]
            assert {"name": "shared", "mountPath": "/shared"} in mounts
            assert "/opt/astro-pulumi" in {one["mountPath"] for one in mounts}


def test_a_patch_of_a_queue_comes_after_that_of_the_deployment() -> None:
    own = {"metadata": {"labels": {"azure.workload.identity/use": "false"}}}
    queues = [{"name": "default"}, {"name": "heavy", "pod_template": own}]
    program = deploy(arguments(pod_template=PATCH, worker_queues=queues))
    for name, value in (("worker-default", "true"), ("worker-heavy", "false")):
        labels = template(program, name)["metadata"]["labels"]
        assert labels["azure.workload.identity/use"] == value


def test_values_of_a_patch_may_be_outputs() -> None:
    value = pulumi.Output.from_input("arn")
    patch = {"spec": {"containers": [{"name": "airflow", "env": [{"name": "A", "value": value}]}]}}
    program = deploy(arguments(pod_template=patch))
    env = airflow_container(template(program, "scheduler")["spec"])["env"]
    assert {"name": "A", "value": "arn"} in env


def test_a_patch_of_the_groomer_is_for_the_pods_that_have_one() -> None:
    patch = {"spec": {"containers": [{"name": "log-groomer", "imagePullPolicy": "Always"}]}}
    program = deploy(arguments(pod_template=patch))
    (groomer,) = (
        one
        for one in template(program, "scheduler")["spec"]["containers"]
        if one["name"] == "log-groomer"
    )
    assert groomer["imagePullPolicy"] == "Always"
    job = template(program, "release-job")["spec"]["containers"]
    assert [one["name"] for one in job] == ["airflow"]


def test_a_sidecar_of_a_process_may_stand_first_and_nothing_takes_it_for_airflow() -> None:
    patch = {"spec": {"containers": [{"name": "proxy", "image": "proxy:1"}]}}
    program = deploy(arguments(scheduler={"pod_template": patch}))
    made = template(program, "scheduler")
    assert made["spec"]["containers"][0]["name"] == "proxy"
    default = made["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"]
    assert default == "airflow"


def test_the_jobs_keep_their_token() -> None:
    patch = {"spec": {"automountServiceAccountToken": False}}
    program = deploy(arguments(pod_template=patch))
    assert template(program, "release-job")["spec"]["automountServiceAccountToken"] is True


def test_secrets_that_a_patch_brings_are_filtered_from_what_a_watch_says() -> None:
    variables = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "k"}}}]
    patch = {
        "spec": {
            "containers": [{"name": "airflow", "env": variables}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "mounted"}},
                {"name": "b", "projected": {"sources": [{"secret": {"name": "projected"}}]}},
            ],
        }
    }
    program = deploy(arguments(scheduler={"pod_template": patch}))
    secrets = [
        source["secret"]
        for volume in template(program, "rollout-processes")["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
    ]
    assert {"mine", "mounted", "projected"} <= {one["name"] for one in secrets}
    assert all(one["optional"] for one in secrets), "one that is not there must not hold it up"


def of_airflow(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "airflow", **fields}]}}


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ({"metadata": {"name": "a"}}, "metadata.name: there is no such field"),
        (
            {"metadata": {"labels": {"app.kubernetes.io/instance": "a"}}},
            "metadata.labels['app.kubernetes.io/instance']: is how the Deployment finds",
        ),
        (
            {"metadata": {"annotations": {"astro-pulumi/inputs": "a"}}},
            "metadata.annotations['astro-pulumi/inputs']: is how",
        ),
        ({"spec": {"nodeSelector": {}}}, "spec.nodeSelector: is set by the Deployment: use `plac"),
        ({"spec": {"restartPolicy": "Never"}}, "spec.restartPolicy: differs between"),
        ({"spec": {"containers": None}}, "spec.containers: would remove"),
        ({"spec": {"containers": {}}}, "spec.containers: must be a list, not a mapping"),
        (of_airflow(command=["sh"]), "spec.containers[0].command: is the command of this process"),
        (of_airflow(args=["sh"]), "spec.containers[0].args: is the command of this process"),
        (of_airflow(image="a"), "spec.containers[0].image: is set by the Deployment: use `proj"),
        (of_airflow(resources={}), "spec.containers[0].resources: is set by the Deployment: use"),
        (of_airflow(**{"$patch": "delete"}), "spec.containers[0].$patch: would remove"),
        (
            {"spec": {"containers": [{"$patch": "replace"}, {"name": "a", "image": "b"}]}},
            "spec.containers[0].$patch: would remove",
        ),
        ({"spec": {"$patch": "replace"}}, "spec.$patch: would remove"),
        ({"$patch": "delete"}, "$patch: would remove"),
        (
            of_airflow(env=[{"name": "AIRFLOW__CELERY__BROKER_URL", "value": "x"}]),
            "spec.containers[0].env[0].name: is set by the Deployment: use `broker`",
        ),
        (
            {"spec": {"initContainers": [{"name": "a"}]}},
            "spec.initContainers[0]: needs `image`: there is no container named 'a'",
        ),
        (
            {"spec": {"initContainers": [{"name": "airflow", "image": "a"}]}},
            "spec.initContainers[0].name: 'airflow' is the name of Airflow's own container",
        ),
        ({"spec": {"volumes": [{"name": "files", "emptyDir": {}}]}}, "spec.volumes[0]: the volume"),
        (
            {"spec": {"volumes": [{"name": "logs", "persistentVolumeClaim": {"claimName": "a"}}]}},
            "spec.volumes[0]: is an emptyDir, and would have two sources",
        ),
        (
            {"spec": {"volumes": [{"name": "a", "emptyDir": {}, "secret": {"secretName": "b"}}]}},
            "spec.volumes[0]: has more than one source: emptyDir and secret",
        ),
    ],
)
def test_a_patch_that_does_not_fit_is_refused_with_its_place(
    patch: dict[str, Any], says: str
) -> None:
    for given, where in (
        ({"pod_template": patch}, "pod_template"),
        ({"scheduler": {"pod_template": patch}}, "scheduler.pod_template"),
        (
            {"worker_queues": [{"name": "a", "pod_template": patch}]},
            "worker_queues[0].pod_template",
        ),
    ):
        with pytest.raises(ArgumentError) as caught:
            spec(**given)
        assert str(caught.value).startswith(f"{where}.{says}")


@pytest.mark.parametrize(
    ("pod", "everywhere", "process", "queue"),
    [
        ({"terminationGracePeriodSeconds": 5}, False, True, False),
        ({"serviceAccountName": "mine"}, False, True, True),
        ({"containers": [{"name": "a", "image": "b"}]}, False, True, True),
        ({"securityContext": {"fsGroup": 1}}, True, True, True),
    ],
)
def test_what_a_patch_may_change_where(
    pod: dict[str, Any], everywhere: bool, process: bool, queue: bool
) -> None:
    patch = {"pod_template": {"spec": pod}}
    for given, allowed in (
        (patch, everywhere),
        ({"scheduler": patch}, process),
        ({"worker_queues": [{"name": "a", **patch}]}, queue),
    ):
        if allowed:
            spec(**given)
        else:
            with pytest.raises(ArgumentError, match=rf"pod_template\.spec\.{next(iter(pod))}"):
                spec(**given)


# user ids


def ids_in(value: Any) -> Iterator[str]:
    """Every fixed user or group id, wherever it stands in a manifest."""
    if isinstance(value, dict):
        yield from IDS & set(value)
        for item in value.values():
            yield from ids_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from ids_in(item)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_manifest_has_a_fixed_user_or_group_id(version: str) -> None:
    embedded = arguments(airflow_version=version, **{**EXTRAS, "auth": {}}, fixed_user_ids=False)
    for given in (everything(airflow_version=version, fixed_user_ids=False), embedded):
        found = workloads(deploy(given))
        assert len(found) > 8
        for name, workload in found.items():
            assert list(ids_in(workload.inputs)) == [], name
            assert workload.pod["securityContext"]["runAsNonRoot"] is True


def test_ids_are_fixed_by_default() -> None:
    for name, workload in workloads(deploy(arguments(**EXTRAS))).items():
        assert {"runAsUser", "runAsGroup", "fsGroup"} <= set(ids_in(workload.inputs)), name


def test_a_user_without_a_name_gets_one() -> None:
    """Airflow does not start as a user that has none."""
    program = deploy(arguments(fixed_user_ids=False))
    for name in (*AIRFLOW, "release-job"):
        env = airflow_container(template(program, name)["spec"])["env"]
        assert {"name": "USER", "value": "airflow"} in env, name
