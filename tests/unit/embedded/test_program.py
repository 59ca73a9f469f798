"""Whole programs on the `astro-pulumi` command, as a user runs them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSPHRASE = "x"
REPOSITORY = Path(__file__).parents[3]
PREAMBLE = """
import pulumi
from pulumi import ResourceOptions as Opts, export

class Thing(pulumi.CustomResource):
    def __init__(self, name, opts=None, **inputs):
        names = {key: None for key in ("serial", "name", "color", "size")}
        super().__init__("cloud:index:Thing", name, {**names, **inputs}, opts)

class Group(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("my:index:Group", name, None, opts)
"""


@dataclass
class Project:
    """A project in a directory of its own."""

    root: Path

    def write(self, program: str) -> None:
        """What the program is from now on."""
        (self.root / "__main__.py").write_text(PREAMBLE + program)

    def start(self, *arguments: str, passphrase: str | None = PASSPHRASE) -> subprocess.Popen[str]:
        """Starts `astro-pulumi`."""
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")},
            "PULUMI_BACKEND_URL": f"file://{self.root}/state",
            "PULUMI_HOME": str(self.root / "home"),
            "CLOUD": str(self.root / "cloud"),
            "PYTHONPATH": str(REPOSITORY),
        }
        if passphrase is not None:
            environment["PULUMI_CONFIG_PASSPHRASE"] = passphrase
        return subprocess.Popen(
            [sys.executable, "-m", "tests.unit.embedded.command", *arguments],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, passphrase: str | None = PASSPHRASE, fails: bool = False) -> str:
        """Runs `astro-pulumi`. -> what it printed."""
        process = self.start(*arguments, passphrase=passphrase)
        output, _ = process.communicate(timeout=240)
        assert (process.returncode != 0) == fails, output
        return output

    def up(self, program: str | None = None, fails: bool = False) -> str:
        """`up --yes` of a program."""
        if program is not None:
            self.write(program)
        return self.run("up", "--yes", "--engine", "embedded", "-s", "dev", fails=fails)

    def objects(self) -> list[str]:
        """Names of what exists, without their random part."""
        return sorted(file.name.rsplit("-", 1)[0] for file in (self.root / "cloud").iterdir())

    def resources(self) -> dict[str, dict[str, object]]:
        """What state has, by name."""
        data = json.loads((self.root / "state/.pulumi/stacks/proj/dev.json").read_text())
        found = data["checkpoint"]["latest"].get("resources", [])
        return {resource["urn"].rsplit("::", 1)[1]: resource for resource in found}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "Pulumi.yaml").write_text("name: proj\nruntime: python\n")
    (tmp_path / "cloud").mkdir()
    return Project(tmp_path)


def test_the_life_of_a_stack(project: Project) -> None:
    project.write("""
config = pulumi.Config()
group = Group("group", Opts(protect=False))
a = Thing("a", color=config.require_secret("password"), opts=Opts(parent=group))
b = Thing("b", size=a.serial, opts=Opts(depends_on=[a]))
print("hello")
export("size", b.size)
export("color", a.color)
""")
    flags = ("--yes", "-s", "dev", "--engine", "embedded")
    project.run("config", "set", "password", "hush", "--secret", *flags[1:])
    preview = project.run("preview", "-s", "dev", "--engine", "embedded")
    assert "+ 4 to create" in preview
    assert "size : [unknown]" in preview
    assert project.objects() == []
    output = project.run("up", *flags)
    assert "hello" in output
    assert "+ 4 created" in output
    assert "color: [secret]" in output
    assert "hush" not in output + (project.root / "state/.pulumi/stacks/proj/dev.json").read_text()
    assert project.objects() == ["a", "b"]
    assert "4 unchanged" in project.run("up", *flags)
    shown = project.run("outputs", "--json", "--show-secrets", *flags[3:])
    assert json.loads(shown) == {"size": 1, "color": "hush"}
    assert project.run("outputs", "size", *flags[3:]) == "1\n"
    assert project.run("config", "get", "password", *flags[3:]) == "hush\n"
    assert "4 unchanged" in project.run("refresh", *flags)
    events = [
        json.loads(line) for line in project.run("destroy", *flags, "--json").splitlines()[1:]
    ]
    assert events[-2]["summaryEvent"]["resourceChanges"] == {"delete": 4}
    assert project.objects() == []
    history = sorted((project.root / "state/.pulumi/history/proj/dev").glob("*.history.json"))
    kinds = [json.loads(file.read_text())["kind"] for file in history]
    assert kinds == ["update", "update", "refresh", "destroy"]


def test_a_program_that_fails_leaves_the_outputs_that_it_does_not_come_to(project: Project) -> None:
    flags = ("-s", "dev", "--engine", "embedded", "--json")
    project.up('export("first", 1)\nexport("second", 2)')
    project.up('export("first", 3)\nraise RuntimeError("too bad")', fails=True)
    assert json.loads(project.run("outputs", *flags)) == {"first": 3, "second": 2}
    project.up('export("first", 4)')
    assert json.loads(project.run("outputs", *flags)) == {"first": 4}


def test_transforms_inheritance_and_explicit_providers(project: Project) -> None:
    project.up("""
class Cloud(pulumi.ProviderResource):
    def __init__(self, name):
        super().__init__("cloud", name, {"zone": "z"})

def blue(args):
    if args.type_ == "cloud:index:Thing":
        return pulumi.ResourceTransformResult({**args.props, "color": "blue"}, args.opts)

def protect(args):
    opts = pulumi.ResourceOptions.merge(args.opts, Opts(ignore_changes=["size"]))
    return pulumi.ResourceTransformResult(args.props, opts)

pulumi.runtime.register_resource_transform(blue)
cloud = Cloud("cloud")
group = Group("group", Opts(providers=[cloud], protect=True, transforms=[protect]))
a = Thing("a", color="red", size=1, opts=Opts(parent=group))
timeouts = pulumi.CustomTimeouts(create="1h2m")
Thing("b", color="red", size=a.size, opts=Opts(retain_on_delete=True, custom_timeouts=timeouts))
""")
    resources = project.resources()
    a, b = resources["a"], resources["b"]
    assert isinstance(a["inputs"], dict) and isinstance(b["inputs"], dict)
    assert (a["inputs"]["color"], b["inputs"]["color"]) == ("blue", "blue")
    assert a["protect"] is True
    assert a["ignoreChanges"] == ["size"]
    assert str(a["provider"]).startswith("urn:pulumi:dev::proj::pulumi:providers:cloud::cloud::")
    assert "default" in str(b["provider"])
    assert b["retainOnDelete"] is True
    assert b["customTimeouts"] == {"create": 3720.0}
    assert str(a["urn"]) == "urn:pulumi:dev::proj::my:index:Group$cloud:index:Thing::a"
    assert b["dependencies"] == [a["urn"]]


def test_a_failed_resource_is_reported_once(project: Project) -> None:
    output = project.up(
        """
a = Thing("a", fail="no room in the cloud")
Thing("b", size=a.serial)
""",
        fails=True,
    )
    assert output.count("no room in the cloud") == 1
    assert "terminated" not in output
    assert "exit code" not in output
    assert project.objects() == []


def test_an_exception_of_the_program_shows_its_own_lines(project: Project) -> None:
    output = project.up(
        'Thing("a")\ndef f():\n    raise ValueError("wrong turn")\nf()\n', fails=True
    )
    assert output.count("ValueError: wrong turn") == 1
    assert "__main__.py" in output
    assert "runpy" not in output
    assert "exit code" not in output


def test_a_program_that_ends_early(project: Project) -> None:
    output = project.up("import sys\nsys.exit(3)\n", fails=True)
    assert "program exited with non-zero exit code: 3" in output


def test_what_is_not_offered_names_the_pulumi_cli(project: Project) -> None:
    other = 'pulumi.CustomResource("aws:s3:Bucket", "b", {})\n'
    output = project.up(other, fails=True)
    assert "'aws'" in output
    assert "Pulumi CLI" in output
    output = project.up(
        'export("x", pulumi.runtime.invoke("cloud:index:f", {}).value)\n', fails=True
    )
    assert "cloud:index:f" in output


@pytest.mark.parametrize(("passphrase", "said"), [("y", "incorrect passphrase"), (None, "needed")])
def test_passphrases(project: Project, passphrase: str | None, said: str) -> None:
    project.up("")
    output = project.run("up", "--yes", "--engine", "embedded", passphrase=passphrase, fails=True)
    assert said in output
    assert "PULUMI_CONFIG_PASSPHRASE" in output
    assert "Traceback" not in output


def test_consent_is_needed(project: Project) -> None:
    project.write("")
    assert "--yes must be passed" in project.run("up", "-s", "dev", fails=True)


@pytest.mark.parametrize(
    ("command", "becomes"),
    [
        ("up -y -s dev -c a=b", "up --cwd . --config a=b --yes --stack dev"),
        ("preview", "preview --cwd . --diff"),
        ("destroy -C . --yes", "destroy --cwd . --yes"),
        ("up --yes --target a --replace=b", "up --cwd . --yes --target a --replace=b"),
        ("destroy --run-program -y", "destroy --cwd . --yes --run-program"),
        ("refresh -y --json", "refresh --cwd . --yes --json"),
        ("outputs url --show-secrets", "stack output --cwd . url --show-secrets"),
        ("config set a b --secret", "config set --cwd . --secret a b"),
        ("config get a", "config get --cwd . a"),
    ],
)
def test_the_pulumi_cli_is_used_where_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch, command: str, becomes: str
) -> None:
    cli = project.root / "bin" / "pulumi"
    cli.parent.mkdir()
    cli.write_text('#!/bin/sh\necho "pulumi $@"\n')
    cli.chmod(0o755)
    monkeypatch.setenv("PATH", str(cli.parent), prepend=":")
    output = project.run(*command.split())
    assert output.splitlines()[-1] == f"pulumi {becomes}"
    quiet = command.startswith(("outputs", "config"))
    assert output.startswith("pulumi" if quiet else f"Engine: Pulumi CLI ({cli})\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "--target", "urn:a", "--yes"),
        ("preview", "--exclude=urn:a"),
        ("preview", "-t", "urn:a"),
        ("destroy", "--yes", "--target-dependents"),
        ("refresh", "--run-program"),
        ("destroy", "everything", "--yes"),
    ],
)
def test_flags_of_the_pulumi_cli_are_refused_by_name(
    project: Project, arguments: tuple[str, ...]
) -> None:
    output = project.run(*arguments, "--engine", "embedded", fails=True)
    unknown = next(word for word in arguments[1:] if word != "--yes")
    assert f"error: {unknown.partition('=')[0]}: the embedded engine does not offer" in output
    assert "Pulumi CLI" in output


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


SLOW = 'Thing("before")\nThing("slow", late=30)\nThing("quick", sleep=0.5)\n'


def test_killed_in_the_middle(project: Project) -> None:
    project.write(SLOW)
    process = project.start("up", "--yes", "-s", "dev", "--engine", "embedded")
    wait_until(lambda: {"slow", "before"} <= {*project.objects()})
    process.kill()
    process.communicate()
    output = project.up(SLOW.replace("late=30", "late=0"))
    assert "creating was interrupted" in output
    assert project.objects() == ["before", "quick", "slow"]
    assert "pending_operations" not in json.dumps(project.resources())


def test_two_engines_at_once(project: Project) -> None:
    project.write(SLOW)
    process = project.start("up", "--yes", "-s", "dev", "--engine", "embedded")
    wait_until(lambda: "slow" in project.objects())
    try:
        output = project.run("up", "--yes", "--engine", "embedded", fails=True)
        assert "locked by 1 lock" in output
        assert f"pid {process.pid}" in output
    finally:
        process.kill()
        process.communicate()


def interrupted(project: Project, program: str, presses: int = 1) -> str:
    """Ctrl-C once `a` is under way. -> what was printed"""
    project.write(program)
    process = project.start("up", "--yes", "-s", "dev", "--engine", "embedded")
    wait_until(lambda: "a creating" in (process.stdout.readline() if process.stdout else ""))
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "interrupted" in output
    assert "Traceback" not in output
    return output


def test_interrupted_once_waits_are_cancelled(project: Project) -> None:
    output = interrupted(project, 'a = Thing("a", sleep=60)\nThing("b", size=a.serial)\n')
    assert "it was cancelled" in output
    assert set(project.resources()) == {"proj-dev", "default"}


def test_interrupted_once_what_cannot_be_cancelled_is_finished(project: Project) -> None:
    interrupted(project, 'a = Thing("a", late=2)\nThing("b", size=a.serial)\n')
    assert project.objects() == ["a"]
    assert set(project.resources()) == {"proj-dev", "a", "default"}


def test_interrupted_once_a_program_that_does_not_end_is_ended(project: Project) -> None:
    interrupted(
        project, 'import time\nThing("a", late=1).serial.apply(lambda _: time.sleep(1000))\n'
    )
    assert project.objects() == ["a"]


def test_interrupted_twice_it_ends_at_once_and_the_next_run_goes_on(project: Project) -> None:
    output = interrupted(project, 'Thing("a", late=1000)\n', presses=2)
    assert "terminating" in output
    assert "locked" not in project.up('Thing("a")\n')
    assert project.objects() == ["a"]


HOOKED = """
from pulumi import ResourceHook, ResourceHookArgs, ResourceHookBinding, ResourceHookOptions

def say(args: ResourceHookArgs):
    known = {k: v for k, v in vars(args).items() if k.startswith(("new", "old")) and v is not None}
    colors = [f"{k}={v.get('color')}" for k, v in sorted(known.items())]
    print(f"{args.name}: {' '.join(colors)} id={'yes' if args.id else 'no'}")

async def refuse(args: ResourceHookArgs):
    raise ValueError(f"{args.name} is not wanted")

plan = ResourceHook("plan", say, ResourceHookOptions(on_dry_run=True))
bye = ResourceHook("bye", say)
hooks = ResourceHookBinding(
    before_create=[plan], after_create=[say], before_update=[plan], before_delete=[bye]
)
"""


def test_resource_hooks(project: Project) -> None:
    project.write(HOOKED + 'Thing("a", color="red", opts=Opts(hooks=hooks))\n')
    preview = project.run("preview", "-s", "dev", "--engine", "embedded")
    assert "a: new_inputs=red id=no" in preview
    assert "new_outputs" not in preview
    output = project.up()
    assert "a: new_inputs=red id=no" in output
    assert "a: new_inputs=red new_outputs=red id=yes" in output
    stored = json.loads((project.root / "state/.pulumi/stacks/proj/dev.json").read_text())
    assert (stored["version"], stored["features"]) == (4, ["hooks"])
    assert project.resources()["a"]["resourceHooks"] == {
        "BeforeCreate": ["plan"],
        "AfterCreate": ["cloud:index:Thing_a_after_create_0"],
        "BeforeUpdate": ["plan"],
        "BeforeDelete": ["bye"],
    }
    changed = project.up(HOOKED + 'Thing("a", color="blue", opts=Opts(hooks=hooks))\n')
    assert "a: new_inputs=blue old_inputs=red old_outputs=red id=yes" in changed
    refused = project.run("destroy", "--yes", "--engine", "embedded", fails=True)
    assert "pulumi destroy --run-program" in refused
    assert project.objects() == ["a"]
    assert "a: old_inputs=blue old_outputs=blue id=yes" in project.up(HOOKED)
    assert project.objects() == []


def test_a_hook_that_fails(project: Project) -> None:
    body = HOOKED + "never = ResourceHookBinding(before_create=[refuse])\n"
    output = project.up(body + 'Thing("a", opts=Opts(hooks=never))\n', fails=True)
    assert output.count("failed: a is not wanted") == 1
    assert "Traceback" not in output
    assert project.objects() == []


PLUGIN = """
from typing import Optional, TypedDict
import pulumi
from pulumi.provider.experimental import component_provider_host

class PairArgs(TypedDict):
    color: pulumi.Input[str]
    sizes: Optional[list[int]]

class Pair(pulumi.ComponentResource):
    names: pulumi.Output[str]
    secret: pulumi.Output[str]

    def __init__(self, name: str, args: PairArgs, opts: Optional[pulumi.ResourceOptions] = None):
        super().__init__("shapes:index:Pair", name, {}, opts)
        def announce(args: pulumi.ResourceHookArgs) -> None:
            pulumi.log.warn(f"about to make {args.name}")

        hook = pulumi.ResourceHook(f"{name}-announce", announce)
        hooks = pulumi.ResourceHookBinding(before_create=[hook])
        things = []
        for size in args.get("sizes") or []:
            inputs = {"name": None, "serial": None, "color": args["color"], "size": size}
            child = pulumi.ResourceOptions(parent=self, hooks=hooks)
            things.append(pulumi.CustomResource("cloud:index:Thing", f"{name}-{int(size)}", inputs, child))
        self.names = pulumi.Output.all(*[t.id for t in things]).apply(lambda ids: f"{len(ids)} things")
        self.secret = pulumi.Output.secret("hush")
        self.register_outputs({"names": self.names, "secret": self.secret})

if __name__ == "__main__":
    component_provider_host(name="shapes", components=[Pair])
"""


def test_a_remote_component(project: Project) -> None:
    plugin = project.root / "shapes"
    plugin.mkdir()
    (plugin / "__main__.py").write_text(PLUGIN)
    (plugin / "PulumiPlugin.yaml").write_text("runtime: python\n")
    (project.root / "Pulumi.yaml").write_text(
        "name: proj\nruntime: python\npackages: {shapes: ./shapes}\n"
    )
    program = """
class Pair(pulumi.ComponentResource):
    names: pulumi.Output[str]
    secret: pulumi.Output[str]
    def __init__(self, name, args, opts=None):
        super().__init__(
            "shapes:index:Pair", name, {**args, "names": None, "secret": None}, opts, remote=True
        )

def paint(args):
    if args.type_ == "cloud:index:Thing":
        return pulumi.ResourceTransformResult({**args.props, "color": "blue"}, args.opts)

first = Thing("first", color="red")
def cheer(args):
    print(f"made {args.name} with {args.new_outputs['names']}")

binding = pulumi.ResourceHookBinding(after_create=[pulumi.ResourceHook("cheer", cheer)])
options = Opts(protect=False, transforms=[paint], hooks=binding)
pair = Pair("pair", {"color": first.color, "sizes": [1, 2]}, options)
export("names", pair.names)
export("secret", pair.secret)
"""
    output = project.up(program)
    assert 'names : "2 things"' in output
    assert output.count("about to make pair-") == 2  # a hook of the plugin
    assert output.count("made pair with 2 things") == 1  # one of the program, on its component
    assert "secret: [secret]" in output
    resources = project.resources()
    child = resources["pair-2"]
    assert str(child["urn"]).split("::")[2] == "shapes:index:Pair$cloud:index:Thing"
    assert isinstance(child["inputs"], dict)
    assert (child["inputs"]["color"], child["inputs"]["size"]) == ("blue", 2)
    assert child["dependencies"] == [resources["first"]["urn"]]
    assert "5 unchanged" in project.up()
    project.run("destroy", "--yes", "--engine", "embedded")
    assert project.objects() == []
