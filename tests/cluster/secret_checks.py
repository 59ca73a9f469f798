"""No secret leaves its place: it is in Secrets, and encrypted in the stack's state, nowhere else."""

import base64
import json
import re
from dataclasses import dataclass, field

import pytest

from tests.cluster.conftest import DeployedStack

SHORTEST = 12


@dataclass(frozen=True)
class Searched:
    """What the secrets of one namespace are searched in."""

    stack: DeployedStack
    namespace: str
    # Those that no Secret of the namespace holds by themselves, by where they come from.
    given: dict[str, str] = field(repr=False)
    least_pods: int

    @property
    def texts(self) -> dict[str, str]:
        """Every secret, also those within URLs, plain and as Kubernetes encodes them."""
        values = self.stack.kube.secret_values(self.namespace)
        for name, value in list(values.items()):
            if match := re.search(r"://[^:/@]*:([^@]+)@", value):
                values[f"{name} (its password)"] = match[1]
            if match := re.search(r"requirepass \"?(\S+?)\"?\s", f"{value} "):
                values[f"{name} (its password)"] = match[1]
        long = {
            name: value
            for name, value in {**values, **self.given}.items()
            # A certificate is no secret, though it is mounted from a Secret.
            if len(value) >= SHORTEST and not value.startswith("-----BEGIN CERTIFICATE-----")
        }
        assert len(set(long.values())) >= 6, "fewer secrets than a Deployment generates"
        return long | {
            f"{name} in base64": base64.b64encode(value.encode()).decode().rstrip("=")
            for name, value in long.items()
        }


class SecretsStayInPlace:
    """The checks; a subclass says what is searched, in a fixture `searched` of its own."""

    @pytest.fixture
    def texts(self, searched: Searched) -> dict[str, str]:
        return searched.texts

    def test_no_secret_in_the_state_file(self, searched: Searched, texts: dict[str, str]) -> None:
        state = searched.stack.state_file()

        assert "ciphertext" in state
        assert found_in(state, texts) == []

    def test_no_secret_in_what_pulumi_printed(
        self, searched: Searched, texts: dict[str, str]
    ) -> None:
        logs = searched.stack.logs

        assert logs[0]
        assert [found_in(log, texts) for log in logs] == [[]] * len(logs)

    def test_no_secret_in_any_object_but_secrets(
        self, searched: Searched, texts: dict[str, str]
    ) -> None:
        """Pods with their arguments and variables, ConfigMaps, events, annotations: everything."""
        objects = [
            item
            for item in searched.stack.kube.everything()
            if item["metadata"].get("namespace") == searched.namespace and item["kind"] != "Secret"
        ]
        assert {"ConfigMap", "Event", "Job", "Pod"} <= {item["kind"] for item in objects}
        leaks = {
            f"{item['kind']}/{item['metadata']['name']}": found
            for item in objects
            if (found := found_in(json.dumps(item, default=str), texts))
        }

        assert leaks == {}

    def test_no_secret_in_what_pods_printed(
        self, searched: Searched, texts: dict[str, str]
    ) -> None:
        kube = searched.stack.kube
        logs = {pod["metadata"]["name"]: kube.log(pod) for pod in kube.all_pods(searched.namespace)}

        assert len(logs) >= searched.least_pods
        assert {pod: found for pod, log in logs.items() if (found := found_in(log, texts))} == {}


def found_in(text: str, secrets: dict[str, str]) -> list[str]:
    """The names of the secrets that a text holds, itself or within JSON strings."""
    return [
        name for name, value in secrets.items() if value in text or json.dumps(value)[1:-1] in text
    ]
