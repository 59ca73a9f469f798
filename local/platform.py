"""Start and remove the local platform, with the order of all steps."""

import contextlib
import dataclasses
import fcntl
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import (
    binaries,
    cancellation,
    cluster,
    commands,
    config,
    docker_engine,
    images,
    network,
    packages,
    probes,
    processes,
    pulumi_installation,
    requirements,
)
from local.choice import Choice, check_context, chosen_kubeconfig
from local.cluster import Cluster
from local.config import Facts
from local.daemons import STOP_SECONDS, Daemon, Daemons
from local.errors import LocalError, StateError
from local.paths import Paths
from local.progress import Reporter

# Clients before servers. Daemons of one line stop together.
KUBERNETES_STOPS = (
    (
        "local-path-provisioner",
        "kube-proxy",
        "kubelet",
        "kube-scheduler",
        "kube-controller-manager",
    ),
    ("kube-apiserver",),
    ("etcd",),
)
# dockerd also ends its containers and its own containerd, which takes a while.
ENGINES_STOP = ("dockerd", "registry", "containerd")
ENGINES_STOP_SECONDS = 20.0


# The fields of `Platform` that are paths, or None.
_PATHS = ("kubeconfig", "kubectl", "pulumi_home")


@dataclass(frozen=True)
class Platform:
    """A ready Kubernetes, Docker and registry, and the images in the registry."""

    kubeconfig: Path
    context: str
    docker_host: str
    registry: str
    runtime_image: str
    postgres_image: str
    redis_image: str
    # Whether the cluster is this platform's own, not one that the user chose.
    own_cluster: bool
    own_docker: bool
    kubectl: Path | None = None
    # PULUMI_HOME of the platform's Pulumi; None if `pulumi` is on PATH.
    pulumi_home: Path | None = None

    @classmethod
    def load(cls, paths: Paths | None = None) -> "Platform":
        """Return the platform of an earlier `up`, without starting anything."""
        file = (paths or Paths.from_environment()).platform_file
        try:
            values = json.loads(file.read_text())
        except FileNotFoundError:
            raise StateError(
                "The local platform is not up.", to_do="Run `python -m local up`."
            ) from None
        for name in _PATHS:
            values[name] = Path(values[name]) if values.get(name) else None
        return cls(**values)

    def save(self, paths: Paths) -> None:
        """Write the platform to a file for `load`."""
        values = dataclasses.asdict(self)
        for name in _PATHS:
            values[name] = str(values[name]) if values[name] else None
        paths.state.mkdir(parents=True, exist_ok=True)
        paths.platform_file.write_text(json.dumps(values, indent=2))

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which kubectl, Docker and Pulumi find the platform."""
        variables = {"KUBECONFIG": str(self.kubeconfig)}
        if self.own_docker:
            variables["DOCKER_HOST"] = self.docker_host
        programs = []
        if self.kubectl and not shutil.which("kubectl"):
            programs.append(str(self.kubectl.parent))
        if self.pulumi_home:
            variables["PULUMI_HOME"] = str(self.pulumi_home)
            # Pulumi would ask a server that is unreachable from here.
            variables["PULUMI_SKIP_UPDATE_CHECK"] = "true"
            programs.append(str(self.pulumi_home / "bin"))
        if programs:
            path = os.environ.get("PATH", "").split(os.pathsep)
            others = [folder for folder in path if folder not in programs]
            variables["PATH"] = os.pathsep.join([*programs, *others])
        return variables


def up(reporter: Reporter, choice: Choice | None = None, paths: Paths | None = None) -> Platform:
    """Start all stopped parts of the platform, and return when all parts are ready."""
    paths = paths or Paths.from_environment()
    choice = choice or Choice.make()
    with locked(paths, reporter):
        docker_host = docker_engine.existing(paths)
        own_cluster = choice.context is None
        wanted = packages.missing(cluster=own_cluster, docker=docker_host is None)
        requirements.check(
            paths.state,
            root=own_cluster or docker_host is None,
            go=own_cluster or pulumi_installation.existing(paths) is None,
            packages_missing=bool(wanted),
        )
        pool = ThreadPoolExecutor(max_workers=16)
        try:
            platform = _Up(paths, reporter, pool, docker_host, choice).run(wanted)
        except BaseException:
            cancellation.cancel()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        platform.save(paths)
        return platform


class _Up:
    """One run of `up`. Its methods are steps, and `run` has their dependencies."""

    def __init__(
        self,
        paths: Paths,
        reporter: Reporter,
        pool: ThreadPoolExecutor,
        docker_host: str | None,
        choice: Choice,
    ) -> None:
        self._paths = paths
        self._reporter = reporter
        self._pool = pool
        self._choice = choice
        self._own_docker = docker_host is None
        self._docker_host = docker_host or docker_engine.own(paths)
        self._registry = choice.registry or config.REGISTRY
        self._daemons = Daemons(paths)

    def run(self, missing_packages: list[str]) -> Platform:
        own_cluster = self._choice.context is None
        programs = self._pool.submit(self._programs) if own_cluster else None
        pulumi = self._pool.submit(self._pulumi, programs)
        if missing_packages:
            with self._reporter.phase("Install Debian packages") as phase:
                packages.install(missing_packages, phase)
        if self._own_docker:
            docker_engine.start(self._paths, self._daemons, network.default_mtu(), self._reporter)
        if own_cluster:
            self._start_registry()
        builder = images.Builder(self._docker_host, self._registry, self._paths, self._reporter)
        base = self._pool.submit(builder.ensure, images.base())
        runtime = self._after(base, lambda: builder.ensure_chain(images.runtime()))
        postgres, redis = (
            self._after(base, functools.partial(builder.ensure, image))
            for image in images.services()
        )
        pulled = [base, runtime, postgres, redis]
        work: list[Future[Any]] = [*pulled, pulumi]
        if programs:
            kubeconfig, context = self._paths.kubeconfig, config.CONTEXT
            cluster_up = self._pool.submit(self._own_cluster, builder, programs, pulled)
            work += [programs, cluster_up]
        else:
            kubeconfig, context = chosen_kubeconfig(), str(self._choice.context)
            check_context(kubeconfig, context)
            cluster_up = None
        # The first failure is the error. Other steps are not awaited.
        for finished in as_completed(work):
            finished.result()
        return Platform(
            kubeconfig=kubeconfig,
            context=context,
            docker_host=self._docker_host,
            registry=self._registry,
            runtime_image=runtime.result(),
            postgres_image=postgres.result(),
            redis_image=redis.result(),
            own_cluster=own_cluster,
            own_docker=self._own_docker,
            kubectl=cluster_up.result() if cluster_up else None,
            pulumi_home=pulumi.result(),
        )

    def _after(self, first: Future[str], then: Callable[[], str]) -> Future[str]:
        def both() -> str:
            first.result()
            return then()

        return self._pool.submit(both)

    def _programs(self) -> tuple[Path, Path, Path]:
        # In sequence: each build uses every core.
        kubernetes, dns, storage = (
            binaries.build(module, self._paths, self._reporter)
            for module in (binaries.KUBERNETES, binaries.COREDNS, binaries.LOCAL_PATH)
        )
        return kubernetes, dns, storage

    def _pulumi(self, before: Future[Any] | None) -> Path | None:
        """Build and install Pulumi if necessary, after Kubernetes, whose start takes longer."""
        if pulumi_installation.existing(self._paths):
            return None
        if before:
            before.result()
        programs = {
            name: binaries.build(module, self._paths, self._reporter) / name
            for module in binaries.PULUMI
            for name in module.programs
        }
        return pulumi_installation.install(programs, self._paths)

    def _start_registry(self) -> None:
        file = self._paths.config / "registry.yaml"
        cluster.write(file, config.registry_config(self._paths))
        daemon = Daemon(
            "registry",
            [packages.program("docker-registry"), "serve", str(file)],
            probes.http_ok(config.REGISTRY_PORT, "/v2/"),
            config_files=[file],
        )
        if not self._daemons.record("registry") and network.in_use(config.REGISTRY_PORT):
            raise LocalError(
                f"Port {config.REGISTRY_PORT} is in use by another program.",
                why="The platform's registry needs it.",
                to_do=f"See which with `ss -ltnp sport = :{config.REGISTRY_PORT}`; stop it.",
            )
        with self._reporter.phase("Start the registry", quiet=True) as phase:
            self._daemons.start(daemon)
            self._daemons.wait(daemon, phase)

    def _own_cluster(
        self,
        builder: images.Builder,
        programs: Future[tuple[Path, Path, Path]],
        pulled: list[Future[str]],
    ) -> Path:
        pause = self._pool.submit(lambda: builder.ensure(images.pause(self._paths)))
        kubernetes, dns, storage = programs.result()
        coredns = images.coredns(dns)
        facts = Facts(
            paths=self._paths,
            binaries=kubernetes,
            mtu=network.default_mtu(),
            nameservers=config.nameservers(Path("/etc/resolv.conf").read_text()),
            pause_image=images.PAUSE.reference(self._registry),
            coredns_image=coredns.reference(self._registry),
            helper_image=images.base().reference(self._registry),
            containerd=packages.program("containerd"),
            runc=packages.program("runc"),
            etcd=packages.program("etcd"),
        )
        dns_image = self._pool.submit(builder.ensure, coredns)
        own = Cluster(facts, self._daemons, storage)
        own.prepare()
        own.start_runtime(self._reporter)
        pause.result()
        own.start(self._reporter)
        dns_image.result()
        own.apply(self._reporter)
        own.start_storage(self._reporter)
        for image in as_completed(pulled):
            cluster.pull(image.result(), self._paths, self._reporter)
        return kubernetes / "kubectl"


def estimate(choice: Choice | None = None, paths: Paths | None = None) -> str:
    """Return a sentence with the duration of the builds on two cores; empty if all are cached."""
    paths = paths or Paths.from_environment()
    choice = choice or Choice.make()
    modules = [binaries.KUBERNETES, binaries.COREDNS, binaries.LOCAL_PATH]
    wanted = modules if choice.context is None else []
    if not pulumi_installation.existing(paths):
        wanted = [*wanted, *binaries.PULUMI]
    missing = [module for module in wanted if not binaries.target(module, paths).is_dir()]
    if not missing:
        return ""
    parts = ", ".join(f"{module.product} {module.minutes:g}" for module in missing)
    minutes = sum(module.minutes for module in missing)
    return (
        f"The first run compiles for about {minutes:.0f} minutes on two cores ({parts}). "
        "Later runs take what it made from the cache."
    )


def runtime(
    airflow: str, reporter: Reporter, tag: str | None = None, paths: Paths | None = None
) -> str:
    """Return the runtime image of another Airflow version, built and pushed if necessary."""
    paths = paths or Paths.from_environment()
    loaded = Platform.load(paths)
    with locked(paths, reporter):
        builder = images.Builder(loaded.docker_host, loaded.registry, paths, reporter)
        image = builder.ensure_chain(images.runtime(airflow, tag))
        if loaded.own_cluster:
            cluster.pull(image, paths, reporter)
        return image


def stop(reporter: Reporter, paths: Paths | None = None) -> None:
    """Stop the daemons and leave the pods running, for the next `up` to adopt."""
    paths = paths or Paths.from_environment()
    with locked(paths, reporter):
        daemons = Daemons(paths)
        with reporter.phase("Stop the daemons", quiet=True):
            for names in KUBERNETES_STOPS:
                daemons.stop(*names, timeout=STOP_SECONDS)
            daemons.stop(*ENGINES_STOP, timeout=ENGINES_STOP_SECONDS)


def down(reporter: Reporter, paths: Paths | None = None) -> None:
    """Remove everything that `up` created, except the caches."""
    paths = paths or Paths.from_environment()
    with locked(paths, reporter):
        if not paths.state.exists():
            return
        containerd_used = (paths.state / "containerd").exists()
        docker_used = (paths.state / "docker").exists()
        with reporter.phase("Stop the daemons", quiet=True):
            daemons = Daemons(paths)
            # The state is removed anyway, so the daemons may be killed at once.
            for names in KUBERNETES_STOPS:
                daemons.stop(*names, timeout=0)
            cluster.remove_pods(paths)
            daemons.stop(*ENGINES_STOP, timeout=ENGINES_STOP_SECONDS)
        with reporter.phase("Remove what is left", quiet=True):
            for mount in processes.mounts_below(paths.state):
                subprocess.run(["umount", "--lazy", mount], check=False)
            if containerd_used:
                cluster.remove_traces(paths)
            if containerd_used or docker_used:
                network.remove_rules(docker=docker_used)
            if docker_used:
                docker_engine.remove_traces(paths)
        # Some 100,000 files of images: seconds on an idle disk, a minute on a busy one.
        with reporter.phase("Remove the state", quiet=True):
            commands.capture(["rm", "-rf", paths.state], what="remove the state")


@contextlib.contextmanager
def locked(paths: Paths, reporter: Reporter) -> Iterator[None]:
    """Serialize `up` and `down`: a second one waits."""
    paths.lock.parent.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("w") as file:
        with reporter.phase("Wait for another `up` or `down` to end", quiet=True):
            fcntl.flock(file, fcntl.LOCK_EX)
        cancellation.reset()
        yield
