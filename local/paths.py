"""Directories of the local platform.

`down` removes the state, whose path is short because a UNIX socket's path is limited to 107 bytes. Caches
make the next `up` fast. Each entry is named by a key of all its inputs.
"""

import os
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent


@dataclass(frozen=True)
class Paths:
    """The directories of one local platform. Properties create nothing."""

    state: Path
    cache: Path

    @classmethod
    def from_environment(cls) -> "Paths":
        """Return the paths that `ASTRO_LOCAL_HOME` and `XDG_CACHE_HOME` choose."""
        cache_home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return cls(
            state=Path(os.environ.get("ASTRO_LOCAL_HOME") or "/var/lib/astro-local"),
            cache=Path(cache_home) / "astro-pulumi",
        )

    @property
    def platform_file(self) -> Path:
        """File that `up` writes for `Platform.load()`. Without it, the platform is not up."""
        return self.state / "platform.json"

    @property
    def lock(self) -> Path:
        """Lock of `up` and `down`, outside of the state, which `down` removes."""
        return self.state.with_name(self.state.name + ".lock")

    @property
    def run(self) -> Path:
        """Directory of sockets and records."""
        return self.state / "run"

    @property
    def logs(self) -> Path:
        """Directory of the daemons' logs."""
        return self.state / "log"

    @property
    def config(self) -> Path:
        """Directory of the daemons' configuration."""
        return self.state / "conf"

    @property
    def pki(self) -> Path:
        """Directory of certificates and keys."""
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the cluster's administrator."""
        return self.state / "kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        """Socket of the platform's containerd."""
        return self.state / "containerd" / "containerd.sock"

    @property
    def docker_socket(self) -> Path:
        """Socket of the platform's Docker daemon."""
        return self.state / "docker.sock"
