"""The rules of the Kubernetes provider: pure functions from objects to inputs, changes and verdicts."""

from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.embedded import paths
from astro_pulumi.embedded.provider import DiffResult, Request, Resource
from astro_pulumi.embedded.providers.kubernetes import KubernetesProvider, diff, reasons
from astro_pulumi.embedded.providers.kubernetes.client import Cluster
from astro_pulumi.embedded.providers.kubernetes.conditions import wanted_conditions
from astro_pulumi.embedded.providers.kubernetes.inputs import canonical_quantity, normalise
from astro_pulumi.embedded.providers.kubernetes.kinds import builtin_kind, from_type_token
from astro_pulumi.embedded.providers.kubernetes.objects import Object, to_object, to_properties
from astro_pulumi.embedded.providers.kubernetes.readiness import Surroundings, judge_for
from astro_pulumi.embedded.values import UNKNOWN, Properties, Secret
from astro_pulumi.errors import ResourceError
from tests.unit.embedded.providers.fake_api import FakeApi


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("0.5", "500m"),
        (0.5, "500m"),
        (2, "2"),
        ("1000m", "1"),
        ("0.1Gi", "107374182400m"),
        ("0.5Gi", "512Mi"),
        ("1.5Gi", "1536Mi"),
        ("1000Ki", "1000Ki"),
        ("100Mi", "100Mi"),
        ("2000M", "2G"),
        ("0", "0"),
        ("100", "100"),
        ("much", "much"),
    ],
)
def test_quantities_as_the_api_server_writes_them(given: Any, canonical: str) -> None:
    assert canonical_quantity(given) == canonical


def test_normalised_inputs_have_what_the_api_server_gives_back() -> None:
    container = {
        "name": "c",
        "args": None,
        "env": [{"name": "EMPTY", "value": ""}],
        "ports": [],
        "stdin": False,
        "resources": {"limits": {"memory": "1024Mi", "cpu": 1}, "requests": {}},
        "readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 2},
        "securityContext": {"runAsUser": 0, "privileged": False},
    }
    spec = {
        "containers": [container],
        "hostNetwork": False,
        "automountServiceAccountToken": False,
        "nodeSelector": {},
        "terminationGracePeriodSeconds": 0,
        "volumes": [
            {"name": "d", "emptyDir": {}},
            {"name": "s", "emptyDir": {"sizeLimit": "0.5Gi"}},
        ],
    }
    metadata = {"name": "p", "labels": {"empty": ""}, "uid": "u", "creationTimestamp": None}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    assert normalise(pod) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"empty": ""}},
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "env": [{"name": "EMPTY"}],
                    "resources": {"limits": {"memory": "1Gi", "cpu": "1"}},
                    "readinessProbe": {"periodSeconds": 2},
                    "securityContext": {"runAsUser": 0, "privileged": False},
                }
            ],
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "volumes": [
                {"name": "d", "emptyDir": {}},
                {"name": "s", "emptyDir": {"sizeLimit": "512Mi"}},
            ],
        },
    }


def test_unknowns_and_custom_resources_stay_as_they_are() -> None:
    unknown = {"apiVersion": "v1", "kind": "Pod", "spec": {"a": UNKNOWN, "b": None}}
    custom = {"apiVersion": "example.com/v1", "kind": "Tab", "spec": {"a": "", "b": []}}
    assert normalise(unknown) == unknown
    assert normalise(custom) == custom


def check(kind: str, news: Properties, olds: Properties | None = None, **config: Any) -> Properties:
    resource = Resource("urn:pulumi:dev::p::t::thing", f"kubernetes:core/v1:{kind}", "thing")
    provider = KubernetesProvider(config, FakeApi().cluster(**config))
    inputs = {"apiVersion": "v1", "kind": kind, **news}
    request = Request(resource=resource, inputs=inputs, old_inputs=olds or {}, random_seed=b"seed")
    return dict(provider.check(request).inputs)


class TestCheck:
    """Names, namespaces and secrets."""

    def test_name_is_made_once_and_kept(self) -> None:
        first = check("ConfigMap", {})
        name = first["metadata"]["name"]
        assert name.startswith("thing-") and len(name) == len("thing-") + 8
        assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
        assert check("ConfigMap", {"data": {"a": "b"}}, first)["metadata"]["name"] == name

    def test_given_name_stays(self) -> None:
        assert check("ConfigMap", {"metadata": {"name": "n"}})["metadata"] == {
            "name": "n",
            "namespace": "default",
        }

    def test_namespace_of_the_provider(self) -> None:
        inputs = check("ConfigMap", {"metadata": {"name": "n"}}, namespace="team")
        assert inputs["metadata"]["namespace"] == "team"
        assert "namespace" not in check("Namespace", {}, namespace="team")["metadata"]

    def test_unknown_metadata(self) -> None:
        metadata = {"name": UNKNOWN, "namespace": UNKNOWN}
        assert check("ConfigMap", {"metadata": metadata})["metadata"] == metadata

    def test_secret_marks_stay(self) -> None:
        inputs = check("Secret", {"stringData": {"a": Secret("b")}, "data": {"c": "ZA=="}})
        assert inputs["data"] == Secret({"a": "Yg==", "c": "ZA=="})
        assert "stringData" not in inputs
        pod = check("Pod", {"spec": {"hostname": "h", "containers": [{"args": [Secret("s")]}]}})
        assert pod["spec"] == {"hostname": "h", "containers": Secret([{"args": ["s"]}])}

    @pytest.mark.parametrize(
        "token",
        [
            "kubernetes:yaml/v2:ConfigGroup",
            "kubernetes:helm.sh/v4:Chart",
            "kubernetes:kustomize:Directory",
            "kubernetes:core/v1:ConfigMapPatch",
            "kubernetes:core/v1:PodList",
        ],
    )
    def test_what_is_not_a_single_object_is_refused(self, token: str) -> None:
        with pytest.raises(ResourceError, match="Pulumi CLI"):
            from_type_token(token)

    def test_options_of_the_provider_that_it_does_not_have(self) -> None:
        for option in ({"renderYamlToDirectory": "out"}, {"enableServerSideApply": False}):
            with pytest.raises(ResourceError, match="Pulumi CLI"):
                KubernetesProvider(dict(option), FakeApi().cluster())


def compare(kind: str, old: Object, new: Object, version: str = "v1", **options: Any) -> DiffResult:
    base = {"apiVersion": version, "kind": kind}
    old = {**base, "metadata": {"name": "n", "namespace": "ns"}, **old}
    new = {**base, "metadata": {"name": "n", "namespace": "ns"}, **new}
    return diff.compare(old, {**old, "status": {}}, new, namespaced=True, **options)


def replaced(kind: str, version: str, path: str, old: Any = "a", new: Any = "b") -> bool:
    def at(value: Any) -> Object:
        for step in reversed(path.split(".")):
            value = {step: value}
        return dict(value)

    result = compare(kind, at(old), at(new), version)
    assert result.changes
    return bool(result.replaces)


class TestDiff:
    """What changes, and what it takes."""

    @pytest.mark.parametrize(
        ("version", "kind", "replacing", "in_place"),
        [
            ("apps/v1", "Deployment", ["spec.selector.matchLabels.app"], ["spec.replicas"]),
            ("apps/v1", "StatefulSet", ["spec.serviceName"], ["spec.template.spec.x"]),
            (
                "batch/v1",
                "Job",
                ["spec.template.spec.x", "spec.completions"],
                ["spec.backoffLimit"],
            ),
            ("v1", "Service", ["spec.clusterIP"], ["spec.type", "spec.selector.app"]),
            ("v1", "Secret", ["data.a", "type"], ["metadata.labels.a"]),
            ("v1", "ConfigMap", ["data.a", "binaryData.a"], ["metadata.labels.a"]),
            ("v1", "PersistentVolumeClaim", ["spec.storageClassName"], ["spec.resources.x"]),
            ("v1", "Namespace", ["metadata.name"], ["metadata.labels.a"]),
            ("v1", "ServiceAccount", ["metadata.namespace"], ["metadata.annotations.a"]),
            ("networking.k8s.io/v1", "Ingress", ["metadata.name"], ["spec.ingressClassName"]),
            ("rbac.authorization.k8s.io/v1", "RoleBinding", ["roleRef.name"], ["subjects"]),
            ("example.com/v1", "Tab", ["metadata.name"], ["spec.anything"]),
        ],
    )
    def test_fields_that_cannot_change_in_place(
        self, version: str, kind: str, replacing: list[str], in_place: list[str]
    ) -> None:
        assert [path for path in replacing if not replaced(kind, version, path)] == []
        assert [path for path in in_place if replaced(kind, version, path)] == []

    def test_adding_an_object_above_a_replacing_field(self) -> None:
        result = compare("Job", {"spec": {}}, {"spec": {"template": {"a": 1}}}, "batch/v1")
        assert result.detailed == {"spec.template": "ADD_REPLACE"}
        nothing = compare("Service", {}, {"spec": {"ports": []}})
        assert nothing.detailed == {"spec": "ADD"}

    def test_automatic_names_are_replaced_before_the_old_one_goes(self) -> None:
        fixed = compare("ConfigMap", {"data": {"a": "1"}}, {"data": {"a": "2"}})
        assert (fixed.replaces, fixed.delete_before_replace) == (["data.a"], True)
        annotations = {"pulumi.com/autonamed": "true"}
        metadata = {"name": "n", "namespace": "ns", "annotations": annotations}
        automatic = compare(
            "ConfigMap",
            {"metadata": metadata, "data": {"a": "1"}},
            {"metadata": metadata, "data": {"a": "2"}},
        )
        assert (automatic.replaces, automatic.delete_before_replace) == (["data.a"], False)

    def test_another_name_needs_no_deletion_first(self) -> None:
        result = compare("Service", {}, {"metadata": {"name": "other", "namespace": "ns"}})
        assert (result.replaces, result.delete_before_replace) == (["metadata.name"], False)

    def test_lists_are_compared_element_by_element(self) -> None:
        old = {"spec": {"x": [{"name": "a", "v": 1, "w": 1}, {"name": "b"}, {"name": "c"}]}}
        new = {"spec": {"x": [{"name": "a", "v": 2}, {"name": "b"}]}}
        assert compare("Tab", old, new, "example.com/v1").detailed == {
            "spec.x[0].v": "UPDATE",
            "spec.x[0].w": "DELETE",
            "spec.x[2]": "DELETE",
        }

    def test_what_the_cluster_fills_in_is_no_change(self) -> None:
        inputs = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "n"},
            "spec": {"ports": [{"port": 80}]},
        }
        live = {
            **inputs,
            "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "clusterIP": "10.0.0.1"},
        }
        assert not diff.compare(inputs, live, inputs, namespaced=True).changes

    def test_drift_in_the_cluster_is_a_change(self) -> None:
        inputs = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "n"},
            "data": {"a": "1"},
        }
        live = {**inputs, "data": {"a": "changed"}}
        assert diff.compare(inputs, live, inputs, namespaced=True).detailed == {
            "data.a": "UPDATE_REPLACE"
        }

    def test_unknown_values_are_changes(self) -> None:
        result = compare("Service", {"spec": {"a": 1}}, {"spec": {"a": UNKNOWN, "b": UNKNOWN}})
        assert result.detailed == {"spec.a": "UPDATE", "spec.b": "ADD"}

    @pytest.mark.parametrize(
        ("ignored", "left"),
        [
            ("spec.x", {"spec.y": "UPDATE"}),
            ("spec.x[*].v", {"spec.y": "UPDATE"}),
            ("spec.x[1]", {"spec.x[0].v": "UPDATE", "spec.y": "UPDATE"}),
            ("spec", {}),
        ],
    )
    def test_ignored_changes(self, ignored: str, left: dict[str, str]) -> None:
        old = {"spec": {"x": [{"v": 1}], "y": 1}}
        new = {"spec": {"x": [{"v": 2}], "y": 2}}
        result = compare("Tab", old, new, "example.com/v1", ignore_changes=[ignored])
        assert result.detailed == left and result.changes == bool(left)

    def test_secrets_that_are_changed_in_place(self) -> None:
        mutable: dict[str, Any] = {"keeps_configuration": frozenset({"Secret"})}
        old, new = {"data": {"a": "MQ=="}}, {"data": {"a": "Mg=="}}
        assert not compare("Secret", old, new, **mutable).replaces
        assert compare("Secret", {**old, "immutable": True}, {**new, "immutable": True}).replaces

    @pytest.mark.parametrize("path", ["a.b[0].c", 'metadata.annotations["a.b/c"].d', "a[12][3]"])
    def test_paths_are_written_as_they_are_read(self, path: str) -> None:
        assert paths.render(paths.parse(path)) == path

    def test_unready_job_is_replaced(self) -> None:
        api = FakeApi()
        resource = Resource("urn", "kubernetes:batch/v1:Job", "j")
        annotations = {"pulumi.com/replaceUnready": "true"}
        inputs = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "j", "namespace": "ns", "annotations": annotations},
        }
        outputs = {**inputs, "__inputs": inputs}
        api.put("/apis/batch/v1/namespaces/ns/jobs/j", inputs)
        provider = KubernetesProvider({}, api.cluster())
        request = Request(resource=resource, inputs=inputs, old_inputs=inputs, old_outputs=outputs)
        result = provider.diff(request)
        assert result.replaces == ['.metadata.annotations["pulumi.com/replaceUnready"]']
        assert result.delete_before_replace
        done = {"conditions": [{"type": "Complete", "status": "True"}]}
        api.change("/apis/batch/v1/namespaces/ns/jobs/j", status=done)
        assert not provider.diff(request).changes


def state(
    version: str,
    kind: str,
    spec: Object | None = None,
    status: Object | None = None,
    slices: list[Object] | None = None,
    **around: Any,
) -> str:
    obj = {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"generation": 2},
        "spec": spec or {},
        "status": status or {},
    }
    judge = judge_for(obj)
    assert judge
    return judge(obj, Surroundings(endpoint_slices=slices or [], **around)).state


SEEN = {"observedGeneration": 2}


class TestReadiness:
    """When an object of each kind is ready."""

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            ({}, "waiting"),
            # of the generation before: all well, but not about this one
            (
                {
                    "observedGeneration": 1,
                    "replicas": 2,
                    "updatedReplicas": 2,
                    "availableReplicas": 2,
                },
                "waiting",
            ),
            ({**SEEN, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, "ready"),
            ({**SEEN, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, "waiting"),
            # the old pods are available, the new are not
            (
                {
                    **SEEN,
                    "replicas": 4,
                    "updatedReplicas": 2,
                    "availableReplicas": 2,
                    "unavailableReplicas": 2,
                },
                "waiting",
            ),
            # the new are available, an old one is still wanted
            ({**SEEN, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}, "waiting"),
        ],
    )
    def test_deployment(self, status: Object, expected: str) -> None:
        assert state("apps/v1", "Deployment", {"replicas": 2}, status) == expected

    def test_deployment_scaled_to_zero(self) -> None:
        assert state("apps/v1", "Deployment", {"replicas": 0}, SEEN) == "ready"

    @pytest.mark.parametrize(
        ("spec", "status", "expected"),
        [
            (
                {},
                {"readyReplicas": 1, "replicas": 1, "currentRevision": "a", "updateRevision": "a"},
                "ready",
            ),
            ({}, {"replicas": 1, "currentRevision": "a", "updateRevision": "a"}, "waiting"),
            (
                {},
                {"readyReplicas": 1, "replicas": 1, "currentRevision": "a", "updateRevision": "b"},
                "waiting",
            ),
            (
                {"updateStrategy": {"type": "OnDelete"}},
                {"readyReplicas": 1, "replicas": 1, "currentRevision": "a", "updateRevision": "b"},
                "ready",
            ),
            (
                {"updateStrategy": {"rollingUpdate": {"partition": 1}}},
                {"readyReplicas": 1, "replicas": 1, "currentRevision": "a", "updateRevision": "b"},
                "ready",
            ),
        ],
    )
    def test_stateful_set(self, spec: Object, status: Object, expected: str) -> None:
        assert state("apps/v1", "StatefulSet", spec, {**SEEN, **status}) == expected

    def test_daemon_set(self) -> None:
        status = {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2}
        assert state("apps/v1", "DaemonSet", {}, {**status, "numberAvailable": 1}) == "waiting"
        assert state("apps/v1", "DaemonSet", {}, {**status, "numberAvailable": 2}) == "ready"

    def test_pod(self) -> None:
        assert state("v1", "Pod", {}, {"phase": "Succeeded"}) == "ready"
        assert state("v1", "Pod", {}, {"phase": "Failed"}) == "failed"
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        assert state("v1", "Pod", {}, ready) == "ready"

    @pytest.mark.parametrize(
        ("spec", "endpoints", "waited", "expected"),
        [
            ({"selector": {"a": "b"}}, [], 0, "waiting"),
            ({"selector": {"a": "b"}}, [], 11, "ready"),  # scaled to zero on purpose
            ({"selector": {"a": "b"}}, [{"conditions": {"ready": True}}], 0, "ready"),
            ({"selector": {"a": "b"}}, [{"conditions": {"ready": False}}], 11, "waiting"),
            ({"selector": {"a": "b"}, "clusterIP": "None"}, [], 0, "ready"),
            ({"type": "ExternalName"}, [], 0, "ready"),
            ({}, [], 0, "ready"),
            ({"type": "LoadBalancer"}, [], 0, "waiting"),
        ],
    )
    def test_service(
        self, spec: Object, endpoints: list[Object], waited: float, expected: str
    ) -> None:
        slices = [{"endpoints": endpoints}]
        assert state("v1", "Service", spec, slices=slices, waited=waited) == expected

    def test_others(self) -> None:
        address = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
        assert state("networking.k8s.io/v1", "Ingress", {}, {}) == "waiting"
        assert state("networking.k8s.io/v1", "Ingress", {}, address) == "ready"
        assert state("v1", "PersistentVolume", {}, {"phase": "Available"}) == "ready"
        assert state("v1", "PersistentVolume", {}, {"phase": "Failed"}) == "failed"
        assert state("v1", "ResourceQuota", {"hard": {"pods": "1"}}, {}) == "waiting"
        established = {"conditions": [{"type": "Established", "status": "True"}]}
        version = "apiextensions.k8s.io/v1"
        assert state(version, "CustomResourceDefinition", {}, {}) == "waiting"
        assert state(version, "CustomResourceDefinition", {}, established) == "ready"

    def test_kinds_that_are_ready_when_they_exist(self) -> None:
        for kind in ("Namespace", "ConfigMap", "Secret", "ServiceAccount"):
            assert judge_for({"apiVersion": "v1", "kind": kind}) is None
        token = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/service-account-token",
        }
        assert judge_for(token) is not None


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("jsonpath={.status.phase}", True),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath={.status.phase}=Pending", False),
        ("jsonpath={.status.nothing}", False),
        ("jsonpath={$.status.list[1]}=b", True),
        ("jsonpath={.status.list[-1]}=b", True),
        ("jsonpath={.status['dotted.key']}=x", True),
        ("jsonpath={.status.items[*].name}=first", True),
        ('jsonpath={.status.items[?(@.name=="second")].ok}=true', True),
        ("condition=Ready", True),
        ("condition=ready=True", True),
        ("condition=Ready=False", False),
        ("condition=Other", False),
    ],
)
def test_wait_for(expression: str, holds: bool) -> None:
    status = {
        "phase": "Running",
        "list": ["a", "b"],
        "dotted.key": "x",
        "items": [{"name": "first"}, {"name": "second", "ok": True}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    obj = {"metadata": {"annotations": {"pulumi.com/waitFor": expression}}, "status": status}
    (found,) = wanted_conditions(obj)
    assert found.holds(obj) is holds
    stale = {**obj, "metadata": {"generation": 2}, "status": {**status, "observedGeneration": 1}}
    assert not found.holds(stale)


@pytest.mark.parametrize("expression", ["ready", "jsonpath=.a", "jsonpath={.a[b}", "condition="])
def test_wait_for_that_cannot_be_read(expression: str) -> None:
    with pytest.raises(ResourceError, match=r"pulumi\.com/waitFor"):
        wanted_conditions({"metadata": {"annotations": {"pulumi.com/waitFor": expression}}})


def pod(*containers: Object, **status: Any) -> Object:
    return {
        "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
        "status": {"containerStatuses": list(containers), **status},
    }


def container(**state: Any) -> Object:
    return {"name": "c", "ready": False, "state": state}


def event(reason: str, message: str, type_: str = "Normal", count: int = 1) -> Object:
    return {
        "type": type_,
        "reason": reason,
        "message": message,
        "count": count,
        "involvedObject": {"uid": "u"},
    }


CREATING = container(waiting={"reason": "ContainerCreating"})


@pytest.mark.parametrize(
    ("about", "events", "words"),
    [
        (pod(), [], "waiting for a node"),
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]),
            [],
            "cannot be scheduled: 0/1 nodes",
        ),
        (pod(CREATING), [], "starting c"),
        (pod(CREATING), [event("Pulling", "Pulling image")], "pulling image for c"),
        (
            pod(CREATING),
            [event("FailedMount", 'secret "s" not found', "Warning")],
            '[FailedMount] secret "s" not found',
        ),
        (pod(container(running={})), [], "c has started, waiting for it to be ready"),
        (
            pod(container(running={})),
            [event("Unhealthy", "Readiness probe failed: 503", "Warning", 9)],
            "c is not ready: Readiness probe failed: 503",
        ),
        (
            pod(container(waiting={"reason": "CreateContainerConfigError", "message": "no key"})),
            [],
            "[CreateContainerConfigError] no key",
        ),
        (
            pod(
                {
                    **container(waiting={"reason": "CrashLoopBackOff"}),
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                }
            ),
            [],
            "c keeps crashing (OOMKilled: it used more memory than its limit)",
        ),
    ],
)
def test_what_a_pod_does(about: Object, events: list[Object], words: str) -> None:
    assert reasons.activity(about, events) == words


def test_label_selectors() -> None:
    labels = {"app": "web", "tier": "front"}
    assert reasons.selects({"matchLabels": {"app": "web"}}, labels)
    assert not reasons.selects({"matchLabels": {"app": "db"}}, labels)
    assert not reasons.selects(None, labels)

    def matches(operator: str, key: str, *values: str) -> bool:
        term = {"key": key, "operator": operator, "values": list(values)}
        return reasons.selects({"matchExpressions": [term]}, labels)

    assert matches("In", "app", "web", "db") and not matches("In", "app", "db")
    assert matches("NotIn", "app", "db") and not matches("NotIn", "app", "web")
    assert matches("Exists", "tier") and not matches("Exists", "other")
    assert matches("DoesNotExist", "other") and not matches("DoesNotExist", "tier")


@pytest.mark.parametrize(
    ("version", "kind", "path"),
    [
        ("v1", "Service", "/api/v1/namespaces/ns/services/n"),
        ("v1", "Namespace", "/api/v1/namespaces/n"),
        ("v1", "Endpoints", "/api/v1/namespaces/ns/endpoints/n"),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "/apis/networking.k8s.io/v1/namespaces/ns/networkpolicies/n",
        ),
        ("networking.k8s.io/v1", "IngressClass", "/apis/networking.k8s.io/v1/ingressclasses/n"),
        ("storage.k8s.io/v1", "StorageClass", "/apis/storage.k8s.io/v1/storageclasses/n"),
        (
            "policy/v1",
            "PodDisruptionBudget",
            "/apis/policy/v1/namespaces/ns/poddisruptionbudgets/n",
        ),
    ],
)
def test_paths_of_builtin_kinds(version: str, kind: str, path: str) -> None:
    found = builtin_kind(version, kind)
    assert found and found.path("ns", "n") == path


def test_schema_properties_with_dashes_go_through() -> None:
    schema = {"x_kubernetes_preserve_unknown_fields": True, "other_key": 1}
    assert to_object({"schema": schema}) == {
        "schema": {"x-kubernetes-preserve-unknown-fields": True, "other_key": 1}
    }
    assert to_properties(to_object({"schema": schema})) == {"schema": schema}


def test_import_takes_the_inputs_from_the_object() -> None:
    api = FakeApi()
    revision = {"deployment.kubernetes.io/revision": "1"}
    api.put(
        "/api/v1/namespaces/ns/configmaps/c",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": "ns", "annotations": revision},
            "data": {"a": "1"},
        },
    )
    provider = KubernetesProvider({}, api.cluster())
    resource = Resource("urn:pulumi:dev::p::t::c", "kubernetes:core/v1:ConfigMap", "c")
    result = provider.read(Request(resource=resource, id="ns/c"))
    assert result and result.inputs == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "ns"},
        "data": {"a": "1"},
    }
    assert result.outputs["__inputs"] == result.inputs
    assert provider.read(Request(resource=resource, id="ns/other")) is None
    # Inputs that name a kind have to name the namespace as well, or pulumi-kubernetes finds nothing.
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert provider.read(Request(resource=resource, id="ns/c", inputs=kind)) is None


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: first, cluster: {server: "https://first:6443"}}
- {name: second, cluster: {server: "https://second:6443"}}
contexts:
- {name: one, context: {cluster: first, user: u, namespace: team}}
- {name: two, context: {cluster: second, user: u}}
users:
- {name: u, user: {token: t0ken}}
"""


class TestKubeconfig:
    """Which cluster, which context, which namespace."""

    @staticmethod
    def host(cluster: Cluster) -> str:
        return str(cluster._connected().configuration.host)

    def test_contents(self) -> None:
        cluster = Cluster({"kubeconfig": Secret(KUBECONFIG)})
        assert (self.host(cluster), cluster.default_namespace) == ("https://first:6443", "team")

    def test_path_context_and_cluster(self, tmp_path: Path) -> None:
        path = tmp_path / "config"
        path.write_text(KUBECONFIG)
        two = Cluster({"kubeconfig": str(path), "context": "two"})
        assert (self.host(two), two.default_namespace) == ("https://second:6443", "default")
        mixed = Cluster({"kubeconfig": str(path), "context": "one", "cluster": "second"})
        assert (self.host(mixed), mixed.default_namespace) == ("https://second:6443", "team")

    def test_another_cluster(self) -> None:
        one, two = ({"kubeconfig": KUBECONFIG, "context": name} for name in ("one", "two"))
        assert Cluster(two).is_other_than(one)
        assert not Cluster(one).is_other_than({"kubeconfig": Secret(KUBECONFIG)})
        assert not Cluster(two).is_other_than({"context": "one"})
        assert not Cluster(two).is_other_than({"kubeconfig": "/gone"})
        same = {"clusterIdentifier": "same"}
        assert not Cluster({**two, **same}).is_other_than({**one, **same})

    def test_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "config"
        path.write_text(KUBECONFIG)
        monkeypatch.setenv("KUBECONFIG", str(path))
        assert self.host(Cluster({})) == "https://first:6443"

    def test_what_cannot_be_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ResourceError, match="kubeconfig cannot be used"):
            self.host(Cluster({"kubeconfig": KUBECONFIG, "context": "three"}))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        with pytest.raises(ResourceError, match="does not exist: set KUBECONFIG"):
            self.host(Cluster({}))
