"""Where the local platform keeps things.

State is what `down` removes: it is kept short because a UNIX socket's path may have 107 bytes.
Caches are what makes the next `up` fast; each entry is named by a key of everything it is made of.
"""

import os
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent


@dataclass(frozen=True)
class Paths:
    """The directories of one local platform; nothing is created by reading a property."""

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
        """What `up` left for `Platform.load()`; its absence means that nothing is up."""
        return self.state / "platform.json"

    @property
    def lock(self) -> Path:
        """Held by `up` and `down`. Beside the state, since `down` removes the state itself."""
        return self.state.with_name(self.state.name + ".lock")

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def config(self) -> Path:
        return self.state / "conf"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        return self.state / "containerd" / "containerd.sock"

    @property
    def docker_socket(self) -> Path:
        return self.state / "docker.sock"
