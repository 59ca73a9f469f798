"""Fifty DAG deploys: the number of archives, and the disk that pods use, do not grow with them.

Prints the figures. `DEPLOYS` in the environment sets another number of deploys.
"""

import os
import random
from collections.abc import Iterator

import pytest

from local.platform import Platform
from tests.cluster.kube import Kube
from tests.cluster.test_dag_deploys import WithDags, deployed_with

DEPLOYS = int(os.environ.get("DEPLOYS", "50"))
HISTORY_LIMIT = 10
SIZES = """
SELECT count(*), coalesce(sum(length(content)), 0), pg_total_relation_size('astro_dag_archive'),
  pg_database_size(current_database())
FROM astro_dag_archive
"""


@pytest.fixture(scope="module")
def deployed(
    platform: Platform, kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WithDags]:
    with deployed_with(platform, kube, tmp_path_factory.mktemp("dags")) as made:
        program = made.stack.directory / "examples" / "quickstart" / "__main__.py"
        limit = f"astro.DeploymentArgs(\n        history_limit={HISTORY_LIMIT},\n"
        program.write_text(program.read_text().replace("astro.DeploymentArgs(\n", limit))
        made.up()
        yield made


def disk(deployed: WithDags) -> dict[str, int]:
    """KiB of the unpacked versions in each pod that has some."""
    found = {}
    for component in ("dag-processor", "worker"):
        (pod,) = deployed.kube.pods(deployed.namespace, component)
        said = deployed.kube.execute(pod, "du", "-sk", "/tmp/airflow", container="airflow")  # noqa: S108
        found[component] = int(said.split()[0])
    return found


def sizes(deployed: WithDags) -> list[int]:
    """Number and bytes of the archives, and sizes of their table and of the database."""
    pods = deployed.kube.objects("Pod", deployed.namespace)
    labels = "app.kubernetes.io/component"
    pod = next(one for one in pods if one["metadata"]["labels"].get(labels) == "postgresql")
    command = ("psql", "-tA", "-F", " ", "-U", "airflow", "-d", "airflow", "-c", SIZES)
    return [int(number) for number in deployed.kube.execute(pod, *command).split()]


def test_archives_and_disk_are_bounded(deployed: WithDags) -> None:
    # Bytes that do not compress, so that the sizes tell something.
    data = deployed.dags / "data.bin"
    pods = deployed.pods()
    seen = []
    for number in range(DEPLOYS):
        data.write_bytes(random.Random(number).randbytes(1 << 20))  # noqa: S311
        assert deployed.deploy(f"v{number}")["deploy"] == "dags"
        if number % 5 == 0:
            deployed.airflow.set_variable(f"go_run_{number}", "yes")
            deployed.airflow.start_run("versions", f"run_{number}")
            assert deployed.airflow.wait_for_run("versions", f"run_{number}", 120) == "success"
        seen.append((sizes(deployed), disk(deployed)))
        print(number, f"{deployed.seconds:.1f} s", *seen[-1], flush=True)
    assert deployed.pods() == pods
    assert max(archives for (archives, *_), _ in seen) <= HISTORY_LIMIT + 1
    assert max(used["dag-processor"] for _, used in seen) < 3 << 10
    # Versions that nothing has used for ten minutes are removed.
    assert max(used["worker"] for _, used in seen) < 15 << 10
