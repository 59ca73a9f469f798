"""Stand-in for `pulumi-language-python`, which runs Pulumi programs and plugins written in Python.

It runs programs and component plugins with a `__main__.py`, creates their virtual environment with pip, and
lists the packages of a program. It refuses the toolchains poetry and uv, type checkers, debuggers, policy
packs, parameterized packages, and the generation of SDKs, packages and programs.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from local.pulumi.plugin import ResourceError, merged, serve, service
from local.pulumi.program import EXIT_CODE_OF_SHOWN_ERROR, SETTINGS
from local.pulumi.protocol import language_pb2

_TITLE: Final = "The local stand-in for pulumi-language-python"
_PROGRAM: Final = Path(__file__).with_name("program.py")
Fields = dict[str, Any]  # of a response


class LanguageHost:
    """Answers the CLI's calls to a language host, and owns the processes that they start."""

    def __init__(self, engine: str) -> None:
        """Run programs for the engine at the address `engine`."""
        self._engine = engine
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._cancelled = False

    def handshake(self, _request: Any) -> None:
        """Return an empty response: no version, and no question for `pulumi new`."""

    get_plugin_info = runtime_options_prompts = handshake

    def get_required_packages(self, request: Any) -> Fields:
        """Return the plugins that the installed packages require, so that the CLI uses their versions."""
        folders = _search_path(_interpreter(request.info))
        files = [file for folder in folders for file in Path(folder).glob("*/pulumi-plugin.json")]
        return {"packages": [plugin for plugin in map(_plugin, files) if plugin]}

    def about(self, request: Any) -> Fields:
        """Return the program's interpreter and its version."""
        python = _interpreter(request.info)
        return {"executable": python, "version": _said_by(python, "sys.version.split()[0]")}

    def get_program_dependencies(self, request: Any) -> Fields:
        """Return all installed packages, also those that no other package requires."""
        from importlib.metadata import distributions

        found = distributions(path=_search_path(_interpreter(request.info)))
        return {"dependencies": [{"name": each.name, "version": each.version} for each in found]}

    def run(self, request: Any) -> Fields:
        """Run a program to its end."""
        if request.attach_debugger:
            raise ResourceError(f"{_TITLE} does not attach debuggers")
        settings = {
            "monitor": request.monitor_address,
            "engine": self._engine,
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization,
            "root_directory": request.info.root_directory,
            "parallel": max(request.parallel, 1),
            "dry_run": request.dryRun,
        }
        environment = os.environ | {
            SETTINGS: json.dumps(settings),
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        command = _command(request.info, request.info.entry_point, request.args)
        process = self._start(command, cwd=request.pwd, env=environment)
        code = process.wait()
        self._end(process)
        if code in (0, EXIT_CODE_OF_SHOWN_ERROR) or self._cancelled:
            return {"bail": code != 0}
        how = f"ended by signal {-code}" if code < 0 else f"exited with non-zero exit code: {code}"
        return {"error": f"Program {how}"}

    def run_plugin(self, request: Any, context: Any) -> Iterator[Fields]:
        """Run a plugin and pass on its output, until it ends or the call is cancelled."""
        folder = Path(request.info.program_directory)
        if request.kind != "resource" or request.attach_debugger:
            raise ResourceError(f"{_TITLE} runs resource plugins only, without a debugger")
        if not (folder / "__main__.py").is_file():
            raise ResourceError(f"{_TITLE} runs plugins with a __main__.py only; {folder} has none")
        command = _command(request.info, str(folder), request.args)
        environment = dict(variable.split("=", 1) for variable in request.env)
        return self._stream(context, command, cwd=request.pwd, env=environment)

    def install_dependencies(self, request: Any, context: Any) -> Iterator[Fields]:
        """Create the virtual environment in the options, unless it exists."""
        info, requirements = request.info, Path(request.info.program_directory, "requirements.txt")
        virtualenv = _virtualenv(info)
        if virtualenv is None and requirements.is_file():
            raise ResourceError(
                f"{_TITLE} installs {requirements} into a virtual environment only. Set"
                " `virtualenv: venv` in the runtime's options, or install it yourself"
            )
        if virtualenv is None or (virtualenv / "bin" / "python").exists():
            return
        commands = [[_system_python(), "-m", "venv", str(virtualenv)]]
        if requirements.is_file():
            pip = [str(virtualenv / "bin" / "python"), "-m", "pip", "install"]
            commands.append([*pip, "--disable-pip-version-check", "-r", str(requirements)])
        for command in commands:
            for fields in self._stream(context, command, cwd=info.program_directory):
                if code := fields.get("exitcode"):
                    shutil.rmtree(virtualenv, ignore_errors=True)
                    raise ResourceError(f"`{' '.join(command)}` failed with exit code {code}")
                if "exitcode" not in fields:
                    yield fields

    def cancel(self, _request: Any = None) -> None:
        """End every process at once, after Ctrl-C or at the end of the CLI."""
        with self._lock:
            self._cancelled = True
            running = list(self._running)
        for process in running:
            self._end(process)

    def _stream(self, context: Any, command: list[str], **options: Any) -> Iterator[Fields]:
        """Run a process that ends with the call. Yield its output line by line, then its exit code."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = self._start(command, **pipes, **options)
        if not context.add_callback(lambda: self._end(process)):
            self._end(process)
        out, err = process.stdout or (), process.stderr or ()
        yield from merged([({"stdout": line} for line in out), ({"stderr": line} for line in err)])
        yield {"exitcode": process.wait()}

    def _start(self, command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        """Start a process in its own session, so that an interrupt of this process does not reach it."""
        with self._lock:
            if self._cancelled:
                raise ResourceError("cancelled")
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, start_new_session=True, **options
            )
            self._running.add(process)
        return process

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill a process and its descendants."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._running.discard(process)


def _command(info: Any, entry: str, arguments: Any) -> list[str]:
    return [_interpreter(info), "-u", str(_PROGRAM), str(os.getpid()), entry, *arguments]


def _virtualenv(info: Any) -> Path | None:
    """Return the virtual environment in the options.

    Raises:
        ResourceError: An option is not supported.
    """
    options = MessageToDict(info.options)
    for name, value in options.items():
        if name != "virtualenv" and (name, value) != ("toolchain", "pip"):
            raise ResourceError(f"{_TITLE} does not implement the runtime option `{name}: {value}`")
    folder = options.get("virtualenv")
    return Path(info.root_directory, folder) if folder else None


def _interpreter(info: Any) -> str:
    """Return the Python of the virtual environment in the options, or the one on PATH."""
    virtualenv = _virtualenv(info)
    if virtualenv is None:
        return _system_python()
    python = virtualenv / "bin" / "python"
    if not python.exists():
        raise ResourceError(f"virtualenv: {python} does not exist. Run `pulumi install`")
    return str(python)


def _system_python() -> str:
    python = shutil.which("python3")
    if python is None:
        raise ResourceError("python3 is not on PATH")
    return python


def _said_by(python: str, expression: str) -> str:
    command = [python, "-c", f"import sys; print({expression})"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _search_path(python: str) -> list[str]:
    return _said_by(python, "*sys.path[1:], sep='\\n'").splitlines()


def _plugin(file: Path) -> Fields | None:
    """Return the plugin that a package requires, or None."""
    plugin = json.loads(file.read_text())
    if "parameterization" in plugin or "extensionParameterization" in plugin:
        raise ResourceError(f"{_TITLE} does not implement parameterized packages: {file.parent}")
    if not plugin.get("resource"):
        return None
    name = plugin.get("name") or file.parent.name.removeprefix("pulumi_").replace("_", "-")
    known = {"version": plugin.get("version", ""), "server": plugin.get("server", "")}
    return {"name": name, "kind": "resource", **known}


def handlers(host: LanguageHost) -> Any:
    """Return the gRPC service of a language host."""
    return service(_TITLE, language_pb2.DESCRIPTOR.services_by_name["LanguageRuntime"], host)


if __name__ == "__main__":
    host = LanguageHost(sys.argv[-1])
    serve(handlers(host), host.cancel)
