"""Two Deployments of one program in one namespace, which the tests of this folder share.

They have as many features as two can have, since each Airflow costs two cores 20 s to start. The namespace
admits only pods of the `restricted` Pod Security Standard.
"""

import secrets
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from local import platform as local_platform
from local.airflow_api import Airflow
from local.platform import Platform
from local.progress import Progress
from tests.cluster.airflow2 import Airflow2
from tests.cluster.component import modules, registry, services
from tests.cluster.component.registry import Registry
from tests.cluster.component.services import ExternalServices
from tests.cluster.conftest import DeployedStack, free_node_port, new_stack
from tests.cluster.kube import JOBS, RESTRICTED, Kube, Object, component_of

PROGRAM = Path(__file__).parent / "program"
AIRFLOW_2 = "2.11.2"


@dataclass
class Pair(DeployedStack):
    """The Deployments `airflow3` and `airflow2`."""

    namespace: str = ""
    # What the user gives as a secret, by the key in the configuration.
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def airflow3(self) -> Airflow:
        """Reached past its Ingress, under its path."""
        port = self.node_port("airflow3")
        return Airflow(f"http://localhost:{port}/team", *self.login("airflow3"))

    @property
    def airflow2(self) -> Airflow2:
        return Airflow2(self.outputs["airflow2_webserver_url"], *self.login("airflow2"))

    def login(self, deployment: str) -> tuple[str, str]:
        """User name and password of a Deployment's admin."""
        outputs = self.outputs
        return outputs[f"{deployment}_admin_username"], outputs[f"{deployment}_admin_password"]

    def node_port(self, deployment: str) -> int:
        service = self.object("Service", f"{deployment}-webserver")
        return int(service["spec"]["ports"][0]["nodePort"])

    def object(self, kind: str, name: str) -> Object:
        """One object of the namespace."""
        objects = self.kube.objects(kind, self.namespace)
        return next(item for item in objects if item["metadata"]["name"] == name)

    def pods(self, deployment: str, component: str | None = None, queue: str = "") -> list[Object]:
        """The Airflow pods of one Deployment that are not on their way out."""
        return [
            pod
            for pod in self.kube.pods(self.namespace, component)
            if pod["metadata"]["labels"]["app.kubernetes.io/instance"] == deployment
            and queue in ("", pod["metadata"]["labels"].get("astro-pulumi/queue"))
        ]

    def pods_by_workload(self) -> dict[str, set[str]]:
        """The uids of the pods of every workload, embedded services included, by its name."""
        found: dict[str, set[str]] = {}
        for pod in self.kube.all_pods(self.namespace):
            labels = pod["metadata"]["labels"]
            if "deletionTimestamp" in pod["metadata"] or component_of(pod) in JOBS:
                continue
            name = "-".join(
                filter(
                    None,
                    (
                        labels["app.kubernetes.io/instance"],
                        component_of(pod),
                        labels.get("astro-pulumi/queue"),
                    ),
                )
            )
            found.setdefault(name, set()).add(pod["metadata"]["uid"])
        return found

    def up_with(self, **settings: str | int) -> set[str]:
        """Deploys with other settings; -> the workloads that have other pods than before."""
        before = self.pods_by_workload()
        self.stack.configure({f"component:{key}": value for key, value in settings.items()})
        self.up()
        after = self.pods_by_workload()
        return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.fixture(scope="package")
def given_secrets() -> dict[str, str]:
    """What the user of the component knows, by its key in the configuration."""
    keys = ("apiToken", "connectionPassword", "registryPassword")
    return {key: f"{key}-{secrets.token_urlsafe(16)}" for key in keys}


@pytest.fixture(scope="package")
def namespace(kube: Kube) -> Iterator[str]:
    with kube.temporary_namespace("component", **RESTRICTED) as name:
        yield name


@pytest.fixture(scope="package")
def external(kube: Kube, platform: Platform, namespace: str) -> Iterator[ExternalServices]:
    """The user's own PostgreSQL, Redis and collector of metrics, in another namespace."""
    with kube.temporary_namespace(f"{namespace}-services") as name:
        yield services.start(kube, platform, name)


@pytest.fixture(scope="package")
def login_registry(
    platform: Platform, given_secrets: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry | None]:
    """A registry that wants a login; None where the cluster cannot pull from this machine."""
    if not platform.own_cluster:
        yield None
        return
    directory = tmp_path_factory.mktemp("registry") / "registry"
    with registry.running(directory, given_secrets["registryPassword"]) as running:
        yield running


@pytest.fixture(scope="package")
def keda_types(kube: Kube) -> Iterator[None]:
    added = modules.add_keda_types(kube)
    yield
    for name in added:
        kube.delete("CustomResourceDefinition", name)


@pytest.fixture(scope="package")
def pair(
    platform: Platform,
    kube: Kube,
    namespace: str,
    external: ExternalServices,
    login_registry: Registry | None,
    keda_types: None,
    given_secrets: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pair:
    """Both Deployments, up."""
    directory = tmp_path_factory.mktemp("component") / "program"
    shutil.copytree(PROGRAM, directory)
    with Progress(Console(stderr=True, highlight=False)) as progress:
        airflow2_image = local_platform.runtime(AIRFLOW_2, progress)
    write_project(directory / "airflow3", platform.runtime_image)
    write_project(directory / "airflow2", airflow2_image)
    stack = new_stack(directory, platform)
    given = given_secrets | {
        "databasePassword": external.database_password,
        "brokerPassword": external.broker_password,
    }
    settings: dict[str, str | int] = {
        "namespace": namespace,
        **given,
        **repositories(platform, login_registry),
        "airflow2Repository": f"{platform.registry}/component-airflow2",
        "authority": external.authority,
        "databaseHost": external.database_host,
        "brokerHost": external.broker_host,
        "brokerKeyPrefix": services.KEY_PREFIX,
        "collectorHost": external.collector_host,
        "databaseImage": platform.postgres_image,
        "brokerImage": platform.redis_image,
        "exporterImage": modules.statsd_exporter_image(platform),
        "airflow3NodePort": free_node_port(kube),
        "airflow2NodePort": free_node_port(kube),
        "pgbouncerImage": modules.pgbouncer_image(platform),
        "databaseByUrl": False,
        "existing": False,
        "heavyQueue": True,
        "heavyConcurrency": 2,
        "season": "winter",
        "airflow2": True,
    }
    stack.configure(
        {
            "kubernetes:context": platform.context,
            **{f"component:{key}": value for key, value in settings.items()},
        }
    )
    pair = Pair(stack, platform, kube, namespace=namespace, secrets=given)
    pair.up()
    sys.stderr.write(f"first up of both Deployments: {pair.seconds:.0f} s\n")
    pair.airflow3.wait_until_healthy(300)
    pair.airflow2.wait_until_healthy(300)
    return pair


def write_project(directory: Path, base_image: str) -> None:
    """Makes a whole Astro project of the DAGs in `directory`."""
    (directory / "Dockerfile").write_text(f"FROM {base_image}\n")
    for name in ("packages.txt", "requirements.txt"):
        (directory / name).touch()


def repositories(platform: Platform, login: Registry | None) -> dict[str, str]:
    """Where airflow3's image is pushed to and pulled from."""
    if login is None:
        repository = f"{platform.registry}/component-airflow3"
        return {"repository": repository, "pullRepository": repository}
    return {
        "repository": f"{login.push_server}/team/airflow3",
        "pullRepository": f"{login.pull_server}/team/airflow3",
        "registryUsername": registry.USERNAME,
    }
