"""Whether a registry still has an image, asked of a registry on this machine."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from astro_pulumi.errors import ReleaseError
from astro_pulumi.release.find_release import ListedRelease, ReleaseList
from astro_pulumi.release.image_registry import _server_and_name, basic_login, is_gone
from astro_pulumi.release.release_records import Release
from astro_pulumi.release.rollback import Rollback, require_image

HERE, GONE = "sha256:" + "1" * 64, "sha256:" + "2" * 64
HAS = (HERE, "1.0", "latest")
LOGIN = basic_login("acme", "hunter2")
BASIC = "Basic " + base64.b64encode(b"acme:hunter2").decode()


class Handler(BaseHTTPRequestHandler):
    """A registry that has one image. `server.asks` is how it wants to know who comes."""

    def do_HEAD(self) -> None:
        accepted = {"Basic": BASIC, "Bearer": "Bearer token"}.get(self.server.asks)  # type: ignore[attr-defined]
        if accepted and self.headers.get("Authorization") != accepted:
            realm = f'realm="http://localhost:{self.server.server_port}/token"'  # type: ignore[attr-defined]
            self.answer(
                401,
                f'{self.server.asks} {realm},service="r",scope="repository:acme/a:pull"',  # type: ignore[attr-defined]
            )
        else:
            self.answer(200 if self.path.removeprefix("/v2/acme/a/manifests/") in HAS else 404)

    def do_GET(self) -> None:
        assert "scope=repository%3Aacme%2Fa%3Apull" in self.path
        self.answer(200 if self.headers.get("Authorization") == BASIC else 401, token="token")

    def answer(self, status: int, challenge: str = "", **body: str) -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        if body:
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Not in the tests' output."""


@contextmanager
def registry(asks: str = "") -> Iterator[str]:
    server = ThreadingHTTPServer(("localhost", 0), Handler)
    server.asks = asks  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"localhost:{server.server_port}/acme/a"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("asks", ["", "Basic", "Bearer"])
def test_what_the_registry_has_and_what_it_has_not(asks: str) -> None:
    with registry(asks) as repository:
        assert not is_gone(f"{repository}@{HERE}", LOGIN)
        assert is_gone(f"{repository}@{GONE}", LOGIN)


@pytest.mark.parametrize("asks", ["Basic", "Bearer"])
@pytest.mark.parametrize("login", [None, basic_login("acme", "wrong")])
def test_without_a_login_nobody_knows(asks: str, login: str | None) -> None:
    with registry(asks) as repository:
        assert not is_gone(f"{repository}@{GONE}", login)


def test_an_image_may_be_named_by_its_tag() -> None:
    with registry() as repository:
        assert not is_gone(f"{repository}:1.0", None)
        assert not is_gone(repository, None)
        assert is_gone(f"{repository}:2.0", None)
        assert is_gone(f"{repository}:1.0@{GONE}", None), "the digest is what counts"


def test_a_registry_out_of_reach_is_left_to_kubernetes() -> None:
    with registry() as repository:
        pass
    assert not is_gone(f"{repository}@{GONE}", None)


@pytest.mark.parametrize(
    ("repository", "where"),
    [
        ("ghcr.io/acme/a", ("ghcr.io", "acme/a")),
        ("localhost:5000/a", ("localhost:5000", "a")),
        ("acme/a", ("registry-1.docker.io", "acme/a")),
        ("docker.io/acme/a", ("registry-1.docker.io", "acme/a")),
        ("airflow", ("registry-1.docker.io", "library/airflow")),
    ],
)
def test_repositories_are_named_by_dockers_rules(repository: str, where: tuple[str, str]) -> None:
    assert _server_and_name(repository) == where


def going_back(repository: str, digest: str, running: str) -> Rollback:
    release = Release(3, f"{repository}@{digest}", "3.3.2", git={"commit": "3f2a91c0"})
    return Rollback(
        release, "3", ReleaseList(5, {3: ListedRelease(digest), 5: ListedRelease(running)})
    )


def test_a_release_whose_image_is_gone_is_refused_with_what_to_do_instead() -> None:
    with registry() as repository:
        with pytest.raises(
            ReleaseError, match=r"not in the registry any more\. Nothing was changed"
        ) as told:
            require_image(going_back(repository, GONE, HERE), None)
        assert "git commit 3f2a91c" in str(told.value)
        require_image(going_back(repository, HERE, GONE), None)


def test_what_runs_already_is_not_asked_for() -> None:
    with registry() as repository:
        require_image(going_back(repository, GONE, GONE), None)
