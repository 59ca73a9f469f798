"""The stand-in for pulumi-language-python, without the CLI."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2_grpc

from tests.plugin.fake_engine import FakeEngine
from tests.unit.local.pulumi.client import LANGUAGE, Client
from tests.unit.local.pulumi.processes import (
    eventually_gone,
    output,
    start,
    started_by_a_cli,
    written_number,
)

# A program that writes its number and that of a child to files, and then waits.
WAITING = """
import os, pathlib, subprocess, time
child = subprocess.Popen(["sleep", "1000"])
pathlib.Path("child").write_text(f"{child.pid}\\n")
pathlib.Path("program").write_text(f"{os.getpid()}\\n")
time.sleep(1000)
"""


class Listener(FakeEngine):
    """Keeps what the user would see."""

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        return Empty() if request.severity == engine_pb2.DEBUG else super().Log(request, context)


@dataclass
class Engine:
    """An engine that carries nothing out, and its address."""

    fake: FakeEngine
    address: str


@pytest.fixture
def engine() -> Iterator[Engine]:
    fake, server = Listener(), grpc.server(ThreadPoolExecutor(8))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(fake, server)
    engine_pb2_grpc.add_EngineServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Engine(fake, f"127.0.0.1:{port}")
    server.stop(None)


class Host:
    """A running stand-in, and a project for it."""

    def __init__(self, engine: Engine, folder: Path, **environment: str) -> None:
        self.engine = engine
        self.folder = folder
        self.process = start("language_host", engine.address, **environment)
        self.call = Client(LANGUAGE, int(output(self.process).readline()))

    def info(self, **options: Any) -> dict[str, Any]:
        """Return where the program is, and its runtime's options."""
        folder = str(self.folder)
        return {
            "rootDirectory": folder,
            "programDirectory": folder,
            "entryPoint": ".",
            "options": {"virtualenv": sys.prefix} | options,
        }

    def request(self, text: str, **more: Any) -> dict[str, Any]:
        """Write a program, and return the request to run it."""
        (self.folder / "__main__.py").write_text(text)
        return {
            "info": self.info(),
            "pwd": str(self.folder),
            "project": "project",
            "stack": "dev",
            "organization": "organization",
            "monitorAddress": self.engine.address,
            "parallel": 8,
            **more,
        }

    def run(self, text: str, **more: Any) -> dict[str, Any]:
        """Run a program to its end, and return the answer."""
        return self.call("Run", **self.request(text, **more))

    def end(self) -> str:
        """Interrupt it as the CLI does, and return what it and its programs have written."""
        os.killpg(self.process.pid, signal.SIGINT)
        written = output(self.process).read().decode()
        assert self.process.wait(4) == 0  # the CLI kills after 5 s
        output(self.process).close()
        self.call.close()
        return written


@pytest.fixture
def host(engine: Engine, tmp_path: Path) -> Iterator[Host]:
    host = Host(engine, tmp_path)
    yield host
    if host.process.poll() is None:
        host.end()


def test_a_program_runs_with_its_configuration(host: Host) -> None:
    (host.folder / "beside.py").write_text("def name(value): return f'{value}!'\n")
    program = """
import os, sys, pulumi
config = pulumi.Config()
pulumi.log.info(f"{config.get('size')} {pulumi.get_stack()} {pulumi.runtime.is_dry_run()}")
pulumi.log.info(f"{os.getcwd()} {sys.argv[1:]}")
def late(value):
    import beside
    pulumi.log.info(beside.name(value))
config.get_secret("token").apply(late)
print("printed")
"""
    answer = host.run(
        program,
        config={"project:size": "3", "project:token": "t"},
        configSecretKeys=["project:token"],
        args=["one"],
        dryRun=True,
    )
    assert answer == {}
    assert host.engine.fake.said == ["3 dev True", f"{host.folder} ['one']", "t!"]
    assert host.end() == "printed\n"


def test_an_error_for_the_user_is_shown_alone(host: Host) -> None:
    assert host.run("import pulumi\nraise pulumi.RunError('no such directory')\n") == {"bail": True}
    assert host.engine.fake.said == ["no such directory"]
    assert host.end() == ""


def test_a_bug_is_shown_with_the_traceback_from_the_program_on(host: Host) -> None:
    assert host.run("def f(): raise ValueError('oops')\nf()\n") == {"bail": True}
    (said,) = host.engine.fake.said
    assert said.startswith("Program failed with an unhandled exception:\nTraceback")
    first = said.splitlines()[2]
    assert str(host.folder / "__main__.py") in first
    assert said.endswith("ValueError: oops\n")
    assert host.end() == ""


def test_an_exit_code_is_told(host: Host) -> None:
    assert host.run("raise SystemExit(3)\n") == {
        "error": "Program exited with non-zero exit code: 3"
    }
    assert host.run("import os\nos.abort()\n") == {"error": "Program ended by signal 6"}


def test_an_interrupt_ends_the_program_silently(host: Host) -> None:
    host.call.stream("Run", **host.request(WAITING))
    numbers = [written_number(host.folder / name) for name in ("program", "child")]
    assert host.end() == ""
    assert eventually_gone(*numbers)


def test_cancelling_ends_the_program(host: Host) -> None:
    running = host.call.stream("Run", **host.request(WAITING))
    numbers = [written_number(host.folder / name) for name in ("program", "child")]
    host.call("Cancel")
    assert running.result(10).bail
    assert eventually_gone(*numbers)
    assert host.end() == ""


def test_nothing_remains_when_the_cli_is_killed(engine: Engine, tmp_path: Path) -> None:
    with started_by_a_cli("language_host", engine.address) as (cli, port, number):
        call = Client(LANGUAGE, port)
        call.stream("Run", **Host.request(_at(engine, tmp_path), WAITING))
        numbers = [written_number(tmp_path / name) for name in ("program", "child")]
        cli.kill()
        assert eventually_gone(number, *numbers)
        call.close()


def test_nothing_remains_when_the_host_is_killed(host: Host) -> None:
    host.call.stream("Run", **host.request(WAITING))
    numbers = [written_number(host.folder / name) for name in ("program", "child")]
    host.process.kill()
    host.process.wait()
    assert eventually_gone(*numbers)


def _at(engine: Engine, folder: Path) -> Host:
    """Return a project without a process."""
    host = Host.__new__(Host)
    host.engine, host.folder = engine, folder
    return host


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"toolchain": "uv"}, "does not implement the runtime option `toolchain: uv`"),
        ({"toolchain": "poetry"}, "does not implement the runtime option `toolchain: poetry`"),
        ({"typechecker": "mypy"}, "does not implement the runtime option `typechecker: mypy`"),
        ({"virtualenv": "nowhere"}, "nowhere/bin/python does not exist. Run `pulumi install`"),
    ],
)
def test_options_that_are_refused(host: Host, options: dict[str, str], words: str) -> None:
    for method in ("Run", "GetRequiredPackages", "About"):
        with pytest.raises(grpc.RpcError) as caught:
            host.call(method, info=host.info(**options))
        assert words in str(caught.value)


def test_calls_that_are_refused(host: Host) -> None:
    for method in ("GeneratePackage", "GenerateProject", "GenerateProgram", "Pack", "Link"):
        with pytest.raises(grpc.RpcError, match=f"python does not implement {method}"):
            host.call(method)
    with pytest.raises(grpc.RpcError, match="does not attach debuggers"):
        host.run("", attachDebugger=True)


def test_plugins_that_are_refused(host: Host) -> None:
    with pytest.raises(grpc.RpcError, match="runs resource plugins only"):
        list(host.call.stream("RunPlugin", kind="analyzer", info=host.info()))
    with pytest.raises(grpc.RpcError, match=r"with a __main__\.py only"):
        list(host.call.stream("RunPlugin", kind="resource", info=host.info()))


def plugin(host: Host, text: str) -> Any:
    """Start a plugin with one argument and one variable."""
    (host.folder / "__main__.py").write_text(text)
    return host.call.stream(
        "RunPlugin",
        kind="resource",
        info=host.info(),
        pwd=str(host.folder),
        args=["127.0.0.1:1"],
        env=["GREETING=a=b", f"PATH={os.environ['PATH']}"],
    )


def test_a_plugin_is_heard_until_its_end(host: Host) -> None:
    text = """
import os, sys
print(sys.argv[1], os.environ["GREETING"])
print("wrong", file=sys.stderr)
sys.exit(3)
"""
    messages = list(plugin(host, text))
    assert [m.stdout for m in messages if m.HasField("stdout")] == [b"127.0.0.1:1 a=b\n"]
    assert [m.stderr for m in messages if m.HasField("stderr")] == [b"wrong\n"]
    assert messages[-1].exitcode == 3


def test_a_cancelled_call_ends_the_plugin(host: Host) -> None:
    call = plugin(host, WAITING)
    numbers = [written_number(host.folder / name) for name in ("program", "child")]
    call.cancel()
    assert eventually_gone(*numbers)


def test_required_packages_are_those_that_are_installed(engine: Engine, tmp_path: Path) -> None:
    package = tmp_path / "site" / "pulumi_more"
    package.mkdir(parents=True)
    (package / "pulumi-plugin.json").write_text('{"resource": true, "version": "1.2.3"}')
    host = Host(engine, tmp_path, PYTHONPATH=f"{tmp_path / 'site'}:{Path.cwd()}")
    found = {p["name"]: p for p in host.call("GetRequiredPackages", info=host.info())["packages"]}
    assert found["more"] == {"name": "more", "kind": "resource", "version": "1.2.3"}
    assert {"docker", "kubernetes", "random"} <= found.keys()
    (package / "pulumi-plugin.json").write_text('{"parameterization": {}}')
    with pytest.raises(grpc.RpcError, match="does not implement parameterized packages"):
        host.call("GetRequiredPackages", info=host.info())
    host.end()


def test_about(host: Host) -> None:
    about = host.call("About", info=host.info())
    assert about["version"] == sys.version.split()[0]
    found = host.call("GetProgramDependencies", info=host.info())["dependencies"]
    assert {"pulumi", "pytest"} <= {each["name"] for each in found}


def test_dependencies_are_installed_once(host: Host) -> None:
    (host.folder / "requirements.txt").write_text("# nothing\n")
    info = host.info(virtualenv="venv")

    def install() -> list[Any]:
        return list(host.call.stream("InstallDependencies", info=info))

    install()
    python = host.folder / "venv" / "bin" / "python"
    assert subprocess.check_output([python, "-c", "print(1)"]) == b"1\n"
    (host.folder / "requirements.txt").write_text("./nowhere\n")
    assert install() == []  # the environment is there: nothing is done


def test_a_failed_installation_leaves_nothing_behind(host: Host) -> None:
    (host.folder / "requirements.txt").write_text("./nowhere\n")
    info = host.info(virtualenv="venv")
    with pytest.raises(grpc.RpcError, match="failed with exit code 1"):
        list(host.call.stream("InstallDependencies", info=info))
    assert not (host.folder / "venv").exists()


def test_requirements_without_an_environment_are_refused(host: Host) -> None:
    (host.folder / "requirements.txt").write_text("x\n")
    info = host.info(virtualenv="")
    with pytest.raises(grpc.RpcError, match="into a virtual environment only"):
        list(host.call.stream("InstallDependencies", info=info))
