"""The protocol between the Pulumi CLI and a provider, around a class with the implementation."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NoReturn, Protocol

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from local.pulumi.plugin import ResourceError, serve, service
from local.pulumi.protocol import engine_pb2, engine_pb2_grpc, provider_pb2
from local.pulumi.values import Properties, from_wire, reveal, to_wire

Kind = Literal["ADD", "ADD_REPLACE", "DELETE", "DELETE_REPLACE", "UPDATE", "UPDATE_REPLACE"]
Fields = dict[str, Any]  # of a response


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to a provider. Each call has the fields of its protocol message; the others are empty."""

    type: str
    inputs: Properties = field(default_factory=dict)
    old_inputs: Properties = field(default_factory=dict)
    old_outputs: Properties = field(default_factory=dict)
    ignore_changes: Sequence[str] = ()
    preview: bool = False
    # Shows a line as the resource's status, in place of the previous line.
    log: Callable[[str], object] = str


class Provider(Protocol):
    """One provider. Each method may raise `ResourceError` with a message for the user."""

    name: str  # of the package: "docker"
    types: Sequence[str]  # the resource types that are implemented
    options: Sequence[str] = ()  # the options of the provider resource that are implemented

    def configure(self, config: Properties) -> None:
        """Take the options of the provider resource."""
        del config

    def check(self, request: Request) -> tuple[Properties, dict[str, str]]:
        """Return inputs with defaults, and the reasons to refuse inputs, by path: `build.context`."""

    def diff(self, request: Request) -> dict[str, Kind]:
        """Return the changes of an update, by property."""

    def create(self, request: Request) -> tuple[str, Properties]:
        """Return id and outputs. A preview creates nothing, and its unknown outputs are `UNKNOWN`."""

    def update(self, request: Request) -> Properties:
        """Return the outputs."""

    def cancel(self) -> None:
        """End every call in progress soon, after Ctrl-C."""
        return


class Calls:
    """Answers the CLI's calls to a provider."""

    def __init__(self, provider: Provider, engine: str) -> None:
        """Answer with the methods of `provider`; logs go to the engine at the address `engine`."""
        self._provider = provider
        self.title = f"The local stand-in for pulumi-{provider.name}"
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine))

    def handshake(self, _request: Any) -> Fields:
        """Return the special values that the provider understands."""
        return {"accept_secrets": True}

    def get_plugin_info(self, _request: Any) -> Fields:
        """Return the version that resources of the installed Python package require."""
        from importlib.metadata import version

        return {"version": version(f"pulumi-{self._provider.name}")}

    def check_config(self, request: Any) -> Fields:
        """Refuse options that are not implemented."""
        news = _properties(request.news)
        unknown = {key for key in news if not key.startswith("__")}
        unknown -= {"version", *self._provider.options}
        return _checked(news, dict.fromkeys(unknown, f"{self.title} does not have this option"))

    def diff_config(self, request: Any) -> Fields:
        """Return the changed options, none of which replaces resources."""
        old, new = (reveal(_properties(given)) for given in (request.old_inputs, request.news))
        return _changed({key: "UPDATE" for key in {*old, *new} if old.get(key) != new.get(key)})

    def configure(self, request: Any) -> Fields:
        """Pass the options to the provider."""
        self._provider.configure(reveal(_properties(request.args)))
        return {"acceptSecrets": True, "supportsPreview": True}

    def check(self, request: Any) -> Fields:
        """Return inputs with defaults, or the reasons to refuse them."""
        return _checked(*self._provider.check(self._asked(request, inputs=request.news)))

    def diff(self, request: Any) -> Fields:
        """Return the changes of an update."""
        return _changed(self._provider.diff(self._change(request)))

    def create(self, request: Any) -> Fields:
        """Create a resource."""
        id, outputs = self._provider.create(self._asked(request, inputs=request.properties))
        return {"id": id, "properties": _struct(outputs)}

    def update(self, request: Any) -> Fields:
        """Update a resource in place."""
        return {"properties": _struct(self._provider.update(self._change(request)))}

    def read(self, request: Any) -> Fields:
        """Return a resource as in the state: resources of these providers do not change by themselves."""
        asked = self._asked(request, old_outputs=request.properties)
        if not asked.old_outputs:
            raise ResourceError(f"{self.title} cannot import or read {asked.type}")
        return {"id": request.id, "inputs": request.inputs, "properties": request.properties}

    def delete(self, request: Any) -> None:
        """Forget a resource. Passwords are in the state only, and earlier releases may use an image."""
        self._asked(request)

    def cancel(self, _request: Any) -> None:
        """End every call in progress soon."""
        self._provider.cancel()

    def _change(self, request: Any) -> Request:
        return self._asked(
            request, inputs=request.news, old_inputs=request.old_inputs, old_outputs=request.olds
        )

    def _asked(self, request: Any, **properties: Struct) -> Request:
        if request.type not in self._provider.types:
            only = f"only {', '.join(self._provider.types)}. Install Pulumi for the real one"
            raise ResourceError(f"{self.title} does not make {request.type}, {only}")
        return Request(
            type=request.type,
            ignore_changes=tuple(getattr(request, "ignoreChanges", ())),
            preview=getattr(request, "preview", False),
            log=partial(self._log, request.urn),
            **{name: _properties(struct) for name, struct in properties.items()},
        )

    def _log(self, urn: str, text: str) -> None:
        line = engine_pb2.LogRequest(
            severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=True
        )
        with suppress(grpc.RpcError):  # the engine is gone: this process ends soon
            self._engine.Log(line)


def handlers(provider: Provider, engine: str) -> Any:
    """Return the gRPC service of a provider that logs to the engine at the address `engine`."""
    calls = Calls(provider, engine)
    return service(calls.title, provider_pb2.DESCRIPTOR.services_by_name["ResourceProvider"], calls)


def main(provider: Provider) -> NoReturn:
    """Serve `provider` to the CLI, whose engine's address is the last argument."""
    serve(handlers(provider, sys.argv[-1]), provider.cancel)


def _properties(struct: Struct) -> Properties:
    return dict(from_wire(MessageToDict(struct)))


def _struct(properties: Properties) -> Struct:
    struct = Struct()
    struct.update(to_wire(properties))
    return struct


def _checked(inputs: Properties, refused: Mapping[str, str]) -> Fields:
    failures = [{"property": path, "reason": reason} for path, reason in refused.items()]
    return {"inputs": _struct(inputs), "failures": failures}


def _changed(changes: Mapping[str, Kind]) -> Fields:
    return {
        "changes": "DIFF_SOME" if changes else "DIFF_NONE",
        "replaces": sorted(key for key, kind in changes.items() if kind.endswith("_REPLACE")),
        "diffs": sorted(changes),
        "detailedDiff": {key: {"kind": kind} for key, kind in changes.items()},
        "hasDetailedDiff": True,
    }
