"""What other projects make and a Deployment may use: images of programs, and KEDA's types."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml
from rich.console import Console

from local import images
from local.paths import Paths
from local.platform import Platform
from local.progress import Progress
from tests.cluster.kube import Kube, Object

STATSD_EXPORTER = "github.com/prometheus/statsd_exporter@v0.31.0"
KEDA = "github.com/kedacore/keda/v2@v2.21.0"
KEDA_KINDS = ("scaledobjects", "triggerauthentications")
CONTEXTS = Path(__file__).parent / "images"


def statsd_exporter_image(platform: Platform) -> str:
    """Builds Prometheus' statsd_exporter (half a minute the first time) and pushes an image of it."""
    version = STATSD_EXPORTER.partition("@")[2]
    binaries = Paths.from_environment().cache / "bin" / f"statsd-exporter-{version}"
    program = binaries / "statsd_exporter"
    if not program.exists():
        # -trimpath: as Kubernetes was built, with which it shares much of what is compiled.
        go("install", "-trimpath", STATSD_EXPORTER, GOBIN=str(binaries))
    context = CONTEXTS / "statsd-exporter"
    image = images.Image("statsd-exporter", version, context, extra={program.name: program})
    return pushed(image, platform)


def pgbouncer_image(platform: Platform) -> str:
    """Builds Debian's PgBouncer on the platform's base image, and pushes it."""
    context = CONTEXTS / "pgbouncer"
    return pushed(
        images.Image("pgbouncer", "debian", context, base=images.base(), archived=True), platform
    )


def pushed(image: images.Image, platform: Platform) -> str:
    """Builds and pushes an image unless it is there; -> its reference."""
    with Progress(Console(stderr=True, highlight=False)) as progress:
        return images.Builder(
            platform.docker_host, platform.registry, Paths.from_environment(), progress
        ).ensure(image)


def keda_definitions() -> Iterator[Object]:
    """The types that KEDA adds to a cluster, of which only those that a Deployment may use."""
    module = json.loads(go("mod", "download", "-json", KEDA))
    for kind in KEDA_KINDS:
        file = Path(module["Dir"], "config", "crd", "bases", f"keda.sh_{kind}.yaml")
        yield yaml.safe_load(file.read_text())


def add_keda_types(kube: Kube) -> list[str]:
    """Teaches the API server KEDA's types where it does not know them; -> the names of what was added."""
    known = {item["metadata"]["name"] for item in kube.objects("CustomResourceDefinition")}
    wanted = [item for item in keda_definitions() if item["metadata"]["name"] not in known]
    return [kube.create(item)["metadata"]["name"] for item in wanted]


def go(*arguments: str, **environment: str) -> str:
    """Runs Go's own command, outside of any module."""
    return subprocess.run(
        ["go", *arguments],
        cwd="/",
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
