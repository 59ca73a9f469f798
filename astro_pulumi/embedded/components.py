"""Remote components: those that a program in any language uses through a component plugin.

The plugin is a Python program of its own, started when first needed; it registers its resources with
this engine as the program does. Protocol: `Construct` in `pulumi/provider.proto`.
"""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, resource_pb2

from astro_pulumi.embedded.events import Emit, Message
from astro_pulumi.embedded.program import forward, interpreter
from astro_pulumi.embedded.project import Project, read_yaml
from astro_pulumi.errors import EngineError

_OWN_PACKAGE = "astro"


class ComponentPlugins:
    """The plugins of one run."""

    def __init__(self, project: Project, address: str, emit: Emit) -> None:
        """`address` is the engine's."""
        self._project = project
        self._address = address
        self._emit = emit
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[str]] = []
        self._stubs: dict[str, provider_pb2_grpc.ResourceProviderStub] = {}

    def construct(
        self,
        package: str,
        info: resource_pb2.DeploymentInfo,
        request: resource_pb2.RegisterResourceRequest,
        inputs: dict[str, Any],
        options: resource_pb2.TransformResourceOptions,
    ) -> provider_pb2.ConstructResponse:
        """Has the plugin make a component. Returns when it is registered."""
        call = provider_pb2.ConstructRequest(
            project=info.project,
            stack=info.stack,
            organization=info.organization,
            config=info.config,
            configSecretKeys=info.configSecretKeys,
            dryRun=info.dryRun,
            parallel=info.parallel,
            monitorEndpoint=self._address,
            type=request.type,
            name=request.name,
            parent=request.parent,
            inputs=json_format.ParseDict(inputs, struct_pb2.Struct()),
            accepts_output_values=True,
            dependencies=options.depends_on,
            providers=options.providers,
            aliases=options.aliases,
            additionalSecretOutputs=options.additional_secret_outputs,
            ignoreChanges=options.ignore_changes,
            replaceOnChanges=options.replace_on_changes,
            deletedWith=options.deleted_with,
            replace_with=options.replace_with,
        )
        for key, dependencies in request.propertyDependencies.items():
            call.inputDependencies[key].urns.extend(dependencies.urns)
        if options.HasField("protect"):
            call.protect = options.protect
        if options.HasField("retain_on_delete"):
            call.retainOnDelete = options.retain_on_delete
        if options.HasField("replacement_trigger"):
            call.replacement_trigger.CopyFrom(options.replacement_trigger)
        for field, names in options.hooks.ListFields():
            getattr(call.resource_hooks, field.name).extend(names)
        try:
            response: provider_pb2.ConstructResponse = self._plugin(package).Construct(call)
        except grpc.RpcError as error:
            detail = error.details() if isinstance(error, grpc.Call) else error
            raise EngineError(f"{request.type} '{request.name}': {detail}") from error
        return response

    def stop(self) -> None:
        """Ends the plugins."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _plugin(self, package: str) -> provider_pb2_grpc.ResourceProviderStub:
        with self._lock:
            if package not in self._stubs:
                directory = find_plugin(self._project, package)
                settings = Project(
                    directory / "PulumiPlugin.yaml", read_yaml(directory / "PulumiPlugin.yaml")
                )
                python = interpreter(settings, fallback=sys.executable)
                process = subprocess.Popen(
                    [python, "-u", str(directory), self._address],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
                self._processes.append(process)
                forward(process.stderr, "stderr", self._emit)
                port = process.stdout.readline().strip() if process.stdout else ""
                if not port.isdigit():
                    raise EngineError(f"the component plugin in {directory} did not start")
                forward(process.stdout, "stdout", self._emit)
                self._emit(Message("debug", f"component plugin {package} is at port {port}"))
                channel = grpc.insecure_channel(f"127.0.0.1:{port}")
                self._stubs[package] = provider_pb2_grpc.ResourceProviderStub(channel)
            return self._stubs[package]


def find_plugin(project: Project, package: str) -> Path:
    """Where the component plugin of a package is: what `Pulumi.yaml` says, or this package's own."""
    declared = (project.settings.get("packages") or {}).get(package)
    directory = project.root / str(declared) if declared else None
    if directory is None and package == _OWN_PACKAGE:
        directory = Path(__file__).parents[2]
    if directory is None or not (directory / "PulumiPlugin.yaml").is_file():
        raise EngineError(
            f"the embedded engine has no components of package {package!r}: it uses those that "
            f"`packages` in {project.file} names by a directory with a PulumiPlugin.yaml. Install the "
            "Pulumi CLI for others."
        )
    return directory
