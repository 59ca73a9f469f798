"""What this machine must have: asked at the very start, not after five minutes of building."""

import os
import platform
import shutil
from pathlib import Path

from local import binaries
from local.errors import RequirementError

# containerd's socket is the longest: its path and ".ttrpc" must fit into sun_path with its NUL.
LONGEST_SOCKET = "containerd/containerd.sock.ttrpc"
SOCKET_PATH_LIMIT = 107


def check(state: Path, *, root: bool, go: bool, packages_missing: bool) -> None:
    """Raise an error that names what is missing, if anything is."""
    if platform.system() != "Linux":
        raise RequirementError(
            f"The local platform runs on Linux, not on {platform.system()}.",
            to_do="Use an existing Kubernetes: set ASTRO_KUBE_CONTEXT and ASTRO_REGISTRY.",
        )
    if platform.machine() not in binaries.ARCHITECTURES:
        raise RequirementError(
            f"The local platform runs on {' and '.join(binaries.ARCHITECTURES)}, "
            f"not on {platform.machine()}."
        )
    if (root or packages_missing) and os.geteuid() != 0:
        raise RequirementError(
            "The local platform must run as root.",
            why="It starts containers, sets up bridges and packet filter rules.",
            to_do="Run it with sudo, or set ASTRO_KUBE_CONTEXT to use an existing Kubernetes.",
        )
    if packages_missing and not shutil.which("apt-get"):
        raise RequirementError(
            "Programs are missing, and there is no apt-get to install them.",
            to_do="Use Debian 12, or set ASTRO_KUBE_CONTEXT and have Docker running.",
        )
    if go and not shutil.which("go"):
        raise RequirementError(
            "Go is missing: Kubernetes and Pulumi are built from their Go modules.",
            to_do="Install Go 1.26 or newer and have `go` on PATH.",
        )
    if len(f"{state}/{LONGEST_SOCKET}") > SOCKET_PATH_LIMIT:
        raise RequirementError(
            f"The state directory's path is too long: {state}",
            why=f"A UNIX socket's path may have {SOCKET_PATH_LIMIT} characters.",
            to_do="Set ASTRO_LOCAL_HOME to a shorter path.",
        )
