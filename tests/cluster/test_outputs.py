"""Arguments that are Outputs of other resources: a changed one makes one release, and the next `up` none."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.naming import AIRFLOW_CONTAINER
from astro_pulumi.pod_files.astro_shared_names import DATABASE_DOWNGRADE
from local.airflow_api import Airflow
from local.platform import Platform
from tests.cluster.component.conftest import write_project
from tests.cluster.conftest import (
    DeployedStack,
    copy_program,
    free_node_port,
    remove_namespaces,
)
from tests.cluster.kube import Kube, Object, component_of, identities

COMPONENT = "app.kubernetes.io/component"
ANNOTATION = "acme.test/word"
ANNOTATED = {
    "Service": "outputs-webserver",
    "Ingress": "outputs-webserver",
    "ServiceAccount": "outputs-airflow",
}


class Outputs(DeployedStack):
    """The Deployment `outputs`."""

    @property
    def namespace(self) -> str:
        return str(self.outputs["namespace"])

    @property
    def word(self) -> str:
        """The random word that the arguments follow from."""
        return str(self.outputs["word"])

    def up_with(self, length: int) -> None:
        """Deploys with a random word of this length."""
        self.stack.configure({"outputs:length": length})
        self.up()
        sys.stderr.write(f"up with a word of {length} letters: {self.seconds:.0f} s\n")

    def object(self, kind: str, name: str) -> Object:
        found = self.kube.objects(kind, self.namespace)
        return next(item for item in found if item["metadata"]["name"] == name)

    def releases(self) -> dict[str, dict[str, str]]:
        """The data of each record, by its name."""
        found = self.kube.objects("ConfigMap", self.namespace, **{COMPONENT: "release"})
        return {item["metadata"]["name"]: item["data"] for item in found}


@pytest.fixture(scope="module")
def outputs(
    platform: Platform, kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outputs]:
    """Deployed twice, with another value of every Output, and previewed in between."""
    directory = tmp_path_factory.mktemp("outputs") / "program"
    stack = copy_program(Path(__file__).parent / "outputs", directory, platform)
    write_project(directory / "project", platform.runtime_image)
    stack.configure(
        {
            "kubernetes:context": platform.context,
            "outputs:repository": f"{platform.registry}/outputs-test",
            "outputs:databaseImage": platform.postgres_image,
            "outputs:brokerImage": platform.redis_image,
            "outputs:nodePort": free_node_port(kube),
        }
    )
    deployed = Outputs(stack, platform, kube)
    try:
        deployed.up_with(length=2)
        yield deployed
    finally:
        remove_namespaces(stack, platform)


@pytest.fixture(scope="module")
def first(outputs: Outputs) -> dict[str, Any]:
    """The Pulumi outputs of the first deploy."""
    assert list(outputs.releases()) == ["outputs-release-1"]
    assert_in_effect(outputs)
    return dict(outputs.outputs)


@pytest.fixture(scope="module")
def changed(outputs: Outputs, first: dict[str, Any]) -> Outputs:
    """After a preview and an `up` with another value of every Output."""
    outputs.stack.configure({"outputs:length": 3})
    previewed = outputs.stack.capture(outputs.stack.command("preview"))
    sys.stdout.write(previewed.stdout)  # shown when a test fails
    assert previewed.returncode == 0
    assert re.search(r"Job outputs-release-job replace\b", previewed.stdout)
    outputs.up_with(length=3)
    return outputs


def test_a_changed_output_of_each_kind_makes_one_release(
    changed: Outputs, first: dict[str, Any]
) -> None:
    assert changed.word != first["word"]
    assert changed.outputs["secret"] != first["secret"]
    assert_in_effect(changed)
    assert sorted(changed.releases()) == ["outputs-release-1", "outputs-release-2"]
    assert changed.outputs["release"] == "outputs-release-2"


def test_each_release_records_its_own_values(changed: Outputs, first: dict[str, Any]) -> None:
    records = changed.releases()
    for number, known in (1, first), (2, changed.outputs):
        text = records[f"outputs-release-{number}"]["configuration"]
        assert str(known["secret"]) not in text
        configuration = json.loads(text)
        word, length = known["word"], len(known["word"])
        assert configuration["environment"] == {"WORD": word}
        assert configuration["worker_queues"][0]["concurrency"] == length
        assert configuration["triggerer"]["resources"]["requests"]["cpu"] == f"{20 + length}m"
        assert configuration["pod_template"]["metadata"]["annotations"] == {ANNOTATION: word}
        assert configuration["pod_template"]["spec"] == {"enableServiceLinks": length == 2}


def test_a_third_up_changes_nothing(changed: Outputs) -> None:
    known, releases = changed.outputs, changed.releases()
    pods = identities(changed.kube.pods(changed.namespace))

    changed.up_with(length=3)

    assert " unchanged" in changed.logs[-1]
    for word in ("created", "updated", "replaced", "deleted"):
        assert word not in changed.logs[-1]
    assert changed.outputs == known
    assert changed.releases() == releases
    assert identities(changed.kube.pods(changed.namespace)) == pods


def assert_in_effect(outputs: Outputs) -> None:
    """Every argument has the value that follows from the random word."""
    word, length = outputs.word, len(outputs.word)
    effect = "NoSchedule" if length == 2 else "NoExecute"
    toleration = {"key": word, "operator": "Exists", "effect": effect}
    pods = {component_of(pod): pod for pod in outputs.kube.pods(outputs.namespace)}
    for component, pod in pods.items():
        assert pod["metadata"]["annotations"][ANNOTATION] == word, component
        assert pod["spec"]["enableServiceLinks"] == (length == 2), component
        assert toleration in pod["spec"]["tolerations"], component
    (container,) = pods["triggerer"]["spec"]["containers"][:1]
    assert container["resources"]["requests"]["cpu"] == f"{20 + length}m"
    seen = environment_of(outputs, pods["worker"])
    assert seen["WORD"] == seen["AIRFLOW_VAR_WORD"] == word
    command = " ".join(pods["worker"]["spec"]["containers"][0]["args"])
    assert f"--concurrency {length}" in command
    assert seen["AIRFLOW__METRICS__STATSD_PREFIX"] == word
    assert_secrets_in_effect(outputs, seen)
    (job,) = outputs.kube.objects("Job", outputs.namespace, **{COMPONENT: "release-job"})
    given = job["spec"]["template"]["spec"]["containers"][0]["env"]
    wanted = {"name": DATABASE_DOWNGRADE, "value": "allow" if length == 2 else "refuse"}
    assert wanted in given
    for kind in "Service", "Ingress", "ServiceAccount":
        item = outputs.object(kind, ANNOTATED[kind])
        assert item["metadata"]["annotations"][ANNOTATION] == word, kind
    rule = outputs.object("Ingress", ANNOTATED["Ingress"])["spec"]["rules"][0]
    assert rule["host"] == f"{word}.acme.test"
    policy = outputs.object("NetworkPolicy", "outputs-webserver")["spec"]["egress"]
    assert any({"port": 8200 + length}.items() <= port.items() for port in ports_of(policy))


def assert_secrets_in_effect(outputs: Outputs, seen: dict[str, str]) -> None:
    """As an environment variable, in a Connection, and as the password of the admin. None is shown."""
    secret = str(outputs.outputs["secret"])
    is_given = seen["SECRET"] == secret
    assert is_given, "the pods have another secret"
    is_in_connection = secret in seen["AIRFLOW_CONN_SHOP"]
    assert is_in_connection, "the Connection has another password"
    port = outputs.object("Service", "outputs-webserver")["spec"]["ports"][0]["nodePort"]
    airflow = Airflow(f"http://localhost:{port}", "admin", secret)
    airflow.wait_until_healthy(300)
    assert airflow.get("dags")["total_entries"] == 1


def environment_of(outputs: Outputs, pod: Object) -> dict[str, str]:
    """The environment of Airflow's container."""
    lines = outputs.kube.execute(pod, "env", container=AIRFLOW_CONTAINER).splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def ports_of(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [port for rule in rules for port in rule.get("ports", [])]
