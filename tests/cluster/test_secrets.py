"""No secret leaves its place: it is in Secrets, and encrypted in the stack's state, nowhere else."""

import base64
import json
import re

import pytest

from tests.cluster.conftest import Deployed

SHORTEST = 12


@pytest.fixture(scope="session")
def secret_texts(deployed: Deployed) -> dict[str, str]:
    """Every generated secret, also those within URLs, plain and as Kubernetes encodes them."""
    values = deployed.kube.secret_values(deployed.namespace)
    for name, value in list(values.items()):
        if match := re.search(r"://[^:/@]*:([^@]+)@", value):
            values[f"{name} (its password)"] = match[1]
        if match := re.search(r"requirepass \"?(\S+?)\"?\s", f"{value} "):
            values[f"{name} (its password)"] = match[1]
    values["the output admin_password"] = deployed.outputs["admin_password"]
    long = {name: value for name, value in values.items() if len(value) >= SHORTEST}
    assert len(set(long.values())) >= 6, "fewer secrets than a Deployment generates"
    return long | {
        f"{name} in base64": base64.b64encode(value.encode()).decode().rstrip("=")
        for name, value in long.items()
    }


def found_in(text: str, secrets: dict[str, str]) -> list[str]:
    """The names of the secrets that a text holds, itself or within JSON strings."""
    return [
        name for name, value in secrets.items() if value in text or json.dumps(value)[1:-1] in text
    ]


def test_no_secret_in_the_state_file(deployed: Deployed, secret_texts: dict[str, str]) -> None:
    state = deployed.state_file()

    assert "ciphertext" in state
    assert found_in(state, secret_texts) == []


def test_no_secret_in_what_the_engine_printed(
    deployed: Deployed, secret_texts: dict[str, str]
) -> None:
    assert deployed.logs[0]
    assert [found_in(log, secret_texts) for log in deployed.logs] == [[]] * len(deployed.logs)


def test_no_secret_in_any_object_but_secrets(
    deployed: Deployed, secret_texts: dict[str, str]
) -> None:
    """Pods with their arguments and variables, ConfigMaps, events, annotations: everything."""
    objects = [
        item
        for item in deployed.kube.everything()
        if item["metadata"].get("namespace") == deployed.namespace and item["kind"] != "Secret"
    ]
    assert {"ConfigMap", "Event", "Job", "Pod"} <= {item["kind"] for item in objects}
    leaks = {
        f"{item['kind']}/{item['metadata']['name']}": found
        for item in objects
        if (found := found_in(json.dumps(item, default=str), secret_texts))
    }

    assert leaks == {}


def test_no_secret_in_what_pods_printed(deployed: Deployed, secret_texts: dict[str, str]) -> None:
    kube, namespace = deployed.kube, deployed.namespace
    logs = {pod["metadata"]["name"]: kube.log(pod) for pod in kube.all_pods(namespace)}

    assert len(logs) >= 8, "five Airflow processes, database, broker and the release Job"
    assert {pod: found for pod, log in logs.items() if (found := found_in(log, secret_texts))} == {}
