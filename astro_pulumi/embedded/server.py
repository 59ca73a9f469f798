"""Pulumi's protocol: the gRPC services `ResourceMonitor` and `Engine` that a program talks to.

Translates between messages and the `deployment`, and runs the program's transforms. Messages are
described in `pulumi/resource.proto` and `pulumi/engine.proto`.
"""

# ruff: noqa: N802, ARG002 - names and arguments are gRPC's
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import partial
from typing import Any, Final, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import (
    callback_pb2,
    callback_pb2_grpc,
    engine_pb2,
    engine_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)

from astro_pulumi.embedded import urns
from astro_pulumi.embedded.components import ComponentPlugins
from astro_pulumi.embedded.deployment import PARALLEL, Deployment
from astro_pulumi.embedded.events import Emit, Message
from astro_pulumi.embedded.hooks import Hook, HookCall
from astro_pulumi.embedded.plan import Goal
from astro_pulumi.embedded.project import Config, Project
from astro_pulumi.embedded.provider import Severity
from astro_pulumi.embedded.providers import require_known
from astro_pulumi.embedded.state import ResourceState
from astro_pulumi.embedded.values import (
    OUTPUT_SIGNATURE,
    RESOURCE_SIGNATURE,
    SIGNATURE,
    Properties,
    from_wire,
    has_secret,
    reveal,
    to_wire,
)
from astro_pulumi.errors import AstroError, EngineError

_OPTIONS: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_FEATURES: Final = (
    "secrets",
    "resourceReferences",
    "outputValues",
    "aliasSpecs",
    "replacementTrigger",
    "deletedWith",
    "replaceWith",
    "transforms",
    "invokeTransforms",
    "parameterization",
    "resourceHooks",
    "errorHooks",
)
# Features that only have a number.
_NEWER_FEATURES: Final = ("BYTE_STRING", "INVOKE_DEPENDS_ON", "INVOKE_PARENT")
_SEVERITIES: Final[Mapping[int, Severity]] = {
    engine_pb2.DEBUG: "debug",
    engine_pb2.INFO: "info",
    engine_pb2.WARNING: "warning",
    engine_pb2.ERROR: "error",
}
_Context = Any  # grpc.ServicerContext


class Server:
    """Serves one run of a program until it is closed. `address` is for the program; `ended` is set when
    it said that no more registrations come."""

    def __init__(
        self, project: Project, deployment: Deployment, config: Config, emit: Emit
    ) -> None:
        self.ended = threading.Event()
        self._pool = ThreadPoolExecutor(256, thread_name_prefix="rpc")
        self._server = grpc.server(self._pool, options=_OPTIONS)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self.plugins = ComponentPlugins(project, self.address, emit)
        self.monitor = Monitor(deployment, config, self.plugins, self.ended)
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self.monitor, self._server)
        engine_pb2_grpc.add_EngineServicer_to_server(Engine(emit), self._server)
        self._server.start()

    def release(self) -> None:
        """Lets the program end: it waits for the engine to be done."""
        self.monitor.shut_down.set()

    def close(self) -> None:
        """Ends the service; calls still waiting are refused."""
        self.release()
        self.plugins.stop()
        self._server.stop(grace=None).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """`ResourceMonitor`: what the program asks for."""

    def __init__(
        self,
        deployment: Deployment,
        config: Config,
        plugins: ComponentPlugins,
        ended: threading.Event,
    ) -> None:
        self.shut_down = threading.Event()
        self.busy = 0  # registrations under way
        self._deployment = deployment
        self._config = config
        self._plugins = plugins
        self._ended = ended
        self._lock = threading.Lock()
        self._goals: dict[str, ResourceState] = {}
        self._component_providers: dict[str, dict[str, str]] = {}
        self._transforms: dict[str, list[callback_pb2.Callback]] = {}  # by URN; "" for the stack
        self._pending_transforms: dict[tuple[str, str, str], list[callback_pb2.Callback]] = {}
        self._packages: dict[str, resource_pb2.RegisterPackageRequest] = {}
        self._channels: dict[str, callback_pb2_grpc.CallbacksStub] = {}

    # -- who and what

    def GetDeploymentInfo(self, request: Any, context: _Context) -> resource_pb2.DeploymentInfo:
        names = [_upper(name) for name in _FEATURES] + list(_NEWER_FEATURES)
        feature = resource_pb2.ResourceMonitorFeature.Value
        return resource_pb2.DeploymentInfo(
            project=self._deployment.project,
            stack=self._deployment.stack,
            organization="organization",
            config=self._config.values,
            configSecretKeys=sorted(self._config.secret_keys),
            dryRun=self._deployment.preview,
            parallel=PARALLEL,
            supportedFeatures=[feature(f"RESOURCE_MONITOR_FEATURE_{name}") for name in names],
        )

    def SupportsFeature(self, request: Any, context: _Context) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURES)

    def SignalAndWaitForShutdown(self, request: Any, context: _Context) -> empty_pb2.Empty:
        self._ended.set()
        self.shut_down.wait()
        return empty_pb2.Empty()

    # -- resources

    def RegisterResource(self, request: Any, context: _Context) -> Any:
        # An exception that gRPC sees would end the program with a riddle.
        with self._lock:
            self.busy += 1
        try:
            return self._register(request)
        except Exception as error:
            self._refuse(context, _nameless(request, self._deployment), error)
        finally:
            with self._lock:
                self.busy -= 1

    def _register(self, request: resource_pb2.RegisterResourceRequest) -> Any:
        custom, is_provider = request.custom, urns.is_provider(request.type)
        inputs, property_dependencies = _inputs(request)
        self._inherit(request)
        # The plugin registers a remote component again: its own transforms are due then as well.
        identity = (request.parent, request.type, request.name)
        transforms = self._pending_transforms.pop(identity, list(request.transforms))
        options = _options(request, self._provider_for(request) if custom else request.provider)
        inputs, options, transformed = self._transform(request, transforms, inputs, options)
        if request.remote:
            self._pending_transforms[identity] = transforms
            return self._construct(request, inputs, options)
        if transformed:
            property_dependencies = {
                key: sorted({*property_dependencies.get(key, ()), *_urns_in(inputs[key])})
                for key in sorted(inputs)
            }
        dependencies = {*options.depends_on}.union(*property_dependencies.values())
        properties = from_wire(inputs)
        if is_provider and options.version:
            properties["version"] = options.version
        provider = ""
        if custom and not is_provider:
            provider = options.provider or self._default_provider(request, options.version)
        trigger = options.HasField("replacement_trigger") and options.replacement_trigger
        wanted = ResourceState(
            urn=self._deployment.urn(request.type, request.name, request.parent),
            type=request.type,
            custom=custom,
            inputs=properties,
            parent=request.parent,
            protect=options.protect,
            dependencies=tuple(sorted(dependencies)),
            provider=provider,
            property_dependencies=property_dependencies,
            additional_secret_outputs=tuple(options.additional_secret_outputs),
            custom_timeouts=_timeouts(options.custom_timeouts),
            import_id=getattr(options, "import"),
            retain_on_delete=options.retain_on_delete,
            deleted_with=options.deleted_with,
            replace_with=tuple(options.replace_with),
            ignore_changes=tuple(options.ignore_changes),
            replace_on_changes=tuple(options.replace_on_changes),
            replacement_trigger=from_wire(json_format.MessageToDict(trigger)) if trigger else None,
            resource_hooks=_hook_names(options.hooks),
        )
        first = options.delete_before_replace if options.HasField("delete_before_replace") else None
        goal = Goal(wanted, first, tuple(_alias(alias) for alias in options.aliases))
        state = self._deployment.register(goal)
        with self._lock:
            self._goals[state.urn] = wanted
            self._transforms[state.urn] = transforms
            if not custom:
                inherited = self._component_providers.get(request.parent, {})
                self._component_providers[state.urn] = {**inherited, **options.providers}
        return resource_pb2.RegisterResourceResponse(
            urn=state.urn,
            id=state.id,
            object=_struct(state.outputs if custom else {}, request.acceptSecrets),
        )

    def _construct(
        self,
        request: resource_pb2.RegisterResourceRequest,
        inputs: dict[str, Any],
        options: resource_pb2.TransformResourceOptions,
    ) -> Any:
        package = urns.package_of(request.type)
        self._deployment.default_provider(package, options.version)
        inherited = self._component_providers.get(request.parent, {})
        for name, reference in {**inherited, **options.providers}.items():
            options.providers[name] = reference
        info = self.GetDeploymentInfo(None, None)
        made = self._plugins.construct(package, info, request, inputs, options)
        outputs = json_format.MessageToDict(made.state)
        answer = resource_pb2.RegisterResourceResponse(
            urn=made.urn, object=_struct(from_wire(outputs), request.acceptSecrets)
        )
        for key, value in outputs.items():
            known = made.stateDependencies[key].urns if key in made.stateDependencies else ()
            answer.propertyDependencies[key].urns.extend(sorted({*known, *_urns_in(value)}))
        return answer

    def RegisterResourceOutputs(self, request: Any, context: _Context) -> empty_pb2.Empty:
        outputs = from_wire(json_format.MessageToDict(request.outputs))
        try:
            self._deployment.register_outputs(request.urn, outputs)
        except AstroError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return empty_pb2.Empty()

    def ReadResource(self, request: Any, context: _Context) -> Any:
        wanted = _nameless(request, self._deployment)
        try:
            wanted = replace(
                wanted,
                id=request.id,
                inputs=from_wire(json_format.MessageToDict(request.properties)),
                parent=request.parent,
                dependencies=tuple(request.dependencies),
                provider=request.provider or self._default_provider(request, request.version),
                additional_secret_outputs=tuple(request.additionalSecretOutputs),
            )
            state = self._deployment.read(wanted)
        except Exception as error:
            self._refuse(context, wanted, error)
        return resource_pb2.ReadResourceResponse(
            urn=state.urn, properties=_struct(state.outputs, request.acceptSecrets)
        )

    # -- functions

    def Invoke(self, request: Any, context: _Context) -> Any:
        if request.tok != "pulumi:pulumi:getResource":
            _not_offered(context, f"the function {request.tok}")
        urn = from_wire(json_format.MessageToDict(request.args))["urn"]
        state = self._deployment.lookup(urn)
        answer = resource_pb2.ResourceInvokeResponse()
        if state is None:
            answer.failures.add(reason=f"resource not found: {urn}")
        else:
            found = {"urn": state.urn, "id": state.id, "state": state.outputs}
            getattr(answer, "return").CopyFrom(_struct(found, secrets=True))
        return answer

    def Call(self, request: Any, context: _Context) -> Any:
        _not_offered(context, f"methods of resources ({request.tok})")

    # -- callbacks

    def RegisterStackTransform(self, request: Any, context: _Context) -> empty_pb2.Empty:
        with self._lock:
            self._transforms.setdefault("", []).append(request)
        return empty_pb2.Empty()

    def RegisterStackInvokeTransform(self, request: Any, context: _Context) -> empty_pb2.Empty:
        return empty_pb2.Empty()  # no invoke that it could transform is offered

    def RegisterResourceHook(self, request: Any, context: _Context) -> empty_pb2.Empty:
        ask, answer = resource_pb2.ResourceHookRequest, resource_pb2.ResourceHookResponse
        dry, lenient = request.on_dry_run, request.ignore_errors
        call = partial(self._call_hook, request.callback, ask, answer)
        return self._register_hook(Hook(request.name, call, False, dry, lenient), context)

    def RegisterErrorHook(self, request: Any, context: _Context) -> empty_pb2.Empty:
        ask, answer = resource_pb2.ErrorHookRequest, resource_pb2.ErrorHookResponse
        call = partial(self._call_hook, request.callback, ask, answer)
        return self._register_hook(Hook(request.name, call, is_error_hook=True), context)

    def RegisterPackage(self, request: Any, context: _Context) -> Any:
        if request.HasField("parameterization") or request.HasField("extension"):
            _not_offered(context, f"parameterized providers ({request.name})")
        ref = f"{request.name}@{request.version}"
        with self._lock:
            self._packages[ref] = request
        return resource_pb2.RegisterPackageResponse(ref=ref)

    # -- helpers

    def _refuse(self, context: _Context, resource: ResourceState, error: Exception) -> NoReturn:
        """Tells the SDK that the update is over; it ends the program without a message of its own."""
        if not self._deployment.stopped.is_set():  # else this is what follows from another failure
            self._deployment.fail(resource, error)
        context.abort(grpc.StatusCode.UNAVAILABLE, "the update was stopped")
        raise AssertionError

    def _inherit(self, request: resource_pb2.RegisterResourceRequest) -> None:
        """What a child takes over from its parent unless it says otherwise."""
        parent = self._goals.get(request.parent)
        if parent is None:
            return
        request.deletedWith = request.deletedWith or parent.deleted_with
        if not request.HasField("protect") and parent.protect:
            request.protect = True
        if not request.HasField("retainOnDelete") and parent.retain_on_delete:
            request.retainOnDelete = True
        if not request.provider and parent.provider:
            package = urns.package_of(urns.type_of(urns.split_reference(parent.provider)[0]))
            if package == urns.package_of(request.type):
                request.provider = parent.provider

    def _provider_for(self, request: resource_pb2.RegisterResourceRequest) -> str:
        if request.provider:
            return request.provider
        package = urns.package_of(request.type)
        own = request.providers.get(package)
        return own or self._component_providers.get(request.parent, {}).get(package, "")

    def _default_provider(self, request: Any, version: str) -> str:
        package = urns.package_of(request.type)
        ref = self._packages.get(request.packageRef)
        if ref:
            package, version = ref.name, ref.version
        require_known(package)
        return self._deployment.default_provider(package, version)

    def _transform(
        self,
        request: resource_pb2.RegisterResourceRequest,
        transforms: list[callback_pb2.Callback],
        inputs: dict[str, Any],
        options: resource_pb2.TransformResourceOptions,
    ) -> tuple[dict[str, Any], resource_pb2.TransformResourceOptions, bool]:
        """Runs the resource's own transforms, its parents', then the stack's."""
        callbacks = list(transforms)
        with self._lock:
            urn = request.parent
            while urn:
                callbacks += self._transforms.get(urn, [])
                goal = self._goals.get(urn)
                urn = goal.parent if goal else ""
            callbacks += self._transforms.get("", [])
        for callback in callbacks:
            call = resource_pb2.TransformRequest(
                type=request.type,
                name=request.name,
                custom=request.custom,
                parent=request.parent,
                properties=json_format.ParseDict(inputs, struct_pb2.Struct()),
                options=options,
            )
            answer = resource_pb2.TransformResponse()
            done = self._call_back("a transform failed: ", callback, call.SerializeToString())
            answer.ParseFromString(done)
            if answer.HasField("properties"):
                inputs = json_format.MessageToDict(answer.properties)
            if answer.HasField("options"):
                options = answer.options
        return inputs, options, bool(callbacks)

    def _register_hook(self, hook: Hook, context: _Context) -> empty_pb2.Empty:
        try:
            self._deployment.hooks.register(hook)
        except EngineError as error:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, str(error))
        return empty_pb2.Empty()

    def _call_hook(
        self, callback: callback_pb2.Callback, ask: Any, answer: Any, told: HookCall
    ) -> bool:
        given = {field.name: getattr(told, field.name) for field in fields(told)}
        message = ask(
            **{
                name: _struct(value, secrets=True) if isinstance(value, dict) else value
                for name, value in given.items()
                if value not in (None, "", ())
            }
        )
        said = answer.FromString(self._call_back("", callback, message.SerializeToString()))
        if said.error:
            raise EngineError(said.error)
        return bool(getattr(said, "retry", False))

    def _call_back(self, what: str, callback: callback_pb2.Callback, request: bytes) -> bytes:
        with self._lock:
            stub = self._channels.get(callback.target)
            if stub is None:
                channel = grpc.insecure_channel(callback.target, options=_OPTIONS)
                stub = self._channels[callback.target] = callback_pb2_grpc.CallbacksStub(channel)
        call = callback_pb2.CallbackInvokeRequest(token=callback.token, request=request)
        try:
            return bytes(stub.Invoke(call).response)
        except grpc.RpcError as error:
            detail = error.details() if isinstance(error, grpc.Call) else error
            raise EngineError(f"{what}{detail}") from error


class Engine(engine_pb2_grpc.EngineServicer):
    """`Engine`: the program's log."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._root = ""

    def Log(self, request: Any, context: _Context) -> empty_pb2.Empty:
        severity = _SEVERITIES[request.severity]
        self._emit(Message(severity, request.message, request.urn, passing=request.ephemeral))
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: _Context) -> Any:
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: _Context) -> Any:
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any, context: _Context) -> Any:
        return engine_pb2.RequirePulumiVersionResponse()

    def StartDebugging(self, request: Any, context: _Context) -> empty_pb2.Empty:
        return empty_pb2.Empty()


def _inputs(request: Any) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """-> (inputs in wire form, what each depends on)."""
    inputs: dict[str, Any] = json_format.MessageToDict(request.object)
    stated = {key: sorted(deps.urns) for key, deps in request.propertyDependencies.items()}
    if not stated:
        stated = {key: sorted(request.dependencies) for key in inputs}
    return inputs, dict(sorted(stated.items()))


def _options(request: Any, provider: str) -> resource_pb2.TransformResourceOptions:
    """A request's options in the form that transforms are given."""
    options = resource_pb2.TransformResourceOptions(
        depends_on=request.dependencies,
        ignore_changes=request.ignoreChanges,
        replace_on_changes=request.replaceOnChanges,
        version=request.version,
        aliases=request.aliases,
        provider=provider,
        custom_timeouts=request.customTimeouts if request.HasField("customTimeouts") else None,
        plugin_download_url=request.pluginDownloadURL,
        deleted_with=request.deletedWith,
        additional_secret_outputs=request.additionalSecretOutputs,
        providers=request.providers,
        replace_with=request.replace_with,
        hooks=request.hooks if request.HasField("hooks") else None,
        **{"import": request.importId},
    )
    for urn in request.aliasURNs:
        options.aliases.add(urn=urn)
    if request.HasField("protect"):
        options.protect = request.protect
    if request.HasField("retainOnDelete"):
        options.retain_on_delete = request.retainOnDelete
    if request.deleteBeforeReplaceDefined or request.deleteBeforeReplace:
        options.delete_before_replace = request.deleteBeforeReplace
    if request.HasField("replacement_trigger"):
        options.replacement_trigger.CopyFrom(request.replacement_trigger)
    return options


def _alias(alias: Any) -> Mapping[str, str] | str:
    if alias.WhichOneof("alias") == "urn":
        return str(alias.urn)
    return {
        key: str(value) for key, value in json_format.MessageToDict(alias.spec).items() if value
    }


def _hook_names(binding: Any) -> dict[str, list[str]]:
    """The names of a resource's hooks by kind, as state has them: `BeforeCreate`."""
    return {
        "".join(word.title() for word in field.name.split("_")): list(names)
        for field, names in binding.ListFields()
    }


def _timeouts(timeouts: Any) -> dict[str, float]:
    stated = {name: getattr(timeouts, name) for name in ("create", "update", "delete")}
    return {name: seconds(text) for name, text in stated.items() if text}


def seconds(duration: str) -> float:
    """A Go duration, `1h2m3.5s`, in seconds."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    parts = re.findall(r"([\d.]+)(h|ms|us|µs|ns|m|s)", duration)
    if "".join(number + unit for number, unit in parts) != duration:
        raise EngineError(f"customTimeouts: {duration!r} is not a duration like 10m or 1h30m")
    return sum(float(number) * units[unit] for number, unit in parts)


def _urns_in(value: Any) -> set[str]:
    """The resources that a value in wire form depends on."""
    found: set[str] = set()
    if isinstance(value, dict):
        if value.get(SIGNATURE) == OUTPUT_SIGNATURE:
            found.update(value.get("dependencies") or ())
        elif value.get(SIGNATURE) == RESOURCE_SIGNATURE:
            found.add(value["urn"])
        for item in value.values():
            found.update(_urns_in(item))
    elif isinstance(value, list):
        for item in value:
            found.update(_urns_in(item))
    return found


def _struct(values: Properties, secrets: bool) -> struct_pb2.Struct:
    if not secrets and has_secret(values):
        values = reveal(values)
    return json_format.ParseDict(to_wire(values), struct_pb2.Struct())


def _nameless(request: Any, deployment: Deployment) -> ResourceState:
    urn = deployment.urn(request.type, request.name, request.parent)
    return ResourceState(urn=urn, type=request.type, custom=True)


def _not_offered(context: _Context, what: str) -> NoReturn:
    context.abort(
        grpc.StatusCode.UNIMPLEMENTED,
        f"the embedded engine does not offer {what}. Install the Pulumi CLI "
        "(https://www.pulumi.com/docs/install/) for this program.",
    )
    raise AssertionError


def _upper(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()
