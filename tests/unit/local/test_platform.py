"""What is used is what was chosen; and what `up` left can be read again."""

import dataclasses
import os
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from local import binaries, docker_engine, packages, requirements
from local.__main__ import app
from local.choice import Choice, check_context
from local.errors import RequirementError, StateError
from local.paths import Paths
from local.platform import Platform


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ASTRO_KUBE_CONTEXT", "ASTRO_REGISTRY", "DOCKER_HOST", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASTRO_LOCAL_HOME", str(tmp_path / "state"))


@pytest.fixture
def paths() -> Paths:
    return Paths.from_environment()


@pytest.fixture
def up_platform(tmp_path: Path) -> Platform:
    return Platform(
        kubeconfig=tmp_path / "a b" / "kubeconfig",
        context="astro-local",
        docker_host="unix:///x/docker.sock",
        registry="localhost:5000",
        runtime_image="localhost:5000/runtime:3.3-1",
        postgres_image="localhost:5000/postgres:15",
        redis_image="localhost:5000/redis:7",
        own_cluster=True,
        own_docker=True,
        kubectl=tmp_path / "kubectl",
    )


class TestPlatform:
    def test_is_read_as_it_was_written(self, up_platform: Platform, paths: Paths) -> None:
        up_platform.save(paths)
        assert Platform.load() == up_platform

    def test_without_kubectl_too(self, up_platform: Platform, paths: Paths) -> None:
        other = dataclasses.replace(up_platform, kubectl=None)
        other.save(paths)
        assert Platform.load() == other

    def test_before_up_is_an_error_that_says_what_to_do(self) -> None:
        with pytest.raises(StateError) as caught:
            Platform.load()
        assert "python -m local up" in caught.value.to_do

    def test_our_own_pulumi_comes_first_on_path(
        self, up_platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = dataclasses.replace(up_platform, pulumi_home=tmp_path / "pulumi")
        variables = own.environment()
        assert variables["PULUMI_HOME"] == str(tmp_path / "pulumi")
        assert variables["PATH"].split(os.pathsep).index(str(tmp_path / "pulumi" / "bin")) < 2
        monkeypatch.setenv("PATH", variables["PATH"])
        assert own.environment() == variables  # in a shell that has it already

    def test_an_installed_pulumi_keeps_its_own_home(self, up_platform: Platform) -> None:
        assert "PULUMI_HOME" not in up_platform.environment()

    def test_another_docker_is_not_exported(self, up_platform: Platform) -> None:
        other = dataclasses.replace(up_platform, own_docker=False)
        assert "DOCKER_HOST" in up_platform.environment()
        assert "DOCKER_HOST" not in other.environment()

    def test_env_prints_what_a_shell_reads(self, up_platform: Platform, paths: Paths) -> None:
        up_platform.save(paths)
        output = CliRunner().invoke(app, ["env"]).output
        assert f"export KUBECONFIG={shlex.quote(str(up_platform.kubeconfig))}\n" in output


class TestChoice:
    def test_is_nothing_by_default(self) -> None:
        assert Choice.make() == Choice(None, None)

    def test_comes_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ASTRO_KUBE_CONTEXT", "prod")
        monkeypatch.setenv("ASTRO_REGISTRY", "ghcr.io/acme")
        assert Choice.make() == Choice("prod", "ghcr.io/acme")

    def test_an_argument_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ASTRO_KUBE_CONTEXT", "prod")
        assert Choice.make("test", "r").context == "test"

    def test_a_context_needs_a_registry(self) -> None:
        with pytest.raises(RequirementError, match="no registry"):
            Choice.make("prod")

    def test_a_registry_needs_a_context(self) -> None:
        with pytest.raises(RequirementError, match="no Kubernetes context"):
            Choice.make(registry="ghcr.io/acme")

    def test_a_context_must_exist(self, tmp_path: Path) -> None:
        file = tmp_path / "config"
        file.write_text("contexts: [{name: dev}]\n")
        check_context(file, "dev")
        with pytest.raises(RequirementError) as caught:
            check_context(file, "prod")
        assert "dev" in caught.value.why


class TestDocker:
    def test_that_was_chosen_and_does_not_answer_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, paths: Paths, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        with pytest.raises(RequirementError, match="No Docker daemon answers"):
            docker_engine.existing(paths)

    def test_of_our_own_is_not_another(self, monkeypatch: pytest.MonkeyPatch, paths: Paths) -> None:
        monkeypatch.setenv("DOCKER_HOST", docker_engine.own(paths))
        assert docker_engine.existing(paths) is None

    def test_is_installed_only_where_none_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "_which", lambda _: None)
        assert "docker.io" in packages.missing(cluster=True, docker=True)
        assert "docker.io" not in packages.missing(cluster=True, docker=False)
        assert "etcd-server" not in packages.missing(cluster=False, docker=True)


class TestRequirements:
    def check(self, state: str = "/s") -> None:
        requirements.check(Path(state), root=True, go=True, packages_missing=False)

    @pytest.fixture(autouse=True)
    def able(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")

    def test_are_met(self) -> None:
        self.check()

    def test_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        with pytest.raises(RequirementError, match="as root"):
            self.check()

    def test_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shutil.which", lambda _: None)
        with pytest.raises(RequirementError, match="Go is missing"):
            self.check()

    def test_architecture(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.machine", lambda: "riscv64")
        with pytest.raises(RequirementError, match="riscv64"):
            self.check()

    def test_a_path_that_fits_a_socket(self) -> None:
        with pytest.raises(RequirementError, match="too long"):
            self.check("/" + "x" * 90)


class TestBinaries:
    def test_version_is_read_from_go_mod(self) -> None:
        text = "require k8s.io/api v1.0.0\nrequire k8s.io/kubernetes v1.36.3\n"
        assert binaries.required_version(text, "k8s.io/kubernetes") == "v1.36.3"

    def test_version_is_read_from_a_block(self) -> None:
        text = "require (\n\tk8s.io/kubernetes v1.36.3 // indirect\n)\n"
        assert binaries.required_version(text, "k8s.io/kubernetes") == "v1.36.3"

    def test_programs_know_their_version(self) -> None:
        flags = binaries.linker_flags(binaries.KUBERNETES)
        assert "version.gitVersion=v1." in flags
        assert "version.gitMajor=1" in flags

    def test_every_program_is_a_tool_of_the_module(self) -> None:
        text = (binaries.KUBERNETES.directory / "go.mod").read_text()
        for program in binaries.KUBERNETES.programs:
            assert f"k8s.io/kubernetes/cmd/{program}\n" in text
