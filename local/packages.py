"""Debian packages of missing programs, installed without starting their services."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local import commands
from local.progress import Phase

# Program -> package. Programs on PATH are used as they are: replacing a distribution's containerd with
# Debian's, for example, would break a Docker that uses it.
IMAGE_PROGRAMS = {"mmdebstrap": "mmdebstrap"}
CLUSTER_PROGRAMS = {
    "cc": "gcc",
    "containerd": "containerd",
    "docker-registry": "docker-registry",
    "etcd": "etcd-server",
    "ip": "iproute2",
    "iptables": "iptables",
    "runc": "runc",
}
DOCKER_PROGRAMS = {"dockerd": "docker.io", "ip": "iproute2", "iptables": "iptables"}
IMAGE_FILES = {Path("/usr/share/keyrings/debian-archive-keyring.gpg"): "debian-archive-keyring"}
CLUSTER_FILES = {
    Path("/usr/lib/cni/bridge"): "containernetworking-plugins",
    Path("/usr/include/stdio.h"): "libc6-dev",
}
POLICY = Path("/usr/sbin/policy-rc.d")


def missing(*, cluster: bool, docker: bool) -> list[str]:
    """Return the packages whose programs or files are missing on this machine."""
    programs = dict(IMAGE_PROGRAMS)
    files = dict(IMAGE_FILES)
    if cluster:
        programs |= CLUSTER_PROGRAMS
        files |= CLUSTER_FILES
    if docker:
        programs |= DOCKER_PROGRAMS
    wanted = [package for program, package in programs.items() if not _which(program)]
    wanted += [package for path, package in files.items() if not path.exists()]
    return sorted(set(wanted))


def _which(program: str) -> str | None:
    # Daemons are in /usr/sbin, which is not on every PATH.
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def program(name: str) -> str:
    """Return the path of an installed program."""
    return _which(name) or name


def install(packages: Iterable[str], phase: Phase) -> None:
    """Install packages without starting their services: the platform starts its own."""
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    phase.note("apt-get update")
    commands.run(["apt-get", "update"], what="read the package lists", env=env, on_line=phase.note)
    with _services_off():
        commands.run(
            ["apt-get", "install", "-y", "--no-install-recommends", *packages],
            what="install Debian packages",
            env=env,
            on_line=phase.note,
        )


@contextmanager
def _services_off() -> Iterator[None]:
    """Keep maintainer scripts from starting daemons: Debian's registry would occupy the platform's port."""
    if POLICY.exists():  # as in containers, where services are off anyway, or an admin's own
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
