"""Builds of Kubernetes and Pulumi from their Go modules, cached by a digest of all inputs.

No registry serves their binaries, but the Go module proxy serves their source. On two cores Kubernetes takes
about five minutes, and Pulumi about ten. The small programs reuse most of the compiled packages.
"""

import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from local import commands
from local.keys import content_key
from local.paths import SOURCE, Paths
from local.progress import Reporter

_GO_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
_OVERLAY = "overlay.json"
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
    """A directory with a `go.mod`, and its programs."""

    name: str
    product: str
    # Minutes of a build on two cores without Go's caches.
    minutes: float
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    compiler_flags: tuple[str, ...] = ()
    # Files of other modules that the module's code embeds: path here -> (module, path there).
    embeds: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name of the build while it runs."""
        return f"Build {self.product} from Go modules (about {max(1, round(self.minutes))} minutes)"

    @property
    def output(self) -> str:
        """The built file; empty if Go names several files after their packages."""
        return self.programs[0] if self.packages == (".",) else ""

    @property
    def directory(self) -> Path:
        """Directory of the module's sources in this repository."""
        return SOURCE / self.name


KUBERNETES = GoModule(
    "kubernetes",
    "Kubernetes",
    6.5,
    ("tool",),
    KUBERNETES_PROGRAMS,
)
COREDNS = GoModule("coredns", "CoreDNS", 1, (".",), ("coredns",))
LOCAL_PATH = GoModule(
    "local-path",
    "local-path-provisioner",
    0.5,
    ("tool",),
    ("local-path-provisioner",),
)
PULUMI_CLI = GoModule("pulumi-cli", "the Pulumi CLI", 4.5, ("tool",), ("pulumi",))
PULUMI_YAML = GoModule(
    "pulumi-yaml", "Pulumi's YAML language host", 1, ("tool",), ("pulumi-language-yaml",)
)
_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
PULUMI_KUBERNETES = GoModule(
    "pulumi-kubernetes",
    "Pulumi's Kubernetes provider",
    5,
    (".",),
    ("pulumi-resource-kubernetes",),
    # The provider's own Go SDK takes two thirds of the time. Only two of its resources use it.
    ("-gcflags=github.com/pulumi/pulumi-kubernetes/sdk/v4/...=-N -l",),
    {
        name: (_PROVIDER, f"cmd/pulumi-resource-kubernetes/{name}")
        for name in ("schema.json", "terraform-mapping.json")
    },
)
PULUMI = (PULUMI_CLI, PULUMI_YAML, PULUMI_KUBERNETES)


def architecture() -> str:
    """Return this machine's architecture in the terms of Go and Docker."""
    return ARCHITECTURES[platform.machine()]


def required_version(go_mod: str, module: str) -> str:
    """Return the version of a module that a `go.mod` requires."""
    found = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise ValueError(f"go.mod does not require {module}")
    return found[1]


def linker_flags(module: GoModule) -> str:
    """Return the flags that set the versions of the programs."""
    go_mod = (module.directory / "go.mod").read_text()
    variables = {}
    if module is KUBERNETES:
        kubernetes = required_version(go_mod, "k8s.io/kubernetes")
        major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
        package = "k8s.io/component-base/version"
        values = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
        variables = {f"{package}.{name}": value for name, value in values.items()}
    if module is PULUMI_CLI:
        cli = required_version(go_mod, "github.com/pulumi/pulumi/pkg/v3")
        variables = {"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": cli}
    if module is PULUMI_KUBERNETES:
        # The version of the Python package: the CLI warns of a provider that says another one than the
        # resources ask for.
        variables = {f"{_PROVIDER}/pkg/version.Version": version("pulumi-kubernetes")}
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in variables.items())])


def target(module: GoModule, paths: Paths) -> Path:
    """Return the cache directory of a module's programs, which may not exist."""
    sources = [
        path
        for path in module.directory.iterdir()
        if path.name in ("go.mod", "go.sum") or path.suffix == ".go"
    ]
    key = content_key(
        architecture(),
        linker_flags(module),
        *module.packages,
        *module.compiler_flags,
        files=sources,
    )
    return paths.cache / "bin" / f"{module.name}-{key}"


def build(module: GoModule, paths: Paths, reporter: Reporter) -> Path:
    """Return the directory of a module's programs, after a build unless they are cached."""
    destination = target(module, paths)
    if destination.is_dir():
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    # Built in a temporary directory and renamed, so that an interrupted build leaves no partial cache.
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
                    f"-overlay={_overlay(module, building)}",
                    *module.compiler_flags,
                    "-ldflags",
                    linker_flags(module),
                    "-o",
                    f"{building}/{module.output}",
                    *module.packages,
                ],
                what=f"build {', '.join(module.programs)}",
                cwd=module.directory,
                env=os.environ | _GO_ENVIRONMENT,
                on_line=phase.note,
            )
            (building / _OVERLAY).unlink()
        building.chmod(0o755)
        building.rename(destination)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return destination


def _overlay(module: GoModule, directory: Path) -> Path:
    """Write the overlay file with the files of other modules that a module embeds."""
    replace = {}
    for here, (other, there) in module.embeds.items():
        commands.run(
            ["go", "mod", "download", other],
            what=f"fetch the Go module {other}",
            cwd=module.directory,
            env=os.environ | _GO_ENVIRONMENT,
        )
        source = commands.capture(
            ["go", "-C", module.directory, "list", "-m", "-f", "{{.Dir}}", other],
            what=f"find the Go module {other}",
        )
        replace[str(module.directory / here)] = f"{source.strip()}/{there}"
    file = directory / _OVERLAY
    file.write_text(json.dumps({"Replace": replace}))
    return file
