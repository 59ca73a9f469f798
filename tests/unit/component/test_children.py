"""A Deployment's children: their documented names, their labels, and that transforms reach each of them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import astro_pulumi as astro
from tests.mock_engine import Resource, run, write_project
from tests.specs import arguments, everything

REPOSITORY = Path(__file__).parents[3]
NAMES = ("one", "two")
PROGRAM = """
import pulumi
import astro_pulumi as astro
from tests.unit.component.test_children import declare

def reach(args):
    props = dict(args.props)
    if args.type_.startswith("kubernetes:"):
        metadata = dict(props.get("metadata") or {})
        metadata["annotations"] = {**(metadata.get("annotations") or {}), "reached": args.name}
        props["metadata"] = metadata
    options = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=True))
    return pulumi.ResourceTransformResult(props, options)

declare(pulumi.ResourceOptions(transforms=[reach]))
"""


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
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
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


def test_transforms_reach_every_child(tmp_path: Path, children: list[Resource]) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: proj\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    write_project(tmp_path / "project")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")},
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-m", "tests.unit.component.standin", "up", "--yes"]
    done = subprocess.run(
        [*command, "--engine", "embedded", "-s", "dev"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = (tmp_path / "state").rglob("dev.json")
    resources = json.loads(file.read_text())["checkpoint"]["latest"]["resources"]
    made = {tuple(r["urn"].split("::")[2:]): r for r in resources if "Deployment" in r["urn"]}
    expected = {(f"astro:index:Deployment${child.type}", child.name) for child in children}
    assert {key for key in made if "$" in key[0]} >= expected
    for (type_, name), resource in made.items():
        assert resource.get("protect"), f"{type_} {name} was not reached"
        if "$kubernetes:" in type_:
            assert resource["inputs"]["metadata"]["annotations"]["reached"] == name
