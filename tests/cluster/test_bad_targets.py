"""Targets that cannot be deployed to: each is one message in the user's words, and nothing is changed."""

import http.server
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.platform import Platform
from local.stack import Stack, StackError
from tests.cluster.conftest import Deployed, copy_program
from tests.cluster.kube import Kube
from tests.cluster.test_bad_projects import refusal

# Nothing listens there.
CLOSED = "127.0.0.1:9"


@pytest.fixture
def target(platform: Platform, tmp_path: Path) -> Stack:
    """A stack of its own, with nothing deployed yet."""
    stack = copy_program(Path(__file__).parent / "targets", tmp_path / "program", platform)
    stack.configure({"kubernetes:context": platform.context, "targets:namespace": "default"})
    return stack


def refused(stack: Stack, **environment: str) -> str:
    """What Pulumi says of a deploy that the cluster does not take."""
    stack = Stack(stack.directory, stack.name, {**stack.environment, **environment})
    file = stack.directory / "up.log"
    with file.open("w") as log, pytest.raises(StackError):
        stack.up(log)
    said = file.read_text()
    sys.stdout.write(said)
    assert "Traceback" not in said
    assert ".py" not in said
    return said


def kubeconfig(platform: Platform, folder: Path, server: str = "", token: str = "") -> str:
    """The platform's kubeconfig with another server, or another user."""
    config: dict[str, Any] = yaml.safe_load(Path(platform.kubeconfig).read_text())
    if server:
        for cluster in config["clusters"]:
            cluster["cluster"]["server"] = server
    if token:
        for user in config["users"]:
            user["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_a_kubeconfig_that_is_not_there(target: Stack) -> None:
    said = refused(target, KUBECONFIG="/nowhere/config")
    assert "configured Kubernetes cluster is unreachable" in said
    assert "unable to load Kubernetes client configuration from kubeconfig file" in said


def test_a_context_that_is_not_there(target: Stack) -> None:
    target.configure({"kubernetes:context": "production"})
    assert 'context "production" does not exist' in refused(target)


def test_an_api_server_that_does_not_answer(
    target: Stack, platform: Platform, tmp_path: Path
) -> None:
    config = kubeconfig(platform, tmp_path, server=f"https://{CLOSED}")
    said = refused(target, KUBECONFIG=config)
    assert "configured Kubernetes cluster is unreachable" in said
    assert f"dial tcp {CLOSED}: connect: connection refused" in said


def test_a_namespace_that_does_not_exist(target: Stack) -> None:
    target.configure({"targets:namespace": "no-such-namespace"})
    assert 'namespaces "no-such-namespace" not found' in refused(target)


def test_a_user_without_rights(
    target: Stack, platform: Platform, kube: Kube, tmp_path: Path
) -> None:
    with kube.temporary_namespace("bad-target") as name:
        kube.create(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "guest"},
            },
            name,
        )
        target.configure({"targets:namespace": name})
        config = kubeconfig(platform, tmp_path, token=kube.token(name, "guest"))
        said = refused(target, KUBECONFIG=config)
        assert f'User "system:serviceaccount:{name}:guest" cannot patch resource' in said
        assert f'in the namespace "{name}"' in said
        assert objects_in(kube, name) == set()


def test_a_quota_that_is_exceeded(target: Stack, kube: Kube) -> None:
    with kube.temporary_namespace("bad-target") as name:
        kube.create(
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": {"name": "small"},
                "spec": {"hard": {"secrets": "0", "count/statefulsets.apps": "0"}},
            },
            name,
        )
        target.configure({"targets:namespace": name})
        said = refused(target)
        assert (
            "exceeded quota: small, requested: secrets=1, used: secrets=0, limited: secrets=0"
            in said
        )
        target.destroy()


def test_a_registry_that_cannot_be_reached(deployed: Deployed) -> None:
    with other_registry(deployed, CLOSED):
        said = refusal(deployed)
    assert f"the registry {CLOSED} cannot be reached" in said


def test_a_registry_that_refuses_the_password(deployed: Deployed) -> None:
    with (
        refusing_registry() as address,
        other_registry(deployed, address, username="acme", password="not the password"),
    ):
        said = refusal(deployed)
    assert f"check the username and password for {address}" in said
    assert "not the password" not in said
    deployed.up()  # without the pull secret of that login


@contextmanager
def other_registry(deployed: Deployed, host: str, **login: str) -> Iterator[None]:
    """The Deployment's image goes to a registry at `host`."""
    file = deployed.stack.config_file
    before = file.read_text()
    deployed.stack.configure(
        {
            "quickstart:repository": f"{host}/quickstart",
            **{f"quickstart:registry{key.capitalize()}": value for key, value in login.items()},
        }
    )
    try:
        yield
    finally:
        file.write_text(before)


@contextmanager
def refusing_registry() -> Iterator[str]:
    """A registry on this machine that lets nobody in; -> its address."""

    class Refuse(http.server.BaseHTTPRequestHandler):
        def refuse(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="registry"')
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = refuse  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def objects_in(kube: Kube, name: str) -> set[str]:
    """What a deploy makes first, as far as it is there."""
    kinds = ("ConfigMap", "Secret", "Service", "StatefulSet", "Deployment", "Job")
    own = {"app.kubernetes.io/managed-by": "astro-pulumi"}
    return {
        f"{kind}/{found['metadata']['name']}"
        for kind in kinds
        for found in kube.objects(kind, name, **own)
    }
