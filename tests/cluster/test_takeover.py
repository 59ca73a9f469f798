"""Deploys on databases that are there already: of Airflow's Helm chart, and those that cannot be used.

The databases of the chart are made with its defaults, by the commands of its Jobs in images of its Airflow.
"""

import base64
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local import platform as local_platform
from local.airflow_api import Airflow, AirflowError
from local.platform import Platform
from local.progress import Progress
from local.stack import StackError
from tests.cluster.airflow2 import Airflow2
from tests.cluster.component.services import PGDATA, host, manifests, pod
from tests.cluster.conftest import (
    DeployedStack,
    copy_program,
    free_node_port,
    remove_namespaces,
)
from tests.cluster.kube import Kube, Object, is_ready, wait_until

PROGRAM = Path(__file__).parent / "takeover"
AIRFLOW_2 = "2.11.2"
CREATE_USER = (
    "airflow users create -r Admin -u admin -e admin@example.com -f admin -l user -p admin"
)
INSTALL = f"""
airflow db migrate
{CREATE_USER}
airflow connections add warehouse --conn-type postgres --conn-host h --conn-password p/w \\
  --conn-extra '{{"sslmode": "require"}}'
airflow variables set greeting 'hello from before'
"""
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


@dataclass
class Server:
    """A PostgreSQL, as the chart has it, in a namespace of its own."""

    kube: Kube
    namespace: str

    def sql(self, statement: str, database: str = "postgres") -> str:
        server = pod(self.kube, self.namespace, "postgres")
        return self.kube.execute(
            server, "psql", "-U", "postgres", "-d", database, "-Atc", statement
        ).strip()

    def install(self, name: str, image: str, fernet_key: str) -> None:
        """Makes a database as the chart's Jobs do."""
        self.sql(f"CREATE DATABASE {name}")
        url = f"postgresql://postgres:postgres@{host('postgres', self.namespace)}/{name}"
        environment = {
            "AIRFLOW__CORE__FERNET_KEY": fernet_key,
            "AIRFLOW__CORE__AUTH_MANAGER": FAB,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        }
        pod_name = f"install-{name.replace('_', '-')}"
        self.kube.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": pod_name},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [
                        {
                            "name": "install",
                            "image": image,
                            "args": ["bash", "-ec", INSTALL],
                            "env": [{"name": k, "value": v} for k, v in environment.items()],
                        }
                    ],
                },
            },
            self.namespace,
        )

        def is_done() -> bool:
            installer = pod(self.kube, self.namespace, pod_name)
            assert installer["status"]["phase"] != "Failed", self.kube.log(installer)
            return bool(installer["status"]["phase"] == "Succeeded")

        wait_until(f"{name} is installed", is_done, seconds=300)

    def contents(self, name: str) -> str:
        """What a refused deploy must not change."""
        return self.sql(
            "SELECT (SELECT version_num FROM alembic_version), (SELECT password FROM ab_user),"
            " (SELECT password FROM connection WHERE conn_id = 'warehouse')",
            name,
        )


@dataclass
class Takeover(DeployedStack):
    """A Deployment on one database after another."""

    server: Server = field(default=None, repr=False)  # type: ignore[assignment]

    def use(self, **settings: str | int) -> None:
        self.stack.configure({f"takeover:{key}": value for key, value in settings.items()})

    def use_image(self, image: str) -> None:
        (self.stack.directory / "project" / "Dockerfile").write_text(f"FROM {image}\n")

    def refusal(self, **settings: str | int) -> str:
        """What `pulumi up` says of a database that cannot be used."""
        self.use(**settings)
        with pytest.raises(StackError):
            self.up()
        assert "The database does not fit the Deployment" in self.logs[-1] or (
            "Nothing was changed" in self.logs[-1]
        )
        return self.logs[-1]

    def client(self, kind: type[Airflow]) -> Airflow:
        outputs = self.outputs
        return kind(outputs["webserver_url"], outputs["admin_username"], outputs["admin_password"])


@pytest.fixture(scope="module")
def server(kube: Kube, platform: Platform) -> Iterator[Server]:
    with kube.temporary_namespace("takeover") as name:
        container: Object = {
            "image": platform.postgres_image,
            "env": [{"name": "POSTGRES_PASSWORD", "value": "postgres"}, PGDATA],
        }
        for manifest in manifests("postgres", 5432, {}, container):
            kube.create(manifest, name)
        wait_until(
            "PostgreSQL is ready",
            lambda: [is_ready(one) for one in kube.all_pods(name)] == [True],
            seconds=300,
        )
        yield Server(kube, name)


@pytest.fixture(scope="module")
def images(platform: Platform) -> dict[str, str]:
    with Progress(Console(stderr=True, highlight=False)) as progress:
        older = local_platform.runtime(AIRFLOW_2, progress)
    return {"2": older, "3": platform.runtime_image}


@pytest.fixture
def takeover(kube: Kube, platform: Platform, server: Server, tmp_path: Path) -> Iterator[Takeover]:
    stack = copy_program(PROGRAM, tmp_path / "program", platform)
    taken = Takeover(stack, platform, kube, server=server)
    taken.use(
        repository=f"{platform.registry}/takeover",
        nodePort=free_node_port(kube),
        databaseHost=host("postgres", server.namespace),
        brokerImage=platform.redis_image,
    )
    stack.configure({"kubernetes:context": platform.context})
    try:
        yield taken
    finally:
        remove_namespaces(stack, platform)
        shutil.rmtree(tmp_path / "program" / ".venv", ignore_errors=True)


def fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@pytest.mark.parametrize(("version", "client"), [("2", Airflow2), ("3", Airflow)])
def test_the_database_of_the_helm_chart(
    takeover: Takeover,
    server: Server,
    images: dict[str, str],
    version: str,
    client: type[Airflow],
) -> None:
    name, key = f"chart_{version}", fernet_key()
    server.install(name, images[version], key)
    takeover.use_image(images[version])
    before = server.contents(name)

    said = takeover.refusal(databaseName=name)
    assert "all encrypted values of the database (2 in Connections and 1 in Variables)" in said
    assert server.contents(name) == before

    takeover.use(fernetKey=key)
    takeover.up()
    assert "takeover: The user admin of this database had the password 'admin'" in takeover.logs[-1]
    airflow = takeover.client(client)
    airflow.wait_until_healthy(300)
    airflow.wait_for_dag("keeper", 300)
    run = airflow.start_run("keeper")
    assert airflow.wait_for_run("keeper", run, seconds=300) == "success"
    with pytest.raises(AirflowError, match=r"401|403"):  # Airflow 2 answers 403
        client(takeover.outputs["webserver_url"], "admin", "admin").get("dags")
    kept = server.contents(name).split("|")
    assert (kept[0], kept[2]) == (before.split("|")[0], before.split("|")[2])


def test_databases_that_cannot_be_used(
    takeover: Takeover, server: Server, images: dict[str, str]
) -> None:
    """One `pulumi up` after the other on one stack: each ends in the release Job."""
    takeover.use_image(images["3"])
    for statement in (
        "CREATE ROLE guest LOGIN PASSWORD 'guest'",
        "CREATE DATABASE guests",  # where only its owner may create tables
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
        "CREATE DATABASE readonly",
        "ALTER DATABASE readonly SET default_transaction_read_only = on",
        "CREATE DATABASE few",
        "CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 3",
        "ALTER DATABASE few OWNER TO few",
        "CREATE DATABASE superset",
    ):
        server.sql(statement)
    server.sql("CREATE TABLE alembic_version (version_num text)", "superset")

    said = takeover.refusal(databaseName="guests", sslMode="require")
    assert "the server has no TLS, which database.ssl_mode demands" in said
    takeover.use(sslMode="disable")
    guest: dict[str, Any] = {"databaseUser": "guest", "databasePassword": "guest"}
    said = takeover.refusal(databaseName="guests", **guest)
    assert "GRANT CREATE ON SCHEMA public TO guest" in said
    said = takeover.refusal(databaseName="few", databaseUser="few", databasePassword="few")
    assert "may have 3 (CONNECTION LIMIT of the user)" in said
    owner: dict[str, Any] = {"databaseUser": "postgres", "databasePassword": "postgres"}
    said = takeover.refusal(databaseName="latin", **owner)
    assert "its encoding is LATIN1" in said
    assert "transactions are read-only" in takeover.refusal(databaseName="readonly")
    assert "belongs to another application" in takeover.refusal(databaseName="superset")
    assert 'database "nowhere" does not exist' in takeover.refusal(databaseName="nowhere")
    said = takeover.refusal(databaseName="guests", databasePassword="wrong")
    assert "it refuses the login" in said
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    counts = {name: server.sql(tables, name) for name in ("guests", "few", "readonly", "superset")}
    assert counts == {"guests": "0", "few": "0", "readonly": "0", "superset": "1"}
