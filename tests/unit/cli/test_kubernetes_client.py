"""The client for Kubernetes, on a server that is none."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from astro_pulumi.cli.kubernetes_client import Cluster, path
from astro_pulumi.errors import ClusterError

POD = {"metadata": {"name": "a-1"}}


class Server(BaseHTTPRequestHandler):
    """Answers by path, and notes what it was asked."""

    answers: ClassVar[dict[str, tuple[int, Any]]] = {}
    asked: ClassVar[list[tuple[str, str, Any, str | None]]] = []

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.asked.append((self.command, self.path, body, self.headers.get("Content-Type")))
        status, answer = self.answers.get(
            self.path.partition("?")[0], (404, {"message": "not found"})
        )
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


def kubeconfig(server: str) -> str:
    return json.dumps(
        {
            "clusters": [
                {"name": "one", "cluster": {"server": server}},
                {"name": "two", "cluster": {"server": "http://two"}},
            ],
            "users": [{"name": "me", "user": {"token": "secret"}}],
            "contexts": [
                {"name": "first", "context": {"cluster": "one", "user": "me"}},
                {"name": "second", "context": {"cluster": "two", "user": "me"}},
            ],
            "current-context": "first",
        }
    )


GOOD = kubeconfig("http://one")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    Server.answers, Server.asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Cluster.connect(kubeconfig(f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()


def test_objects_are_listed_by_their_labels(cluster: Cluster) -> None:
    Server.answers["/api/v1/namespaces/dev/pods"] = (200, {"items": [POD]})
    assert cluster.objects("pods", "dev", **{"a/b": "c", "d": "e"}) == [POD]
    assert Server.asked[0][1] == "/api/v1/namespaces/dev/pods?labelSelector=a%2Fb%3Dc%2Cd%3De"


def test_objects_are_made_changed_and_deleted(cluster: Cluster) -> None:
    Server.answers["/apis/apps/v1/namespaces/dev/deployments"] = (201, POD)
    Server.answers["/apis/apps/v1/namespaces/dev/deployments/a"] = (200, POD)
    assert cluster.create("apps/deployments", POD, "dev") == POD
    assert cluster.patch("apps/deployments", "a", {"spec": {}}, "dev") == POD
    cluster.delete("apps/deployments", "a", "dev")
    assert [(method, body, kind) for method, _, body, kind in Server.asked] == [
        ("POST", POD, "application/json"),
        ("PATCH", {"spec": {}}, "application/merge-patch+json"),
        ("DELETE", {"propagationPolicy": "Background"}, "application/json"),
    ]


def test_what_does_not_exist_is_none_and_need_not_be_deleted(cluster: Cluster) -> None:
    assert cluster.get("pods", "a", "dev") is None
    cluster.delete("pods", "a", "dev")


def test_a_refusal_has_the_servers_words(cluster: Cluster) -> None:
    Server.answers["/api/v1/pods"] = (403, {"message": "pods is forbidden: User me cannot list"})
    with pytest.raises(ClusterError, match=r"^GET /api/v1/pods: pods is forbidden: User") as caught:
        cluster.objects("pods")
    assert caught.value.status == 403


@pytest.mark.parametrize("body", [{"message": "Unauthorized"}, "Unauthorized"])
def test_credentials_that_ended_are_named_as_such(cluster: Cluster, body: Any) -> None:
    Server.answers["/api/v1/pods"] = (401, body)
    with pytest.raises(ClusterError, match="does not accept the credentials of the kubeconfig"):
        cluster.objects("pods")


def test_a_log_comes_line_by_line(cluster: Cluster) -> None:
    Server.answers["/api/v1/namespaces/dev/pods/a/log"] = (200, "one\ntwo\nthr")
    lines = cluster.log_lines("dev", "a", "scheduler", tail=5, follow=True)
    assert list(lines) == ["one", "two", "thr"]
    assert Server.asked[0][1].partition("?")[2] == "container=scheduler&follow=true&tailLines=5"


def test_a_server_that_does_not_answer_is_named(cluster: Cluster) -> None:
    with pytest.raises(
        ClusterError,
        match=r"Kubernetes API at http://127.0.0.1:1 does not answer \(Connection refused\)\. Is this",
    ) as caught:
        Cluster.connect(kubeconfig("http://127.0.0.1:1")).objects("pods")
    assert caught.value.status == 0


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("pods", "/api/v1/namespaces/n/pods/x"),
        ("apps/deployments", "/apis/apps/v1/namespaces/n/deployments/x"),
        (
            "autoscaling/v2/horizontalpodautoscalers",
            "/apis/autoscaling/v2/namespaces/n/horizontalpodautoscalers/x",
        ),
    ],
)
def test_a_resource_is_found_by_group_and_version(resource: str, expected: str) -> None:
    assert path(resource, "n", "x") == expected
    assert path("namespaces", name="x") == "/api/v1/namespaces/x"


@pytest.mark.parametrize(
    ("given", "server"),
    [
        ({}, "http://one"),
        ({"context": "second"}, "http://two"),
        ({"cluster": "two"}, "http://two"),
    ],
)
@pytest.mark.parametrize("how", ["contents", "path", "variable"])
def test_a_kubeconfig_is_given_as_contents_path_or_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], server: str, how: str
) -> None:
    text = kubeconfig("http://one")
    file = tmp_path / "config"
    file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file) if how == "variable" else "/nowhere")
    source = {"contents": text, "path": str(file), "variable": None}[how]
    assert Cluster.connect(source, **given)._server == server


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "there is no kubeconfig at .*/config: set KUBECONFIG"),
        ("", "cannot be used: .*file is empty"),
        ("[1]", "it is not a kubeconfig"),
        ("just words", "it is not a kubeconfig"),
        ("a: [", "while parsing a flow node"),
        ("apiVersion: v1\nkind: Config\n", "Expected key current-context"),
        (GOOD.replace("one", "none", 1), "Expected object with name one"),
        (
            GOOD.replace("http:", "https:").replace(
                '"token": "secret"', '"client-key": "/nowhere"'
            ),
            "does not exist: /nowhere",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, problem: str
) -> None:
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ClusterError, match=problem) as caught:
        Cluster.connect()
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_context_that_the_kubeconfig_does_not_have() -> None:
    with pytest.raises(ClusterError, match="third"):
        Cluster.connect(kubeconfig("http://one"), context="third")
