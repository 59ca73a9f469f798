"""What the embedded engine adds to each resource, beside the API server's own time.

Makes the same ConfigMaps twice, as many at a time: by bare server-side apply requests, and by the engine
with its checks, its state on disk and its events. Then lets the engine look at them unchanged, and delete
them. Needs a cluster (`KUBECONFIG`); makes a namespace of its own.

    python -m bench.engine_overhead [COUNT]      JSON on standard output
"""

import json
import os
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from astro_pulumi.embedded.backend import Backend
from astro_pulumi.embedded.deployment import PARALLEL, Deployment
from astro_pulumi.embedded.journal import Journal
from astro_pulumi.embedded.plan import Goal
from astro_pulumi.embedded.providers.kubernetes.client import ApiError, Cluster
from astro_pulumi.embedded.secrets import Crypter
from astro_pulumi.embedded.state import ResourceState, Snapshot, checkpoint_to_json
from astro_pulumi.embedded.urns import make_urn

TYPE = "kubernetes:core/v1:ConfigMap"


def timed(work: Callable[[], object], count: int) -> dict[str, float]:
    """Milliseconds of time and of this process's CPU for each of `count` resources."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "milliseconds": round(seconds / count * 1000, 1),
        "cpu_milliseconds": round(cpu / count * 1000, 1),
    }


def in_parallel(act: Callable[[int], object], numbers: Iterable[int]) -> None:
    """As many at a time as the engine does."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(act, numbers))


def config_map(namespace: str, name: str) -> dict[str, Any]:
    """One object, as the program would give it."""
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"key": "x" * 500},
    }


def main() -> None:
    """Prints the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    cluster, namespace = Cluster({}), f"overhead-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    cluster.request("POST", "/api/v1/namespaces", body=body)
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    snapshot = Snapshot()
    with tempfile.TemporaryDirectory() as folder:
        backend = Backend(Path(folder), "overhead")

        def write(resources: list[str], pending: list[tuple[str, str]]) -> None:
            backend.write("dev", checkpoint_to_json("s", "v1:x:y", "v3", resources, pending))

        def run(wanted: int) -> None:
            nonlocal snapshot
            journal = Journal(snapshot, Crypter(bytes(32)), write)
            deployment = Deployment(
                "overhead", "dev", snapshot, journal, lambda _: {}, lambda _: None
            )
            provider = deployment.default_provider("kubernetes", "")

            def register(number: int) -> None:
                name = f"map-{number}"
                state = ResourceState(
                    urn=make_urn("dev", "overhead", "", TYPE, name),
                    type=TYPE,
                    custom=True,
                    inputs=config_map(namespace, name),
                    provider=provider,
                )
                deployment.register(Goal(state))

            in_parallel(register, range(wanted))
            deployment.delete_rest()
            journal.close()
            snapshot = journal.current()

        def bare(number: int) -> None:
            name = f"bare-{number}"
            with suppress(ApiError):  # the engine looks as well: it may be there, and not ours
                cluster.get(f"{maps}/{name}")
            cluster.request(
                "PATCH",
                f"{maps}/{name}",
                body=config_map(namespace, name),
                query={"fieldManager": "bare"},
                content_type="application/apply-patch+yaml",
            )

        try:
            run(1)  # what is loaded and connected once
            report = {
                "count": count,
                "load": os.getloadavg()[0],
                "bare_requests": timed(lambda: in_parallel(bare, range(count)), count),
                "engine_create": timed(lambda: run(count + 1), count),
                "engine_unchanged": timed(lambda: run(count + 1), count),
                "engine_delete": timed(lambda: run(1), count),
            }
        finally:
            cluster.request("DELETE", f"/api/v1/namespaces/{namespace}")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
