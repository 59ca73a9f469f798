"""A Deployment's children: their documented names, their labels, and that transforms reach each of them."""

import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pulumi
import pytest

import astro_pulumi as astro
from tests.mock_engine import Resource, run, write_project
from tests.plugin.fake_engine import run_program
from tests.specs import arguments, everything

REPOSITORY = Path(__file__).parents[3]
NAMES = ("one", "two")


def declare(options: Any = None) -> None:
    """Two Deployments in one namespace that have every kind of child between them."""
    first: Any = {
        **everything(),
        "namespace": "shared",
        "auth": {"manager": "simple"},
        "database": {"host": "db", "username": "u", "password": "p", "ca_certificate": "PEM"},
    }
    second = arguments(
        image=None,
        airflow_version=None,
        project="project",
        registry={"repository": "registry.test/two"},
        namespace="shared",
        worker_queues=[{"name": "default", "max_count": 3}],
        http_route={"gateway": "g", "host": "two.test"},
        database={"backup_before_downgrade": True},
    )
    for name, args in zip(NAMES, (first, second), strict=True):
        astro.Deployment(name, args, options)
    astro.Deployment("three", arguments(), options)  # makes its namespace


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    folder = tmp_path_factory.mktemp("program")
    write_project(folder / "project")
    with chdir(folder):
        return [r for r in run(declare) if r.type != "astro:index:Deployment"]


def documented() -> Iterator[tuple[re.Pattern[str], set[str]]]:
    """Each row of the table of children in docs/deployment.md: names, and the kinds that bear them."""
    page = (REPOSITORY / "docs" / "deployment.md").read_text()
    table = page.partition("| name | kind | when |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        names, kinds = line.split("|")[1:3]
        patterns = []
        for name in re.findall(r"`([^`]+)`", names):
            suffix = name.removeprefix("analytics")
            patterns.append(re.sub(r"<[^>]+>", "[a-z0-9-]+", suffix))
        yield re.compile("|".join(patterns)), set(re.findall(r"[A-Z]\w+", kinds))


def test_every_child_has_a_documented_name(children: list[Resource]) -> None:
    rows = list(documented())
    for child in children:
        suffix = child.name.removeprefix(child.parent)
        assert any(pattern.fullmatch(suffix) and child.kind in kinds for pattern, kinds in rows), (
            f"{child.kind} {child.name} is not in docs/deployment.md"
        )


def test_every_documented_kind_is_made(children: list[Resource]) -> None:
    made = {(child.name.removeprefix(child.parent), child.kind) for child in children}
    for pattern, kinds in documented():
        for kind in kinds:
            assert any(kind == of and pattern.fullmatch(suffix) for suffix, of in made), (
                f"nothing is a {kind} called {pattern.pattern}"
            )


def test_every_child_says_whose_it_is(children: list[Resource]) -> None:
    for child in children:
        if child.type.startswith("kubernetes:"):
            labels = child.inputs["metadata"]["labels"]
            assert labels["app.kubernetes.io/name"] == "airflow", child.name
            assert labels["app.kubernetes.io/instance"] == child.parent, child.name
            assert labels["app.kubernetes.io/part-of"] == child.parent
            assert labels["app.kubernetes.io/managed-by"] == "astro-pulumi"
            assert labels["app.kubernetes.io/component"]
            for pod in pod_labels(child):
                assert pod["app.kubernetes.io/instance"] == child.parent


def pod_labels(child: Resource) -> Iterator[dict[str, str]]:
    template = (child.inputs.get("spec") or {}).get("template")
    if template:
        yield template["metadata"]["labels"]


def selectors(value: Any) -> Iterator[dict[str, str]]:
    """Every selector of pods, wherever it stands in a manifest."""
    if isinstance(value, list):
        for item in value:
            yield from selectors(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("selector", "podSelector", "labelSelector") and isinstance(item, dict):
                labels = item.get("matchLabels", item)
                if "app.kubernetes.io/component" in labels or "app.kubernetes.io/name" in labels:
                    yield labels
            yield from selectors(item)


def test_no_selector_of_one_matches_the_pods_of_another(children: list[Resource]) -> None:
    pods = [(child.parent, labels) for child in children for labels in pod_labels(child)]
    found = 0
    for child in children:
        for selected in selectors(child.inputs):
            found += 1
            matched = {owner for owner, labels in pods if selected.items() <= labels.items()}
            assert matched <= {child.parent}, f"{child.kind} {child.name} selects {matched}"
    assert found > 50


def test_no_two_children_are_the_same_object(children: list[Resource]) -> None:
    objects = [(child.kind, child.object_name) for child in children]
    assert len(objects) == len(set(objects))


def main() -> None:
    """The program of the test below."""

    def reach(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult:
        props: Any = dict(args.props)
        if args.type_.startswith("kubernetes:"):
            metadata = dict(props["metadata"])
            metadata["annotations"] = {**metadata["annotations"], "reached": args.name}
            props["metadata"] = metadata
        protected = pulumi.ResourceOptions(protect=True)
        return pulumi.ResourceTransformResult(
            props, pulumi.ResourceOptions.merge(args.opts, protected)
        )

    declare(pulumi.ResourceOptions(transforms=[reach]))


def test_transforms_reach_every_child(tmp_path: Path, children: list[Resource]) -> None:
    write_project(tmp_path / "project")
    made = {(r.type, r.name): r for r in run_program(__name__, tmp_path)}
    for child in children:
        reached = made[child.type, child.name]
        assert reached.protect, f"{child.type} {child.name} was not reached"
        if child.type.startswith("kubernetes:"):
            assert reached.inputs["metadata"]["annotations"]["reached"] == child.name


def test_every_object_goes_with_the_owner_but_records_and_dumps(children: list[Resource]) -> None:
    kept = {"-owner", "-release", "-backups", ""}  # the last is the namespace
    for child in children:
        if not child.type.startswith("kubernetes:"):
            continue
        suffix = child.name.removeprefix(child.parent)
        owners = child.inputs["metadata"].get("ownerReferences")
        if suffix in kept and child.kind in ("ConfigMap", "PersistentVolumeClaim", "Namespace"):
            assert owners is None, f"{child.kind} {child.name}"
            continue
        # No `blockOwnerDeletion`, which needs more rights on OpenShift.
        assert owners == [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": f"{child.parent}-owner",
                "uid": f"uid-of-{child.parent}-owner",
            }
        ], f"{child.kind} {child.name}"
        # Made after it, and deleted before it.
        assert f"{child.parent}-owner" in child.dependencies, f"{child.kind} {child.name}"


def test_every_object_is_taken_over_after_a_deploy_that_was_killed(
    children: list[Resource],
) -> None:
    for child in children:
        if child.type.startswith("kubernetes:"):
            annotations = child.inputs["metadata"]["annotations"]
            assert annotations["pulumi.com/patchForce"] == "true", f"{child.kind} {child.name}"
