"""Patches are merged as kubectl documents it, and answered with the place where they do not fit."""

from typing import Any

import pulumi
import pytest

from astro_pulumi.strategic_merge import PatchError, merge

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {
        "containers": [
            {
                "name": "airflow",
                "image": "airflow:1",
                "args": ["scheduler"],
                "env": [{"name": "HOME", "value": "/data"}, {"name": "A", "value": "1"}],
                "ports": [{"name": "http", "containerPort": 8080}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                "volumeMounts": [
                    {"name": "files", "mountPath": "/opt"},
                    {"name": "tmp", "mountPath": "/data"},
                ],
            },
            {"name": "groomer", "image": "airflow:1"},
        ],
        "volumes": [{"name": "files", "configMap": {"name": "f"}}, {"name": "tmp", "emptyDir": {}}],
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "securityContext": {"runAsUser": 50000, "fsGroup": 0, "supplementalGroups": [1, 2]},
    },
}


def merged(spec: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = merge(TEMPLATE, {"spec": spec})["spec"]
    return result


def container(patch: dict[str, Any]) -> dict[str, Any]:
    (found,) = (
        one
        for one in merged({"containers": [{"name": "airflow", **patch}]})["containers"]
        if one["name"] == "airflow"
    )
    return dict(found)


def test_an_empty_patch_changes_nothing() -> None:
    assert merge(TEMPLATE, {}) == TEMPLATE


def test_neither_side_is_changed() -> None:
    before = repr(TEMPLATE)
    patch = {"spec": {"containers": [{"name": "airflow", "env": [{"name": "A", "value": "2"}]}]}}
    shown = repr(patch)
    merge(TEMPLATE, patch)
    assert (repr(TEMPLATE), repr(patch)) == (before, shown)


def test_mappings_are_merged_and_null_deletes() -> None:
    patch = {"metadata": {"labels": {"team": "data"}, "annotations": {"x": "y"}}}
    assert merge(TEMPLATE, patch)["metadata"] == {
        "labels": {"app": "a", "team": "data"},
        "annotations": {"x": "y"},
    }
    assert merged({"securityContext": {"runAsUser": None}})["securityContext"] == {
        "fsGroup": 0,
        "supplementalGroups": [1, 2],
    }


def test_nulls_do_not_stay() -> None:
    assert container({"securityContext": {"runAsUser": None, "privileged": False}})[
        "securityContext"
    ] == {"privileged": False}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"resources": {"limits": {"cpu": "2"}}}, {"limits": {"cpu": "2", "memory": "1Gi"}}),
        ({"resources": {"limits": None}}, {}),
        ({"resources": {"$patch": "replace", "limits": {"cpu": "2"}}}, {"limits": {"cpu": "2"}}),
        ({"resources": {"$patch": "delete"}}, {}),
    ],
)
def test_nested_mappings(patch: dict[str, Any], expected: dict[str, Any]) -> None:
    assert container(patch)["resources"] == expected


def test_containers_are_merged_by_name() -> None:
    found = container({"image": "airflow:2"})
    assert (found["image"], found["args"]) == ("airflow:2", ["scheduler"])


def test_env_is_merged_by_name() -> None:
    env = container({"env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]})["env"]
    assert {one["name"]: one["value"] for one in env} == {"HOME": "/data", "A": "2", "B": "3"}


def test_mounts_are_merged_by_path_and_ports_by_number() -> None:
    mounts = container({"volumeMounts": [{"mountPath": "/data", "name": "disk"}]})["volumeMounts"]
    assert {"name": "disk", "mountPath": "/data"} in mounts
    assert len(mounts) == 2
    (port,) = container({"ports": [{"containerPort": 8080.0, "protocol": "TCP"}]})["ports"]
    assert port == {"name": "http", "containerPort": 8080, "protocol": "TCP"}


@pytest.mark.parametrize(
    "field", ["initContainers", "imagePullSecrets", "hostAliases", "topologySpreadConstraints"]
)
def test_lists_that_were_not_there(field: str) -> None:
    key = {"hostAliases": "ip", "topologySpreadConstraints": "topologyKey"}.get(field, "name")
    assert merged({field: [{key: "a"}]})[field] == [{key: "a"}]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"tolerations": [{"key": "b"}]}, [{"key": "b"}]),
        ({"tolerations": []}, []),
        ({"tolerations": None}, None),
    ],
)
def test_tolerations_are_replaced(patch: dict[str, Any], expected: Any) -> None:
    assert merged(patch).get("tolerations") == expected


def test_arguments_and_env_from_are_replaced() -> None:
    assert container({"args": ["triggerer"]})["args"] == ["triggerer"]
    assert container({"envFrom": [{"secretRef": {"name": "s"}}]})["envFrom"] == [
        {"secretRef": {"name": "s"}}
    ]


def test_items_are_deleted_by_directive() -> None:
    patch = {"containers": [{"name": "groomer", "$patch": "delete"}]}
    assert [one["name"] for one in merged(patch)["containers"]] == ["airflow"]
    absent = {"initContainers": [{"name": "x", "$patch": "delete"}]}
    assert merged(absent)["initContainers"] == []


def test_an_item_is_replaced_by_directive() -> None:
    volume = {"name": "tmp", "$patch": "replace", "persistentVolumeClaim": {"claimName": "c"}}
    assert {"name": "tmp", "persistentVolumeClaim": {"claimName": "c"}} in merged(
        {"volumes": [volume]}
    )["volumes"]


@pytest.mark.parametrize("place", [0, 1])
def test_a_list_is_replaced_by_directive(place: int) -> None:
    volumes: list[dict[str, Any]] = [{"name": "new", "emptyDir": {}}]
    volumes.insert(place, {"$patch": "replace"})
    assert merged({"volumes": volumes})["volumes"] == [{"name": "new", "emptyDir": {}}]


@pytest.mark.parametrize(
    "volume",
    [
        {"emptyDir": None, "persistentVolumeClaim": {"claimName": "c"}},
        {
            "$retainKeys": ["name", "persistentVolumeClaim"],
            "persistentVolumeClaim": {"claimName": "c"},
        },
    ],
)
def test_the_source_of_a_volume_is_exchanged(volume: dict[str, Any]) -> None:
    volumes = merged({"volumes": [{"name": "tmp", **volume}]})["volumes"]
    assert {"name": "tmp", "persistentVolumeClaim": {"claimName": "c"}} in volumes


def test_values_are_deleted_from_a_list_of_values() -> None:
    patch = {"securityContext": {"$deleteFromPrimitiveList/supplementalGroups": [2]}}
    assert merged(patch)["securityContext"]["supplementalGroups"] == [1]


@pytest.mark.parametrize(
    ("patch", "order"),
    [
        # Of what has no order between them, the patch comes first.
        ({"containers": [{"name": "proxy"}]}, ["proxy", "airflow", "groomer"]),
        ({"containers": [{"name": "groomer"}]}, ["airflow", "groomer"]),
        (
            {"containers": [{"name": "groomer"}, {"name": "proxy"}]},
            ["airflow", "groomer", "proxy"],
        ),
        (
            {
                "$setElementOrder/containers": [
                    {"name": "airflow"},
                    {"name": "groomer"},
                    {"name": "proxy"},
                ],
                "containers": [{"name": "proxy"}],
            },
            ["airflow", "groomer", "proxy"],
        ),
    ],
)
def test_order(patch: dict[str, Any], order: list[str]) -> None:
    assert [one["name"] for one in merged(patch)["containers"]] == order


def test_values_may_be_outputs() -> None:
    value = pulumi.Output.from_input("later")
    env = container({"env": [{"name": "A", "value": value}]})["env"]
    assert {"name": "A", "value": value} in env
    assert merged({"priorityClassName": value})["priorityClassName"] is value


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ({"specs": {}}, "specs: there is no such field. There are: metadata, spec"),
        ({"containers": []}, "containers: there is no such field"),
        ({"spec": []}, "spec: must be a mapping, not a list"),
        ({"spec": {"containers": {"name": "a"}}}, "spec.containers: must be a list, not a mapping"),
        ({"spec": {"containers": ["a"]}}, "spec.containers[0]: must be a mapping, not str ('a')"),
        ({"spec": {"containers": [{"image": "a"}]}}, "spec.containers[0]: needs `name`"),
        (
            {"spec": {"containers": [{"name": "a", "volumeMounts": [{"name": "x"}]}]}},
            "spec.containers[0].volumeMounts[0]: needs `mountPath`",
        ),
        (
            {"spec": {"containers": [{"name": "a", "env": {"A": "b"}}]}},
            "spec.containers[0].env: must be a list, not a mapping",
        ),
        (
            {"spec": {"containers": [{"name": "a", "args": "scheduler"}]}},
            "spec.containers[0].args: must be a list, not str ('scheduler')",
        ),
        ({"spec": {"nodeSelector": ["a"]}}, "spec.nodeSelector: must be a mapping, not a list"),
        ({"metadata": {"labels": "a"}}, "metadata.labels: must be a mapping"),
        ({"spec": {"$patch": "remove"}}, "spec.$patch: must be one of replace, delete, merge"),
        ({"spec": {"$retain": []}}, "spec.$retain: is not a directive"),
        (
            {"spec": {"volumes": [{"name": "a", "$retainKeys": ["name"], "emptyDir": {}}]}},
            "spec.volumes[0].emptyDir: is not in $retainKeys",
        ),
        (
            {
                "spec": {
                    "$setElementOrder/containers": [{"name": "a"}],
                    "containers": [{"name": "b"}],
                }
            },
            "spec.containers: 'b' is not in $setElementOrder/containers",
        ),
        (
            {"spec": {"nodeSelector": pulumi.Output.from_input({"a": "b"})}},
            "spec.nodeSelector: must be a mapping, not an Output; its values may be Outputs",
        ),
        (
            {"spec": {"containers": [{"name": pulumi.Output.from_input("a")}]}},
            "spec.containers[0].name: must be known when the program runs",
        ),
        ({"metadata": {"labels": {1: "a"}}}, "metadata.labels: has the key 1"),
    ],
)
def test_what_does_not_fit(patch: dict[str, Any], says: str) -> None:
    with pytest.raises(PatchError) as caught:
        merge(TEMPLATE, patch)
    assert str(caught.value).startswith(says)
