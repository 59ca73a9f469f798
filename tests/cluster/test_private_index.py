"""A package from an index with a login, built by a real `pulumi up`: the password stays out of the image."""

import base64
import contextlib
import functools
import io
import ipaddress
import itertools
import json
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import docker
import docker.errors
import pytest

from astro_pulumi.project.build_secrets import CARRIER, pack
from local.platform import Platform
from local.stack import Stack
from tests.cluster.conftest import STACK_NAME, copy_program
from tests.cluster.servers import wait_for_login

SOURCE = Path(__file__).parent / "private_index"
SERVER = "pypiserver==2.4.2"
USERNAME = "acme"
# A shell that prints every command with its values, as Astro Runtime's.
SHELL = 'SHELL ["/bin/bash", "-o", "pipefail", "-e", "-u", "-x", "-c"]'


@dataclass(frozen=True)
class Index:
    """A package index that wants a login."""

    address: str  # host and port
    password: str = field(repr=False)


@dataclass(frozen=True)
class Built:
    """The stack after `pulumi up`."""

    stack: Stack
    log: str
    image: str
    index: Index


@pytest.fixture(scope="module")
def client(platform: Platform) -> docker.DockerClient:
    return docker.DockerClient(base_url=platform.docker_host, timeout=300)


@pytest.fixture(scope="module")
def index(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """A pypiserver that the steps of a build reach, on the address of Docker's bridge."""
    bridge = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    host = bridge.get("Gateway") or str(ipaddress.ip_network(bridge["Subnet"])[1])
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            pytest.skip("Docker runs on another machine")
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("index")
    found = Index(f"{host}:{port}", f"pw-{secrets.token_hex(16)}")
    with running_server(folder, found):
        yield found


@contextlib.contextmanager
def running_server(folder: Path, index: Index) -> Iterator[None]:
    """Install a pypiserver with one package, start it, and stop it at the end."""
    python = folder / "venv" / "bin" / "python"
    uv = Path(sys.prefix) / "bin" / "uv"
    run = functools.partial(subprocess.run, check=True)
    run([uv, "venv", "--quiet", folder / "venv"])
    run([uv, "pip", "install", "--quiet", "--python", python, SERVER, "passlib"])
    run([python, "-c", HTPASSWD, folder / "htpasswd", USERNAME, index.password])
    write_wheel(folder / "packages")
    host, _, port = index.address.partition(":")
    command = [str(python.with_name("pypi-server")), "run", "--disable-fallback", "-i", host]
    command += ["-p", port, "-a", "list,download,update", "-P", f"{folder}/htpasswd"]
    command.append(f"{folder}/packages")
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            wait_for_login(index.address, "/simple/acme-etl/")
            yield
        finally:
            process.terminate()


HTPASSWD = """\
import sys
from passlib.apache import HtpasswdFile
users = HtpasswdFile(sys.argv[1], new=True, default_scheme="sha256_crypt")
users.set_password(*sys.argv[2:])
users.save()
"""


def write_wheel(folder: Path) -> None:
    """Write the package `acme-etl` 1.2."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "acme_etl-1.2-py3-none-any.whl", "w") as wheel:
        about = "acme_etl-1.2.dist-info"
        wheel.writestr("acme_etl.py", "def run(): ...\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: acme-etl\nVersion: 1.2\n")
        wheel.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(
            f"{about}/RECORD",
            f"acme_etl.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n",
        )


@pytest.fixture(scope="module")
def built(
    platform: Platform,
    client: docker.DockerClient,
    index: Index,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Built]:
    directory = tmp_path_factory.mktemp("private-index") / "program"
    stack = copy_program(SOURCE, directory, platform)
    host = index.address.partition(":")[0]
    (directory / "project" / "Dockerfile").write_text(
        f"FROM {platform.runtime_image}-base\n{SHELL}\n"
    )
    (directory / "project" / "requirements.txt").write_text(
        f"--extra-index-url http://{USERNAME}:${{PYPI_PASSWORD}}@{index.address}/simple\n"
        f"--trusted-host {host}\nacme-etl==1.2\n"
    )
    stack.configure({"private-index:repository": f"{platform.registry}/private-index"})
    stack.create()
    configured = stack.capture(
        stack.command("config", "set", "--secret", "private-index:pypiPassword", index.password)
    )
    assert configured.returncode == 0, configured.stderr
    try:
        done = stack.capture(stack.command("up", "--yes", "--skip-preview"))
        log = done.stdout + done.stderr
        sys.stdout.write(log)
        assert done.returncode == 0
        yield Built(stack, log, stack.outputs()["image"], index)
    finally:
        stack.destroy()
        for image in client.images.list(f"{platform.registry}/private-index"):
            client.images.remove(str(image.id), force=True)
        shutil.rmtree(directory)


def test_the_package_is_installed(client: docker.DockerClient, built: Built) -> None:
    said = client.containers.run(
        built.image, ["python", "-c", "import acme_etl; print('imported')"], remove=True
    )
    assert said == b"imported\n"


def test_the_password_is_not_in_the_image(client: docker.DockerClient, built: Built) -> None:
    assert places_with(built.index.password, client, built.image) == []


def test_buildkit_keeps_it_out_of_the_image_as_well(
    client: docker.DockerClient, built: Built
) -> None:
    """The real pulumi-docker builds with BuildKit, which its stand-in here cannot: so we ask the daemon."""
    (context,) = (built.stack.directory / ".astro-pulumi" / "contexts").iterdir()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(context, arcname=".")
    arguments = {CARRIER: pack({"PYPI_PASSWORD": built.index.password})}
    tag = "private-index:buildkit"
    answer = client.api.post(
        f"{client.api.base_url}/v{client.api.api_version}/build",
        params={"version": "2", "t": tag, "buildargs": json.dumps(arguments)},
        headers={"Content-Type": "application/x-tar"},
        data=archive.getvalue(),
        timeout=300,
    )
    assert "error" not in answer.text, answer.text[-2000:]
    try:
        history = json.dumps(client.images.get(tag).history())
        assert "# buildkit" in history
        assert "install --no-cache-dir" in history  # so requirements.txt was installed
        assert places_with(built.index.password, client, tag) == []
    finally:
        client.images.remove(tag, force=True)


def test_the_password_is_not_in_what_pulumi_printed(built: Built) -> None:
    assert "acme-etl" in built.log  # what the build printed is there
    assert not any(form in built.log.encode() for form in forms_of(built.index.password))


def test_the_password_is_encrypted_in_the_state(built: Built) -> None:
    (file,) = (built.stack.directory / "backend").rglob(f"{STACK_NAME}.json")
    state = file.read_bytes()
    assert b"FTP_PROXY" in state
    assert b"ciphertext" in state
    assert not any(form in state for form in forms_of(built.index.password))


def test_an_ordinary_build_argument_would_be_found(
    client: docker.DockerClient, platform: Platform, index: Index
) -> None:
    """The search finds what it is for: a declared argument, and a file."""
    dockerfile = f"FROM {platform.runtime_image}-base\nARG PASSWORD\nRUN echo $PASSWORD > leaked\n"
    image, _ = client.images.build(
        fileobj=io.BytesIO(dockerfile.encode()), buildargs={"PASSWORD": index.password}, rm=True
    )
    try:
        found = places_with(index.password, client, str(image.id))
    finally:
        client.images.remove(str(image.id), force=True)
    assert "history" in found
    assert "usr/local/airflow/leaked" in found


def places_with(password: str, client: docker.DockerClient, name: str) -> list[str]:
    """Return where a password is in an image: its history, its settings, and its files."""
    image, forms = client.images.get(name), forms_of(password)
    described = {"history": image.history(), "settings": image.attrs}
    found = [
        what
        for what, value in described.items()
        if any(form in json.dumps(value).encode() for form in forms)
    ]
    with tarfile.open(fileobj=io.BytesIO(b"".join(image.save()))) as archive:
        manifest = json.load(opened(archive, "manifest.json"))
        for layer in manifest[0]["Layers"]:
            with tarfile.open(fileobj=opened(archive, layer)) as content:
                found += [
                    member.name
                    for member in content
                    if member.isfile()
                    and any(form in opened(content, member).read() for form in forms)
                ]
    return found


def opened(archive: tarfile.TarFile, member: tarfile.TarInfo | str) -> IO[bytes]:
    """Open a file of an archive."""
    file = archive.extractfile(member)
    assert file is not None
    return file


def forms_of(password: str) -> list[bytes]:
    """Return the password as it is, and as it is within base64, at each of the three alignments."""
    plain = password.encode()
    packed = [base64.b64encode(b"x" * shift + plain)[4:-4] for shift in range(3)]
    assert any(form in pack({"PYPI_PASSWORD": password}).encode() for form in packed)
    return list(itertools.chain([plain], packed))
