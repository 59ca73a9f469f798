"""A kubeconfig that cannot be used is one clear line."""

from pathlib import Path

import pytest

from astro_pulumi.embedded.providers.kubernetes.client import ApiUnreachableError, Cluster
from astro_pulumi.errors import ResourceError

GOOD = """\
apiVersion: v1
kind: Config
clusters: [{name: k, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: not-a-secret}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
current-context: c
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "file is empty"),
        ("not: [", "while parsing a flow node"),
        ("just text", "it has another form than a kubeconfig"),
        ("- a\n- b\n", "it has another form than a kubeconfig"),
        ("apiVersion: v1\nkind: Config\n", "Expected key current-context"),
        (GOOD.replace("cluster: k", "cluster: x"), "Expected object with name x"),
        (GOOD.replace("token: not-a-secret", "client-key: /nowhere"), "does not exist: /nowhere"),
    ],
)
def test_it_is_named_with_what_is_wrong(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(ResourceError) as caught:
        Cluster({}).get("/version")
    assert str(caught.value).startswith(f"the kubeconfig {tmp_path}/config cannot be used: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(GOOD)
    with pytest.raises(ResourceError, match=r"Expected object with name prod in .*contexts list"):
        Cluster({"kubeconfig": str(tmp_path / "config"), "context": "prod"}).get("/version")


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astro_pulumi.embedded.providers.kubernetes.client.FIRST_PATIENCE", 0.0)
    with pytest.raises(ApiUnreachableError, match=r"https://127\.0\.0\.1:1 does not answer"):
        Cluster({"kubeconfig": GOOD}).get("/version")
