"""Runs a program that declares components against Pulumi's mocks, and keeps what it registered.

Needs no engine, no cluster and no Docker: resources answer at once, with the names that the real
providers would give them.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks, resource, rpc
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import source_pb2

import astro_pulumi as astro
from astro_pulumi.airflow.database_and_broker_urls import service_urls
from astro_pulumi.airflow.secret_groups import secret_groups
from astro_pulumi.args import DeploymentArgs
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.generated_secrets import PURPOSES
from astro_pulumi.release.release_records import FINDINGS

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
# What a release Job annotates itself with.
RELEASE_JOB_FOUND: dict[str, Any] = {
    "number": "7",
    "airflow": "3.1.5",
    "heads": {"core": "d2f4e1b3c5a7"},
    "dags": ["daily"],
    "releases": {"6": {"image": "sha256:66"}},
}
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Secret(str):
    """A string that the program marked as secret."""


@dataclass(frozen=True)
class Resource:
    """One registered resource."""

    type: str
    name: str
    inputs: dict[str, Any]  # secrets are `Secret`
    dependencies: frozenset[str]  # names of resources
    retain_on_delete: bool
    protect: bool
    parent: str  # name of a resource
    needs: frozenset[tuple[str, str]]  # type and name of parent and dependencies

    @classmethod
    def of(cls, request: Any) -> "Resource":
        """From a `RegisterResourceRequest`."""
        return cls(
            type=request.type,
            name=request.name,
            inputs=plain(json_format.MessageToDict(request.object)),
            dependencies=frozenset(urn.split("::")[-1] for urn in request.dependencies),
            retain_on_delete=request.retainOnDelete,
            protect=request.protect,
            parent=request.parent.split("::")[-1],
            needs=frozenset(
                (urn.split("::")[2].rpartition("$")[2], urn.split("::")[3])
                for urn in (*request.dependencies, request.parent)
                if urn
            ),
        )

    @property
    def replaced_with(self) -> str | None:
        """The value whose change replaces the object."""
        metadata = self.inputs.get("metadata") or {}
        value: str | None = (metadata.get("annotations") or {}).get("astro-pulumi/replaced-with")
        return value

    @property
    def kind(self) -> str:
        """The last part of the type: `Secret`."""
        return self.type.rsplit(":", 1)[-1]

    @property
    def pod(self) -> dict[str, Any]:
        """The pod spec of a workload."""
        spec: dict[str, Any] = self.inputs["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> dict[str, Any]:
        """The first container of a workload's pods: the process itself."""
        return dict(self.pod["containers"][0])

    @property
    def object_name(self) -> str:
        """The object's name in the cluster, made up when it is an automatic one."""
        name: str = self.inputs.get("metadata", {}).get("name", f"{self.name}-abc123")
        return name


@dataclass
class Program:
    """What a program registered, by resource name and kind."""

    resources: list[Resource] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    result: Any = None

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def kinds(self, kind: str) -> list[Resource]:
        """Every resource of one Kubernetes kind."""
        return [resource for resource in self.resources if resource.kind == kind]

    def get(self, name: str, kind: str = "") -> Resource:
        """The one resource of this name, and kind where several share the name."""
        found = [r for r in self.resources if r.name == name and kind in ("", r.kind)]
        names = sorted(f"{r.kind} {r.name}" for r in self.resources)
        assert len(found) == 1, f"{len(found)} resources are {kind} {name}; there are {names}"
        return found[0]


def run(
    program: Callable[[], Any],
    preview: bool = False,
    known: Mapping[str, Mapping[str, Any]] | None = None,
    seen: Program | None = None,
    config: Mapping[str, str] | None = None,
) -> Program:
    """Run `program`. Its Output or value becomes `result`.

    Args:
        program: The program.
        preview: Whether it is a preview.
        known: Responses of a provider, by resource name or function token, in place of the inputs.
        seen: Collects the registered resources, also if the program fails.
        config: The stack's configuration, such as `{"astro:rollbackTo": "3"}`.
    """
    set_all_config(dict(config or {}))
    seen = seen or Program()
    answers = _Answers(preview, known or {})
    monitor = _Monitor(seen, answers)
    mocks.set_mocks(answers, preview=preview, logger=_logger(seen), monitor=monitor)

    def keep(value: Any) -> None:
        seen.result = value

    def within_stack() -> Any:
        # What a failed program leaves behind fails too, and its log would appear in any later test. There
        # the traceback of such a line broke a call of `ast.parse` (python/cpython#106905).
        asyncio.get_event_loop().set_exception_handler(lambda *_: None)
        return pulumi.Output.from_input(program()).apply(keep, run_with_unknowns=True)

    # The SDK notes the whole stack for each resource, which under pytest is a fourth of the time.
    with mock.patch.object(resource, "_get_stack_trace", source_pb2.StackTrace):
        mocks.test(within_stack)()  # type: ignore[no-untyped-call]
    return seen


def deploy(
    args: DeploymentArgs,
    name: str = "analytics",
    preview: bool = False,
    known: Mapping[str, Mapping[str, Any]] | None = None,
    config: Mapping[str, str] | None = None,
) -> Program:
    """Registers one Deployment; `result` holds its outputs."""

    def program() -> dict[str, Any]:
        made = astro.Deployment(name, args)
        outputs = [key for key in astro.Deployment.__annotations__ if not key.startswith("_")]
        return {key: getattr(made, key) for key in outputs}

    return run(program, preview, known, config=config)


def secrets(deployment: DeploymentSpec, namespace: str = "data") -> dict[str, dict[str, str]]:
    """What a Deployment's Secrets for Airflow hold, by group. Nothing is registered for it."""

    def program() -> dict[str, dict[str, Any]]:
        passwords = {
            purpose: pulumi.Output.secret(f"password-of-{deployment.name}-{purpose}-password")
            for purpose in PURPOSES
        }
        checked = pulumi.Output.from_input(None)
        urls = service_urls(deployment, passwords, pulumi.Output.from_input(namespace), checked)
        return secret_groups(deployment, passwords, urls)

    made: dict[str, dict[str, str]] = run(program).result
    return made


def write_project(folder: Path, base: str = "acme/runtime:3.3-1") -> str:
    """An Astro project with one DAG, which nobody parses."""
    if base.startswith("acme/"):
        base = f"registry.test/{base}"
    (folder / "dags").mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {base}\n")
    (folder / "requirements.txt").write_text("")
    (folder / "packages.txt").write_text("")
    (folder / "dags" / "hello.py").write_text("# an Airflow DAG\n")
    return str(folder)


def answer(type_: str, name: str, inputs: dict[str, Any], preview: bool) -> dict[str, Any]:
    """What the provider of `type_` would answer; a preview leaves out what only the cluster knows."""
    state = dict(inputs)
    if type_.startswith("kubernetes:"):
        given = state.get("metadata") or {}
        if rpc.is_rpc_secret(given):  # because something in it is
            given = rpc.unwrap_rpc_secret(given)
        state["metadata"] = {"name": f"{name}-abc123", **given}
        if not preview:
            state["metadata"]["uid"] = f"uid-of-{name}"
        if name.endswith("-release-job") and not preview:
            annotations = state["metadata"].get("annotations") or {}
            state["metadata"]["annotations"] = {
                **annotations,
                FINDINGS: json.dumps(RELEASE_JOB_FOUND),
            }
    elif preview:
        pass
    elif type_ == "random:index/randomPassword:RandomPassword":
        state["result"] = f"password-of-{name}"
    elif type_ == "random:index/randomString:RandomString":
        state["result"] = "x7k2m9qa" if name.endswith("-suffix") else f"string-of-{name}"
    elif type_ == "docker:index/image:Image":
        state["repoDigest"] = f"{state['imageName'].rpartition(':')[0]}@sha256:{'0' * 64}"
    return state


class _Answers(mocks.Mocks):
    def __init__(self, preview: bool, known: Mapping[str, Mapping[str, Any]]) -> None:
        self._preview, self._known = preview, known

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        state = answer(args.typ, args.name, args.inputs, self._preview)
        return f"{args.name}-id", {**state, **self._known.get(args.name, {})}

    def call(self, args: mocks.MockCallArgs) -> Any:
        return dict(self._known.get(args.token, {}))


class _Monitor(mocks.MockMonitor):
    def __init__(self, seen: Program, answers: _Answers) -> None:
        super().__init__(answers)
        self._seen = seen

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 gRPC's name
        if request.type != "pulumi:pulumi:Stack":
            self._seen.resources.append(Resource.of(request))
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


def _logger(seen: Program) -> logging.Logger:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.warnings.append(record.getMessage())

    logger = logging.Logger("program", logging.WARNING)
    logger.addHandler(Handler())
    return logger


def plain(value: Any) -> Any:
    """Inputs as the program wrote them: whole numbers are `int`, secrets are `Secret`."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            inner = plain(value["value"])
            return Secret(inner) if isinstance(inner, str) else inner
        if value.get(_SIGNATURE) == _OUTPUT:
            inner = plain(value.get("value", UNKNOWN))
            return Secret(inner) if value.get("secret") and isinstance(inner, str) else inner
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
