"""The Kubernetes programs, built from their Go modules and cached by everything that decides them.

No registry serves Kubernetes binaries, but the Go module proxy serves its source. Kubernetes takes
about five minutes on two cores; the other two programs reuse most of what it compiled.
"""

import os
import platform
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local import commands
from local.keys import content_key
from local.paths import SOURCE, Paths
from local.progress import Reporter

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)


@dataclass(frozen=True)
class GoModule:
    """One directory with a `go.mod`, and the programs that come out of it."""

    name: str
    title: str
    package: str
    programs: tuple[str, ...]

    @property
    def directory(self) -> Path:
        return SOURCE / self.name


KUBERNETES = GoModule(
    "kubernetes", "Build Kubernetes from Go modules (about 5 minutes)", "tool", KUBERNETES_PROGRAMS
)
COREDNS = GoModule("coredns", "Build CoreDNS from Go modules", ".", ("coredns",))
LOCAL_PATH = GoModule(
    "local-path",
    "Build local-path-provisioner from Go modules",
    "tool",
    ("local-path-provisioner",),
)


def architecture() -> str:
    """Return this machine's architecture as Go and Docker name it."""
    return ARCHITECTURES[platform.machine()]


def required_version(go_mod: str, module: str) -> str:
    """Return the version of a module that the text of a `go.mod` requires."""
    found = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise ValueError(f"go.mod does not require {module}")
    return found[1]


def linker_flags(module: GoModule) -> str:
    """Return the flags that make the programs know their own version."""
    if module is not KUBERNETES:
        return "-s -w"
    version = required_version((module.directory / "go.mod").read_text(), "k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".", 2)
    variables = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    package = "k8s.io/component-base/version"
    return " ".join(["-s -w", *(f"-X {package}.{k}={v}" for k, v in variables.items())])


def target(module: GoModule, paths: Paths) -> Path:
    """Return the cached directory of a module's programs, whether it exists or not."""
    sources = [
        path
        for path in module.directory.iterdir()
        if path.name in ("go.mod", "go.sum") or path.suffix == ".go"
    ]
    key = content_key(architecture(), linker_flags(module), module.package, files=sources)
    return paths.cache / "bin" / f"{module.name}-{key}"


def build(module: GoModule, paths: Paths, reporter: Reporter) -> Path:
    """Return the directory of a module's programs; build them first unless they are cached."""
    destination = target(module, paths)
    if destination.is_dir():
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and renamed when whole: an interrupted build leaves no half cache.
    building = Path(tempfile.mkdtemp(prefix=f".{module.name}-", dir=destination.parent))
    try:
        with reporter.phase(module.title) as phase:
            commands.run(
                [
                    "go",
                    "build",
                    "-v",
                    "-trimpath",
                    "-buildvcs=false",
                    "-mod=readonly",
                    "-ldflags",
                    linker_flags(module),
                    "-o",
                    f"{building}/",
                    module.package,
                ],
                what=f"build {', '.join(module.programs)}",
                cwd=module.directory,
                env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
                on_line=phase.note,
            )
        building.chmod(0o755)
        building.rename(destination)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return destination
