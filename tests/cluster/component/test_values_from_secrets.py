"""Values in Secrets that somebody else made, and the rotation of the Fernet key.

After `test_updates`, which leaves airflow3 alone. The tests build on each other in the order of this file.
"""

import base64
import secrets
import sys
from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet, InvalidToken

from local.airflow_api import Airflow
from tests.cluster.component.conftest import Pair
from tests.cluster.component.services import ExternalServices
from tests.cluster.kube import Object, identities, is_ready, wait_until

DAG_ID = "existing"
DAG = """
import logging, os
from datetime import datetime
from airflow.sdk import BaseHook, Variable, dag, task

@dag(schedule=None)
def existing():
    @task
    def tell():
        vault = BaseHook.get_connection("vault")
        logging.getLogger(__name__).info(
            "token %d, vault %s with %d, word %s, logins: %s",
            len(os.environ["TEAM_TOKEN"]), vault.host, len(vault.password), Variable.get("word"),
            sorted(name for name in os.environ if name.startswith("ASTRO_")),
        )
    tell()

existing()
"""
# Characters that a URL must encode, a file of PgBouncer must double, and a shell would read otherwise.
NEW_PASSWORD = "a b/c?d#e@f:g%h\"i'j$HOME`k\\l"
READERS = ("webserver", "scheduler", "triggerer", "dag-processor", "worker-default")


def secret(name: str, values: dict[str, str]) -> Object:
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


@pytest.fixture(scope="module")
def given(external: ExternalServices) -> dict[str, dict[str, str]]:
    """What the user's own Secrets hold."""
    return {
        "own-database": {"user": "airflow", "word": NEW_PASSWORD},
        "own-broker": {"password": external.broker_password},
        "own-tokens": {"TOKEN": secrets.token_urlsafe(16)},
        "own-values": {"vault": "http://u:w%2Ford@vault.test", "word": "sesame"},
    }


@pytest.fixture(scope="module")
def existing(pair: Pair, external: ExternalServices, given: dict[str, dict[str, str]]) -> Airflow:
    """Airflow3 with nothing but existing Secrets for what it got through Pulumi before."""
    airflow = pair.airflow3  # its login is no output any more
    quoted = NEW_PASSWORD.replace("'", "''")
    external.sql(f"ALTER ROLE airflow PASSWORD '{quoted}'")
    own = {**given, "own-admin": {"word": pair.login("airflow3")[1]}}
    for name, values in own.items():
        pair.kube.create(secret(name, values), pair.namespace)
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "own-authority"},
        "data": {"ca.crt": external.authority},
    }
    pair.kube.create(config_map, pair.namespace)
    (pair.stack.directory / "airflow3" / "dags" / "existing.py").write_text(DAG)
    pair.up_with(existing=True, heavyQueue=False, airflow2=False)
    sys.stderr.write(f"up with existing Secrets: {pair.seconds:.0f} s\n")
    airflow = Airflow(airflow.url, "admin", own["own-admin"]["word"])
    airflow.wait_until_healthy(300)
    return airflow


def scheduler(pair: Pair) -> Object:
    (found,) = pair.pods("airflow3", "scheduler")
    return found


def test_airflow_runs_with_them(
    pair: Pair, existing: Airflow, given: dict[str, dict[str, str]]
) -> None:
    existing.wait_for_dag(DAG_ID, seconds=180)
    run_id = existing.start_run(DAG_ID)
    state = existing.wait_for_run(DAG_ID, run_id, seconds=300)
    assert state == "success", existing.describe_failure(DAG_ID, run_id)
    (task,) = existing.task_instances(DAG_ID, run_id)
    log = "\n".join(line.text for line in existing.log(task))
    assert f"token {len(given['own-tokens']['TOKEN'])}, vault vault.test with 5, word " in log
    assert "logins: []" in log, "a task sees the parts of a login"


def test_their_values_are_nowhere_else(
    pair: Pair, existing: Airflow, given: dict[str, dict[str, str]]
) -> None:
    made = {
        name: value
        for name, value in pair.kube.secret_values(pair.namespace).items()
        if name.startswith("airflow3-")
    }
    assert made
    values = [given["own-database"]["word"], given["own-broker"]["password"]]
    for value in [*values, given["own-tokens"]["TOKEN"], given["own-values"]["vault"]]:
        assert [name for name, text in made.items() if value in text] == []
        assert value not in pair.state_file()
    assert pair.outputs.get("airflow3_admin_password") is None


def test_a_shell_in_a_pod_reaches_the_database(pair: Pair, existing: Airflow) -> None:
    said = pair.kube.execute(scheduler(pair), "airflow", "db", "check")
    assert "Connection successful" in said


def test_a_second_up_changes_nothing(pair: Pair, existing: Airflow) -> None:
    assert pair.up_with() == set()


def test_new_content_is_read_after_a_restart_and_not_before(pair: Pair, existing: Airflow) -> None:
    """As docs/secrets.md says: nothing restarts by itself, and a restart is none for Pulumi."""
    before = identities(pair.pods("airflow3"))
    token = base64.b64encode(b"a new token").decode()
    pair.kube.change("Secret", "own-tokens", pair.namespace, {"data": {"TOKEN": token}})
    assert pair.up_with() == set()
    assert identities(pair.pods("airflow3")) == before

    at = datetime.now(UTC).isoformat()
    annotation = {"kubectl.kubernetes.io/restartedAt": at}
    template = {"template": {"metadata": {"annotations": annotation}}}
    worker = "airflow3-worker-default"
    pair.kube.change("Deployment", worker, pair.namespace, {"spec": template})

    def is_new() -> bool:
        pods = pair.pods("airflow3", "worker")
        return bool(pods) and all(p["metadata"]["name"] not in before and is_ready(p) for p in pods)

    wait_until("there is a new worker", is_new, seconds=300)
    (pod,) = pair.pods("airflow3", "worker")
    said = pair.kube.execute(pod, "printenv", "TEAM_TOKEN")
    assert said.strip() == "a new token"
    assert pair.up_with() == set()


def stored_password(external: ExternalServices) -> bytes:
    return external.sql("SELECT password FROM connection WHERE conn_id = 'kept'").encode()


def read_in_a_pod(pair: Pair) -> str:
    """The password of the Connection `kept`, as a process of Airflow decrypts it."""
    command = ("airflow", "connections", "get", "kept", "--output", "json")
    return pair.kube.execute(scheduler(pair), *command)


@pytest.fixture(scope="module")
def keys(pair: Pair, existing: Airflow) -> dict[str, str]:
    """The key that was generated, and a new one. There is a Connection in the database."""
    (old,) = (
        value
        for name, value in pair.kube.secret_values(pair.namespace).items()
        if name.startswith("airflow3-metadata-") and name.endswith("/AIRFLOW__CORE__FERNET_KEY")
    )
    added = ("--conn-type", "http", "--conn-host", "kept.test", "--conn-password", "kept-password")
    pair.kube.execute(scheduler(pair), "airflow", "connections", "add", "kept", *added)
    return {"old": old, "new": Fernet.generate_key().decode()}


def test_with_two_keys_what_the_old_one_encrypted_is_readable(
    pair: Pair, external: ExternalServices, keys: dict[str, str]
) -> None:
    assert Fernet(keys["old"]).decrypt(stored_password(external)) == b"kept-password"

    changed = pair.up_with(fernetKey=f"{keys['new']},{keys['old']}")

    # Tasks of Airflow 3 get Connections from the webserver: workers have no key.
    readers = {f"airflow3-{name}" for name in READERS if not name.startswith("worker")}
    assert changed == readers
    assert "kept-password" in read_in_a_pod(pair)
    assert Fernet(keys["old"]).decrypt(stored_password(external)) == b"kept-password"


def test_the_new_key_alone_reads_everything_after_the_rotation(
    pair: Pair, external: ExternalServices, keys: dict[str, str]
) -> None:
    pair.kube.execute(scheduler(pair), "airflow", "rotate-fernet-key")
    assert Fernet(keys["new"]).decrypt(stored_password(external)) == b"kept-password"
    with pytest.raises(InvalidToken):
        Fernet(keys["old"]).decrypt(stored_password(external))

    pair.up_with(fernetKey=keys["new"])

    assert "kept-password" in read_in_a_pod(pair)
