"""The engine's side of a component plugin: starts the plugin as the engine does, and asks it to construct.

The children that it registers are kept. What a provider would answer is answered by the same rules as in
`tests/mock_engine.py`; in a preview, what only a provider knows is left out.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import (
    callback_pb2,
    callback_pb2_grpc,
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    provider_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)

from tests.mock_engine import Resource, answer, plain

ROOT = Path(__file__).parents[2]
_SIGNATURE = "4dabf18193072939515e22adb298388d"


def secret(value: Any) -> dict[str, Any]:
    """A value marked as secret, as engines before output values sent it."""
    return {_SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "value": value}


def output(value: Any = None, secret: bool = False) -> dict[str, Any]:
    """An output value, as Go, YAML and TypeScript programs send it; without a value it is unknown."""
    known = {} if value is None else {"value": value}
    return {_SIGNATURE: "d0e6a833031e9bbcd3f4e8bde6ca49a4", "secret": secret, **known}


@dataclass
class Construction:
    """What came of one `Construct`."""

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)  # messages and warnings

    def get(self, name: str, kind: str = "") -> Resource:
        """The one child of this name, and kind where several share the name."""
        (found,) = (r for r in self.resources if r.name == name and kind in ("", r.kind))
        return found


class FakeEngine(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):
    """A resource monitor and engine without any effect.

    Args:
        before: Earlier inputs of resources by name. Such resources are updated, not created.
        refusal: Answer to a program that requires another version of Pulumi.
    """

    def __init__(
        self,
        preview: bool = False,
        cluster: Mapping[str, Mapping[str, Any]] | None = None,
        before: Mapping[str, Mapping[str, Any]] | None = None,
        refusal: str | None = None,
    ) -> None:
        self.resources: list[Resource] = []
        self.said: list[str] = []
        self._preview = preview
        self._cluster = cluster or {}
        self._before = before or {}
        self._refusal = refusal
        self._transforms: dict[str, list[Any]] = {}  # by URN, those of its parents included
        self._hooks: dict[str, resource_pb2.RegisterResourceHookRequest] = {}

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        urn = f"urn:pulumi:stack::project::{request.type}::{request.name}"
        transforms = [*request.transforms, *self._transforms.get(request.parent, [])]
        self._transforms[urn] = transforms
        for callback in transforms:
            self._transform(request, callback)
        inputs = json_format.MessageToDict(request.object)
        self.resources.append(Resource.of(request))
        if request.name in self._before:
            self._run_hooks(request)
        state = answer(request.type, request.name, plain(inputs), self._preview)
        return resource_pb2.RegisterResourceResponse(
            urn=urn,
            id="" if self._preview else f"{request.name}-id",
            object=_struct(state),
        )

    def ReadResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.id not in self._cluster:
            context.abort(grpc.StatusCode.UNKNOWN, f"resource '{request.id}' does not exist")
        return resource_pb2.ReadResourceResponse(
            urn=f"urn:pulumi:stack::project::{request.type}::{request.name}",
            properties=_struct(self._cluster[request.id]),
        )

    def RegisterResourceHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._hooks[request.name] = request
        return empty_pb2.Empty()

    def _run_hooks(self, request: Any) -> None:
        for name in request.hooks.before_update:
            hook = self._hooks[name]
            if self._preview and not hook.on_dry_run:
                continue
            change = resource_pb2.ResourceHookRequest(
                name=request.name,
                type=request.type,
                old_inputs=_struct(self._before[request.name]),
                new_inputs=request.object,
            )
            _call(hook.callback, change)

    def _transform(self, request: Any, callback: Any) -> None:
        """Lets the program change what it registers, or what a parent of it did."""
        question = resource_pb2.TransformRequest(
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent,
            properties=request.object,
            options=resource_pb2.TransformResourceOptions(protect=request.protect),
        )
        changed = resource_pb2.TransformResponse.FromString(_call(callback, question))
        request.object.CopyFrom(changed.properties)
        request.protect = changed.options.protect

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802
        return resource_pb2.SupportsFeatureResponse(hasSupport=True)

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def SetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self._refusal:
            context.abort(grpc.StatusCode.UNKNOWN, self._refusal)
        return engine_pb2.RequirePulumiVersionResponse()

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.said.append(request.message)
        return empty_pb2.Empty()


class Plugin:
    """A running plugin process."""

    def __init__(self, port: int, engine: FakeEngine) -> None:
        self._engine = engine
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._provider = provider_pb2_grpc.ResourceProviderStub(channel)

    def schema(self) -> str:
        """The package schema that the plugin answers."""
        answer: str = self._provider.GetSchema(provider_pb2.GetSchemaRequest(version=0)).schema
        return answer

    def construct(
        self,
        inputs: Mapping[str, Any],
        component: str = "Deployment",
        name: str = "analytics",
        preview: bool = False,
        config: Mapping[str, str] | None = None,
        cluster: Mapping[str, Mapping[str, Any]] | None = None,
        before: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Construction:
        """Construct a component.

        `cluster` has the objects that can be read, by id: `namespace/name`. `before` has earlier inputs of
        children by name: such children are updated, not created.

        Raises:
            grpc.RpcError: As the engine would receive it.
        """
        engine = FakeEngine(preview, cluster, before)
        self._engine.said.clear()
        with _served(engine) as address:
            response = self._provider.Construct(
                provider_pb2.ConstructRequest(
                    project="project",
                    stack="stack",
                    dryRun=preview,
                    monitorEndpoint=address,
                    type=f"astro:index:{component}",
                    name=name,
                    inputs=_struct(inputs),
                    config=config,
                ),
                timeout=30,
            )
        state = json_format.MessageToDict(response.state)
        return Construction(
            resources=engine.resources,
            outputs={key: plain(value) for key, value in state.items()},
            said=list(self._engine.said),
            secret_outputs={key for key, value in state.items() if _is_secret(value)},
        )


@contextmanager
def started_plugin(directory: Path, refusal: str | None = None) -> Iterator[Plugin]:
    """Run the plugin process of this repository for a program in `directory`.

    Args:
        directory: The directory.
        refusal: See `FakeEngine`.
    """
    engine = FakeEngine(refusal=refusal)
    with _served(engine) as address:
        process = subprocess.Popen(
            [sys.executable, "-u", str(ROOT), address],
            cwd=directory,
            stdout=subprocess.PIPE,
            env={**os.environ, "PULUMI_PROJECT": "project"},
            text=True,
        )
        try:
            assert process.stdout is not None
            yield Plugin(int(process.stdout.readline()), engine)
        finally:
            process.terminate()
            process.communicate(timeout=10)


def run_program(module: str, directory: Path) -> list[Resource]:
    """Registers what the function `main` of a module does, in a process of its own, as `pulumi up` would."""
    engine = FakeEngine()
    program = (
        "import asyncio, sys; from importlib import import_module\n"
        "from pulumi.runtime import Settings, configure, run_in_stack\n"
        "configure(Settings('project', 'stack', monitor=sys.argv[1], engine=sys.argv[1]))\n"
        "asyncio.run(run_in_stack(import_module(sys.argv[2]).main))\n"
    )
    with _served(engine) as address:
        subprocess.run(
            [sys.executable, "-c", program, address, module],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            timeout=120,
        )
    return engine.resources


@contextmanager
def _served(engine: FakeEngine) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(16))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(engine, server)
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def _call(callback: Any, question: Any) -> bytes:
    """What a function of the program answers."""
    with grpc.insecure_channel(callback.target) as channel:
        answered = callback_pb2_grpc.CallbacksStub(channel).Invoke(
            callback_pb2.CallbackInvokeRequest(
                token=callback.token, request=question.SerializeToString()
            )
        )
    response: bytes = answered.response
    return response


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(dict(values), struct_pb2.Struct())


def _is_secret(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return bool(value.get("secret")) or value.get(_SIGNATURE, "").startswith("1b47")
